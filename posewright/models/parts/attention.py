"""Attention over the cells or the channels of a map, as necks: (B, C, h, w) -> the same."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.models.parts.gau import GAU
from posewright.models.parts.layers import conv_bn

__all__ = ["CellGAU", "CoordinateAttention", "LargeKernel", "SelectiveKernel", "SqueezeExcite"]

MOST_CELLS = 256


class SqueezeExcite(nn.Module):
    """Scale each channel by a gate computed from all channels' means (arXiv:1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 16)
        self.squeeze = nn.Linear(channels, inner)
        self.excite = nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3))  # (B, C)
        return x * self.excite(self.squeeze(means).relu()).sigmoid()[:, :, None, None]


class CoordinateAttention(nn.Module):
    """Scale each cell by gates from its row's and its column's means (arXiv:2103.02907)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = max(8, channels // 32)
        self.squeeze = conv_bn(channels, inner, act=nn.Hardswish)
        self.rows = nn.Conv2d(inner, channels, 1)
        self.columns = nn.Conv2d(inner, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        means = torch.cat([x.mean(3), x.mean(2)], 2)  # (B, C, h + w)
        y = self.squeeze(means[..., None])
        rows, columns = y.split([h, w], 2)
        columns = self.columns(columns.transpose(2, 3))  # (B, C, 1, w)
        gated: Tensor = x * self.rows(rows).sigmoid() * columns.sigmoid()
        return gated


class SelectiveKernel(nn.Module):
    """Choose per channel between a 3x3 and a dilated 3x3 convolution (arXiv:1903.06586).

    It stands beside a shortcut, as in the blocks of the paper.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        groups, inner = math.gcd(channels, 32), max(32, channels // 16)
        self.branches = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(channels, channels, 3, 1, d, d, groups=groups, bias=False),
                nn.BatchNorm2d(channels),
                nn.ReLU(inplace=True),
            )
            for d in (1, 2)
        )
        # the paper has batch norm here, which a batch of one view has too few numbers for
        self.squeeze = nn.Sequential(nn.Linear(channels, inner), nn.LayerNorm(inner), nn.ReLU())
        self.select = nn.Linear(inner, 2 * channels)

    def forward(self, x: Tensor) -> Tensor:
        a, b = (branch(x) for branch in self.branches)
        means = (a + b).mean((2, 3))  # (B, C)
        weights = self.select(self.squeeze(means)).unflatten(1, (2, -1)).softmax(1)  # (B, 2, C)
        first, second = weights[..., None, None].unbind(1)
        selected: Tensor = x + first * a + second * b
        return selected


class LargeKernel(nn.Module):
    """Choose per cell between two large receptive fields, 5 and 23 cells wide (arXiv:2303.09030).

    It stands between two 1x1 convolutions and beside a shortcut, as in the paper.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.enter = nn.Sequential(nn.Conv2d(channels, channels, 1), nn.GELU())
        self.near = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)
        self.far = nn.Conv2d(channels, channels, 7, padding=9, dilation=3, groups=channels)
        self.near_half = nn.Conv2d(channels, half, 1)
        self.far_half = nn.Conv2d(channels, half, 1)
        self.select = nn.Conv2d(2, 2, 7, padding=3)
        self.whole = nn.Conv2d(half, channels, 1)
        self.leave = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.enter(x)
        near = self.near(y)
        a, b = self.near_half(near), self.far_half(self.far(near))  # (B, C / 2, h, w)
        both = torch.cat([a, b], 1)
        pooled = torch.cat([both.mean(1, keepdim=True), both.amax(1, keepdim=True)], 1)
        first, second = self.select(pooled).sigmoid().split(1, 1)  # (B, 1, h, w) each
        z: Tensor = x + self.leave(y * self.whole(a * first + b * second))
        return z


class CellGAU(nn.Module):
    """A gated attention unit over the cells of a map, beside a shortcut.

    Maps of more than 256 cells are averaged by 2, 4 or 8 before.
    """

    def __init__(self, channels: int, width: int = 256) -> None:
        super().__init__()
        self.enter = nn.Linear(channels, width)
        self.gau = GAU(width, 2 * width)
        self.leave = nn.Linear(width, channels)

    def forward(self, x: Tensor) -> Tensor:
        h, w = x.shape[2:]
        by = next((n for n in (1, 2, 4) if h * w <= MOST_CELLS * n * n), 8)
        y = functional.avg_pool2d(x, by)
        tokens = y.flatten(2).transpose(1, 2)  # (B, cells, C)
        y = self.leave(self.gau(self.enter(tokens))).transpose(1, 2).reshape(y.shape)
        return x + functional.interpolate(y, scale_factor=float(by), mode="nearest")
