"""RLE from its authors; DeepPose, RLE and integral pose regression of mmpose 0.x and 1.x."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

RLE = Foreign(
    "rle",
    origin="https://github.com/Jeff-sjtu/res-loglikelihood-regression",
    licence="unknown: the repository states none",
    marks=("preact.layer4.", "fc_sigma.linear."),
    rules=(
        (r"preact\.(.*)", r"backbone.\1"),
        (r"(fc_coord|fc_sigma)\.linear\.(.*)", r"head.\1.\2"),
        (r"flow\.mask", None),
        (r"(flow\..*)", r"loss.\1"),
    ),
    variants={
        "res50_256x192": partial(create, "rle_r50"),
        "res50_256x192_train_loss": partial(create, "rle_r50"),
    },
)

MMPOSE_REGRESSION = Foreign(
    "mmpose_regression",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("*head.fc.|*head.simplebaseline_head.",),
    rules=(
        # loc and cov are those of the normal distribution
        (r"(?:keypoint_)?head\.loss(?:_module)?\.flow_model\.(?:loc|cov|mask)", None),
        (r"(?:keypoint_)?head\.loss(?:_module)?\.flow_model\.(.*)", r"loss.flow.\1"),
        (r"(?:keypoint_)?head\.simplebaseline_head\.(.*)", r"head.\1"),
        (r"(?:keypoint_)?head\.(.*)", r"head.\1"),
    ),
    variants={
        "deeppose_res50": partial(create, "deeppose_r50"),
        "deeppose_res101": partial(create, "deeppose_r101"),
        "deeppose_res152": partial(create, "deeppose_r152"),
        "rle_res50": partial(create, "rle_r50", codec="mmpose_rle"),
        "rle_res101": partial(create, "rle_r101", codec="mmpose_rle"),
        "rle_res152": partial(create, "rle_r152", codec="mmpose_rle"),
        "rle_mobilenetv2": partial(create, "rle_mobilenetv2"),
        "ipr_res50": partial(create, "ipr_r50"),
    },
)
