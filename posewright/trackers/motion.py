"""A constant-velocity Kalman filter of many boxes at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posewright.people import Floats

__all__ = ["Motion"]

Doubles = NDArray[np.float64]

_POSITION = 1 / 20  # standard deviations as shares of the person's size (DeepSORT)
_VELOCITY = 1 / 160


@dataclass(frozen=True, slots=True, eq=False)
class Motion:
    """Where T boxes are and how they move.

    position: (T, 4) centre x, y, width, height px.  velocity: (T, 4) px a frame.  variance, (T, 4)
    each: of the position, of position with velocity, of the velocity.

    The constants are those of DeepSORT (arXiv:1703.07402).  All its noise is diagonal, so that the
    (8, 8) covariance of a box never has other entries than these: each of the four numbers is a
    filter of its own and nothing needs a matrix inverse.
    """

    position: Doubles
    velocity: Doubles
    variance: tuple[Doubles, Doubles, Doubles]

    @classmethod
    def start(cls, boxes: Floats) -> Motion:
        """Return the motion of (T, 4) boxes x1, y1, x2, y2 seen for the first time: at rest."""
        position = _centred(boxes)
        none = np.zeros_like(position)
        size = _size(position)
        known, moving = np.square(2 * _POSITION * size), np.square(10 * _VELOCITY * size)
        return cls(position, none, (known + none, none, moving + none))

    @property
    def boxes(self) -> Floats:
        """(T, 4) x1, y1, x2, y2 px."""
        half = np.maximum(self.position[:, 2:], 0) / 2
        middle = self.position[:, :2]
        boxes = np.concatenate([middle - half, middle + half], 1)
        return boxes.clip(-1e9, 1e9).astype(np.float32)

    def moved(self, frames: float, drift: Floats) -> Motion:
        """Return the motion some frames later; drift: (T,) share of the velocity that is kept."""
        velocity = self.velocity * drift[:, None]
        pp, pv, vv = self.variance
        size = _size(self.position)
        pp = pp + 2 * frames * pv + frames**2 * vv + frames * np.square(_POSITION * size)
        pv = pv + frames * vv
        vv = vv + frames * np.square(_VELOCITY * size)
        return Motion(self.position + frames * velocity, velocity, (pp, pv, vv))

    def corrected(self, boxes: Floats) -> Motion:
        """Return the motion after (T, 4) boxes were seen, one for each."""
        seen = _centred(boxes)
        pp, pv, vv = self.variance
        total = pp + np.square(_POSITION * _size(seen))
        gap = seen - self.position
        gain, push = pp / total, pv / total
        return Motion(
            self.position + gain * gap,
            self.velocity + push * gap,
            ((1 - gain) * pp, (1 - gain) * pv, vv - push * pv),
        )

    def __getitem__(self, rows: NDArray[np.int64]) -> Motion:
        pp, pv, vv = self.variance
        return Motion(self.position[rows], self.velocity[rows], (pp[rows], pv[rows], vv[rows]))

    def joined(self, other: Motion) -> Motion:
        """Return the boxes of both, in order."""
        (app, apv, avv), (bpp, bpv, bvv) = self.variance, other.variance
        join = np.concatenate
        return Motion(
            join([self.position, other.position]),
            join([self.velocity, other.velocity]),
            (join([app, bpp]), join([apv, bpv]), join([avv, bvv])),
        )


def _centred(boxes: Floats) -> Doubles:
    """(T, 4) x1, y1, x2, y2 -> centre x, y, width, height."""
    low, high = boxes[:, :2].astype(np.float64), boxes[:, 2:].astype(np.float64)
    return np.concatenate([(low + high) / 2, high - low], 1)


def _size(position: Doubles) -> Doubles:
    """(T, 4) -> (T, 1) px: the longer side, so that people who lie are not held to be small."""
    return np.asarray(position[:, 2:].max(1, initial=1.0))[:, None]
