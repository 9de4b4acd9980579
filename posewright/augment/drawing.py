"""Random numbers of a view, drawn at once so that no option changes the draws of another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posewright.people import Doubles

__all__ = ["Draws", "spread"]


_UNIFORM, _NORMAL = 19, 6  # numbers of a view


@dataclass(frozen=True, slots=True, eq=False)
class Draws:
    """What is drawn for B views.

    uniform: (B, 19) in [0, 1).  normal: (B, 6) of mean 0 and deviation 1.
    """

    uniform: Doubles
    normal: Doubles

    @classmethod
    def of(cls, rng: np.random.Generator, count: int) -> Draws:
        """Draw the numbers of `count` views."""
        return cls(rng.random((count, _UNIFORM)), rng.standard_normal((count, _NORMAL)))

    @property
    def flip(self) -> Doubles:
        """(B,) whether to mirror."""
        return self.uniform[:, 0]

    @property
    def scale(self) -> tuple[Doubles, Doubles]:
        """(B,) uniform and normal."""
        return self.uniform[:, 1], self.normal[:, 0]

    @property
    def turn(self) -> Doubles:
        """(B,) whether to rotate."""
        return self.uniform[:, 2]

    @property
    def angle(self) -> tuple[Doubles, Doubles]:
        """(B,) uniform and normal."""
        return self.uniform[:, 3], self.normal[:, 1]

    @property
    def shift(self) -> Doubles:
        """(B, 2) of x and y."""
        return self.uniform[:, 4:6]

    @property
    def half(self) -> Doubles:
        """(B,) whether to look at half of the body."""
        return self.uniform[:, 6]

    @property
    def upper(self) -> Doubles:
        """(B,) which half."""
        return self.uniform[:, 7]

    @property
    def corners(self) -> Doubles:
        """(B, 4, 2) of the view's corners."""
        return self.uniform[:, 8:16].reshape(-1, 4, 2)

    @property
    def choice(self) -> Doubles:
        """(B,) which of a mixture of distributions a box comes from."""
        return self.uniform[:, 16]

    @property
    def place(self) -> Doubles:
        """(B, 2) x and y of a patch in its box."""
        return self.uniform[:, 17:19]

    @property
    def box(self) -> Doubles:
        """(B, 4) normal, of a box's left, top, right and bottom."""
        return self.normal[:, 2:6]


def spread(drawn: tuple[Doubles, Doubles], kind: str, width: float, most: float) -> Doubles:
    """(B,) uniform and normal -> (B,) values about 0.

    normal: of deviation `width`, cut at `most`.  uniform: within +-`width`.
    """
    if kind == "uniform":
        return (2 * drawn[0] - 1) * width
    return np.minimum(np.maximum(drawn[1] * width, -most), most)
