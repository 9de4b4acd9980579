"""RLE by its authors."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

RLE = Foreign(
    "rle",
    origin="https://github.com/Jeff-sjtu/res-loglikelihood-regression",
    licence="unknown: the repository states none",
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
