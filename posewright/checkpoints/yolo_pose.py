"""YOLO-Pose by its authors."""

from __future__ import annotations

from functools import partial

import torch

from posewright.checkpoints.base import Foreign, State
from posewright.codecs import YoloPose
from posewright.errors import ModelError
from posewright.models import create

_CHANNELS = {3: "slice", 12: "conv"}  # of the input of each convolution of the first layer


def _checked(state: State) -> State:
    """Return `state` with the names of the first layer that both kinds of networks share.

    ModelError: other anchors than the published ones, which no tensor of ours can hold.
    """
    for key, value in state.items():
        if key.endswith(".anchor_grid") and value.any():
            ours = torch.tensor(YoloPose().anchors).view_as(value)
            if not torch.allclose(value.float(), ours, rtol=0.01):
                found = [round(float(x), 1) for x in value.flatten()]
                raise ModelError(
                    f"this checkpoint has anchors of its own, {found}; only those of YoloPose() "
                    "can be loaded"
                )
    prefix = "model.0."
    layers = {
        key.removeprefix(prefix).removesuffix("conv.weight"): _CHANNELS.get(value.shape[1], "conv")
        for key, value in state.items()
        if key.startswith(prefix) and value.ndim == 4
    }
    return {_renamed(key, prefix, layers): value for key, value in state.items()}


def _renamed(key: str, prefix: str, layers: dict[str, str]) -> str:
    for theirs, ours in layers.items():
        if key.startswith(prefix + theirs):
            return f"{prefix}{ours}.{key.removeprefix(prefix + theirs)}"
    return key


YOLO_POSE = Foreign(
    "yolo_pose",
    origin="https://github.com/TexasInstruments/edgeai-yolov5",
    licence="GPL-3.0",
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
    prepare=_checked,
)
