"""A constant-velocity Kalman filter of many people's places at once."""

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
    """Where T people are and how they move.

    position: (T, 2) box centre x, y px.  velocity: (T, 2) px a frame.  size: (T, 1) px, the scale
    of the noise.  variance: (T, 1) each, of a coordinate's position, position with velocity, and
    velocity.

    The constants are those of DeepSORT (arXiv:1703.07402).  Its noise is diagonal, so that each
    coordinate is a filter of two numbers by itself, and here x and y share their variance: nothing
    needs a matrix inverse.
    """

    position: Doubles
    velocity: Doubles
    size: Doubles
    variance: tuple[Doubles, Doubles, Doubles]

    @classmethod
    def start(cls, boxes: Floats) -> Motion:
        """Return the motion of (T, 4) boxes x1, y1, x2, y2 seen for the first time: at rest."""
        position, size = _centre(boxes), _size(boxes)
        known, moving = np.square(2 * _POSITION * size), np.square(10 * _VELOCITY * size)
        return cls(position, np.zeros_like(position), size, (known, np.zeros_like(size), moving))

    def moved(self, frames: float, keep: NDArray[np.float64]) -> Motion:
        """Return the motion some frames later; keep: (T,) share of the velocity that remains."""
        velocity = self.velocity * keep[:, None]
        pp, pv, vv = self.variance
        pp = pp + 2 * frames * pv + frames**2 * vv + frames * np.square(_POSITION * self.size)
        pv = pv + frames * vv
        vv = vv + frames * np.square(_VELOCITY * self.size)
        return Motion(self.position + frames * velocity, velocity, self.size, (pp, pv, vv))

    def corrected(self, boxes: Floats) -> Motion:
        """Return the motion after (T, 4) boxes were seen, one for each."""
        size = _size(boxes)
        gap = _centre(boxes) - self.position
        pp, pv, vv = self.variance
        total = pp + np.square(_POSITION * size)
        gain, push = pp / total, pv / total
        return Motion(
            self.position + gain * gap,
            self.velocity + push * gap,
            size,
            ((1 - gain) * pp, (1 - gain) * pv, vv - push * pv),
        )

    def __getitem__(self, rows: NDArray[np.int64]) -> Motion:
        pp, pv, vv = self.variance
        return Motion(
            self.position[rows],
            self.velocity[rows],
            self.size[rows],
            (pp[rows], pv[rows], vv[rows]),
        )

    def joined(self, other: Motion) -> Motion:
        """Return the people of both, in order."""
        (app, apv, avv), (bpp, bpv, bvv) = self.variance, other.variance
        join = np.concatenate
        return Motion(
            join([self.position, other.position]),
            join([self.velocity, other.velocity]),
            join([self.size, other.size]),
            (join([app, bpp]), join([apv, bpv]), join([avv, bvv])),
        )


def _centre(boxes: Floats) -> Doubles:
    """(T, 4) x1, y1, x2, y2 -> (T, 2)."""
    return (boxes[:, :2].astype(np.float64) + boxes[:, 2:]) / 2


def _size(boxes: Floats) -> Doubles:
    """(T, 4) -> (T, 1) px: the longer side, so that people who lie are not held to be small."""
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return np.asarray(sides.max(1, initial=1.0))[:, None]
