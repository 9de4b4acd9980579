"""CSPNeXt, the backbone of RTMDet and RTMPose (arXiv:2212.07784), and what all CSP networks share.

Module names are those of mmdet's state dicts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

__all__ = [
    "CSPBackbone",
    "CSPLayer",
    "Conv",
    "ConvBN",
    "Norm",
    "Separable",
    "cspnext",
    "yolox_norm",
]

Norm = Callable[[int], nn.Module]
Block = Callable[[int, bool, Norm], nn.Module]
Conv = Callable[..., nn.Module]  # made from inputs, outputs, kernel, stride and norm
yolox_norm: Norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.03)


class ConvBN(nn.Module):
    """Convolution without bias, batch norm and where asked SiLU; sizes are kept at stride 1."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: bool = True,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = norm(outputs)
        self.act = nn.SiLU(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.act(self.bn(self.conv(x)))
        return out


class Separable(nn.Module):
    """A convolution within each channel and one across them."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, norm: Norm
    ) -> None:
        super().__init__()
        self.depthwise_conv = ConvBN(inputs, inputs, kernel, stride, groups=inputs, norm=norm)
        self.pointwise_conv = ConvBN(inputs, outputs, norm=norm)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.pointwise_conv(self.depthwise_conv(x))
        return out


class CSPNeXtBlock(nn.Module):
    """3x3 convolution and a separable 5x5 one, with a shortcut where asked."""

    def __init__(self, width: int, shortcut: bool, norm: Norm) -> None:
        super().__init__()
        self.conv1 = ConvBN(width, width, 3, norm=norm)
        self.conv2 = Separable(width, width, 5, norm=norm)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class ChannelAttention(nn.Module):
    """Scales channels by gates computed from their means."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)
        return x * nn.functional.hardsigmoid(self.fc(means))


class CSPLayer(nn.Module):
    """Half of the channels go through blocks, half past them, one convolution joins the halves."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        blocks: int,
        block: Block,
        *,
        shortcut: bool = True,
        attention: bool = False,
        norm: Norm = nn.BatchNorm2d,
    ) -> None:
        super().__init__()
        half = outputs // 2
        self.main_conv = ConvBN(inputs, half, norm=norm)
        self.short_conv = ConvBN(inputs, half, norm=norm)
        self.final_conv = ConvBN(2 * half, outputs, norm=norm)
        self.blocks = nn.Sequential(*(block(half, shortcut, norm) for _ in range(blocks)))
        self.attention = ChannelAttention(2 * half) if attention else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        joined = torch.cat([self.blocks(self.main_conv(x)), self.short_conv(x)], 1)
        out: Tensor = self.final_conv(self.attention(joined))
        return out


class SPPBottleneck(nn.Module):
    """A map next to its maxima over 5x5, 9x9 and 13x13 cells."""

    def __init__(self, width: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = ConvBN(width, width // 2, norm=norm)
        self.conv2 = ConvBN(width * 2, width, norm=norm)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x: Tensor) -> Tensor:
        maps = [self.conv1(x)]
        for _ in range(3):  # two pools of 5 are one of 9, three one of 13
            maps.append(self.pool(maps[-1]))
        out: Tensor = self.conv2(torch.cat(maps, 1))
        return out


class CSPBackbone(nn.Module):
    """A stem at half the resolution, then four stages that each halve it.

    widths: channels of the stem and of the stages.  blocks: of each stage.  layer: what a stage is
    made of, from width, number of blocks and whether these have shortcuts.  conv: what halves.
    outputs: the stages, 1 to 4, whose maps leave; a single one leaves as a tensor.
    """

    def __init__(
        self,
        stem: nn.Module,
        widths: Sequence[int],
        blocks: Sequence[int],
        layer: Callable[[int, int, bool], CSPLayer],
        *,
        norm: Norm = nn.BatchNorm2d,
        conv: Conv = ConvBN,
        outputs: Sequence[int] = (4,),
    ) -> None:
        super().__init__()
        self.stem = stem
        self.outputs = tuple(outputs)
        for i, count in enumerate(blocks, 1):
            last = i == len(blocks)
            pool = [SPPBottleneck(widths[i], norm)] if last else []
            down = conv(widths[i - 1], widths[i], 3, 2, norm=norm)
            stage = nn.Sequential(down, *pool, layer(widths[i], count, not last))
            setattr(self, f"stage{i}", stage)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, 3, h, w) -> maps of strides 2^(stage + 1)."""
        maps = []
        x = self.stem(x)
        for i in range(1, self.outputs[-1] + 1):
            x = getattr(self, f"stage{i}")(x)
            if i in self.outputs:
                maps.append(x)
        return maps if len(maps) > 1 else x


def scaled(
    deepen: float, widen: float, blocks: Sequence[int]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return (widths of stem and stages, blocks of the stages) of a network scaled by factors."""
    widths = tuple(int(w * widen) for w in (64, 128, 256, 512, 1024))
    return widths, tuple(max(round(n * deepen), 1) for n in blocks)


def cspnext(deepen: float, widen: float) -> CSPBackbone:
    """Return CSPNeXt-P5 with channel attention -> 1024 * widen channels at stride 32."""
    widths, blocks = scaled(deepen, widen, (3, 6, 6, 3))
    half = widths[0] // 2
    stem = nn.Sequential(ConvBN(3, half, 3, 2), ConvBN(half, half, 3), ConvBN(half, widths[0], 3))

    def layer(width: int, count: int, shortcut: bool) -> CSPLayer:
        return CSPLayer(width, width, count, CSPNeXtBlock, shortcut=shortcut, attention=True)

    return CSPBackbone(stem, widths, blocks, layer)
