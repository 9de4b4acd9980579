"""YOLOX-Pose of mmpose 1.x."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

MMPOSE_YOLOXPOSE = Foreign(
    "mmpose_yoloxpose",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("head.head_module.out_obj",),
    rules=((r"head\.loss_oks\.sigmas", None), (r"head\.head_module\.(.*)", r"head.\1")),
    variants={
        f"yoloxpose_{size}": partial(create, f"yoloxpose_{size}")
        for size in ("tiny", "s", "m", "l")
    },
)
