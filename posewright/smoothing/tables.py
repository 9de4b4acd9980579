"""Shared by the stages: the time of a frame, the people to smooth, and the state of identities."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posewright.people import Doubles, Floats, Ints, People
from posewright.results import Result

__all__ = ["MISSING", "NEVER", "Clock", "Table", "followed", "moved"]


MISSING = 0.2  # a joint with a lower score was not seen: no filter uses its place
NEVER = -np.inf  # the time of what was not seen yet


class Clock:
    """Tells the time of frames in seconds, always increasing; by number without timestamps."""

    def __init__(self, fps: float) -> None:
        self.interval = 1 / fps  # seconds between the last two frames
        self._first = 1 / fps
        self._last = NEVER

    def __call__(self, result: Result) -> float:
        """Return the seconds of a frame, one interval after the last one's where it is no later."""
        now = result.time or result.frame * self._first
        if now <= self._last:
            now = self._last + self._first
        if self._last != NEVER:
            self.interval = now - self._last
        self._last = now
        return float(now)


@dataclass(frozen=True, slots=True, eq=False)
class Table:
    """The state of M identities.  ids: (M,), each once.  data: (M, K, C) per joint."""

    ids: Ints
    data: Doubles

    @classmethod
    def empty(cls, joints: int, channels: int) -> Table:
        """Return an empty table."""
        return cls(np.zeros(0, np.int64), np.zeros((0, joints, channels)))

    def __getitem__(self, rows: NDArray[np.bool_]) -> Table:
        return Table(self.ids[rows], self.data[rows])

    def take(self, ids: Ints, unknown: Doubles) -> Doubles:
        """Return (N, K, C): the state of `ids`; (C,) `unknown` for those without a row."""
        same = self.ids[:, None] == ids
        found = same.any(0)
        joints = self.data.shape[1]
        data = np.broadcast_to(unknown, (len(ids), joints, len(unknown))).copy()
        data[found] = self.data[same.argmax(0)[found]] if len(self.ids) else 0
        return data

    def put(self, ids: Ints, data: Doubles) -> Table:
        """Return the table in which (N, K, C) `data` is the state of `ids`."""
        others = self[~np.isin(self.ids, ids)]
        return Table(np.concatenate([others.ids, ids]), np.concatenate([others.data, data]))


def followed(people: People) -> Ints:
    """Return the rows of those with an identity; of two with the same one, the first."""
    ids, rows = np.unique(people.ids, return_index=True)
    return np.sort(rows[ids >= 0]).astype(np.int64)


def moved(people: People, rows: Ints, places: Doubles | Floats) -> People:
    """Return the people with (n, K, 2) new places of the joints of `rows`."""
    keypoints = people.keypoints.copy()
    keypoints[rows] = places
    return people.replace(keypoints=keypoints)
