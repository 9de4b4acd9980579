"""Losses: (outputs of a network, targets of its codec) -> a scalar.  Needs posewright[torch].

heatmap     mean squared error of heatmaps
regression  distances of coordinates
integral    integral regression
rle         residual log-likelihood
simcc       classification along the axes
oks         YOLO-Pose
yolox       YOLOX-Pose and RTMO
centre      DEKR and AdaptivePose
movenet     MoveNet
posefix     PoseFix
schedule    what changes as training goes on
counted     losses that divide by what they count in a batch
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
from posewright.losses.schedule import OKSLoss, ScheduledLoss
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
    "OKSLoss",
    "PoseFixLoss",
    "PoseurLoss",
    "RLELoss",
    "RTMOLoss",
    "ScheduledLoss",
    "SimCCCrossEntropy",
    "SimCCKL",
    "StackedMSE",
    "YoloPoseLoss",
    "YoloxPoseLoss",
    "loss_for",
]


# Codec's class -> what makes the loss of a codec and a skeleton.
_LOSSES: dict[type, Callable[[Any, Skeleton], nn.Module]] = {
    Heatmap: lambda codec, skeleton: HeatmapMSE(),
    Megvii: lambda codec, skeleton: HeatmapMSE(),
    CombinedUDP: lambda codec, skeleton: CombinedTargetMSE(),
    Integral: integral_loss,
    Combined: integral_loss,
    SimCC: lambda codec, skeleton: simcc_loss(codec),
    Regression: lambda codec, skeleton: regression_loss(codec),
    PoseFix: lambda codec, skeleton: PoseFixLoss(),
    MoveNet: lambda codec, skeleton: MoveNetLoss(skeleton),
    MoveNetMulti: lambda codec, skeleton: MoveNetLoss(skeleton),
    DEKR: lambda codec, skeleton: DEKRLoss(),
    AdaptivePose: lambda codec, skeleton: AdaptivePoseLoss(skeleton),
    YoloPose: lambda codec, skeleton: YoloPoseLoss(codec, skeleton.oks_sigmas),
    YoloxPose: lambda codec, skeleton: YoloxPoseLoss(codec, skeleton.oks_sigmas),
}


def loss_for(codec: Codec, skeleton: Skeleton) -> nn.Module | None:
    """Return the loss that networks of `codec` are trained with, None where none is known."""
    make = _LOSSES.get(type(codec))
    return None if make is None else make(codec, skeleton)
