"""RTMPose of mmpose 1.x, whose module names ours are."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_SIZES = {"256x192": (192, 256), "384x288": (288, 384)}

MMPOSE_RTMPOSE = Foreign(
    "mmpose_rtmpose",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("backbone.stem.", "head.gau."),
    rules=(),
    variants={
        **{f"rtmpose_{size}": partial(create, f"rtmpose_{size}") for size in "tsmlx"},
        **{
            f"rtmpose_{size}_{skeleton}_{name}": partial(
                create, f"rtmpose_{size}", skeleton=skeleton, input_size=pixels
            )
            for size in "tsmlx"
            for skeleton in ("coco17", "halpe26", "coco133")
            for name, pixels in _SIZES.items()
        },
    },
)
