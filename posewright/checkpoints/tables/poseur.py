"""Poseur as published by its authors."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_DECODER = r"keypoint_head\.transformer\.decoder\.layers\.(\d+)\."

POSEUR = Foreign(
    "poseur",
    origin="https://github.com/aim-uofa/Poseur",
    licence="non-commercial; ask the authors for other use",
    marks=("keypoint_head.transformer.decoder.",),
    rules=(
        (r"neck\.convs\.(\d)\.conv\.(.*)", r"neck.convs.\1.0.\2"),
        (r"neck\.convs\.(\d)\.gn\.(.*)", r"neck.convs.\1.1.\2"),
        (_DECODER + r"attentions\.0\.attn\.(.*)", r"head.layers.\1.self_attention.\2"),
        (
            _DECODER + r"attentions\.1\.(value_proj_\w+)\.weight",
            r"head.layers.\1.cross_attention.\2",
        ),
        (_DECODER + r"attentions\.1\.(.*)", r"head.layers.\1.cross_attention.\2"),
        (_DECODER + r"ffns\.0\.layers\.0\.0\.(.*)", r"head.layers.\1.ffn.0.\2"),
        (_DECODER + r"ffns\.0\.layers\.1\.(.*)", r"head.layers.\1.ffn.2.\2"),
        (_DECODER + r"(.*)", r"head.layers.\1.\2"),
        (r"keypoint_head\.transformer\.(fc_\w+)\.linear\.(.*)", r"head.encoder.\1.\2"),
        (r"keypoint_head\.transformer\.(.*)", r"head.\1"),
        (r"keypoint_head\.(?:enc|dec)_flow\.mask", None),
        (r"keypoint_head\.((?:enc|dec)_flow\..*)", r"loss.\1"),
        (r"keypoint_head\.(fc_sigma_branches\.\d+\.2)\.linear\.(.*)", r"head.\1.\2"),
        (r"keypoint_head\.(.*)", r"head.\1"),
    ),
    variants={
        "poseur_mobilenetv2_coco_256x192": partial(create, "poseur_mobilenetv2"),
        "poseur_res50_coco_256x192": partial(create, "poseur_r50"),
        "poseur_hrnet_w32_coco_256x192": partial(create, "poseur_hrnet_w32"),
        "poseur_hrnet_w48_coco_384x288": partial(create, "poseur_hrnet_w48"),
    },
)
