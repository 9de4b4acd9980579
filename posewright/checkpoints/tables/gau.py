"""GAU-PyTorch's layer, whose names are ours."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models.parts.gau import ATTENTION, GAULayer

GAU = Foreign(
    "gau",
    origin="https://github.com/HJHGJGHHG/GAU-PyTorch",
    licence="none stated",
    marks=("i_dense.|gau.i_dense.",),
    rules=(),
    variants={name: partial(GAULayer, 256, 512, 128, name) for name in ATTENTION},
)
