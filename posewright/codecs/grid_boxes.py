"""Person detectors whose outputs list all cells of all levels in one array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.anchors import mirrored_order
from posewright.codecs.base import Array, Outputs, Task, like, namespace, to_numpy
from posewright.codecs.yolox import cells
from posewright.errors import ModelError
from posewright.nms import box_nms_indices
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["NanodetPlus", "YoloxBoxes"]


@dataclass(frozen=True)
class YoloxBoxes:
    """Raw numbers of YOLOX (arXiv:2107.08430), as its authors export them.

    outputs: rows (B, N, 5 + C), of each cell: centre x, y in strides from the cell's first pixel,
    log of width and height in strides, objectness and the scores of C classes, of which the first
    is the person.  A box scores objectness * person.
    """

    kind: ClassVar[str] = "yolox_boxes"
    task: ClassVar[Task] = "boxes"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    input_size: tuple[int, int] = (640, 640)
    strides: tuple[int, ...] = (8, 16, 32)
    threshold: float = 0.3
    iou: float = 0.45
    max_people: int = 100
    fill: int = 114

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, self.fill)]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first."""
        rows, grid = to_numpy(outputs["rows"]), cells(self.input_size, self.strides, False)
        _check(rows, grid)
        with np.errstate(invalid="ignore", over="ignore"):
            scores = rows[..., 4] * rows[..., 5]
        found = []
        for row, score in zip(rows, scores, strict=True):
            at = score > self.threshold  # NaN is never above
            place, stride, chosen = grid[at, :2], grid[at, 2:], row[at]
            with np.errstate(invalid="ignore", over="ignore"):
                middle, half = chosen[:, :2] * stride + place, np.exp(chosen[:, 2:4]) * stride / 2
                boxes = np.concatenate([middle - half, middle + half], 1)
            found.append(_picked(boxes, score[at], self.iou, self.max_people))
        return found

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the cells of each row and mirror x within its cell."""
        rows = outputs["rows"][:, mirrored_order(self.input_size, self.strides)]
        stride = like(cells(self.input_size, self.strides, False)[:, 2:].copy(), rows)
        x = (stride - 1) / stride - rows[..., :1]
        return {"rows": namespace(rows).concatenate([x, rows[..., 1:]], 2)}


@dataclass(frozen=True)
class NanodetPlus:
    """Scores and distributions of NanoDet-Plus, as its authors export them.

    outputs: rows (B, N, C + 4 * bins), of each cell: the scores of C classes, of which the first is
    the person, then the logits of the distances left, top, right, bottom in strides.  Distances
    count from the cell's outer corner.  The view is the whole image, stretched.
    """

    kind: ClassVar[str] = "nanodet_plus"
    task: ClassVar[Task] = "boxes"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    input_size: tuple[int, int] = (416, 416)
    strides: tuple[int, ...] = (8, 16, 32, 64)
    bins: int = 8
    threshold: float = 0.3
    iou: float = 0.6
    max_people: int = 100

    @property
    def corners(self) -> Floats:
        """(N, 3) x, y of the outer corner and stride of each cell, in view px."""
        # the number of cells is rounded up
        width, height = self.input_size
        levels = []
        for stride in self.strides:
            y, x = np.indices((-(-height // stride), -(-width // stride))).reshape(2, -1) * stride
            levels.append(np.stack([x - 0.5, y - 0.5, np.full(len(x), stride)], 1))
        return np.concatenate(levels).astype(np.float32)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the view of the whole image, stretched."""
        return [Warp.stretch((0, 0, *image_size), self.input_size)]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first."""
        rows, grid = to_numpy(outputs["rows"]), self.corners
        _check(rows, grid)
        found = []
        for row in rows:
            at = row[:, 0] > self.threshold  # NaN is never above
            logits = row[at, row.shape[1] - 4 * self.bins :].reshape(-1, 4, self.bins)
            with np.errstate(invalid="ignore"):
                weights = np.exp(logits - logits.max(2, keepdims=True))
                mean = weights @ np.arange(self.bins, dtype=np.float32) / weights.sum(2)
            reach, place = mean * grid[at, 2:], grid[at, :2]
            boxes = np.concatenate([place - reach[:, :2], place + reach[:, 2:]], 1)
            found.append(_picked(boxes, row[at, 0], self.iou, self.max_people))
        return found

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Refuse: a cell's outer corner has no mirror image among the corners."""
        raise ModelError("NanoDet-Plus has no mirrored form; remove the flip test")


def _check(rows: Floats, grid: Floats) -> None:
    if rows.shape[1] != len(grid):
        raise ModelError(f"outputs have {rows.shape[1]} cells, but a view has {len(grid)}")


def _picked(boxes: Floats, scores: Floats, iou: float, most: int) -> People:
    """Return the finite boxes that NMS keeps."""
    keep = box_nms_indices(boxes, np.minimum(scores, 1), iou)[:most]
    return People.of(boxes[keep], np.minimum(scores[keep], 1))
