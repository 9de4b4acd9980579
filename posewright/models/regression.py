"""Networks that regress coordinates: DeepPose (arXiv:1312.4659), RLE (arXiv:2107.11291) and
integral pose regression (arXiv:1711.08229).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from posewright.codecs import Codec, Regression, codec_named
from posewright.errors import UsageError
from posewright.losses import CoordinateL1, loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.parts.heads import deconvolutions
from posewright.models.parts.mobilenetv2 import MobileNetV2
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["IntegralHead", "NormedLinear", "RLEHead", "RegressionHead"]

DEEPPOSE = "arXiv:1312.4659"
RLE = "arXiv:2107.11291"


class NormedLinear(nn.Linear):
    """Linear layer whose input is divided by its length; the bias is not (RLE)."""

    def forward(self, x: Tensor) -> Tensor:
        y = nn.functional.linear(x, self.weight) / x.norm(dim=-1, keepdim=True).clamp_min(1e-9)
        return y + self.bias


class RegressionHead(nn.Module):
    """Average over the map and one linear layer, for coordinates and perhaps sigma: mmpose's."""

    def __init__(self, channels: int, joints: int, *, sigma: bool) -> None:
        super().__init__()
        self.fc = nn.Linear(channels, joints * (4 if sigma else 2))
        self.joints, self.sigma = joints, sigma

    def raw(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K, 2 or 4), sigma before its sigmoid."""
        return self.fc(x.mean((2, 3))).unflatten(1, (self.joints, -1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> coordinates (B, K, 2), and sigma (B, K, 2) if there is one."""
        raw = self.raw(x)
        outputs = {"coordinates": raw[..., :2]}
        return {**outputs, "sigma": raw[..., 2:].sigmoid()} if self.sigma else outputs


class RLEHead(nn.Module):
    """Average over the map and a linear layer each for coordinates and sigma: RLE's authors'."""

    def __init__(self, channels: int, joints: int) -> None:
        super().__init__()
        self.fc_coord = NormedLinear(channels, joints * 2)
        self.fc_sigma = nn.Linear(channels, joints * 2)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> coordinates and sigma (B, K, 2)."""
        x = x.mean((2, 3))  # (B, C)
        coordinates, sigma = self.fc_coord(x), self.fc_sigma(x).sigmoid()
        return {
            "coordinates": coordinates.unflatten(1, (-1, 2)),
            "sigma": sigma.unflatten(1, (-1, 2)),
        }


class IntegralHead(nn.Module):
    """Deconvolutions, one map per joint, and the mean position under its softmax.

    map_size: (width, height) of the maps.  Positions of columns and rows are frozen parameters, as
    in mmpose.
    """

    def __init__(self, channels: int, joints: int, map_size: tuple[int, int]) -> None:
        super().__init__()
        w, h = map_size
        self.deconv_layers = deconvolutions(channels, (256, 256, 256))
        self.final_layer = nn.Conv2d(256, joints, 1)
        x, y = torch.arange(w).view(1, 1, 1, w) / w, torch.arange(h).view(1, 1, h, 1) / h
        self.linspace_x = nn.Parameter(x, requires_grad=False)
        self.linspace_y = nn.Parameter(y, requires_grad=False)

    def weights(self, x: Tensor) -> Tensor:
        """(B, C, h / 8, w / 8) -> (B, K, h, w) maps of sum 1."""
        maps = self.final_layer(self.deconv_layers(x))
        return maps.flatten(2).softmax(2).view_as(maps)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h / 8, w / 8) -> coordinates (B, K, 2)."""
        weights = self.weights(x)
        means = [(weights * p).sum((2, 3)) for p in (self.linspace_x, self.linspace_y)]
        return {"coordinates": torch.stack(means, 2)}


def _regression(
    backbone: nn.Module,
    channels: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
) -> PoseModel:
    """Return a network whose head is RLE's authors' where coordinates are centred with sigma."""
    skeleton = as_skeleton(skeleton)
    codec = codec_named(codec, input_size) if isinstance(codec, str) else codec
    if not isinstance(codec, Regression):
        raise UsageError(
            f"coordinate outputs cannot use codec {codec.kind!r}; use regression, rle or mmpose_rle"
        )
    head: nn.Module
    if codec.sigma and codec.centred:
        head = RLEHead(channels, len(skeleton))
    else:
        head = RegressionHead(channels, len(skeleton), sigma=codec.sigma)
    return PoseModel(backbone, head, codec, skeleton, loss=loss_for(codec, skeleton))


@register(paper=DEEPPOSE, published="COCO val2017 AP .528 (mmpose, detector boxes, flip)")
def deeppose_r50(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "regression",
) -> PoseModel:
    """DeepPose with ResNet-50."""
    return _regression(ResNet(50), 2048, input_size, skeleton, codec)


@register(paper=DEEPPOSE, published="COCO val2017 AP .562 (mmpose, detector boxes, flip)")
def deeppose_r101(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "regression",
) -> PoseModel:
    """DeepPose with ResNet-101."""
    return _regression(ResNet(101), 2048, input_size, skeleton, codec)


@register(paper=DEEPPOSE, published="COCO val2017 AP .584 (mmpose, detector boxes, flip)")
def deeppose_r152(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "regression",
) -> PoseModel:
    """DeepPose with ResNet-152."""
    return _regression(ResNet(152), 2048, input_size, skeleton, codec)


@register(paper=RLE, published="COCO val2017 AP .705 (detector boxes, flip), pretrained .713")
def rle_r50(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "rle",
) -> PoseModel:
    """RLE with ResNet-50; codec="mmpose_rle" has mmpose's head."""
    return _regression(ResNet(50), 2048, input_size, skeleton, codec)


@register(paper=RLE, published="COCO val2017 AP .722 (mmpose, detector boxes, flip)")
def rle_r101(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "rle",
) -> PoseModel:
    """RLE with ResNet-101; codec="mmpose_rle" has mmpose's head."""
    return _regression(ResNet(101), 2048, input_size, skeleton, codec)


@register(paper=RLE, published="COCO val2017 AP .731, 384x288 .749 (mmpose, detector boxes, flip)")
def rle_r152(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "rle",
) -> PoseModel:
    """RLE with ResNet-152; codec="mmpose_rle" has mmpose's head."""
    return _regression(ResNet(152), 2048, input_size, skeleton, codec)


@register(paper=RLE, published="COCO val2017 AP .593 (mmpose, detector boxes, flip)")
def rle_mobilenetv2(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "mmpose_rle",
) -> PoseModel:
    """RLE with MobileNetV2 and mmpose's head."""
    return _regression(MobileNetV2(), 1280, input_size, skeleton, codec)


@register(paper="arXiv:1711.08229", published="COCO val2017 AP .633 (mmpose, detector boxes, flip)")
def ipr_r50(
    *, input_size: tuple[int, int] = (256, 256), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """Integral pose regression with ResNet-50, its mean positions inside of the network."""
    if any(side % 32 for side in input_size):
        raise UsageError(f"input size {input_size}: sides must be multiples of 32")
    skeleton = as_skeleton(skeleton)
    head = IntegralHead(2048, len(skeleton), (input_size[0] // 4, input_size[1] // 4))
    return PoseModel(ResNet(50), head, Regression(input_size), skeleton, loss=CoordinateL1(beta=0))
