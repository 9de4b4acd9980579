"""Losses: (outputs of a network, targets of its codec) -> a scalar.  Needs posewright[torch]."""

from __future__ import annotations

from torch import nn

from posewright.codecs import (
    DEKR,
    AdaptivePose,
    Codec,
    Combined,
    CombinedUDP,
    Heatmap,
    Integral,
    Megvii,
    MoveNet,
    MoveNetMulti,
    PoseFix,
    Regression,
    SimCC,
    YoloPose,
    YoloxPose,
)
from posewright.losses.centre import AdaptivePoseLoss, DEKRLoss
from posewright.losses.heatmap import CombinedTargetMSE, HeatmapMSE, StackedMSE
from posewright.losses.integral import CombinedLoss, IntegralL1, integral_loss
from posewright.losses.movenet import MoveNetLoss
from posewright.losses.oks import YoloPoseLoss
from posewright.losses.posefix import PoseFixLoss
from posewright.losses.regression import CoordinateL1, regression_loss
from posewright.losses.rle import PoseurLoss, RLELoss
from posewright.losses.simcc import SimCCCrossEntropy, SimCCKL, simcc_loss
from posewright.losses.yolox import RTMOLoss, YoloxPoseLoss
from posewright.skeletons import Skeleton

__all__ = [
    "AdaptivePoseLoss",
    "CombinedLoss",
    "CombinedTargetMSE",
    "CoordinateL1",
    "DEKRLoss",
    "HeatmapMSE",
    "IntegralL1",
    "MoveNetLoss",
    "PoseFixLoss",
    "PoseurLoss",
    "RLELoss",
    "RTMOLoss",
    "SimCCCrossEntropy",
    "SimCCKL",
    "StackedMSE",
    "YoloPoseLoss",
    "YoloxPoseLoss",
    "loss_for",
]


def loss_for(codec: Codec, skeleton: Skeleton) -> nn.Module | None:
    """Return the loss that networks of `codec` are trained with, None where none is known."""
    if isinstance(codec, (Integral, Combined)):
        return integral_loss(codec, skeleton)
    if isinstance(codec, SimCC):
        return simcc_loss(codec)
    if isinstance(codec, DEKR):
        return DEKRLoss()
    if isinstance(codec, AdaptivePose):
        return AdaptivePoseLoss(skeleton)
    if isinstance(codec, Regression):
        return regression_loss(codec)
    if isinstance(codec, PoseFix):
        return PoseFixLoss()
    if isinstance(codec, (MoveNet, MoveNetMulti)):
        return MoveNetLoss(skeleton)
    if isinstance(codec, YoloPose):
        return YoloPoseLoss(codec, skeleton.oks_sigmas)
    if isinstance(codec, YoloxPose):
        return YoloxPoseLoss(codec, skeleton.oks_sigmas)
    if isinstance(codec, CombinedUDP):
        return CombinedTargetMSE()
    return HeatmapMSE() if isinstance(codec, (Heatmap, Megvii)) else None
