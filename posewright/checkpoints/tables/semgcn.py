"""Networks that lift 2D poses to 3D over the graph of the joints: SemGCN and GraFormer."""

from __future__ import annotations

from functools import partial

from torch import nn

from posewright.checkpoints.base import Foreign
from posewright.models.parts.graformer import GraFormer
from posewright.models.parts.semgcn import (
    HUMAN36M,
    HUMAN36M_GROUPS,
    SemGCN,
    SemGraphConv,
    adjacency,
)


def _semgcn(*, groups: bool = False) -> nn.Module:
    return SemGCN(adjacency(HUMAN36M, 16), groups=HUMAN36M_GROUPS if groups else ())


def _layer() -> nn.Module:
    return SemGraphConv(2, 128, adjacency(HUMAN36M, 16), channel_wise=True)


SEMGCN = Foreign(
    "semgcn",
    origin="https://github.com/garyzhao/SemGCN",
    licence="Apache-2.0",
    marks=("gconv_input.*.gconv.",),
    rules=((r"(.*)\.nonlocal_?\.(.*)", r"\1.\2"),),
    variants={
        "semgcn_h128_l4": _semgcn,
        "semgcn_h128_l4_nonlocal": partial(_semgcn, groups=True),
        "semchgcn": _layer,
    },
)

GRAFORMER = Foreign(
    "graformer",
    origin="https://github.com/Graformer/GraFormer",
    licence="Apache-2.0",
    marks=("atten_layers.",),
    rules=(
        (r"atten_layers\.(\d+)\.(.*)", r"layers.\1.attention.\2"),
        (r"gconv_layers\.(\d+)\.(.*)", r"layers.\1.convolution.\2"),
    ),
    variants={"h128_l4": GraFormer},
)
