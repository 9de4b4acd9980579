"""YOLO-Pose: every cell proposes a person for each of its anchor boxes; box NMS picks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.anchors import (
    anchor_places,
    mirrored_order,
    padded,
    picked,
    proposals,
    unflipped,
)
from posewright.codecs.base import Array, Outputs, Task
from posewright.errors import UsageError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["YoloPose"]


@dataclass(frozen=True)
class YoloPose:
    """Numbers of each of the N anchors of all cells of all levels (arXiv:2204.06806).

    outputs: cls and objectness (B, N, 1), logits; box (B, N, 4): centre x, y in strides from the
    cell's first pixel, width and height in those of the anchor; keypoints (B, N, 2K): x, y of each
    joint in strides from the cell's first pixel; visibility (B, N, K), logits.  Levels by
    `strides`, in each all cells of the first anchor, row by row, before those of the next.
    anchors: width, height of each anchor in px, equally many of each level.  threshold: lowest cls
    * objectness of a person; AP is measured at 0.001.
    """

    kind: ClassVar[str] = "yolo_pose"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (640, 640)
    strides: tuple[int, ...] = (8, 16, 32, 64)
    anchors: tuple[float, ...] = (
        19,
        27,
        44,
        40,
        38,
        94,
        96,
        68,
        86,
        152,
        180,
        137,
        140,
        301,
        303,
        264,
        238,
        542,
        436,
        615,
        739,
        380,
        925,
        792,
    )
    threshold: float = 0.25
    iou: float = 0.45
    max_people: int = 100
    fill: int = 114

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
        """Return the letterbox view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, self.fill)]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return all people of one view as `padded` does."""
        return padded(people, self.max_people)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first.

        ModelError: another number of anchors than `input_size` has.
        """
        places = self.locations
        view, one, (box, score, points, seen) = proposals(outputs, len(places), self.threshold)
        box, points = _in_pixels(box, points, places[one])
        found, views = (box, score, points, seen), len(outputs["cls"])
        return picked(view, found, views, self.input_size, self.iou, self.max_people)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Return `outputs` as of the plain view, as `unflipped` does."""
        order = mirrored_order(self.input_size, self.strides, self.anchors_per_cell)
        return unflipped(outputs, order, self.locations[:, 2:3], skeleton)


def _in_pixels(box: Floats, points: Floats, places: Floats) -> tuple[Floats, Floats]:
    """(M, 4), (M, K, 2), (M, 5) places -> (M, 4) x1, y1, x2, y2 and (M, K, 2) in px."""
    cell, stride, anchor = places[:, :2], places[:, 2:3], places[:, 3:]
    centre, half = box[:, :2] * stride + cell, box[:, 2:] * anchor / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    return boxes, points * stride[:, None] + cell[:, None]
