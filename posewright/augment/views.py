"""Random views: a map from the image's pixels to those of each view, mirror included."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from posewright.people import Doubles, Floats, People
from posewright.warp import Warp

__all__ = ["Views", "corner_maps", "mapped"]

_NEAR = 0.05  # of the scale at the view; points nearer to the horizon or behind it are in no view


@dataclass(frozen=True, slots=True, eq=False)
class Views:
    """B views of one image: one for each person (`single`) or one for all of them.

    matrices: (B, 3, 3) image -> view pixels, affine where the last row is 0, 0, 1.  size: width,
    height px of each view.  flipped: (B,) whether the view is mirrored.  mirror: (K,) joint that
    each joint becomes then.  fill: grey level of what lies outside of the image.
    """

    matrices: Doubles
    size: tuple[int, int]
    flipped: NDArray[np.bool_]
    mirror: NDArray[np.int64]
    single: bool = True
    fill: int = 0

    def __len__(self) -> int:
        return len(self.matrices)

    def image(self, image: NDArray[np.uint8], i: int) -> NDArray[np.uint8]:
        """(H, W, 3) -> (h, w, 3) uint8 bilinear view number i of an image."""
        matrix = self.matrices[i]
        if not matrix[2, 0] and not matrix[2, 1]:
            return Warp(matrix[:2] / matrix[2, 2], self.size, self.fill).image(image)
        import cv2

        view = cv2.warpPerspective(
            image,
            matrix,
            self.size,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=(self.fill,) * 3,
        )
        return np.asarray(view, np.uint8)

    def people(self, people: People) -> People:
        """Return the people in view pixels, left and right exchanged where the view is mirrored.

        One view for each person: all of them, person i in view i; joints outside keep their place.
        One view for all: those of whom something is in the view, their boxes cut to it.
        ValueError: another number of people than views.
        """
        if self.single and len(people) != len(self):
            raise ValueError(
                f"expected one person per view: {len(self)} views, but {len(people)} people"
            )
        x, y = people.boxes[:, [0, 2, 2, 0]], people.boxes[:, [1, 1, 3, 3]]
        corners = mapped(self.matrices, np.stack([x, y], 2))  # (N, 4, 2)
        points = mapped(self.matrices, people.keypoints)
        boxes = np.concatenate([corners.min(1), corners.max(1)], 1)
        scores, flipped = people.scores, self.flipped
        if flipped.any():
            points = np.where(flipped[:, None, None], points[:, self.mirror], points)
            scores = np.where(flipped[:, None], scores[:, self.mirror], scores)
        seen = people.replace(boxes=boxes, keypoints=points, scores=scores)
        return seen if self.single else self._within(seen)

    def _within(self, people: People) -> People:
        """Return those with an edge of the box and, where any is labelled, a joint in the view."""
        last = np.array(self.size, np.float32) - 1
        boxes = np.clip(people.boxes, 0, np.tile(last, 2))
        inside = ((people.keypoints >= -0.5) & (people.keypoints <= last + 0.5)).all(2)
        labelled = people.scores > 0
        keep = (boxes[:, 2:] > boxes[:, :2]).all(1)
        keep &= (inside & labelled).any(1) | ~labelled.any(1)
        return people.replace(boxes=boxes)[keep]


def mapped(matrices: Doubles, points: Floats) -> Floats:
    """(N or 1, 3, 3), (N, M, 2) -> (N, M, 2) the points where the maps put them.

    Points near or behind the horizon of a homography, which no view shows, are put far outside.
    """
    at = points @ matrices[:, :2, :2].transpose(0, 2, 1) + matrices[:, None, :2, 2]
    if not matrices[:, 2, :2].any():
        return at.astype(np.float32)
    depth = points @ matrices[:, 2, :2, None] + matrices[:, None, 2:, 2]  # (N, M, 1)
    return np.where(depth > _NEAR, at / np.maximum(depth, _NEAR), -1e5).astype(np.float32)


def corner_maps(size: tuple[int, int], moves: Doubles) -> Doubles:
    """(B, 4, 2) -> (B, 3, 3) homographies that move a view's corners by so many pixels.

    Corners are top left, top right, bottom right and bottom left pixel centres.
    """
    right, bottom = size[0] - 1, size[1] - 1
    x, y = np.array([[0, 0], [right, 0], [right, bottom], [0, bottom]], np.float64).T
    after = np.stack([x, y], 1) + moves  # (B, 4, 2)
    count = len(moves)
    # u (g x + h y + 1) = a x + b y + c and the same for v: eight equations for a ... h
    system = np.zeros((count, 2, 4, 8))
    for axis in (0, 1):
        system[:, axis, :, 3 * axis : 3 * axis + 3] = np.stack([x, y, np.ones(4)], 1)
        system[:, axis, :, 6] = -after[:, :, axis] * x
        system[:, axis, :, 7] = -after[:, :, axis] * y
    right_side = after.transpose(0, 2, 1).reshape(count, 8, 1)
    solved = np.linalg.solve(system.reshape(count, 8, 8), right_side)[..., 0]
    return np.concatenate([solved, np.ones((count, 1))], 1).reshape(count, 3, 3)
