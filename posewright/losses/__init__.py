"""Losses: (outputs of a network, targets of its codec) -> a scalar.  Needs posewright[torch]."""

from __future__ import annotations

from torch import nn

from posewright.codecs import Codec, Combined, Heatmap, Integral
from posewright.losses.heatmap import HeatmapMSE
from posewright.losses.integral import CombinedLoss, IntegralL1, integral_loss
from posewright.skeletons import Skeleton

__all__ = ["CombinedLoss", "HeatmapMSE", "IntegralL1", "loss_for"]


def loss_for(codec: Codec, skeleton: Skeleton) -> nn.Module | None:
    """Return the loss that networks of `codec` are trained with, None where none is known."""
    if isinstance(codec, (Integral, Combined)):
        return integral_loss(codec, skeleton)
    return HeatmapMSE() if isinstance(codec, Heatmap) else None
