"""AdaptivePose as published by its authors."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

ADAPTIVEPOSE = Foreign(
    "adaptivepose",
    origin="https://github.com/buptxyb666/AdaptivePose",
    licence="MIT",
    marks=("sampler.searcher.",),
    rules=(
        (r"(?:module\.)?((?:hm|hps|sampler)\..*)", r"head.\1"),
        (r"(?:module\.)?(.*)", r"backbone.\1"),
    ),
    variants={
        **{
            f"{net}{suffix}": partial(create, ours, skeleton=skeleton)
            for net, ours in (
                ("hrnet_32", "adaptivepose_hrnet_w32"),
                ("hrnet_48", "adaptivepose_hrnet_w48"),
                ("dla_34", "adaptivepose_dla34"),
            )
            for suffix, skeleton in (("", "coco17"), ("_crowdpose", "crowdpose14"))
        },
    },
)
