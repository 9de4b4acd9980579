"""Branches of several resolutions side by side, and how they exchange: what HRNet's kin share.

Branches are listed highest resolution first, each with half the sides of the one before it.  Module
names are those of the authors' state dicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Literal, Protocol

from torch import Tensor, nn

from posewright.models.parts.layers import conv_bn

__all__ = [
    "Branches",
    "Exchange",
    "Step",
    "dense",
    "fuse_layers",
    "separable",
    "transition",
    "widen",
]

Branches = list[Tensor]


class Step(Protocol):
    """Makes a convolution with batch norm, which stride 2 brings to the next branch's size."""

    def __call__(self, inputs: int, outputs: int, stride: int, *, relu: bool) -> nn.Sequential: ...


def dense(inputs: int, outputs: int, stride: int, *, relu: bool) -> nn.Sequential:
    """3x3."""
    return conv_bn(inputs, outputs, 3, stride, act=partial(nn.ReLU, True) if relu else None)


def separable(inputs: int, outputs: int, stride: int, *, relu: bool) -> nn.Sequential:
    """3x3 per channel, then 1x1."""
    each = conv_bn(inputs, inputs, 3, stride, groups=inputs)
    return nn.Sequential(*each, *conv_bn(inputs, outputs, act=nn.ReLU if relu else None))


def fuse_layers(
    widths: Sequence[int],
    outputs: int,
    step: Step,
    mode: Literal["nearest", "bilinear"] = "nearest",
) -> nn.ModuleList:
    """Return for each of the first `outputs` branches what brings every branch to its form.

    None stands for itself.  mode: how smaller branches are enlarged.
    """
    rows = ([_fuse(widths, i, to, step, mode) for i in range(len(widths))] for to in range(outputs))
    return nn.ModuleList(nn.ModuleList(row) for row in rows)


def _fuse(
    widths: Sequence[int], source: int, to: int, step: Step, mode: str
) -> nn.Sequential | None:
    a, b = widths[source], widths[to]
    if source == to:
        return None
    if source > to:  # lower resolution: fewer channels, then larger
        return nn.Sequential(
            *conv_bn(a, b), nn.Upsample(scale_factor=2 ** (source - to), mode=mode)
        )
    steps = [step(a, a, 2, relu=True) for _ in range(to - source - 1)]
    return nn.Sequential(*steps, step(a, b, 2, relu=False))


class Exchange(nn.Module):
    """One module of a stage: `branches` on their own, then `fused` branches of the sums of all."""

    def __init__(self, branches: Iterable[nn.Module], fused: nn.ModuleList) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)
        self.fuse_layers = fused
        self.relu = nn.ReLU()

    def forward(self, xs: Branches) -> Branches:
        xs = [branch(x) for branch, x in zip(self.branches, xs, strict=True)]
        return [self.relu(_sum(row, xs)) for row in self.fuse_layers]


def _sum(row: Iterable[nn.Module | None], xs: Branches) -> Tensor:
    """Return the sum of what `row` makes of the branches, in their order."""
    total: Tensor | None = None
    for layer, x in zip(row, xs, strict=True):
        y = x if layer is None else layer(x)
        total = y if total is None else total + y
    assert total is not None
    return total


def transition(before: Sequence[int], now: Sequence[int], step: Step) -> nn.ModuleList:
    """Return what gives every branch its width and makes the new one from the smallest.

    None stands for a branch that has its width already.
    """
    layers: list[nn.Module | None] = []
    for i, width in enumerate(now):
        if i >= len(before):
            layers.append(nn.Sequential(step(before[-1], width, 2, relu=True)))
        else:
            same = before[i] == width
            layers.append(None if same else step(before[i], width, 1, relu=True))
    return nn.ModuleList(layers)


def widen(layers: nn.ModuleList, xs: Branches) -> Branches:
    """Run a `transition`."""
    made = []
    for i, layer in enumerate(layers):
        x = xs[min(i, len(xs) - 1)]
        made.append(x if layer is None else layer(x))
    return made
