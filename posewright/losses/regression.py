"""Losses of coordinates."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.nn import functional

from posewright.codecs.regression import Regression
from posewright.losses.rle import RLELoss

__all__ = ["CoordinateL1", "regression_loss"]

Tensors = Mapping[str, Tensor]


class CoordinateL1(nn.Module):
    """Mean distance along the axes, joints without weight counted as zeros.

    outputs: coordinates (B, K, 2).  targets: coordinates likewise, weight (B, K).  beta: below it
    the distance is squared (smooth L1, as mmpose trains DeepPose), at 0 it never is (L1).
    """

    def __init__(self, beta: float = 1.0) -> None:
        super().__init__()
        self.beta = beta

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        weight = targets["weight"][..., None]  # (B, K, 1)
        return functional.smooth_l1_loss(
            outputs["coordinates"] * weight, targets["coordinates"] * weight, beta=self.beta
        )


def regression_loss(codec: Regression) -> nn.Module:
    """Return RLE's loss where the network emits sigma, otherwise smooth L1."""
    if not codec.sigma:
        return CoordinateL1()
    return RLELoss("official" if codec.centred else "laplace")
