"""Losses: (outputs of a network, targets of its codec) -> a scalar.  Needs posewright[torch]."""

from __future__ import annotations

from torch import nn

from posewright.codecs import Codec, Heatmap
from posewright.losses.heatmap import HeatmapMSE
from posewright.skeletons import Skeleton

__all__ = ["HeatmapMSE", "loss_for"]


def loss_for(codec: Codec, skeleton: Skeleton) -> nn.Module | None:
    """Return the loss that networks of `codec` are trained with, None where none is known."""
    return HeatmapMSE() if isinstance(codec, Heatmap) else None
