"""Lite-HRNet from its authors, and of mmpose 0.x and 1.x: the same names but for the head's."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_RULES = ((r"keypoint_head\.(.*)", r"head.\1"),)
_SIZES = {"256x192": (192, 256), "384x288": (288, 384)}

LITE_HRNET = Foreign(
    "lite_hrnet",
    origin="https://github.com/HRNet/Lite-HRNet",
    licence="Apache-2.0",
    marks=("backbone.stage0.", "keypoint_head.final_layer."),
    rules=_RULES,
    variants={
        **{
            f"litehrnet_{depth}_coco_{size}": partial(
                create, f"lite_hrnet_{depth}", input_size=pixels
            )
            for depth in (18, 30)
            for size, pixels in _SIZES.items()
        },
        **{
            f"litehrnet_{depth}_mpii_256x256": partial(
                create, f"lite_hrnet_{depth}", input_size=(256, 256), skeleton="mpii16"
            )
            for depth in (18, 30)
        },
        "naive_litehrnet_18_coco_256x192": partial(create, "naive_lite_hrnet_18"),
        "wider_naive_litehrnet_18_coco_256x192": partial(create, "naive_lite_hrnet_18", wide=True),
    },
)

MMPOSE_LITEHRNET = Foreign(
    "mmpose_litehrnet",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("backbone.stage0.", "head.final_layer.|keypoint_head.final_layer."),
    rules=_RULES,
    variants={f"litehrnet{depth}": partial(create, f"lite_hrnet_{depth}") for depth in (18, 30)},
)
