"""SE-ResNet: every bottleneck weighs its channels by their means (arXiv:1709.01507)."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from posewright.codecs import Codec
from posewright.models.base import PoseModel
from posewright.models.parts.heads import top_down
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["SqueezeExcite"]

PAPER = "arXiv:1709.01507"


class SqueezeExcite(nn.Module):
    """Multiply each channel by a gate in (0, 1) that follows from the means of all channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc = nn.Sequential(
            nn.Linear(channels, hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        gates: Tensor = self.fc(x.mean((2, 3)))  # (B, C)
        return x * gates[:, :, None, None]


def _sixteenth(channels: int) -> SqueezeExcite:
    return SqueezeExcite(channels, channels // 16)


def _seresnet(
    depth: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    backbone = ResNet(depth, attention=_sixteenth, attention_everywhere=True)
    return top_down(
        backbone,
        (2048, 32),
        deconv=(256, 256, 256),
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )


@register(paper=PAPER, published="COCO val2017 AP .729 (mmpose: detector boxes, flip)")
def seresnet_50(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SE-ResNet-50 with three deconvolutions."""
    return _seresnet(50, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .734 (mmpose: detector boxes, flip)")
def seresnet_101(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SE-ResNet-101 with three deconvolutions."""
    return _seresnet(101, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .730 (mmpose: detector boxes, flip)")
def seresnet_152(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SE-ResNet-152 with three deconvolutions."""
    return _seresnet(152, input_size, skeleton, codec, neck)
