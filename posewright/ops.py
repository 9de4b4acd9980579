"""Operators that pick values off the grid, in tensor code: deformable convolution, multi-scale
deformable attention and warping by a flow.

All of them are weighted sums of a few cells, which `_gather_sum` takes in one pass.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

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
HALF = (torch.float16, torch.bfloat16)  # too coarse for places: 1000.5 is not a bfloat16


def _gather_sum(rows: Tensor, index: Tensor, weight: Tensor) -> Tensor:
    """(R, C) rows, (M, T) int64 index and weight -> (M, C): sum over T of weight * rows[index].

    As a bag of embeddings this reads every row once and keeps no (M, T, C) array; exporters know
    the plain form only.
    """
    weight = weight.to(rows.dtype)
    if torch.compiler.is_exporting() or torch.onnx.is_in_onnx_export():
        return (rows[index] * weight[..., None]).sum(1)
    return F.embedding_bag(index, rows, mode="sum", per_sample_weights=weight)


def _corners(
    x: Tensor, y: Tensor, width: int, height: int, *, clamp: bool = False
) -> tuple[Tensor, Tensor]:
    """(...) cells -> (..., 4) weight of the corners round each, and y * width + x (int64) of them.

    Corners outside of the map have weight 0, or are those nearest inside if `clamp`.
    """
    left, top = x.floor(), y.floor()
    u, v = x - left, y - top
    xs, ys = torch.stack((left, left + 1), -1), torch.stack((top, top + 1), -1)  # (..., 2)
    wx, wy = torch.stack((1 - u, u), -1), torch.stack((1 - v, v), -1)
    if not clamp:
        wx, wy = wx * ((xs >= 0) & (xs < width)), wy * ((ys >= 0) & (ys < height))
    # cut after the conversion, so that no number, nan included, can point outside
    columns, rows = xs.long().clamp(0, width - 1), ys.long().clamp(0, height - 1)
    cells = rows[..., :, None] * width + columns[..., None, :]
    return (wy[..., :, None] * wx[..., None, :]).flatten(-2), cells.flatten(-2)


def _rows(x: Tensor, groups: int = 1) -> Tensor:
    """(B, C, h, w) -> (B * h * w * groups, C / groups): a row for each cell and channel group."""
    return x.permute(0, 2, 3, 1).reshape(-1, x.shape[1] // groups)


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
    outputs, _, kh, kw = weight.shape
    stride, padding, dilation = _pair(stride), _pair(padding), _pair(dilation)
    b, c, h, w = x.shape
    ho = (h + 2 * padding[0] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    wo = (w + 2 * padding[1] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    taps = deform_groups * kh * kw
    _require("offset", offset, (b, 2 * taps, ho, wo))
    # (B, ho, wo, kh * kw, deform_groups, 2), in which order the columns of the product lie
    moved = offset.view(b, deform_groups, kh * kw, 2, ho, wo).permute(0, 4, 5, 2, 1, 3)
    if moved.dtype in HALF:
        moved = moved.float()
    y, x_ = _grid((kh, kw), (ho, wo), stride, padding, dilation, moved)
    factor, cells = _corners(moved[..., 1] + x_, moved[..., 0] + y, w, h)
    if mask is not None:
        _require("mask", mask, (b, taps, ho, wo))
        by_tap = mask.view(b, deform_groups, kh * kw, ho, wo).permute(0, 3, 4, 2, 1)
        factor = factor * by_tap[..., None]
    image = torch.arange(b, device=x.device).view(b, 1, 1, 1, 1, 1)
    group = torch.arange(deform_groups, device=x.device)[:, None]
    index = (image * (h * w) + cells) * deform_groups + group
    picked = _gather_sum(_rows(x, deform_groups), index.view(-1, 4), factor.reshape(-1, 4))
    found = _product(picked.view(b, ho * wo, kh * kw, c), weight, groups).view(b, outputs, ho, wo)
    return found if bias is None else found + bias[:, None, None]


def _require(name: str, tensor: Tensor, shape: tuple[int, ...]) -> None:
    if tuple(tensor.shape) != shape:
        raise ModelError(f"{name} is {tuple(tensor.shape)}, but this convolution needs {shape}")


def _grid(
    kernel: Pair, size: Pair, stride: Pair, padding: Pair, dilation: Pair, like: Tensor
) -> tuple[Tensor, Tensor]:
    """Return y (ho, 1, kh * kw, 1) and x (wo, kh * kw, 1) of all taps before they are moved."""
    (kh, kw), (ho, wo) = kernel, size
    tap = torch.arange(kh * kw, device=like.device)
    y = torch.arange(ho, device=like.device).view(-1, 1, 1) * stride[0] - padding[0]
    x = torch.arange(wo, device=like.device).view(-1, 1) * stride[1] - padding[1]
    y, x = y + tap.div(kw, rounding_mode="floor") * dilation[0], x + tap % kw * dilation[1]
    return y[..., None].to(like.dtype), x[..., None].to(like.dtype)


def _product(picked: Tensor, weight: Tensor, groups: int) -> Tensor:
    """(B, N, taps, C) values and (O, C / groups, kh, kw) -> (B, O, N)."""
    b, n, taps, c = picked.shape
    matrix = weight.permute(0, 2, 3, 1).reshape(groups, weight.shape[0] // groups, -1)
    if groups == 1:
        return matrix @ picked.view(b, n, -1).transpose(1, 2)  # (1, O, taps * C) @ (B, .., N)
    split = picked.view(b, n, taps, groups, c // groups).permute(0, 3, 2, 4, 1)
    found = matrix @ split.reshape(b, groups, -1, n)  # (B, groups, O / groups, N)
    return found.flatten(1, 2)


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
        raise ModelError(f"{cells} values, but maps of {list(spatial_shapes)} (h, w) have another")
    _, queries, heads, levels, points, _ = locations.shape
    factors, indices, start = [], [], 0
    for level, (h, w) in enumerate(spatial_shapes):
        at = locations[:, :, :, level]
        factor, at_cells = _corners(at[..., 0] * w - 0.5, at[..., 1] * h - 0.5, w, h)
        factors.append(factor)  # (B, Q, M, P, 4)
        indices.append(start + at_cells)
        start += h * w
    factor = torch.stack(factors, 3) * weights[..., None]  # (B, Q, M, L, P, 4)
    image = torch.arange(b, device=values.device).view(b, 1, 1, 1, 1, 1)
    index = (image * cells + torch.stack(indices, 3)) * shared
    if shared > 1:
        index = index + torch.arange(heads, device=values.device).view(-1, 1, 1, 1)
    terms = levels * points * 4
    rows = values.reshape(-1, depth)
    found = _gather_sum(rows, index.reshape(-1, terms), factor.reshape(-1, terms))
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
    weight, cells = _corners(flow[:, 0] + columns, flow[:, 1] + lines, w, h, clamp=True)
    index = torch.arange(b, device=x.device).view(b, 1, 1, 1) * (h * w) + cells  # (B, h, w, 4)
    found = _gather_sum(_rows(x), index.view(-1, 4), weight.view(-1, 4))
    return found.view(b, h, w, c).permute(0, 3, 1, 2)
