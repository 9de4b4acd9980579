"""Person detectors with several anchor boxes in each cell: YOLOv3, EfficientDet, and JDE with
features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.anchors import anchor_places, mirrored_order
from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.errors import ModelError, UsageError
from posewright.nms import box_iou, box_nms_indices
from posewright.people import Floats, Ints, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["AnchorBoxes", "JdeBoxes"]

YOLOV3 = (
    *(116, 90, 156, 198, 373, 326),
    *(30, 61, 62, 45, 59, 119),
    *(10, 13, 16, 30, 33, 23),
)
JDE = (
    *(128, 384, 180, 540, 256, 640, 512, 640),
    *(32, 96, 45, 135, 64, 192, 90, 271),
    *(8, 24, 11, 34, 16, 48, 23, 68),
)
_SAME = 0.5  # overlap from which a box is taken for the network's own


@dataclass(frozen=True)
class _Anchored:
    """What both share: outputs of all anchors, levels by `strides`, in each all cells of the first
    anchor, row by row, before those of the next.

    anchors: width, height of each anchor in view px, equally many of each level.  centred: the
    image is in the middle of its view, not top left.
    """

    task: ClassVar[Task] = "boxes"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (608, 608)
    strides: tuple[int, ...] = (32, 16, 8)
    anchors: tuple[float, ...] = YOLOV3
    threshold: float = 0.25
    iou: float = 0.45
    max_people: int = 100
    fill: int = 128
    centred: bool = True

    def __post_init__(self) -> None:
        if not self.anchors or len(self.anchors) % (2 * len(self.strides)):
            raise UsageError(
                f"{len(self.anchors)} anchor numbers are not width and height of equally many "
                f"anchors for each of {len(self.strides)} strides"
            )
        if any(side % stride for side in self.input_size for stride in self.strides):
            raise UsageError(
                f"input size {self.input_size}: sides must be multiples of {max(self.strides)}"
            )

    @property
    def anchors_per_cell(self) -> int:
        """Number of anchors of each cell."""
        return len(self.anchors) // (2 * len(self.strides))

    @property
    def locations(self) -> Floats:
        """(N, 5) x, y of the cell in view px, stride, width and height of the anchor in px."""
        return anchor_places(self.input_size, self.strides, self.anchors)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image, in the middle or top left."""
        size = self.input_size
        return [Warp.letterbox(image_size, size, self.fill, centred=self.centred)]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first.

        ModelError: another number of anchors than `input_size` has.
        """
        found = []
        for row in to_numpy(outputs["rows"]):
            boxes, scores, _ = self._above(row)
            keep = box_nms_indices(boxes, scores, self.iou)[: self.max_people]
            found.append(People.of(boxes[keep], scores[keep]))
        return found

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the cells of each row and mirror x within its cell."""
        order = mirrored_order(self.input_size, self.strides, self.anchors_per_cell)
        rows = outputs["rows"][:, order]
        parts = [1 - rows[..., :1], rows[..., 1:]]
        return {**outputs, "rows": namespace(rows).concatenate(parts, 2)}

    def _above(self, row: Floats) -> tuple[Floats, Floats, Ints]:
        """(N, 5 or more) -> boxes (M, 4) in view px, scores (M,) and numbers (M,) of finite ones.

        Originals count from the outer edge of the first pixel, which is at -0.5 here.
        """
        places = self.locations
        if len(row) != len(places):
            raise ModelError(f"outputs have {len(row)} anchors, but a view has {len(places)}")
        with np.errstate(invalid="ignore", over="ignore"):
            scores = row[:, 4:6].prod(1)  # objectness, and person where there are classes
            at = np.flatnonzero(scores > self.threshold)  # NaN is never above
            place, chosen = places[at], row[at]
            middle = chosen[:, :2] * place[:, 2:3] + place[:, :2] - np.float32(0.5)
            half = chosen[:, 2:4] * place[:, 3:] / 2
            boxes = np.concatenate([middle - half, middle + half], 1)
        good = np.isfinite(boxes).all(1)
        return boxes[good], np.minimum(scores[at][good], 1), at[good]


@dataclass(frozen=True)
class AnchorBoxes(_Anchored):
    """Numbers of YOLOv3 (arXiv:1804.02767) and EfficientDet (arXiv:1911.09070).

    outputs: rows (B, N, 5 + C), of each anchor: centre x, y in strides from the outer corner of its
    cell, width and height in those of the anchor, objectness and the scores of C classes, of which
    the first is the person.  A box scores objectness * person; without classes the former alone.
    """

    kind: ClassVar[str] = "anchor_boxes"


@dataclass(frozen=True)
class JdeBoxes(_Anchored):
    """Boxes of pedestrians, and features that tell them apart (JDE, arXiv:1909.12605).

    outputs: rows (B, N, 5), of each anchor: centre x, y in strides from the outer corner of its
    cell, width and height in those of the anchor, and a score; embedding (B, M, D) of length 1, of
    each cell: its anchors share one.
    """

    kind: ClassVar[str] = "jde_boxes"
    input_size: tuple[int, int] = (1088, 608)
    anchors: tuple[float, ...] = JDE
    threshold: float = 0.5
    iou: float = 0.4

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first.

        None where the features are not finite.  ModelError: another number of anchors or cells
        than `input_size` has.
        """
        good = np.asarray(np.isfinite(to_numpy(outputs["embedding"])).all(2))  # (B, M)
        cells, rows = self.cells, to_numpy(outputs["rows"])
        if good.shape[1] != cells[-1] + 1:
            raise ModelError(
                f"outputs have features of {good.shape[1]} cells, but a view has {cells[-1] + 1}"
            )
        if rows.shape[1] == len(cells):  # another number is refused below
            rows = np.where(good[:, cells, None], rows, np.float32(np.nan))
        return super().decode({"rows": rows})

    def features_of(self, outputs: Outputs, boxes: Floats, edges: Floats) -> Floats:
        """Return (N, D) of boxes (N, 4) in px of the first view, 0 where not finite.

        They are those of the cell whose box, cut at the image's edges (4,), overlaps most; where
        none above the threshold overlaps by a half, of the cell whose anchor does.
        """
        embedding = to_numpy(outputs["embedding"])[0]
        own, _, number = self._above(to_numpy(outputs["rows"])[0])
        place = self.locations
        middle, half = place[:, :2] + (place[:, 2:3] - 1) / 2, place[:, 3:] / 2
        anchors = np.concatenate([middle - half, middle + half], 1)
        cell = self.cells[box_iou(boxes, anchors).argmax(1)]  # (N,)
        if len(own):
            own = np.clip(own, np.tile(edges[:2], 2), np.tile(edges[2:], 2))
            overlap = box_iou(boxes, own)
            cell = np.where(overlap.max(1) >= _SAME, self.cells[number[overlap.argmax(1)]], cell)
        found = embedding[cell]
        return np.where(np.isfinite(found).all(1, keepdims=True), found, np.float32(0))

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the cells of each row and mirror x within its cell; features stay."""
        order = mirrored_order(self.input_size, self.strides)
        embedding = outputs["embedding"][:, order]
        return {**super().unflip(outputs, skeleton), "embedding": embedding}

    @property
    def cells(self) -> Ints:
        """(N,) number of the cell of each anchor."""
        width, height = self.input_size
        counts = [(width // s) * (height // s) for s in self.strides]
        first = np.cumsum([0, *counts])
        levels = zip(counts, first[:-1], strict=True)
        return np.concatenate([np.tile(np.arange(n) + i, self.anchors_per_cell) for n, i in levels])
