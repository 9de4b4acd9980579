"""YOLOX of its authors, and YOLOX-Pose of mmpose 1.x."""

from __future__ import annotations

import re
from functools import partial

from posewright.checkpoints.base import Foreign, State
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

_CSP = r"(backbone\.backbone\.dark(?:[2-4]\.1|5\.2)|backbone\.C3_..)\."
_LAYERS = (
    (r"\.dconv\.", ".depthwise_conv."),
    (r"\.pconv\.", ".pointwise_conv."),
    (_CSP + r"conv1\.", r"\1.main_conv."),
    (_CSP + r"conv2\.", r"\1.short_conv."),
    (_CSP + r"conv3\.", r"\1.final_conv."),
    (_CSP + r"m\.", r"\1.blocks."),
    *((rf"backbone\.backbone\.dark{i + 1}\.", f"backbone.stage{i}.") for i in range(1, 5)),
)


def _prepared(state: State) -> State:
    """Return `state` with the names of our layers within their blocks."""
    found = {}
    for key, value in state.items():
        for pattern, name in _LAYERS:
            key = re.sub(pattern, name, key)
        found[key] = value
    return found


# The files of storage, release 0.0.1, have the same names and shapes and take other pixels (RGB,
# ImageNet's mean and deviation); nothing in a file tells.  Those of release 0.1.1rc0 are newer.
YOLOX = Foreign(
    "yolox",
    origin="https://github.com/Megvii-BaseDetection/YOLOX",
    licence="Apache-2.0",
    marks=("backbone.backbone.stem.", "head.stems."),
    rules=(
        (r"backbone\.backbone\.stem\.(.*)", r"backbone.stem.\1"),
        (r"backbone\.lateral_conv0\.(.*)", r"neck.reduce_layers.0.\1"),
        (r"backbone\.reduce_conv1\.(.*)", r"neck.reduce_layers.1.\1"),
        (r"backbone\.C3_p4\.(.*)", r"neck.top_down_blocks.0.\1"),
        (r"backbone\.C3_p3\.(.*)", r"neck.top_down_blocks.1.\1"),
        (r"backbone\.bu_conv2\.(.*)", r"neck.downsamples.0.\1"),
        (r"backbone\.bu_conv1\.(.*)", r"neck.downsamples.1.\1"),
        (r"backbone\.C3_n3\.(.*)", r"neck.bottom_up_blocks.0.\1"),
        (r"backbone\.C3_n4\.(.*)", r"neck.bottom_up_blocks.1.\1"),
        (r"head\.stems\.(.*)", r"neck.out_convs.\1"),
        (r"head\.(cls|reg)_convs\.(.*)", r"head.conv_\1.\2"),
        (r"head\.(cls|obj)_preds\.(.*)", r"head.out_\1.\2"),
        (r"head\.reg_preds\.(.*)", r"head.out_bbox.\1"),
    ),
    variants={size: partial(create, f"yolox_{size}") for size in ("nano", "tiny", *"smlx")},
    prepare=_prepared,
)
