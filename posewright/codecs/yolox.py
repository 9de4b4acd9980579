"""One-pass networks on a grid: every cell proposes a person; box NMS picks (YOLOX-Pose, RTMO)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np

from posewright.codecs.anchors import (
    mirrored_order,
    padded,
    picked,
    proposals,
    sigmoid,
    unflipped,
)
from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["RTMO", "YoloxPose", "cells"]


@dataclass(frozen=True)
class YoloxPose:
    """Raw numbers of each of the N cells of all levels (mmpose's YOLOX-Pose).

    outputs: cls and objectness (B, N, 1), logits; box (B, N, 4): centre x, y in strides from the
    cell's first pixel, then log of width and height in strides; keypoints (B, N, 2K): x, y of each
    joint in strides; visibility (B, N, K), logits.  Cells row by row, levels by `strides`.
    threshold: lowest cls * objectness of a person; mmpose measures AP at 0.001.
    """

    kind: ClassVar[str] = "yolox_pose"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (640, 640)
    strides: tuple[int, ...] = (8, 16, 32)
    threshold: float = 0.3
    iou: float = 0.65
    max_people: int = 100
    fill: int = 114

    @property
    def locations(self) -> Floats:
        """(N, 3) x, y in view px and stride of each cell."""
        return cells(self.input_size, self.strides, False)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, self.fill)]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return all people of one view as `padded` does."""
        return padded(people, self.max_people)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first.

        ModelError: another number of cells than `input_size` has.
        """
        grid = self.locations
        view, cell, (box, score, points, seen) = proposals(outputs, len(grid), self.threshold)
        box, points = _from_strides(box, points, grid[cell])
        found, views = (box, score, points, seen), len(outputs["cls"])
        return picked(view, found, views, self.input_size, self.iou, self.max_people)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Return `outputs` as of the plain view, as `unflipped` does."""
        order = mirrored_order(self.input_size, self.strides)
        return unflipped(outputs, order, self.locations[:, 2:], skeleton)


@dataclass(frozen=True)
class RTMO:
    """Decoded people of the M cells with the highest scores (arXiv:2312.07526).

    outputs: scores (B, M), logits; boxes (B, M, 4) x1, y1, x2, y2 and keypoints (B, M, K, 2), both
    in view px; visibility (B, M, K), logits.  A joint's bins depend on the box and on the network's
    weights, so that the network itself turns them to pixels, for its best cells only; threshold
    and NMS are left to `decode`.  threshold: lowest score of a person; mmpose measures AP at 0.1.

    Cells of a mirrored view come in another order, so that their mean with the plain view's has no
    meaning: `unflip` mirrors people, and flip tests are not for this codec.
    """

    kind: ClassVar[str] = "rtmo"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    input_size: tuple[int, int] = (640, 640)
    strides: tuple[int, ...] = (16, 32)
    threshold: float = 0.3
    iou: float = 0.65
    max_people: int = 100
    fill: int = 114

    @property
    def locations(self) -> Floats:
        """(N, 3) x, y in view px of the middle and stride of each cell, row by row."""
        return cells(self.input_size, self.strides, True)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, self.fill)]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return all people of one view as `padded` does."""
        return padded(people, self.max_people)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first."""
        xp = namespace(outputs["scores"])
        scores = sigmoid(outputs["scores"])
        at = xp.argwhere(scores > self.threshold)  # (M, 2) view, candidate
        view, one = at[:, 0], at[:, 1]
        boxes, score, points, seen = (
            to_numpy(a[view, one])
            for a in (outputs["boxes"], scores, outputs["keypoints"], outputs["visibility"])
        )
        found = boxes, score, points, sigmoid(seen)
        view, views = np.asarray(view.tolist(), int), len(outputs["scores"])
        return picked(view, found, views, self.input_size, self.iou, self.max_people)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror boxes and keypoints about the view's middle, exchange left and right joints."""
        boxes, right = outputs["boxes"], self.input_size[0] - 1
        points = outputs["keypoints"][:, :, skeleton.flip_index]
        xp = namespace(boxes)
        sides = [right - boxes[..., 2], boxes[..., 1], right - boxes[..., 0], boxes[..., 3]]
        return {
            **outputs,
            "boxes": xp.stack(sides, 2),
            "keypoints": xp.stack([right - points[..., 0], points[..., 1]], 3),
            "visibility": outputs["visibility"][:, :, skeleton.flip_index],
        }


@lru_cache(maxsize=16)
def cells(size: tuple[int, int], strides: tuple[int, ...], middle: bool) -> Floats:
    """Return (N, 3) x, y and stride of the cells' first pixels or, where asked, middles."""
    levels = []
    for stride in strides:
        y, x = np.indices((size[1] // stride, size[0] // stride)).reshape(2, -1) * stride
        shift = (stride - 1) / 2 if middle else 0
        levels.append(np.stack([x + shift, y + shift, np.full(len(x), stride)], 1))
    grid = np.concatenate(levels).astype(np.float32)
    grid.flags.writeable = False
    return grid


def _from_strides(box: Floats, points: Floats, grid: Floats) -> tuple[Floats, Floats]:
    """(M, 4), (M, K, 2) in strides, (M, 3) cells -> (M, 4) x1, y1, x2, y2 and (M, K, 2) in px."""
    place, stride = grid[:, :2], grid[:, 2:]
    with np.errstate(over="ignore"):
        centre, half = box[:, :2] * stride + place, np.exp(box[:, 2:]) * stride / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    return boxes, points * stride[:, None] + place[:, None]
