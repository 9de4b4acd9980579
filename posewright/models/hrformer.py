"""HRFormer: HRNet with attention in local windows as its blocks (arXiv:2110.09408).

Module names are those of mmpose's state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs import Codec
from posewright.models.base import PoseModel
from posewright.models.parts.branches import (
    Exchange,
    dense,
    fuse_layers,
    separable,
    transition,
    widen,
)
from posewright.models.parts.heads import top_down
from posewright.models.parts.layers import Bottleneck, DropPath
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["HRFormer"]

PAPER = "arXiv:2110.09408"
WINDOW = 7  # cells


class WindowAttention(nn.Module):
    """Attention among the cells of each window, with a learned bias for every relative place."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        places = (2 * WINDOW - 1) ** 2
        self.relative_position_bias_table = nn.Parameter(torch.zeros(places, heads))
        at = torch.arange(WINDOW)
        row = at[:, None] - at + WINDOW - 1  # (7, 7) differences
        index = row[:, None, :, None] * (2 * WINDOW - 1) + row[None, :, None, :]
        self.register_buffer("index", index.reshape(-1), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(windows, 49, C) -> (windows, 49, C)."""
        n, cells, c = x.shape
        q, k, v = self.qkv(x).view(n, cells, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4)
        bias = self.relative_position_bias_table[self.index].view(cells, cells, -1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=bias.permute(2, 0, 1)[None])
        return self.proj(y.transpose(1, 2).reshape(n, cells, c))


class LocalAttention(nn.Module):
    """Cuts a map into windows of 7 x 7, padded evenly on both sides, for attention."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = WindowAttention(width, heads)

    def forward(self, x: Tensor) -> Tensor:
        """(B, h, w, C) -> (B, h, w, C)."""
        b, h, w, c = x.shape
        down, right = -h % WINDOW, -w % WINDOW
        top, left = down // 2, right // 2
        x = F.pad(x, (0, 0, left, right - left, top, down - top))
        rows, columns = (h + down) // WINDOW, (w + right) // WINDOW
        x = x.view(b, rows, WINDOW, columns, WINDOW, c).transpose(2, 3)
        y = self.attn(x.reshape(-1, WINDOW**2, c))
        y = y.view(b, rows, columns, WINDOW, WINDOW, c).transpose(2, 3)
        return y.reshape(b, h + down, w + right, c)[:, top : top + h, left : left + w]


class ConvMLP(nn.Module):
    """1x1, 3x3 per channel and 1x1 convolutions, which mix adjacent windows."""

    def __init__(self, width: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(width, hidden, 1)
        self.norm1 = nn.BatchNorm2d(hidden)
        self.dw3x3 = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.fc2 = nn.Conv2d(hidden, width, 1)
        self.norm3 = nn.BatchNorm2d(width)
        self.act = nn.GELU()

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        y = self.act(self.norm1(self.fc1(x)))
        y = self.act(self.norm2(self.dw3x3(y)))
        y = self.act(self.norm3(self.fc2(y)))
        return y


class Block(nn.Module):
    """Local attention and convolutions, each added to its input.  drop: chance to skip one."""

    def __init__(self, width: int, heads: int, drop: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, eps=1e-6)
        self.attn = LocalAttention(width, heads)
        self.norm2 = nn.LayerNorm(width, eps=1e-6)
        self.ffn = ConvMLP(width, 4 * width)
        self.drop_path = DropPath(drop)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        x = x.permute(0, 2, 3, 1)  # (B, h, w, C)
        x = x + self.drop_path(self.attn(self.norm1(x)))
        y = self.ffn(self.norm2(x).permute(0, 3, 1, 2))
        return x.permute(0, 3, 1, 2) + self.drop_path(y)


def _exchange(
    widths: Sequence[int], heads: Sequence[int], outputs: int, drops: Sequence[float]
) -> Exchange:
    """Two transformer blocks on every branch, then the exchange."""
    branches = [
        nn.Sequential(*(Block(w, n, drop) for drop in drops))
        for w, n in zip(widths, heads, strict=False)
    ]
    return Exchange(branches, fuse_layers(widths, outputs, separable, "bilinear"))


class HRFormer(nn.Module):
    """Stem, two bottlenecks, three stages of window attention -> (B, width, h / 4, w / 4).

    drop: probability of skipping the last block in training; it grows linearly with depth.
    """

    def __init__(self, width: int, heads: Sequence[int], drop: float) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        shortcut = nn.Sequential(nn.Conv2d(64, 256, 1, bias=False), nn.BatchNorm2d(256))
        self.layer1 = nn.Sequential(Bottleneck(64, 64, downsample=shortcut), Bottleneck(256, 64))
        widths = [width * 2**i for i in range(4)]
        drops = torch.linspace(0, drop, 14, device="cpu").tolist()  # 2 blocks in 1 + 4 + 2 modules
        before = [256]
        for i, count in enumerate((1, 4, 2)):
            now = widths[: i + 2]
            setattr(self, f"transition{i + 1}", transition(before, now, dense))
            modules = []
            for j in range(count):
                outputs = 1 if (i, j) == (2, count - 1) else len(now)
                modules.append(_exchange(now, heads, outputs, drops[:2]))
                drops = drops[2:]
            setattr(self, f"stage{i + 2}", nn.Sequential(*modules))
            before = now

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, width, h / 4, w / 4)."""
        x = self.relu(self.bn1(self.conv1(x)))
        xs = [self.layer1(self.relu(self.bn2(self.conv2(x))))]
        for i in range(3):
            xs = getattr(self, f"stage{i + 2}")(widen(getattr(self, f"transition{i + 1}"), xs))
        return xs[0]


def _hrformer(
    width: int,
    heads: Sequence[int],
    drop: float,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    return top_down(
        HRFormer(width, heads, drop),
        (width, 4),
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )


@register(paper=PAPER, published="COCO val2017 AP .740 (detector boxes, flip), 384x288 .756")
def hrformer_s(
    *,
    drop: float = 0.1,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRFormer-S: 32 channels at the highest resolution."""
    return _hrformer(32, (1, 2, 4, 8), drop, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .756 (detector boxes, flip), 384x288 .772")
def hrformer_b(
    *,
    drop: float = 0.2,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRFormer-B: 78 channels at the highest resolution."""
    return _hrformer(78, (2, 4, 8, 16), drop, input_size, skeleton, codec, neck)
