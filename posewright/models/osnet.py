"""Re-identification networks: OSNet (arXiv:1905.00953), with instance norm
(arXiv:1910.06827), and ResNet-50.

Module names are torchreid's, but for the streams of a block, which have one layout here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from posewright.codecs.embedding import Embedding
from posewright.models.base import PoseModel
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.runtimes.info import NO_JOINTS

__all__ = ["EmbeddingHead", "OSNet"]

PAPER = "arXiv:1905.00953"
PAPER_AIN = "arXiv:1910.06827"
PAPER_RESNET = "arXiv:1512.03385; torchreid, arXiv:1910.10093"

Norm = Callable[[int], nn.Module]
Place = Literal["none", "inside", "after"]  # where a block has instance norm


def instance_norm(channels: int) -> nn.Module:
    """Return instance norm with a learned scale and shift."""
    return nn.InstanceNorm2d(channels, affine=True)


class ConvNorm(nn.Module):
    """Convolution without bias, norm and, unless told otherwise, ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        norm: Norm = nn.BatchNorm2d,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = norm(outputs)
        self.relu = nn.ReLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv(x)))


class LightConv(nn.Module):
    """1x1 convolution, then 3x3 of each channel by itself, batch norm and ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(width, width, 1, bias=False)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, groups=width, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.bn(self.conv2(self.conv1(x))))


class Gate(nn.Module):
    """Weigh each channel by a gate computed from the means of all channels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, width // 16, 1)
        self.relu = nn.ReLU(inplace=True)
        self.fc2 = nn.Conv2d(width // 16, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> the same."""
        mean = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * torch.sigmoid(self.fc2(self.relu(self.fc1(mean))))


class OmniScale(nn.Module):
    """Four streams of one to four light convolutions, weighed by one gate, and a shortcut.

    instance: where instance norm is: nowhere, on the branch before the shortcut is added, where it
    takes the place of batch norm (AIN), or after (IBN).
    """

    def __init__(self, inputs: int, outputs: int, instance: Place) -> None:
        super().__init__()
        width = outputs // 4
        inside: Norm = nn.Identity if instance == "inside" else nn.BatchNorm2d
        self.conv1 = ConvNorm(inputs, width)
        self.streams = nn.ModuleList(
            nn.Sequential(*(LightConv(width) for _ in range(depth))) for depth in (1, 2, 3, 4)
        )
        self.gate = Gate(width)
        self.conv3 = ConvNorm(width, outputs, norm=inside, act=False)
        self.downsample = (
            nn.Identity() if inputs == outputs else ConvNorm(inputs, outputs, act=False)
        )
        self.instance = instance
        self.norm = nn.Identity() if instance == "none" else instance_norm(outputs)
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, h, w) -> (B, outputs, h, w)."""
        narrow = self.conv1(x)
        branch = self.conv3(sum(self.gate(stream(narrow)) for stream in self.streams))
        shortcut = self.downsample(x)
        if self.instance == "inside":
            return self.relu(self.norm(branch) + shortcut)
        return self.relu(self.norm(branch + shortcut))


class OSNet(nn.Module):
    """Stem, three stages of two blocks and a last convolution -> (B, C, h / 16, w / 16).

    channels: of the stem and of the stages.  places: of instance norm in each block of each stage.
    stem: the norm of the stem.
    """

    stride = 16

    def __init__(
        self,
        channels: Sequence[int],
        places: Sequence[Sequence[Place]] = (("none", "none"),) * 3,
        stem: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv1 = ConvNorm(3, channels[0], 7, 2, norm=stem)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages = zip(channels, channels[1:], places, strict=False)
        self.conv2, self.conv3, self.conv4 = (_stage(*stage) for stage in stages)
        self.pool2, self.pool3 = (ConvNorm(width, width) for width in channels[1:3])
        self.halve = nn.AvgPool2d(2)
        self.conv5 = ConvNorm(channels[3], channels[3])

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, C, h / 16, w / 16)."""
        x = self.maxpool(self.conv1(x))
        x = self.halve(self.pool2(self.conv2(x)))
        x = self.halve(self.pool3(self.conv3(x)))
        return self.conv5(self.conv4(x))


def _stage(inputs: int, outputs: int, places: Sequence[Place]) -> nn.Sequential:
    widths = (inputs, outputs)
    return nn.Sequential(
        *(OmniScale(width, outputs, place) for width, place in zip(widths, places, strict=True))
    )


class EmbeddingHead(nn.Module):
    """The mean of a map, and a linear layer where `outputs` are given -> features (B, D)."""

    def __init__(self, inputs: int, outputs: int = 0) -> None:
        super().__init__()
        layers = [nn.Linear(inputs, outputs), nn.BatchNorm1d(outputs), nn.ReLU()] if outputs else []
        self.fc = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> features (B, D)."""
        return {"features": self.fc(x.mean((2, 3)))}


def _embedding(backbone: nn.Module, head: EmbeddingHead) -> PoseModel:
    return PoseModel(backbone, head, Embedding(), NO_JOINTS)


def _osnet(width: float) -> PoseModel:
    channels = [int(c * width) for c in (64, 256, 384, 512)]
    return _embedding(OSNet(channels), EmbeddingHead(channels[-1], 512))


@register(paper=PAPER, published="MSMT17 rank-1 .749, mAP .438", task="embedding")
def osnet_x1_0() -> PoseModel:
    """OSNet, the full width."""
    return _osnet(1.0)


@register(paper=PAPER, published="MSMT17 rank-1 .728, mAP .414", task="embedding")
def osnet_x0_75() -> PoseModel:
    """OSNet, three quarters of the width."""
    return _osnet(0.75)


@register(paper=PAPER, published="MSMT17 rank-1 .697, mAP .375", task="embedding")
def osnet_x0_5() -> PoseModel:
    """OSNet, half of the width."""
    return _osnet(0.5)


@register(paper=PAPER, published="MSMT17 rank-1 .614, mAP .295", task="embedding")
def osnet_x0_25() -> PoseModel:
    """OSNet, a quarter of the width."""
    return _osnet(0.25)


@register(
    paper=PAPER_AIN, published="MSMT17 -> Market-1501 rank-1 .665, mAP .372", task="embedding"
)
def osnet_ibn_x1_0() -> PoseModel:
    """OSNet with instance norm in the stem and after the blocks of the first stage."""
    places: Sequence[Sequence[Place]] = (("after",) * 2, ("none",) * 2, ("none",) * 2)
    backbone = OSNet((64, 256, 384, 512), places, instance_norm)
    return _embedding(backbone, EmbeddingHead(512, 512))


@register(
    paper=PAPER_AIN, published="MSMT17 -> Market-1501 rank-1 .701, mAP .433", task="embedding"
)
def osnet_ain_x1_0() -> PoseModel:
    """OSNet-AIN: instance norm where a search put it."""
    places: Sequence[Sequence[Place]] = (
        ("inside", "inside"),
        ("none", "inside"),
        ("inside", "none"),
    )
    backbone = OSNet((64, 256, 384, 512), places, instance_norm)
    return _embedding(backbone, EmbeddingHead(512, 512))


@register(paper=PAPER_RESNET, published="MSMT17 rank-1 .632, mAP .339", task="embedding")
def reid_r50() -> PoseModel:
    """ResNet-50, its features the mean of the last map."""
    return _embedding(ResNet(50), EmbeddingHead(2048))


@register(paper=PAPER_RESNET, published="MSMT17 rank-1 .696, mAP .384", task="embedding")
def reid_r50_fc512() -> PoseModel:
    """ResNet-50 without the last stride, with a linear layer to 512 features."""
    return _embedding(ResNet(50, last_stride=1), EmbeddingHead(2048, 512))
