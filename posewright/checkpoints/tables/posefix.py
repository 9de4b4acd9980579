"""PoseFix in PyTorch, by the names of its port."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_SIZES = {"256x192": (192, 256), "384x288": (288, 384)}

POSEFIX = Foreign(
    "posefix",
    origin="https://github.com/heimish-kyma/Pytorch-PoseFix",
    licence="none stated",
    marks=("layer4.", "deconv_layers.2.weight", "final_layer."),
    rules=((r"((?:deconv_layers|final_layer)\..*)", r"head.\1"), (r"(.*)", r"backbone.\1")),
    variants={
        f"r{depth}_{size}": partial(create, f"posefix_r{depth}", input_size=pixels)
        for depth in (50, 152)
        for size, pixels in _SIZES.items()
    },
)
