"""YOLO-Pose as published by its authors."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from posewright.checkpoints.base import Foreign, State
from posewright.codecs import YoloPose
from posewright.errors import ModelError
from posewright.models import create

_FIRST = "model.0."
_CONVOLUTIONS = {3: "slice", 12: "conv"}  # ours in the first layer, by their input's channels


def _prepared(state: State) -> State:
    """Return `state` with our names in the first layer, of which there are two kinds.

    ModelError: other anchors than the published ones, which no tensor of ours can hold.
    """
    for key, value in state.items():
        if key.endswith(".anchor_grid"):
            _check_anchors(value)
    names = {
        key.removesuffix("conv.weight"): f"{_FIRST}{_CONVOLUTIONS.get(value.shape[1], 'conv')}."
        for key, value in state.items()
        if key.startswith(_FIRST) and value.ndim == 4
    }
    return {_renamed(key, names): value for key, value in state.items()}


def _check_anchors(found: Tensor) -> None:
    if found.is_meta:  # shapes alone are compared so far
        return
    ours = torch.tensor(YoloPose().anchors, dtype=torch.float32)
    theirs = found.float().flatten()
    if not theirs.any():  # not stored
        return
    if len(theirs) != len(ours) or not torch.allclose(theirs, ours, rtol=0.01):
        numbers = ", ".join(f"{x:.0f}" for x in theirs.tolist())
        raise ModelError(
            f"this checkpoint has custom anchors, {numbers}; only checkpoints with the anchors of "
            f"YoloPose() can be loaded"
        )


def _renamed(key: str, names: dict[str, str]) -> str:
    for theirs, ours in names.items():
        if key.startswith(theirs):
            return ours + key.removeprefix(theirs)
    return key


YOLO_POSE = Foreign(
    "yolo_pose",
    origin="https://github.com/TexasInstruments/edgeai-yolov5",
    licence="GPL-3.0",
    marks=("model.*.m_kpt.",),
    rules=(
        (r"model\.33\.(anchors|anchor_grid)", None),
        (r"model\.33\.(.*)", r"head.\1"),
        (r"(model\.(1[2-9]|2\d|3[0-2])\..*)", r"neck.\1"),
        (r"(.*)", r"backbone.\1"),
    ),
    # the configurations of m6 and l6 lack the layers that the published m6 and l6 have
    variants={
        "yolov5s6_kpts": partial(create, "yolo_pose_s6"),
        "yolov5m6_kpts": partial(create, "yolo_pose_m6", depthwise=False),
        "yolov5l6_kpts": partial(create, "yolo_pose_l6", depthwise=False),
        **{
            f"yolov5{size}6_kpts_ti_lite": partial(create, f"yolo_pose_{size}6_ti_lite")
            for size in ("s", "m", "l")
        },
        **{
            f"yolov5{size}6_kpts_head_6x_dwconv_3x3": partial(create, f"yolo_pose_{size}6")
            for size in ("s", "m", "l")
        },
    },
    prepare=_prepared,
)
