"""YOLO-Pose: every cell proposes a person for each of its anchor boxes; box NMS picks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import Array, Outputs, like, namespace, to_numpy
from posewright.codecs.yolox import padded
from posewright.errors import ModelError, UsageError
from posewright.nms import box_nms_indices
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
    anchors: width, height of each anchor in px, equally many of each level.  threshold: least cls *
    objectness of a person; AP is counted at 0.001.
    """

    kind: ClassVar[str] = "yolo_pose"
    top_down: ClassVar[bool] = False
    input_size: tuple[int, int] = (640, 640)
    strides: tuple[int, ...] = (8, 16, 32, 64)
    anchors: tuple[float, ...] = (
        19, 27, 44, 40, 38, 94,
        96, 68, 86, 152, 180, 137,
        140, 301, 303, 264, 238, 542,
        436, 615, 739, 380, 925, 792,
    )  # fmt: skip
    threshold: float = 0.25
    iou: float = 0.45
    max_people: int = 100
    fill: int = 114

    def __post_init__(self) -> None:
        if not self.anchors or len(self.anchors) % (2 * len(self.strides)):
            raise UsageError(
                f"{len(self.anchors)} anchor numbers are not a width and a height for equally many "
                f"anchors of {len(self.strides)} strides"
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
        return _locations(self.input_size, self.strides, self.anchors)

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
        places, xp = self.locations, namespace(outputs["cls"])
        views, count = outputs["cls"].shape[:2]
        if count != len(places):
            raise ModelError(
                f"outputs have {count} anchors, a view of {self.input_size} {len(places)}"
            )
        with np.errstate(over="ignore"):
            scores = _sigmoid(outputs["cls"])[..., 0] * _sigmoid(outputs["objectness"])[..., 0]
            at = xp.argwhere(scores > self.threshold)  # (M, 2) view, anchor; NaN is never above
            view, one = at[:, 0], at[:, 1]
            box, points, seen, score = (
                to_numpy(a[view, one])
                for a in (outputs["box"], outputs["keypoints"], outputs["visibility"], scores)
            )
            boxes, points = _in_pixels(box, points, places[one.tolist()])
            found = boxes, score, points, _sigmoid(seen)
        return [self._picked(found, np.asarray(view.tolist(), int) == i) for i in range(views)]

    def _picked(
        self, found: tuple[Floats, Floats, Floats, Floats], chosen: NDArray[np.bool_]
    ) -> People:
        """Return the people that NMS leaves of the chosen proposals, boxes cut at the view's edge.

        found: boxes (M, 4), scores (M,), key points (M, K, 2), joint scores (M, K).
        """
        for array in found:
            chosen = chosen & np.isfinite(array).all(tuple(range(1, array.ndim)))
        boxes, scores, points, joints = (array[chosen] for array in found)
        keep = box_nms_indices(boxes, scores, self.iou)[: self.max_people]
        edge = np.array([self.input_size[0] - 1, self.input_size[1] - 1] * 2, np.float32)
        return People.of(np.clip(boxes[keep], 0, edge), scores[keep], points[keep], joints[keep])

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the cells of each row, mirror x within its cell, exchange left and right joints.

        The mirror maps view pixel x to w - 1 - x, hence x strides from a cell's first pixel to
        (stride - 1) / stride - x from the mirrored cell's.
        """
        order = _mirrored(self.input_size, self.strides, self.anchors_per_cell)
        turned = {key: a[:, order] for key, a in outputs.items()}
        stride = like(self.locations[:, 2:3].copy(), turned["box"])  # (N, 1)
        first = (stride - 1) / stride
        box, xp = turned["box"], namespace(turned["box"])
        points = turned["keypoints"].reshape(*box.shape[:2], len(skeleton), 2)
        points = points[:, :, skeleton.flip_index]
        points = xp.stack([first - points[..., 0], points[..., 1]], 3)
        return {
            **turned,
            "box": xp.concatenate([first - box[..., :1], box[..., 1:]], 2),
            "keypoints": points.reshape(turned["keypoints"].shape),
            "visibility": turned["visibility"][:, :, skeleton.flip_index],
        }


@lru_cache(maxsize=16)
def _locations(
    size: tuple[int, int], strides: tuple[int, ...], anchors: tuple[float, ...]
) -> Floats:
    """Return (N, 5) x, y, stride, anchor width and height."""
    sides = np.reshape(anchors, (len(strides), -1, 2))
    levels = []
    for stride, boxes in zip(strides, sides, strict=True):
        y, x = np.indices((size[1] // stride, size[0] // stride)).reshape(2, -1) * stride
        cells = np.stack([x, y, np.full(len(x), stride)], 1)  # (cells, 3)
        box = np.repeat(boxes, len(cells), 0)
        levels.append(np.concatenate([np.tile(cells, (len(boxes), 1)), box], 1))
    places = np.concatenate(levels).astype(np.float32)
    places.flags.writeable = False
    return places


@lru_cache(maxsize=16)
def _mirrored(size: tuple[int, int], strides: tuple[int, ...], anchors: int) -> NDArray[np.int64]:
    """(N,) number of each anchor of each cell's mirror image."""
    levels, start = [], 0
    for stride in strides:
        shape = anchors * (size[1] // stride), size[0] // stride
        numbers = np.arange(start, start + shape[0] * shape[1]).reshape(shape)
        levels.append(numbers[:, ::-1].ravel())
        start += shape[0] * shape[1]
    return np.concatenate(levels)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + namespace(x).exp(-x))


def _in_pixels(box: Floats, points: Floats, places: Floats) -> tuple[Floats, Floats]:
    """(M, 4), (M, 2K), (M, 5) places -> (M, 4) x1, y1, x2, y2 and (M, K, 2) in px."""
    cell, stride, anchor = places[:, :2], places[:, 2:3], places[:, 3:]
    centre, half = box[:, :2] * stride + cell, box[:, 2:] * anchor / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    joints = points.reshape(len(points), points.shape[1] // 2, 2)
    return boxes, joints * stride[:, None] + cell[:, None]
