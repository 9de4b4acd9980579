"""HRNet, DARK and UDP as published by their authors, and HRNet of mmpose 0.x and 1.x."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_SIZES = {"128x96": (96, 128), "256x192": (192, 256), "384x288": (288, 384)}

HRNET = Foreign(
    "hrnet",
    origin="https://github.com/HRNet/HRNet-Human-Pose-Estimation",
    licence="MIT",
    marks=("stage2.0.branches.|hg.0.", "final_layer.|score."),
    rules=(
        (r"(final_layer\..*)", r"head.\1"),
        (r"(.*)", r"backbone.\1"),
    ),
    variants={
        **{
            f"w{width}_{size}": partial(create, f"hrnet_w{width}", input_size=pixels)
            for width in (32, 48)
            for size, pixels in _SIZES.items()
        },
        **{
            f"dark_w{width}_{size}": partial(
                create, f"hrnet_w{width}", input_size=pixels, codec="dark"
            )
            for width in (32, 48)
            for size, pixels in _SIZES.items()
        },
        **{
            f"dark_hourglass{stacks}_{size}": partial(
                create, network, input_size=pixels, skeleton="coco17", codec="dark"
            )
            for stacks, network in (("", "hourglass_4"), ("_8", "hourglass_8"))
            for size, pixels in _SIZES.items()
        },
        **{
            f"mpii_w{width}_256x256": partial(
                create, f"hrnet_w{width}", input_size=(256, 256), skeleton="mpii16"
            )
            for width in (32, 48)
        },
    },
)

MMPOSE_HRNET = Foreign(
    "mmpose_hrnet",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("backbone.stage2.0.branches.", "head.final_layer.|keypoint_head.final_layer."),
    rules=((r"keypoint_head\.(.*)", r"head.\1"),),
    variants={
        "hrnet_w32": partial(create, "hrnet_w32"),
        "hrnet_w48": partial(create, "hrnet_w48"),
        **{
            f"udp_reg_hrnet_w{width}": partial(create, f"hrnet_w{width}", codec="udp_combined")
            for width in (32, 48)
        },
    },
)

HRNET_LITE = Foreign(
    "hrnet_lite",
    origin="none: its code is unpublished",
    licence="none",
    marks=("stage2.0.branches.", "!stage4.0.branches.3.", "final_layer."),
    rules=HRNET.rules,
    variants={
        "no_stage4": partial(create, "hrnet_w32_lite"),
        "no_branch4": partial(create, "hrnet_w32_lite", fourth_stage=True),
    },
)
