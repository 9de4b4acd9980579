"""Operators that pick values off the grid, in tensor code: deformable convolution, multi-scale
deformable attention and warping by a flow.

On a CPU a bag of embeddings is the fastest way to sums of picked values (benchmarks/ops.py): it
reads whole rows of channels and keeps no picked ones.  A deformable convolution picks by
`grid_sample` where rows are short, on GPUs, and for exporters, which do not know such bags.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.errors import ModelError

__all__ = [
    "DeformConv2d",
    "ModulatedDeformConv2d",
    "deform_conv2d",
    "flow_warp",
    "ms_deform_attention",
]

Pair = tuple[int, int]
LONG_ROW = 64  # channels from which rows are picked faster than planes; DEKR's 15: 3 times slower
_PART = 512  # places of a deformable convolution at a time: 1.2 MB of values at 64 channels
HALF = (torch.float16, torch.bfloat16)  # too coarse for places: 1000.5 is not a bfloat16


def _gather_sum(rows: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """(R, C) rows, (M, T) int64 index and weight -> (M, C): sum over T of weight * rows[index].

    As a bag of embeddings this reads every row once and keeps no (M, T, C) array; exporters know
    the plain form only.
    """
    weight = weight.to(rows.dtype)
    if _exporting():
        return (rows[index] * weight[..., None]).sum(1)
    return F.embedding_bag(index, rows, mode="sum", per_sample_weights=weight)


def _rows(x: Tensor) -> Tensor:
    """(B, C, h, w) -> (B * h * w, C)."""
    _, c, h, w = x.shape
    planes = x.flatten(2)
    if planes.is_contiguous() and planes.is_cpu and h * w % 1024 == 0 and not _exporting():
        # planes a multiple of 4 KiB apart share few lines of the cache: four times slower to turn
        planes = F.pad(planes, (0, 16))[..., : h * w]
    return planes.transpose(1, 2).reshape(-1, c)


def _exporting() -> bool:
    return torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export()


def _corners(
    x: Tensor,
    y: Tensor,
    width: int,
    height: int,
    *,
    first: Tensor | int = 0,
    step: int = 1,
    factor: Tensor | None = None,
    clamp: bool = False,
) -> tuple[Tensor, Tensor]:
    """(...) cells -> (..., 4) weight of the corners round each, and the number (int64) of each.

    That is first + step * (row * width + column).  factor: (...) of the weights.  Corners outside
    of the map have weight 0, or are those nearest inside if `clamp`.
    """
    sides = []
    for at, cells, apart in ((x, width, step), (y, height, step * width)):
        low = at.floor()
        shares = at - low
        ends = [(1 - shares, low), (shares, low + 1)]
        if not clamp:
            ends = [(share * ((end >= 0) & (end < cells)), end) for share, end in ends]
        # cut after the conversion, so that no number, nan included, can point outside
        sides.append([(share, end.long().clamp(0, cells - 1) * apart) for share, end in ends])
    columns, lines = sides
    # before there are four of each, and these stacked last: an axis of two is slow
    lines = [(share if factor is None else share * factor, row + first) for share, row in lines]
    pairs = [(line, column) for line in lines for column in columns]
    weight = torch.stack([wy * wx for (wy, _), (wx, _) in pairs], -1)
    return weight, torch.stack([row + column for (_, row), (_, column) in pairs], -1)


def _pair(value: int | Pair) -> Pair:
    return (value, value) if isinstance(value, int) else value


def deform_conv2d(
    x: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    *,
    stride: int | Pair = 1,
    padding: int | Pair = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
    deform_groups: int = 1,
    mask: Tensor | None = None,
) -> Tensor:
    """Convolve with a kernel whose taps are moved by `offset` (arXiv:1703.06211).

    x: (B, C, h, w).  offset: (B, 2 * deform_groups * kh * kw, ho, wo) cells; for each deform group
    and tap, row by row, first dy, then dx.  weight: (O, C / groups, kh, kw).  mask: (B,
    deform_groups * kh * kw, ho, wo), factor of each tap (arXiv:1811.11168).  Outside of x is 0.
    Pairs are (y, x).  -> (B, O, ho, wo).  ModelError: offset or mask has another shape.
    """
    b, c, h, w = x.shape
    outputs, _, kh, kw = weight.shape
    (sy, sx), (py, px), (dil_y, dil_x) = _pair(stride), _pair(padding), _pair(dilation)
    y = _taps(h, kh, sy, py, dil_y, x.device)  # (kh, ho)
    x_ = _taps(w, kw, sx, px, dil_x, x.device)  # (kw, wo)
    (ho, wo), taps = (y.shape[1], x_.shape[1]), kh * kw
    _require("offset", offset, (b, 2 * deform_groups * taps, ho, wo))
    moved = offset if offset.dtype not in HALF else offset.float()
    dy, dx = moved.reshape(b, deform_groups, kh, kw, 2, ho, wo).unbind(4)
    at_y, at_x = dy + y[:, None, :, None], dx + x_[:, None]  # (b, deform_groups, kh, kw, ho, wo)
    if mask is not None:
        _require("mask", mask, (b, deform_groups * taps, ho, wo))
        mask = mask.reshape(at_y.shape)
    inner = c // groups * taps
    if x.device.type == "cpu" and c // deform_groups >= LONG_ROW and not _exporting():
        kernel = weight.reshape(groups, -1, c // groups, taps).transpose(2, 3)
        kernel = kernel.reshape(groups, -1, inner).mT
        parts = []
        for rows in _rows_at(x, at_y, at_x, mask):  # (some of b * ho * wo, taps, C)
            rows = rows.to(weight.dtype).view(-1, taps, groups, c // groups).permute(2, 0, 1, 3)
            parts.append(rows.reshape(groups, -1, inner) @ kernel)
        found = torch.cat(parts, 1).transpose(0, 1).reshape(b, ho, wo, outputs)
        found = found.permute(0, 3, 1, 2)
    else:
        planes = _planes_at(x, at_y, at_x, mask).to(weight.dtype)  # (b, C, taps, ho * wo)
        found = weight.reshape(groups, -1, inner) @ planes.view(b, groups, inner, ho * wo)
        found = found.view(b, outputs, ho, wo)
    return found if bias is None else found + bias[:, None, None]


def _rows_at(x: Tensor, at_y: Tensor, at_x: Tensor, mask: Tensor | None) -> Iterator[Tensor]:
    """(b, C, h, w), places and factors (b, D, kh, kw, ho, wo) -> (b * ho * wo, kh * kw, C).

    They come part by part, so that each is used while it is in the cache; whole where gradients
    are wanted, as the backward pass of each part would write those of all of x.
    """
    b, c, h, w = x.shape
    groups, taps = at_y.shape[1], at_y.shape[2] * at_y.shape[3]
    order = (0, 4, 5, 2, 3, 1)  # (b, ho, wo, kh, kw, D), as rows are
    image = torch.arange(b, device=x.device).view(b, 1, 1, 1, 1, 1)
    first = image * (h * w * groups) + torch.arange(groups, device=x.device)
    factor = None if mask is None else mask.permute(order)
    weight, index = _corners(
        at_x.permute(order), at_y.permute(order), w, h, first=first, step=groups, factor=factor
    )
    rows = _rows(x).reshape(-1, c // groups).to(weight.dtype)
    index, weight = (t.reshape(-1, taps * groups, 4) for t in (index, weight))
    size = len(index) if torch.is_grad_enabled() else _PART
    for some, factors in zip(index.split(size), weight.split(size), strict=True):
        yield _gather_sum(rows, some.flatten(0, 1), factors.flatten(0, 1)).view(-1, taps, c)


def _planes_at(x: Tensor, at_y: Tensor, at_x: Tensor, mask: Tensor | None) -> Tensor:
    """The same as (b, C, kh * kw, ho * wo)."""
    (b, c, h, w), (_, d, kh, kw, ho, wo) = x.shape, at_y.shape
    at = torch.stack([_unit(at_x, w), _unit(at_y, h)], -1)
    picked = F.grid_sample(
        x.reshape(b * d, c // d, h, w).to(at.dtype),
        at.view(b * d, kh * kw * ho, wo, 2),
        align_corners=False,
    )  # (b * D, C / D, kh * kw * ho, wo)
    if mask is not None:
        picked = picked * mask.reshape(b * d, 1, kh * kw * ho, wo)
    return picked.view(b, c, kh * kw, ho * wo)


def _require(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ModelError(f"{name} is {tuple(tensor.shape)}, but this convolution needs {shape}")


def _taps(
    side: int, kernel: int, stride: int, padding: int, dilation: int, device: torch.device
) -> Tensor:
    """Return the (kernel, outputs) cells, along one side, of all taps before they are moved."""
    outputs = (side + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
    tap = torch.arange(kernel, device=device) * dilation - padding
    return tap[:, None] + torch.arange(outputs, device=device) * stride


def _unit(cells: Tensor, side: int) -> Tensor:
    """Cells -> what `grid_sample` takes: -1 and 1 are the outer edges of the side."""
    return (cells + 0.5) * (2 / side) - 1


class DeformConv2d(nn.Module):
    """`deform_conv2d` with weights of its own; offsets, and a mask if there is one, come along.

    Names and shapes of its tensors are those of torchvision and mmcv.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 3,
        stride: int = 1,
        padding: int = 0,
        *,
        dilation: int = 1,
        groups: int = 1,
        deform_groups: int = 1,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation = stride, padding, dilation
        self.groups, self.deform_groups = groups, deform_groups
        self.weight = nn.Parameter(torch.empty(outputs, inputs // groups, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(outputs)) if bias else None
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))

    def forward(self, x: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        """Shapes as in `deform_conv2d`."""
        return deform_conv2d(
            x,
            offset,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            groups=self.groups,
            deform_groups=self.deform_groups,
            mask=mask,
        )


class ModulatedDeformConv2d(nn.Module):
    """Deformable convolution that makes its offsets and mask itself (arXiv:1811.11168).

    `conv_offset_mask` gives dy, dx of all taps as `deform_conv2d` takes them, then the logits of
    the mask; it begins at 0, so that a new block is half a plain convolution.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.stride, self.padding, self.taps = stride, kernel // 2, kernel * kernel
        plain = nn.Conv2d(inputs, outputs, kernel)
        self.weight, self.bias = plain.weight, plain.bias
        self.conv_offset_mask = nn.Conv2d(inputs, 3 * self.taps, kernel, stride, self.padding)
        for parameter in self.conv_offset_mask.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, O, ho, wo)."""
        offset, mask = self.conv_offset_mask(x).split([2 * self.taps, self.taps], 1)
        return deform_conv2d(
            x,
            offset,
            self.weight,
            self.bias,
            stride=self.stride,
            padding=self.padding,
            mask=mask.sigmoid(),
        )


def ms_deform_attention(
    values: Tensor,
    spatial_shapes: Sequence[Pair],
    locations: Tensor,
    weights: Tensor,
) -> Tensor:
    """Sum, for every query and head, values of a few points on maps of several sizes
    (Deformable DETR, arXiv:2010.04159).

    values: (B, S, M, D), the cells of all maps one after the other, row by row; M heads, or 1 that
    all heads share.  spatial_shapes: (h, w) of each map, sum of h * w = S.  locations: (B, Q, M,
    L, P, 2) x, y in [0, 1] of the map, 0 and 1 its outer edges; outside is 0.  weights: (B, Q, M,
    L, P).  -> (B, Q, M * D).  ModelError: S is not that of the maps.
    """
    b, cells, shared, depth = values.shape
    if cells != sum(h * w for h, w in spatial_shapes):
        raise ModelError(
            f"{cells} values, but maps of {list(spatial_shapes)} (h, w) have a different number"
        )
    _, queries, heads, levels, points, _ = locations.shape
    first = torch.arange(b, device=values.device).view(b, 1, 1, 1) * (cells * shared)
    if shared > 1:
        first = first + torch.arange(heads, device=values.device).view(-1, 1)
    factors, indices = [], []
    for level, (h, w) in enumerate(spatial_shapes):
        x, y = locations[:, :, :, level].unbind(-1)
        factor, index = _corners(
            x * w - 0.5, y * h - 0.5, w, h, first=first, step=shared, factor=weights[:, :, :, level]
        )  # (B, Q, M, P, 4)
        factors.append(factor)
        indices.append(index)
        first = first + h * w * shared
    terms = levels * points * 4
    found = _gather_sum(
        values.reshape(-1, depth),
        torch.stack(indices, 3).reshape(-1, terms),
        torch.stack(factors, 3).reshape(-1, terms),
    )
    return found.view(b, queries, heads * depth)


def flow_warp(x: Tensor, flow: Tensor) -> Tensor:
    """Pick x bilinearly where `flow` points (FlowNet 2.0's resampling, arXiv:1612.01925).

    x: (B, C, h, w).  flow: (B, 2, h, w) dx, dy in cells.  Corners outside of x are those nearest
    inside, but keep the weights of the place itself.  -> (B, C, h, w).  ModelError: flow has
    another shape.
    """
    b, c, h, w = x.shape
    if tuple(flow.shape) != (b, 2, h, w):
        raise ModelError(
            f"flow is {tuple(flow.shape)}, but x of {(b, c, h, w)} needs {(b, 2, h, w)}"
        )
    if flow.dtype in HALF:
        flow = flow.float()
    columns = torch.arange(w, device=x.device)
    lines = torch.arange(h, device=x.device)[:, None]
    image = torch.arange(b, device=x.device).view(b, 1, 1) * (h * w)
    weight, index = _corners(
        flow[:, 0] + columns, flow[:, 1] + lines, w, h, first=image, clamp=True
    )  # (B, h, w, 4)
    found = _gather_sum(_rows(x), index.view(-1, 4), weight.view(-1, 4))
    return found.view(b, h, w, c).permute(0, 3, 1, 2)
