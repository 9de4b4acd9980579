"""Lite-HRNet: HRNet whose 1x1 convolutions are replaced by weights across sizes (arXiv:2104.06403).

Module names are those of the authors' state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs import Codec
from posewright.models.base import PoseModel
from posewright.models.parts.branches import Branches, fuse_layers, separable, transition, widen
from posewright.models.parts.heads import top_down
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["LiteHRNet"]

PAPER = "arXiv:2104.06403"


class Conv(nn.Module):
    """Convolution that keeps its size at stride 1, batch norm unless left out, activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        norm: bool = True,
        act: type[nn.Module] = nn.Identity,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=not norm
        )
        if norm:
            self.bn = nn.BatchNorm2d(outputs)
        self.norm = norm
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv(x)
        return self.act(self.bn(y) if self.norm else y)


def shuffled(x: Tensor) -> Tensor:
    """(B, C, h, w) -> the same, channels of the first and the second half in turn."""
    b, c, h, w = x.shape
    return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)


class SpatialWeighting(nn.Module):
    """Weights of the channels from their means over the map."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = Conv(channels, channels // 4, norm=False, act=nn.ReLU)
        self.conv2 = Conv(channels // 4, channels, norm=False, act=nn.Sigmoid)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.conv2(self.conv1(x.mean((2, 3), keepdim=True)))


class CrossResolutionWeighting(nn.Module):
    """Weights of every cell and channel of all branches, computed at the smallest size."""

    def __init__(self, channels: Sequence[int], ratio: int = 8) -> None:
        super().__init__()
        total = sum(channels)
        self.channels = list(channels)
        self.conv1 = Conv(total, total // ratio, act=nn.ReLU)
        self.conv2 = Conv(total // ratio, total, act=nn.Sigmoid)

    def forward(self, xs: Branches) -> Branches:
        size = xs[-1].shape[2:]
        small = [F.adaptive_avg_pool2d(x, size) for x in xs[:-1]] + [xs[-1]]
        weights = self.conv2(self.conv1(torch.cat(small, 1))).split(self.channels, 1)
        return [
            x * F.interpolate(w, size=x.shape[2:], mode="nearest")
            for x, w in zip(xs, weights, strict=True)
        ]


class ConditionalChannelWeighting(nn.Module):
    """On half of the channels of every branch: weights across sizes, 3x3 per channel, weights."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        halves = [w // 2 for w in widths]
        self.cross_resolution_weighting = CrossResolutionWeighting(halves)
        self.depthwise_convs = nn.ModuleList(Conv(c, c, 3, groups=c) for c in halves)
        self.spatial_weighting = nn.ModuleList(SpatialWeighting(c) for c in halves)

    def forward(self, xs: Branches) -> Branches:
        halves = [x.chunk(2, 1) for x in xs]
        ys = self.cross_resolution_weighting([h[1] for h in halves])
        ys = [conv(y) for conv, y in zip(self.depthwise_convs, ys, strict=True)]
        ys = [weigh(y) for weigh, y in zip(self.spatial_weighting, ys, strict=True)]
        return [shuffled(torch.cat([h[0], y], 1)) for h, y in zip(halves, ys, strict=True)]


class ShuffleUnit(nn.Module):
    """ShuffleNet's block (arXiv:1807.11164), which the naive networks have on every branch."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.branch2 = nn.Sequential(
            Conv(half, half, act=nn.ReLU),
            Conv(half, half, 3, groups=half),
            Conv(half, half, act=nn.ReLU),
        )

    def forward(self, x: Tensor) -> Tensor:
        kept, used = x.chunk(2, 1)
        return shuffled(torch.cat([kept, self.branch2(used)], 1))


class Stem(nn.Module):
    """(B, 3, h, w) -> (B, channels, h / 4, w / 4), ShuffleNet's downsampling after a 3x3."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.conv1 = Conv(3, channels, 3, 2, act=nn.ReLU)
        self.branch1 = nn.Sequential(
            Conv(half, half, 3, 2, groups=half), Conv(half, half, act=nn.ReLU)
        )
        self.expand_conv = Conv(half, channels, act=nn.ReLU)
        self.depthwise_conv = Conv(channels, channels, 3, 2, groups=channels)
        self.linear_conv = Conv(channels, half, act=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        first, second = self.conv1(x).chunk(2, 1)
        second = self.linear_conv(self.depthwise_conv(self.expand_conv(second)))
        return shuffled(torch.cat([self.branch1(first), second], 1))


class LiteModule(nn.Module):
    """Two blocks on all branches, then every branch takes all others.

    The published sum takes the first branch twice, and every other branch sees its sum already;
    the weights were trained with it.
    """

    def __init__(self, widths: Sequence[int], naive: bool) -> None:
        super().__init__()
        self.naive = naive
        if naive:
            self.layers = nn.ModuleList(
                nn.Sequential(ShuffleUnit(w), ShuffleUnit(w)) for w in widths
            )
        else:
            self.layers = nn.Sequential(*(ConditionalChannelWeighting(widths) for _ in range(2)))
        self.fuse_layers = fuse_layers(widths, len(widths), separable)

    def forward(self, xs: Branches) -> Branches:
        if self.naive:
            xs = [layer(x) for layer, x in zip(self.layers, xs, strict=True)]
        else:
            xs = self.layers(xs)
        fused = []
        for to, row in enumerate(self.fuse_layers):
            parts = [
                x if to == i else layer(x) for i, (layer, x) in enumerate(zip(row, xs, strict=True))
            ]
            total = parts[0] + parts[0]
            for part in parts[1:]:
                total = total + part
            if to == 0:
                xs = [total, *xs[1:]]
            fused.append(F.relu(total))
        return fused


class IterativeHead(nn.Module):
    """From the smallest branch upwards: add, 3x3 per channel, 1x1."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        down = list(widths)[::-1]
        self.projects = nn.ModuleList(
            Project(a, b) for a, b in zip(down, [*down[1:], down[-1]], strict=True)
        )

    def forward(self, xs: Branches) -> Tensor:
        """Branches, largest first -> (B, widths[0], h, w)."""
        y: Tensor | None = None
        for x, project in zip(xs[::-1], self.projects, strict=True):
            if y is not None:
                x = x + F.interpolate(y, size=x.shape[2:], mode="bilinear", align_corners=True)
            y = project(x)
        assert y is not None
        return y


class Project(nn.Module):
    """3x3 per channel, then 1x1."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.depthwise_conv = Conv(inputs, inputs, 3, groups=inputs)
        self.pointwise_conv = Conv(inputs, outputs, act=nn.ReLU)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return y


class LiteHRNet(nn.Module):
    """Stem, three stages of 2, 3 and 4 branches, iterative head -> (B, width, h / 4, w / 4).

    naive: ShuffleNet's blocks instead of conditional channel weighting.
    """

    def __init__(self, modules: Sequence[int], width: int = 40, *, naive: bool = False) -> None:
        super().__init__()
        self.stem = Stem(32)
        widths = [width * 2**i for i in range(4)]
        before = [32]
        for i, count in enumerate(modules):
            now = widths[: i + 2]
            setattr(self, f"transition{i}", transition(before, now, separable))
            stage = nn.Sequential(*(LiteModule(now, naive) for _ in range(count)))
            setattr(self, f"stage{i}", stage)
            before = now
        self.stages = len(modules)
        self.head_layer = IterativeHead(widths)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, width, h / 4, w / 4)."""
        xs = [self.stem(x)]
        for i in range(self.stages):
            xs = getattr(self, f"stage{i}")(widen(getattr(self, f"transition{i}"), xs))
        y: Tensor = self.head_layer(xs)
        return y


def _lite_hrnet(
    backbone: LiteHRNet,
    width: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    return top_down(
        backbone, (width, 4), input_size=input_size, skeleton=skeleton, codec=codec, neck=neck
    )


@register(paper=PAPER, published="COCO val2017 AP .648 (detector boxes, flip), 384x288 .676")
def lite_hrnet_18(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """Lite-HRNet-18."""
    return _lite_hrnet(LiteHRNet((2, 4, 2)), 40, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .672 (detector boxes, flip), 384x288 .704")
def lite_hrnet_30(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """Lite-HRNet-30."""
    return _lite_hrnet(LiteHRNet((3, 8, 3)), 40, input_size, skeleton, codec, neck)


@register(paper=PAPER)
def naive_lite_hrnet_18(
    *,
    wide: bool = False,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """Naive Lite-HRNet-18: shuffle blocks; wide: 40 channels at the first branch instead of 30."""
    width = 40 if wide else 30
    backbone = LiteHRNet((2, 4, 2), width, naive=True)
    return _lite_hrnet(backbone, width, input_size, skeleton, codec, neck)
