"""Losses of integral regression: of IPR and of AlphaPose."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from posewright.codecs.integral import Combined, Integral, Normalise, expectation, normalised
from posewright.errors import UsageError
from posewright.losses.heatmap import HeatmapMSE
from posewright.skeletons import Skeleton

__all__ = ["CombinedLoss", "IntegralL1", "SymmetricMean", "integral_loss"]

Tensors = Mapping[str, Tensor]
AMPLITUDE = 2.0
_BODY = {"halpe136": 26, "coco133": 23}  # joints of body and feet, before those of face and hands


class SymmetricMean(torch.autograd.Function):
    """The mean position under (..., n) weights, with the gradient of arXiv:2211.03375.

    The true gradient of cell i is i, which pulls harder at the cells of one side of the map than at
    those of the other.  This one is -2 for the cells before the mean and 2 from there on; a mean
    beyond the last cell, which weights of sum 1 cannot have, moves all cells by 2.
    """

    @staticmethod
    def forward(ctx: Any, weights: Tensor) -> Tensor:
        """(..., n) of sum 1 -> (...) in cells."""
        cells = torch.arange(weights.shape[-1], dtype=weights.dtype, device=weights.device)
        mean = weights @ cells
        ctx.save_for_backward(cells, mean)
        return mean

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        """(...) -> (..., n)."""
        cells, mean = ctx.saved_tensors
        mean = mean[..., None]
        before = (cells < mean) & (mean <= len(cells))
        sign = torch.where(before, -AMPLITUDE, AMPLITUDE).to(mean.dtype)
        return sign * gradients[0][..., None]


class IntegralL1(nn.Module):
    """Sum of |coordinate - target| over joints and axes, mean over views (arXiv:1711.08229).

    outputs: heatmap (B, K, h, w).  targets: points (B, K, 2), weight (B, K), as `Integral` encodes
    them.  symmetric: AlphaPose's gradient (`SymmetricMean`).  body: how many joints, the first
    ones, count twice.
    """

    def __init__(
        self, normalise: Normalise = "softmax", *, symmetric: bool = False, body: int = 0
    ) -> None:
        super().__init__()
        self.normalise = normalise
        self.symmetric = symmetric
        self.body = body

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        weights: Tensor = normalised(outputs["heatmap"], self.normalise)[0]
        h, w = weights.shape[2:]
        size = torch.tensor([w, h], dtype=weights.dtype, device=weights.device)
        points = self._means(weights) / size - 0.5  # (B, K, 2)
        joints = targets["weight"].clone()
        joints[:, : self.body] *= 2
        distance = (points - targets["points"]).abs() * joints[..., None]
        return distance.sum() / len(points)

    def _means(self, weights: Tensor) -> Tensor:
        """(B, K, h, w) -> (B, K, 2) cells."""
        if not self.symmetric:
            means: Tensor = expectation(weights)
            return means
        axes = weights.sum(2), weights.sum(3)  # (B, K, w), (B, K, h)
        return torch.stack([SymmetricMean.apply(a) for a in axes], 2)


class CombinedLoss(nn.Module):
    """100 times the mean square of body maps and 0.01 times L1 of the rest (arXiv:2211.03375).

    outputs: heatmap (B, K, h, w).  targets: heatmap (B, K - I, h, w), points (B, I, 2), weight
    (B, K), as `Combined` encodes them.
    """

    def __init__(self, integrals: int = 110, normalise: Normalise = "sigmoid") -> None:
        super().__init__()
        self.integrals = integrals
        self.maps = HeatmapMSE()
        self.points = IntegralL1(normalise, symmetric=True)

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        maps, weight, n = outputs["heatmap"], targets["weight"], self.integrals
        body = self.maps(
            {"heatmap": maps[:, :-n]}, {"heatmap": targets["heatmap"], "weight": weight[:, :-n]}
        )
        rest = self.points(
            {"heatmap": maps[:, -n:]}, {"points": targets["points"], "weight": weight[:, -n:]}
        )
        loss: Tensor = 100 * 2 * body + 0.01 * rest  # `body` is half of the mean square
        return loss


def integral_loss(codec: Integral | Combined, skeleton: Skeleton) -> nn.Module:
    """Return IPR's loss for maps under softmax, and AlphaPose's for all others."""
    if isinstance(codec, Combined):
        if len(skeleton) <= codec.integrals:
            raise UsageError(
                f"{skeleton.name} has {len(skeleton)} joints, of which {codec.integrals} cannot be "
                "integrals; set Combined(integrals=...), or use codec='alphapose_integral'"
            )
        return CombinedLoss(codec.integrals, codec.normalise)
    if codec.normalise == "softmax":
        return IntegralL1()
    return IntegralL1(codec.normalise, symmetric=True, body=_BODY.get(skeleton.name, 0))
