"""Simple Baselines from its authors, and ResNet with deconvolutions of mmpose 0.x and 1.x."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_SIZES = {"256x192": (192, 256), "384x288": (288, 384)}

SIMPLE_BASELINES = Foreign(
    "simple_baselines",
    origin="https://github.com/microsoft/human-pose-estimation.pytorch",
    licence="MIT",
    marks=("layer4.", "deconv_layers.1.running_mean", "final_layer."),
    rules=((r"((deconv_layers|final_layer)\..*)", r"head.\1"), (r"(.*)", r"backbone.\1")),
    variants={
        **{
            f"r{depth}_{size}": partial(create, f"simple_baseline_r{depth}", input_size=pixels)
            for depth in (50, 101, 152)
            for size, pixels in _SIZES.items()
        },
        **{
            f"mpii_r{depth}_{size}": partial(
                create, f"simple_baseline_r{depth}", input_size=pixels, skeleton="mpii16"
            )
            for depth in (50, 101, 152)
            for size, pixels in {"256x256": (256, 256), "384x384": (384, 384)}.items()
        },
    },
)

MMPOSE_RESNET = Foreign(
    "mmpose_resnet",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("backbone.layer4.", "head.deconv_layers.|keypoint_head.deconv_layers."),
    rules=((r"keypoint_head\.(.*)", r"head.\1"),),
    variants={
        f"res{depth}": partial(create, f"simple_baseline_r{depth}") for depth in (50, 101, 152)
    },
)
