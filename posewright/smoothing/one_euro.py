"""The one-euro filter: strong smoothing of slow joints, little lag of fast ones."""

from __future__ import annotations

import numpy as np

from posewright.people import Doubles
from posewright.results import Result
from posewright.smoothing.tables import MISSING, NEVER, Clock, Table, followed, moved

__all__ = ["OneEuro"]

_PLACE, _SPEED, _SEEN = slice(0, 2), slice(2, 4), 4  # channels of the table
_UNKNOWN = np.array([0, 0, 0, 0, NEVER])
_SPEED_CUTOFF = 1.0  # Hz, of the speed that decides about the cutoff


class OneEuro:
    """Casiez, Roussel, Vogel 2012: a low-pass filter whose cutoff grows with the joint's speed.

    min_cutoff: Hz at rest; a lower one reduces jitter.  beta: Hz per px/s of speed (both directions
    together, so that the image may be turned); a higher one reduces lag.  Causal: every result is
    returned immediately.  Unequal times are respected.  A joint unobserved for more than `gap`
    seconds is reset; joints with a low score stay unchanged and do not update the filter.
    """

    def __init__(self, gap: float, fps: float, min_cutoff: float = 1.0, beta: float = 0.01) -> None:
        self.notes: list[str] = []
        self._gap, self._fps = gap, fps
        self._min_cutoff, self._beta = min_cutoff, beta
        self._table, self._clock = Table.empty(0, len(_UNKNOWN)), Clock(fps)

    def push(self, result: Result) -> list[Result]:
        """Take a frame, return it."""
        if result.status != "ok":
            return [result]
        people, now = result.people, self._clock(result)
        if self._table.data.shape[1] != people.scores.shape[1]:
            self._table = Table.empty(people.scores.shape[1], len(_UNKNOWN))
        reach = max(self._gap, self._clock.interval) + 1e-6
        self._table = self._table[
            (now - self._table.data[..., _SEEN]).min(1, initial=np.inf) <= reach
        ]
        rows = followed(people)
        places = people.keypoints[rows].astype(np.float64)
        seen = (people.scores[rows] >= MISSING)[..., None]
        old = self._table.take(people.ids[rows], _UNKNOWN)
        new = self._filtered(old, places, now, reach)
        self._table = self._table.put(people.ids[rows], np.where(seen, new, old))
        return [
            result.replace(people=moved(people, rows, np.where(seen, new[..., _PLACE], places)))
        ]

    def finish(self) -> list[Result]:
        """Reset the state; nothing was held back."""
        self._table, self._clock = Table.empty(0, len(_UNKNOWN)), Clock(self._fps)
        return []

    def _filtered(self, old: Doubles, places: Doubles, now: float, reach: float) -> Doubles:
        """(N, K, 5) what was known, (N, K, 2) places seen now -> (N, K, 5) what is known now."""
        away = now - old[..., _SEEN, None]
        known = away <= reach
        seconds = np.where(known, away, 1.0)
        step = np.where(known, places - old[..., _PLACE], 0.0)
        speed = np.where(known, old[..., _SPEED], 0.0)
        speed = speed + _weight(_SPEED_CUTOFF, seconds) * (step / seconds - speed)
        cutoff = self._min_cutoff + self._beta * np.linalg.norm(speed, axis=-1, keepdims=True)
        place = places + (_weight(cutoff, seconds) - 1) * step
        return np.concatenate([place, speed, np.full_like(seconds, now)], -1)


def _weight(cutoff: Doubles | float, seconds: Doubles) -> Doubles:
    """Return the share of the new value in a low-pass filter of first order."""
    return np.asarray(1 / (1 + 1 / (2 * np.pi * cutoff * seconds)))
