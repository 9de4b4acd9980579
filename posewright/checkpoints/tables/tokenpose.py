"""TokenPose as published by its authors."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign
from posewright.models import create

_BLOCK = r"(?:features|transformer)\.{}\.layers\.(\d+)\.{}\.(.*)"
_PARTS = {
    r"0\.fn\.norm": "norm1",
    r"0\.fn\.fn\.to_qkv": "qkv",
    r"0\.fn\.fn\.to_out\.0": "proj",
    r"1\.fn\.norm": "norm2",
    r"1\.fn\.fn\.net\.0": "fc1",
    r"1\.fn\.fn\.net\.3": "fc2",
}
# a network of one stage calls it "transformer", one of three stages counts from 1
_STAGES = {"transformer": 0, "transformer1": 0, "transformer2": 1, "transformer3": 2}

TOKENPOSE = Foreign(
    "tokenpose",
    origin="https://github.com/leeyegy/TokenPose",
    licence="none stated",
    marks=("features.keypoint_token|transformer.keypoint_token",),
    rules=(
        *(
            (_BLOCK.format(stage, theirs), rf"head.stages.{i}.\1.{ours}.\2")
            for stage, i in _STAGES.items()
            for theirs, ours in _PARTS.items()
        ),
        (r"pre_feature\.(.*)", r"backbone.\1"),
        (r"features\.((?:conv[12]|bn[12]|layer1)\..*)", r"backbone.\1"),
        (r"(?:features|transformer)\.(.*)", r"head.\1"),
    ),
    variants={
        "coco/tokenpose/tokenpose_t_256_192_patch1612_dim192_depth12_heads16": partial(
            create, "tokenpose_t"
        ),
        "coco/tokenpose/tokenpose_s_v1_256_192_patch43_dim192_depth12_heads8": partial(
            create, "tokenpose_s_v1"
        ),
        "coco/tokenpose/tokenpose_s_v2_256_192_patch22_dim192_depth12_heads8": partial(
            create, "tokenpose_s_v2"
        ),
        "coco/tokenpose/tokenpose_b_256_192_patch43_dim192_depth12_heads8": partial(
            create, "tokenpose_b"
        ),
        "coco/tokenpose/tokenpose_L_D24_256_192_patch43_dim192_depth24_heads12": partial(
            create, "tokenpose_l_d24"
        ),
        "coco/tokenpose/tokenpose_L_D24_384_288_patch64_dim192_depth24_heads12": partial(
            create, "tokenpose_l_d24", input_size=(288, 384), patch=(4, 6)
        ),
        "mpii/tokenpose/tokenpose_l_D6_256x256_patch44_dim192_depth6": partial(
            create, "tokenpose_l_d6", input_size=(256, 256), patch=(4, 4), skeleton="mpii16"
        ),
    },
)
