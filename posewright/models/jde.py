"""JDE (arXiv:1909.12605): YOLOv3 that finds pedestrians and the features to tell them apart."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from posewright.codecs.anchor_boxes import JdeBoxes
from posewright.models.base import PoseModel
from posewright.models.darknet import PIXELS, Darknet53, Yolov3Head, by_anchor
from posewright.models.registry import register
from posewright.runtimes.info import NO_JOINTS

__all__ = ["JdeHead"]

PAPER = "arXiv:1909.12605"
FEATURES = 512
MIDDLE = (
    *(102, 305, 143, 429, 203, 508, 407, 508),
    *(25, 76, 36, 107, 51, 152, 71, 215),
    *(6, 19, 9, 27, 13, 38, 18, 54),
)
SMALL = (
    *(85, 255, 120, 360, 170, 420, 340, 320),
    *(21, 64, 30, 90, 43, 128, 60, 180),
    *(6, 16, 8, 23, 11, 32, 16, 45),
)


class JdeHead(Yolov3Head):
    """Three levels of boxes and features.

    A centre is an offset in sides of the anchor, added to the cell's corner without a sigmoid.
    """

    def __init__(self, codec: JdeBoxes) -> None:
        self.anchors = codec.anchors_per_cell
        super().__init__(6 * self.anchors, features=FEATURES)
        sides = torch.tensor(codec.anchors, dtype=torch.float32).view(3, -1, 1, 2)
        strides = torch.tensor(codec.strides).view(3, 1, 1, 1)
        self.register_buffer("sides", sides / strides, persistent=False)  # (3, A, 1, 2) in strides

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps of strides 32, 16, 8 -> rows (B, N, 5), embedding (B, M, D), as `JdeBoxes` says."""
        rows, features = [], []
        for raw, sides in zip(self.raw(maps), self.sides, strict=True):
            numbers = raw[:, : 6 * self.anchors].unflatten(1, (self.anchors, 6))
            numbers = numbers.flatten(3).transpose(2, 3)  # (B, A, h w, 6)
            score = numbers[..., 4:].softmax(3)[..., 1:]  # background, person
            parts = [numbers[..., :2] * sides, numbers[..., 2:4].exp(), score]
            rows.append(torch.cat(parts, 3).flatten(1, 2))
            features.append(by_anchor(raw[:, 6 * self.anchors :], 1))
        embedding = nn.functional.normalize(torch.cat(features, 1), dim=2)
        return {"rows": torch.cat(rows, 1), "embedding": embedding}


def _jde(codec: JdeBoxes) -> PoseModel:
    return PoseModel(Darknet53(), JdeHead(codec), codec, NO_JOINTS, pixels=PIXELS)


@register(paper=PAPER, published="MOT-16 train MOTA .731, IDF1 .689", task="boxes")
def jde_1088x608(*, input_size: tuple[int, int] = (1088, 608)) -> PoseModel:
    """JDE for views of 1088x608, a detector of pedestrians with features."""
    return _jde(JdeBoxes(input_size))


@register(paper=PAPER, published="MOT-16 train MOTA .708, IDF1 .658", task="boxes")
def jde_864x480(*, input_size: tuple[int, int] = (864, 480)) -> PoseModel:
    """JDE for views of 864x480, a detector of pedestrians with features."""
    return _jde(JdeBoxes(input_size, anchors=MIDDLE))


@register(paper=PAPER, published="MOT-16 train MOTA .637, IDF1 .633", task="boxes")
def jde_576x320(*, input_size: tuple[int, int] = (576, 320)) -> PoseModel:
    """JDE for views of 576x320, a detector of pedestrians with features."""
    return _jde(JdeBoxes(input_size, anchors=SMALL))
