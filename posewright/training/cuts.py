"""A part of a picture, and the views that can be cut from it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from posewright.augment import Views

__all__ = ["Bounds", "Cut", "Part", "bounds", "corners"]

Part = tuple[int, int, int, int]
Bounds = tuple[float, float, float, float]


@dataclass(frozen=True, eq=False)
class Cut:
    """A part of a picture, perhaps made smaller.

    pixels: (h, w, 3) uint8 RGB.  part: x1, y1, x2, y2 px of the picture, ends excluded.  size:
    (width, height) px of the picture.
    """

    pixels: NDArray[np.uint8]
    part: Part
    size: tuple[int, int]

    @classmethod
    def whole(cls, image: NDArray[np.uint8]) -> Cut:
        """Return all of a picture."""
        size = image.shape[1], image.shape[0]
        return cls(image, (0, 0, *size), size)

    def view(self, views: Views, i: int, seen: Bounds) -> NDArray[np.uint8] | None:
        """Return view i of the picture; None if it shows more than this part.

        seen: `bounds` of that view.
        """
        h, w = self.pixels.shape[:2]
        if (w, h) == self.size:
            return views.image(self.pixels, i)
        if not self._holds(seen):
            return None
        x1, y1, x2, y2 = self.part
        sx, sy = (x2 - x1) / w, (y2 - y1) / h
        # the outer edges, half a pixel beyond the centres, coincide
        back = np.array([[sx, 0, (sx - 1) / 2 + x1], [0, sy, (sy - 1) / 2 + y1], [0, 0, 1]])
        return replace(views, matrices=views.matrices[i : i + 1] @ back).image(self.pixels, 0)

    def _holds(self, seen: Bounds) -> bool:
        """Whether all of the picture between some bounds is in this part."""
        left, top, right, bottom = seen
        x1, y1, x2, y2 = self.part
        beyond = min(right, self.size[0]) > x2 or min(bottom, self.size[1]) > y2
        return not beyond and max(left, 0) >= x1 and max(top, 0) >= y1


def corners(matrices: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """(B, 3, 3) picture -> view px, size of a view -> (B, 4, 2) its corners in the picture."""
    w, h = size[0] - 1, size[1] - 1
    at = np.linalg.inv(matrices) @ np.array([[0, w, w, 0], [0, 0, h, h], [1, 1, 1, 1]])
    return np.asarray((at[:, :2] / at[:, 2:]).transpose(0, 2, 1))


def bounds(views: Views) -> list[Bounds]:
    """Return left, top, right, bottom px of what each view shows, with room for interpolation."""
    seen = corners(views.matrices, views.size)
    ends: list[Bounds] = np.concatenate([seen.min(1) - 1, seen.max(1) + 2], 1).tolist()
    return ends
