"""RTMO of mmpose 1.x."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_LAYER = r"neck\.encoder\.0\.layers\.0\."

MMPOSE_RTMO = Foreign(
    "mmpose_rtmo",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("neck.projector.",),
    rules=(
        (r"head\.loss_oks\.sigmas", None),
        (r"head\.dcc\.([xy]_bins|spe\.dim_t)", None),  # ours are computed
        (r"head\.dcc\.sigma_fc\.0\.(.*)", r"head.dcc.sigma_fc.\1"),
        (r"head\.dcc\.sigma_fc\.2\.scale", r"head.dcc.sigma_scale"),
        (r"head\.head_module\.(.*)", r"head.\1"),
        (r"neck\.projector\.convs\.(.*)", r"neck.projector.\1"),
        (_LAYER + r"self_attn\.attn\.in_proj_(.*)", r"neck.encoder.self_attn.in_proj.\1"),
        (_LAYER + r"self_attn\.attn\.(.*)", r"neck.encoder.self_attn.\1"),
        (_LAYER + r"ffn\.layers\.0\.0\.(.*)", r"neck.encoder.ffn.0.\1"),
        (_LAYER + r"ffn\.layers\.1\.(.*)", r"neck.encoder.ffn.2.\1"),
        (_LAYER + r"norms\.(.*)", r"neck.encoder.norms.\1"),
    ),
    variants={f"rtmo_{size}": partial(create, f"rtmo_{size}") for size in "tsml"},
)
