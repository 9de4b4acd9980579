"""Motion models of many people at once, and what motion-based trackers share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import lap
import numpy as np

from posewright.errors import UsageError
from posewright.people import Doubles, Floats, Frame, Ints, Mask, People

__all__ = ["Clock", "Ids", "Kalman", "Round", "centre", "full", "in_rounds", "inside"]


_LEAP = 5  # times the buffer that may lie between one frame and the next


@dataclass(frozen=True, slots=True, eq=False)
class Kalman:
    """A constant-velocity filter of D numbers of each of T people, each number by itself.

    value: (T, D).  speed: (T, D) a frame.  variance: (T, D) each, of the value, value with speed,
    and speed.  Noise that is diagonal, as in SORT and ByteTrack, needs no matrices.
    """

    value: Doubles
    speed: Doubles
    variance: tuple[Doubles, Doubles, Doubles]

    @classmethod
    def start(cls, value: Doubles, known: Doubles, moving: Doubles) -> Kalman:
        """Return the filter of (T, D) at rest; known, moving: variances of value and speed."""
        none = np.zeros_like(value)
        return cls(value, none, (known + none, none, moving + none))

    def moved(self, frames: float | Doubles, drift: Doubles, push: Doubles) -> Kalman:
        """Return it some frames later, as a number or (T, 1).

        drift, push: (T, D) or (D,) variances that a frame adds to value and speed.
        """
        pp, pv, vv = self.variance
        pp = pp + 2 * frames * pv + np.square(frames) * vv + frames * drift
        pv, vv = pv + frames * vv, vv + frames * push
        return Kalman(self.value + frames * self.speed, self.speed, (pp, pv, vv))

    def corrected(self, seen: Doubles, noise: Doubles) -> Kalman:
        """Return it after (T, D) were measured with the variance `noise`, (T, D) or (D,)."""
        pp, pv, vv = self.variance
        gain, push = pp / (pp + noise), pv / (pp + noise)
        gap = seen - self.value
        variance = (1 - gain) * pp, (1 - gain) * pv, vv - push * pv
        return Kalman(self.value + gain * gap, self.speed + push * gap, variance)

    def where(self, rows: Mask, other: Kalman) -> Kalman:
        """Return this one with `other` in the rows where `rows`, (T,), is not set."""

        def either(a: Doubles, b: Doubles) -> Doubles:
            return np.where(rows[:, None], a, b)

        pp, pv, vv = map(either, self.variance, other.variance)
        value, speed = either(self.value, other.value), either(self.speed, other.speed)
        return Kalman(value, speed, (pp, pv, vv))

    def __getitem__(self, rows: Ints) -> Kalman:
        pp, pv, vv = (v[rows] for v in self.variance)
        return Kalman(self.value[rows], self.speed[rows], (pp, pv, vv))

    def joined(self, other: Kalman) -> Kalman:
        """Return the people of both, in order."""
        pairs = zip(self.variance, other.variance, strict=True)
        pp, pv, vv = (np.concatenate(pair) for pair in pairs)
        value = np.concatenate([self.value, other.value])
        return Kalman(value, np.concatenate([self.speed, other.speed]), (pp, pv, vv))


class Clock:
    """Counts the frames between calls, by timestamp, else by number, and tells which tracks expire.

    It also knows whether people were predicted for the frame that is dealt with.

    fps: frame rate.  buffer: seconds that a person may be missing.  UsageError for numbers that
    are not positive.
    """

    def __init__(self, fps: float, buffer: float) -> None:
        for name, value in {"fps": fps, "buffer": buffer}.items():
            if not 0 < value < np.inf:
                raise UsageError(f"the tracker's {name} must be a positive number, not {value}")
        self._fps = fps
        self._patience = buffer * fps  # frames
        self._last: tuple[int, float] | None = None
        self._coming: tuple[int, float] | None = None

    @property
    def started(self) -> bool:
        """Whether there was a frame since the last reset."""
        return self._last is not None

    def since(self, frame: Frame) -> float:
        """Return how many frames lie between the last one and this; 1 for the first."""
        if self._last is None:
            return 1.0
        index, time = self._last
        if frame.time > time:
            return (frame.time - time) * self._fps
        return float(max(frame.index - index, 1))

    def waits(self, away: Doubles, share: float | Doubles = 1.0) -> Mask:
        """(T,) frames since the last detection -> whether the identity is still kept.

        share: of the buffer for which a track is kept, as a number or (T,).
        """
        return np.asarray(away <= self._patience * share)

    def reaches(self, away: Doubles, frames: float) -> Mask:
        """Return whether the identity is kept until `frames` later.

        Those of the very last frame wait longer, else a slow source would have no identities.
        """
        return np.asarray(away + frames <= self._patience * np.where(away == 0, _LEAP, 1))

    def expect(self, frame: Frame) -> None:
        """Note that people were predicted for this coming frame."""
        self._coming = frame.index, frame.time

    def expected(self, frame: Frame) -> bool:
        """Return whether people were predicted for this frame."""
        return self._coming == (frame.index, frame.time)

    def set(self, frame: Frame) -> None:
        """Make this the last frame."""
        self._last = frame.index, frame.time

    def reset(self) -> None:
        """Start a new source."""
        self._last = self._coming = None


class Ids:
    """Assigns identities from 1; none is used twice."""

    def __init__(self) -> None:
        self._next = 1

    def given(self, ids: Ints, to: Mask | Ints) -> Ints:
        """Return (N,) ids in which the people `to`, a mask or rows, have new ones."""
        ids = ids.copy()
        count = len(ids[to])
        ids[to] = np.arange(self._next, self._next + count)
        self._next += count
        return ids


@dataclass(frozen=True, slots=True, eq=False)
class Round:
    """Who may be matched with which track: (N, T) likeness, at least `least`; (N,), (T,) masks."""

    alike: Doubles
    people: Mask
    tracks: Mask
    least: float


def in_rounds(rounds: Sequence[Round]) -> Ints:
    """Return (N,) the track of each person, -1 = none; a round matches who is left unmatched."""
    owner = np.full(len(rounds[0].people), -1)
    for each in rounds:
        free = each.tracks.copy()
        free[owner[owner >= 0]] = False
        rows, columns = np.flatnonzero(each.people & (owner < 0)), np.flatnonzero(free)
        if len(rows) and len(columns):
            # A pair costs less than leaving both alone only where it is alike enough.
            cost = 1 - each.alike[np.ix_(rows, columns)].astype(np.float64)
            _, found, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1 - each.least)
            owner[rows[found >= 0]] = columns[found[found >= 0]]
    return owner


def centre(boxes: Floats | Doubles) -> Doubles:
    """(T, 4) x1, y1, x2, y2 -> (T, 2)."""
    return (boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2


def inside(people: People, frame: Frame) -> People:
    """Return people with boxes clipped to the image; those outside are dropped."""
    width, height = frame.size
    if width == 0:
        return people
    boxes = np.clip(people.boxes, 0, np.array([width, height] * 2, np.float32))
    kept = (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= 1
    return people.replace(boxes=boxes)[kept]


def full(people: People, joints: int) -> People:
    """Return people with that many joints, scored 0 where they are boxes only.

    Places beyond a million px are cut off, so that no square overflows.  UsageError for people of
    another skeleton.
    """
    n, count = people.scores.shape
    boxes = np.clip(people.boxes, -1e6, 1e6)
    if count == joints:
        return people.replace(boxes=boxes, keypoints=np.clip(people.keypoints, -1e6, 1e6))
    if count != 0:
        raise UsageError(
            f"the tracker expects {joints} joints, but people have {count}; create it with the "
            "skeleton of the model"
        )
    points = np.zeros((n, joints, 2), np.float32)
    return people.replace(boxes=boxes, keypoints=points, scores=points[..., 0])
