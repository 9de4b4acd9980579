"""MoveNet: lee-man's and fire717's ports, and Google's own files."""

from __future__ import annotations

import re
from functools import partial

import torch

from posewright.checkpoints.base import Foreign, State
from posewright.models import create
from posewright.skeletons import Skeleton

# the seven joints of fire717's other network
UPPER_BODY7 = Skeleton(
    "upper_body7",
    ("left_wrist", "left_elbow", "left_shoulder", "nose", "right_shoulder", "right_elbow",
     "right_wrist"),
    ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (2, 4)),
)  # fmt: skip

LEEMAN = Foreign(
    "movenet_leeman",
    origin="https://github.com/lee-man/movenet-pytorch",
    licence="MIT; weights by Google, Apache-2.0",
    rules=(
        (r"backbone\.body\.(0|18)\.[01]\.(.*)", r"backbone.body.\1.\2"),
        (r"backbone\.body\.1\.conv\.0\.0\.(.*)", r"backbone.body.1.depthwise.\1"),
        (r"backbone\.body\.1\.conv\.1\.(.*)", r"backbone.body.1.project.\1"),
        (r"backbone\.body\.(\d+)\.conv\.0\.0\.(.*)", r"backbone.body.\1.expand.\2"),
        (r"backbone\.body\.(\d+)\.conv\.1\.[01]\.(.*)", r"backbone.body.\1.depthwise.\2"),
        (r"backbone\.body\.(\d+)\.conv\.2\.(.*)", r"backbone.body.\1.project.\2"),
        (r"backbone\.fpn\.layer_blocks\.(\d)\.conv\.(.*)", r"backbone.layer_blocks.\1.\2"),
        (r"backbone\.fpn\.(.*)", r"backbone.\1"),
        (r"hm\.(.*)", r"head.branches.centre.\1"),
        (r"hm_hp\.(.*)", r"head.branches.heatmap.\1"),
        (r"hps\.(.*)", r"head.branches.regression.\1"),
        (r"hp_offset\.(.*)", r"head.branches.offset.\1"),
    ),
    variants={name: partial(create, name) for name in ("movenet_lightning", "movenet_thunder")},
)


def _y_before_x(state: State) -> State:
    """Exchange each pair of channels of the maps that hold x before y."""
    for head in ("header_regs", "header_offsets"):
        for key in (f"header.{head}.1.weight", f"header.{head}.1.bias"):
            if key in state:
                state[key] = state[key].unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    return state


FIRE717 = Foreign(
    "movenet_fire717",
    origin="https://github.com/fire717/movenet.pytorch",
    licence="MIT",
    rules=(
        (r"header\.header_centers\.(.*)", r"head.branches.centre.\1"),
        (r"header\.header_heatmaps\.(.*)", r"head.branches.heatmap.\1"),
        (r"header\.header_regs\.(.*)", r"head.branches.regression.\1"),
        (r"header\.header_offsets\.(.*)", r"head.branches.offset.\1"),
    ),
    variants={
        "movenet_mobilenetv2_17kpt": partial(create, "movenet_fire717"),
        "movenet_mobilenetv2_7kpt": partial(create, "movenet_fire717", skeleton=UPPER_BODY7),
    },
    prepare=_y_before_x,
)
