"""A Kalman smoother with a fixed lag: constant velocity with white-noise acceleration."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from posewright.people import Doubles, Ints
from posewright.results import Result
from posewright.smoothing.tables import MISSING, NEVER, Clock, Table, followed, moved

__all__ = ["Kalman"]

# Channels of the table.  Variances of place and velocity, and their covariance, are in units of a
# sight's noise in one second, of which nothing but the ratio to the pushes counts.
_PLACE, _SPEED = slice(0, 2), slice(2, 4)
_PP, _PV, _VV, _SEEN, _SINCE = 4, 5, 6, 7, 8
_UNKNOWN = np.array([0, 0, 0, 0, 1, 0, 1, NEVER, NEVER])
_MOVING = 10.0  # variance of an unknown velocity, in noises of a sight per interval


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """What the next frame says about M people.  rows: (M,) theirs in the next frame's table.

    gain: (M, K, 2, 2), 0 where the next frame says nothing.  expected: (M, K, 2, 2) means there.
    """

    rows: Ints
    gain: Doubles
    expected: Doubles


@dataclass(slots=True, eq=False)
class _Held:
    """A frame that waits, and what was known at its time (s).  rows: whom of it that is about."""

    result: Result
    time: float
    rows: Ints
    table: Table
    link: _Link | None = None


class Kalman:
    """Filters forwards and, over the last `lag` seconds, back again (Rauch, Tung, Striebel 1965).

    cutoff: Hz, at which half of the amplitude is left.  Accelerations are white noise, so that with
    much lag the response is 1 / (1 + (f / cutoff)^4), that of a Butterworth filter of order 2 run
    both ways; a lag of one period of the cutoff comes close.  Observations are weighted by their
    scores.  Unequal times are respected.  Results leave `lag` seconds later; memory: as many
    frames.  A joint unobserved for more than `gap` seconds is reset; joints with a low score stay
    unchanged.
    """

    def __init__(self, gap: float, fps: float, cutoff: float = 6.0, lag: float = 0.1) -> None:
        self.notes: list[str] = []
        self._gap, self._fps, self._lag = gap, fps, lag - 1e-6
        self._push = (2 * np.pi * cutoff) ** 4
        self._held: deque[_Held] = deque()
        self._table, self._clock = Table.empty(0, len(_UNKNOWN)), Clock(fps)
        self._last = 0.0

    def push(self, result: Result) -> list[Result]:
        """Take a frame; return those that are `lag` seconds old."""
        now = self._clock(result)
        if self._table.data.shape[1] != result.people.scores.shape[1]:
            self._table = Table.empty(result.people.scores.shape[1], len(_UNKNOWN))
        if len(self._table.ids):
            self._table = self._predicted(self._table, now - self._last, now)
        rows = followed(result.people) if result.status == "ok" else np.zeros(0, np.int64)
        self._see(result, rows, now)
        if self._held:
            last = self._held[-1]
            last.link = _linked(last.table, last.time, self._table, now, self._push)
        self._held.append(_Held(result, now, rows, self._table))
        self._last = now
        count = sum(now - held.time >= self._lag for held in self._held)
        return self._leave(count)

    def finish(self) -> list[Result]:
        """Return the frames that waited, and reset the state."""
        ready = self._leave(len(self._held))
        self._table, self._clock = Table.empty(0, len(_UNKNOWN)), Clock(self._fps)
        self._last = 0.0
        return ready

    def _predicted(self, table: Table, seconds: float, now: float) -> Table:
        """Return what is known some seconds later; joints unseen for too long are unknown."""
        data = _later(table.data, seconds, self._push)
        reach = max(self._gap, self._clock.interval) + 1e-6
        data[now - data[..., _SEEN] > reach] = _UNKNOWN
        return Table(table.ids, data)[np.any(data[..., _SEEN] > NEVER, axis=1)]

    def _see(self, result: Result, rows: Ints, now: float) -> None:
        """Correct what is known by the joints of this frame."""
        people = result.people
        places = people.keypoints[rows].astype(np.float64)
        scores = people.scores[rows].astype(np.float64)
        seen = (scores >= MISSING)[..., None]
        # A sight stands for its interval, so that the cutoff is the same at every frame rate.
        noise = 1 / (self._clock.interval * np.maximum(scores, MISSING))
        old = self._table.take(people.ids[rows], _UNKNOWN)
        new = _corrected(old, places, noise)
        fresh = _started(places, noise, self._clock.interval, now)
        new = np.where(old[..., _SEEN, None] > NEVER, new, fresh)
        new[..., _SEEN] = now
        self._table = self._table.put(people.ids[rows], np.where(seen, new, old))

    def _leave(self, count: int) -> list[Result]:
        """Let the first `count` frames go, with their joints as known by all that wait."""
        if not count:
            return []
        ready: deque[Result] = deque()
        later: Doubles | None = None
        for number in range(len(self._held) - 1, -1, -1):
            held = self._held[number]
            means, link = _means(held.table.data), held.link
            if later is not None and link is not None:
                means = means + link.gain @ (later[link.rows] - link.expected)
            later = means
            if number < count:
                ready.appendleft(_placed(held, means))
        for _ in range(count):
            self._held.popleft()
        return list(ready)


def _later(data: Doubles, seconds: float, push: float) -> Doubles:
    """Return (N, K, 9) what is known some seconds later."""
    later = data.copy()
    later[..., _PLACE] += seconds * data[..., _SPEED]
    pv, vv = data[..., _PV], data[..., _VV]
    later[..., _PP] += 2 * seconds * pv + seconds**2 * vv + push * seconds**3 / 3
    later[..., _PV] += seconds * vv + push * seconds**2 / 2
    later[..., _VV] += push * seconds
    return later


def _corrected(data: Doubles, places: Doubles, noise: Doubles) -> Doubles:
    """Return (N, K, 9) after sights at (N, K, 2) places with (N, K) variances."""
    new = data.copy()
    pp, pv = data[..., _PP], data[..., _PV]
    gain, turn = pp / (pp + noise), pv / (pp + noise)
    miss = places - data[..., _PLACE]
    new[..., _PLACE] += gain[..., None] * miss
    new[..., _SPEED] += turn[..., None] * miss
    new[..., _PP] -= gain * pp
    new[..., _PV] -= gain * pv
    new[..., _VV] -= turn * pv
    return new


def _started(places: Doubles, noise: Doubles, interval: float, now: float) -> Doubles:
    """Return (N, K, 9) of joints seen for the first time."""
    data = np.zeros((*noise.shape, len(_UNKNOWN)))
    data[..., _PLACE] = places
    data[..., _PP] = noise
    data[..., _VV] = _MOVING * noise / interval**2
    data[..., _SINCE] = now
    return data


def _linked(table: Table, time: float, after: Table, now: float, push: float) -> _Link | None:
    """Return what the frame at `now` (s) says about the one at `time` before it."""
    if table.data.shape[1] != after.data.shape[1] or not len(table.ids) or not len(after.ids):
        return None
    data, seconds = table.data, now - time
    later = _later(data, seconds, push)
    same = table.ids[:, None] == after.ids
    rows = same.argmax(1)
    truth = after.data[rows]
    # Only what was known by then and never lost since has a future that counts.
    known = same.any(1)[:, None] & (truth[..., _SEEN] > NEVER) & (truth[..., _SINCE] <= time)
    known &= data[..., _SEEN] > NEVER
    pp, pv, vv = later[..., _PP], later[..., _PV], later[..., _VV]
    inverse = np.stack([vv, -pv, -pv, pp], -1) / (pp * vv - pv**2)[..., None]
    pp, pv, vv = data[..., _PP], data[..., _PV], data[..., _VV]
    cross = np.stack([pp + seconds * pv, pv, pv + seconds * vv, vv], -1)
    square = (*pp.shape, 2, 2)
    gain = cross.reshape(square) @ inverse.reshape(square)
    return _Link(rows, np.where(known[..., None, None], gain, 0.0), _means(later))


def _means(data: Doubles) -> Doubles:
    """(M, K, 9) -> (M, K, 2, 2): place and velocity by x and y."""
    return data[..., :4].reshape(*data.shape[:2], 2, 2)


def _placed(held: _Held, means: Doubles) -> Result:
    """Return the frame with its seen joints where (M, K, 2, 2) `means` of its table have them."""
    people = held.result.people
    if not len(held.rows):
        return held.result
    at = (people.ids[held.rows, None] == held.table.ids).argmax(1)
    seen = (people.scores[held.rows] >= MISSING)[..., None]
    places = np.where(seen, means[at, :, 0], people.keypoints[held.rows])
    return held.result.replace(people=moved(people, held.rows, places))
