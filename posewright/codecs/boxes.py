"""Person detectors: codecs that yield boxes.  A detector is a model like any other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, logit, namespace, to_numpy
from posewright.nms import box_nms_indices
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Boxes", "DistributionBoxes"]


@dataclass(frozen=True)
class DistributionBoxes:
    """Anchor-free boxes as distributions of their four distances (GFL arXiv:2006.04388, NanoDet).

    outputs: "p<stride>" (B, 1 + 4 * bins, h / stride, w / stride) for each stride: the person
    logit, then the logits of the distances left, top, right, bottom in strides.  input_size: the
    largest view; an image's view is no larger than needed, in multiples of 32, unless `square`.
    """

    kind: ClassVar[str] = "distribution_boxes"
    task: ClassVar[Task] = "boxes"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (512, 512)
    strides: tuple[int, ...] = (8, 16, 32)
    bins: int = 11
    threshold: float = 0.3
    iou: float = 0.6
    max_people: int = 100
    fill: int = 114
    square: bool = False

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image."""
        if self.square:
            return [Warp.letterbox(image_size, self.input_size, self.fill)]
        scale = min(v / i for v, i in zip(self.input_size, image_size, strict=True))
        width, height = (max(32, -(-round(i * scale) // 32) * 32) for i in image_size)
        return [Warp.letterbox(image_size, (width, height), self.fill)]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view: boxes above the threshold, after box NMS, best first."""
        parts = [self._level(to_numpy(outputs[f"p{s}"]), s) for s in self.strides]
        view, boxes, scores = (np.concatenate(p) for p in zip(*parts, strict=True))
        count = len(outputs[f"p{self.strides[0]}"])
        return [self._select(boxes[view == i], scores[view == i]) for i in range(count)]

    def _level(self, maps: Floats, stride: int) -> tuple[np.ndarray, Floats, Floats]:
        """Return view numbers, (M, 4) boxes and scores of one level's cells above the threshold."""
        limit = logit(self.threshold)
        view, y, x = np.nonzero(maps[:, 0] > limit)  # NaN is never above
        scores = 1 / (1 + np.exp(-maps[view, 0, y, x]))
        logits = maps[view, 1:, y, x].reshape(-1, 4, self.bins)
        weights = np.exp(logits - logits.max(2, keepdims=True))
        mean = weights @ np.arange(self.bins, dtype=np.float32) / weights.sum(2)
        middle = np.stack([x, y], 1) * stride + (stride - 1) / 2
        boxes = np.concatenate([middle - mean[:, :2] * stride, middle + mean[:, 2:] * stride], 1)
        return view, boxes.astype(np.float32), scores.astype(np.float32)

    def _select(self, boxes: Floats, scores: Floats) -> People:
        keep = box_nms_indices(boxes, scores, self.iou)[: self.max_people]
        keep = keep[np.isfinite(boxes[keep]).all(1)]
        return People.of(boxes[keep], scores[keep])

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the maps and exchange the distributions of left and right."""
        left_right = [0, *(1 + i * self.bins + j for i in (2, 1, 0, 3) for j in range(self.bins))]
        return {key: namespace(a).flip(a, (3,))[:, left_right] for key, a in outputs.items()}


@dataclass(frozen=True)
class Boxes:
    """Decoded boxes, the layout that mmdeploy publishes for RTMDet and YOLOX.

    outputs: dets (B, N, 5) x1, y1, x2, y2 in view px and score; labels (B, N), 0 = person (may be
    absent in files with people only).
    """

    kind: ClassVar[str] = "boxes"
    task: ClassVar[Task] = "boxes"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    coordinates: ClassVar[bool] = True
    input_size: tuple[int, int] = (640, 640)
    threshold: float = 0.3
    iou: float = 0.7
    max_people: int = 100
    fill: int = 114

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, self.fill)]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first."""
        dets = to_numpy(outputs["dets"])
        labels = to_numpy(outputs["labels"]) if "labels" in outputs else np.zeros(dets.shape[:2])
        return [self._select(d, kind) for d, kind in zip(dets, labels, strict=True)]

    def _select(self, dets: Floats, labels: Floats) -> People:
        good = (labels == 0) & (dets[:, 4] > self.threshold) & np.isfinite(dets).all(1)
        boxes, scores = dets[good, :4], np.minimum(dets[good, 4], 1)
        keep = box_nms_indices(boxes, scores, self.iou)[: self.max_people]
        return People.of(boxes[keep], scores[keep])

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the boxes."""
        dets, right = outputs["dets"], self.input_size[0] - 1
        x1, x2 = right - dets[..., 2], right - dets[..., 0]
        mirrored = namespace(dets).stack([x1, dets[..., 1], x2, dets[..., 3], dets[..., 4]], 2)
        return {**outputs, "dets": mirrored}
