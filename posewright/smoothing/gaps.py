"""Gaps: people and joints missing for a moment are interpolated between two observations."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posewright.people import Doubles, People
from posewright.results import Result
from posewright.smoothing.tables import MISSING, NEVER, Clock, followed

__all__ = ["FILLED", "Gaps"]

# The score of a joint that was filled in: below 0.3, from where drawing takes a joint for seen,
# and not below 0.2, from where the filters use it.
FILLED = 0.25


@dataclass
class _Held:
    """A frame that waits.  time: seconds."""

    result: Result
    time: float

    def add(self, person: People) -> None:
        """Append a person."""
        people = People.concat([self.result.people, person])
        self.result = self.result.replace(people=people)

    def fill(self, person: int, joints: NDArray[np.bool_], places: Doubles) -> None:
        """Put the (K,) `joints` of an identity at (K, 2) places, if it is in this frame."""
        people = self.result.people
        rows = np.flatnonzero(people.ids == person)[:1]
        keypoints, scores = people.keypoints.copy(), people.scores.copy()
        keypoints[rows] = np.where(joints[:, None], places, keypoints[rows])
        scores[rows] = np.where(joints, np.float32(FILLED), scores[rows])
        self.result = self.result.replace(people=people.replace(keypoints=keypoints, scores=scores))


@dataclass
class _Sight:
    """Where somebody was seen last.  places: (K, 2).  times: (K,) s of each joint's last sight."""

    people: People
    time: float
    places: Doubles
    times: Doubles


class Gaps:
    """Fills in people and joints between two observations that are at most `gap` seconds apart.

    Nothing is added before the first or after the last observation.  A person who is filled in
    comes last in the frame, in the box between both boxes; joints without two observations have the
    score 0 there.  Results leave `gap` seconds later; memory: as many frames.
    """

    def __init__(self, gap: float, fps: float) -> None:
        self.notes: list[str] = []
        self._gap = gap + 1e-6  # times are sums of fractions
        self._fps = fps
        self._held: deque[_Held] = deque()
        self._sights: dict[int, _Sight] = {}
        self._clock = Clock(fps)

    def push(self, result: Result) -> list[Result]:
        """Take a frame; return those that later observations cannot change."""
        now = self._clock(result)
        if result.status == "ok":
            for row in followed(result.people).tolist():
                self._see(result.people[row], now)
        self._held.append(_Held(result, now))
        old = [person for person, sight in self._sights.items() if now - sight.time > self._gap]
        for person in old:
            del self._sights[person]
        ready = []
        while now - self._held[0].time > self._gap:
            ready.append(self._held.popleft().result)
        return ready

    def finish(self) -> list[Result]:
        """Return the frames that waited, and reset the state."""
        ready = [held.result for held in self._held]
        self._held.clear()
        self._sights, self._clock = {}, Clock(self._fps)
        return ready

    def _see(self, person: People, now: float) -> None:
        """Fill what lies between the last sight of somebody and this one, and remember it."""
        seen, places = person.scores[0] >= MISSING, person.keypoints[0].astype(np.float64)
        times = np.full(len(seen), NEVER)
        last = self._sights.get(int(person.ids[0]))
        if last is not None and last.places.shape == places.shape:
            self._add(last, person, now)
            self._join(last, person, now)
            places = np.where(seen[:, None], places, last.places)
            times = last.times
        times = np.where(seen, now, times)
        self._sights[int(person.ids[0])] = _Sight(person, now, places, times)

    def _add(self, last: _Sight, person: People, now: float) -> None:
        """Put a person into the frames since the last sight."""
        if now - last.time > self._gap:
            return
        for held in self._held:
            if last.time < held.time and held.result.status == "ok":
                held.add(_between(last.people, person, (held.time - last.time) / (now - last.time)))

    def _join(self, last: _Sight, person: People, now: float) -> None:
        """Fill the joints that were seen before and are now, in the frames between."""
        back = (person.scores[0] >= MISSING) & (now - last.times <= self._gap)
        for held in self._held:
            joints = back & (last.times < held.time)
            if not joints.any() or held.result.status != "ok":
                continue
            share = (held.time - last.times[joints]) / (now - last.times[joints])
            places = last.places.copy()
            places[joints] += share[:, None] * (person.keypoints[0, joints] - places[joints])
            held.fill(int(person.ids[0]), joints, places)


def _between(a: People, b: People, share: float) -> People:
    """Return one person at `share` of the way from a to b, no joint of whom was seen."""
    part = np.float32(share)
    return People(
        a.boxes + part * (b.boxes - a.boxes),
        np.minimum(a.box_scores, b.box_scores),
        a.keypoints + part * (b.keypoints - a.keypoints),
        np.zeros_like(a.scores),
        a.ids,
    )  # of which no network stated anything
