"""The people of results as series over time: one array of points for each identity."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from posewright.errors import SourceError, UsageError
from posewright.measure.joints import present
from posewright.people import Doubles, Ints, Mask
from posewright.results import Result
from posewright.skeletons import Skeleton
from posewright.smoothing.tables import Clock

__all__ = ["MOST_FRAMES", "Person", "people_of"]

MOST_FRAMES = 500_000  # of a person, seen or not: two hours at 60 frames a second


@dataclass(frozen=True, slots=True, eq=False)
class Person:
    """One identity from the first to the last frame in which it was seen.

    frames, times: (T,) numbers and seconds.  points: (T, K, 2) x to the right and y down, NaN where
    a joint is missing, in `unit`: "px" (square ones) or "m".
    """

    id: int
    frames: Ints
    times: Doubles
    points: Doubles
    skeleton: Skeleton
    unit: str = "px"

    @property
    def rate(self) -> float:
        """Frames a second; 0 for a single frame."""
        return float(1 / np.median(np.diff(self.times))) if len(self.times) > 1 else 0.0

    @property
    def seen(self) -> Mask:
        """(T,) frames in which a joint is known."""
        return np.asarray(np.isfinite(self.points).any((1, 2)))


@dataclass
class _Sequence:
    """What is read of one sequence: the times of its frames, and where everybody is in them."""

    clock: Clock
    times: dict[int, float] = field(default_factory=dict)
    people: dict[int, dict[int, Doubles]] = field(default_factory=dict)
    crowded: bool = False  # some frame has several people without identity

    def add(self, result: Result, min_score: float) -> None:
        self.times[result.frame] = self.clock(result)
        points = present(
            result.keypoints,
            result.scores,
            min_score=min_score,
            pixel_aspect=result.pixel_aspect,
        )
        for identity, each in zip(result.ids.tolist(), points, strict=True):
            places = self.people.setdefault(identity, {})
            if result.frame in places and identity >= 0:
                raise SourceError(
                    f"frame {result.frame} has two people with identity {identity}; track the "
                    "results again with posewright track"
                )
            self.crowded |= result.frame in places
            places[result.frame] = each


def people_of(
    results: Iterable[Result], *, min_score: float = 0.3, fps: float = 30.0
) -> list[Person]:
    """Return everybody of tracked results by identity, with a row for each frame in between.

    min_score: joints below are missing.  fps: frame rate of results without timestamps.  Results
    without identities are one person where no frame has two people; where others have one, people
    without are left out.  UsageError: nobody has one and a frame has several people, or one stands
    in two sequences.  SourceError: frame numbers that span too many.
    """
    sequences: dict[str, _Sequence] = {}
    skeleton: Skeleton | None = None
    for result in results:
        if skeleton is not None and result.skeleton.joints != skeleton.joints:
            raise UsageError("the results have people of two skeletons; measure each alone")
        skeleton = result.skeleton
        place = sequences.setdefault(result.sequence, _Sequence(Clock(fps)))
        place.add(result, min_score)
    if skeleton is None:
        return []
    _name_people(sequences.values())
    found = [_person(one, s, skeleton) for s in sequences.values() for one in s.people]
    twice = sorted({p.id for p in found if sum(q.id == p.id for q in found) > 1})
    if twice:
        raise UsageError(
            f"person {twice[0]} stands in two sequences of the results; measure each alone"
        )
    return sorted(found, key=lambda person: person.id)


def _name_people(sequences: Iterable[_Sequence]) -> None:
    """Leave out people without identity where others have one; else make them person 1.

    A tracker gives none to people whom it saw for a moment.
    """
    sequences = list(sequences)
    tracked = any(identity >= 0 for each in sequences for identity in each.people)
    for each in sequences:
        unknown = each.people.pop(-1, None)
        if unknown is not None and not tracked:
            if each.crowded:
                raise UsageError(
                    "people have no identities, and some frames have several of them; run "
                    "posewright track on the results first"
                )
            each.people[1] = unknown


def _person(identity: int, sequence: _Sequence, skeleton: Skeleton) -> Person:
    """Return the series of a person over all frames from the first to the last one, seen or not."""
    places = sequence.people[identity]
    known = sorted(sequence.times)
    step = min(np.diff(known).tolist(), default=1)
    first, last = min(places), max(places)
    if (last - first) // step >= MOST_FRAMES:
        raise SourceError(
            f"the frames of person {identity} span {last - first}, more than {MOST_FRAMES}; "
            "choose some with --frames"
        )
    frames = np.union1d(np.arange(first, last + 1, step), np.array(sorted(places)))
    points = np.full((len(frames), len(skeleton), 2), np.nan)
    for row, frame in enumerate(frames.tolist()):
        if frame in places:
            points[row] = places[frame]
    times = np.interp(frames, known, [sequence.times[frame] for frame in known])
    return Person(identity, frames, times, points, skeleton)
