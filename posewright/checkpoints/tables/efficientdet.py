"""EfficientDet of rwightman/efficientdet-pytorch, as ported from its authors' TensorFlow."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

EFFDET = Foreign(
    "effdet",
    origin="https://github.com/rwightman/efficientdet-pytorch",
    licence="Apache-2.0",
    marks=("class_net.", "box_net."),
    rules=(
        (r"fpn\.(.*)", r"neck.\1"),
        (r"((?:class|box)_net\..*)", r"head.\1"),
    ),
    variants={"tf_efficientdet_d0": partial(create, "efficientdet_d0")},
)
