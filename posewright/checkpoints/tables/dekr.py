"""DEKR as published by its authors, and DEKR of mmpose 0.x and 1.x."""

from __future__ import annotations

import re
from functools import partial

import torch
from torch import Tensor

from posewright.checkpoints.base import Foreign, State
from posewright.models import create
from posewright.models.dekr import RescoreNet
from posewright.skeletons import COCO17, CROWDPOSE14

_BY_JOINT = re.compile(r"(?P<start>(.*\.)?offset_(feature_layers|final_layer))\.(?P<joint>\d+)\.")


def _authors(state: State) -> State:
    """Make the modules of the joints the groups of one."""
    # concatenate what the joints have one by one; grids are stacked
    whole: dict[str, list[Tensor]] = {}
    for key, value in state.items():  # joints come in order
        match = _BY_JOINT.match(key)
        new = key if match is None else f"{match['start']}.{key[match.end() :]}"
        whole.setdefault(new, []).append(value)
    return _affine({key: _join(key, values) for key, values in whole.items()})


def _join(key: str, values: list[Tensor]) -> Tensor:
    if len(values) == 1 or values[0].ndim == 0:  # batch norm's counter
        return values[0]
    return torch.stack(values) if key.endswith("regular_matrix") else torch.cat(values)


def _affine(state: State) -> State:
    """Put the translations beside the 2 x 2 matrices, and a row of ones below the grids.

    The original subtracts the grid from its image, which subtracts the identity from the matrix.
    """
    made: State = {}
    for key, value in state.items():
        if key.endswith("regular_matrix"):  # (K, 2, 9) -> (K, 3, 9)
            made[key] = torch.cat([value, torch.ones_like(value[:, :1])], 1)
        elif ".transform_matrix_conv." in key:
            move = state[key.replace("transform_matrix_conv", "translation_conv")]
            rest = value.shape[1:]
            parts = [value.view(-1, 2, 2, *rest), move.view(-1, 2, 1, *rest)]
            affine = torch.cat(parts, 2)  # (K, 2, 3, ...)
            if key.endswith("bias"):
                affine = affine - torch.eye(2, 3, device=affine.device)
            made[key] = affine.reshape(-1, *rest)
        elif ".translation_conv." not in key:
            made[key] = value
    return made


def _mmpose(state: State) -> State:
    """Give every joint its copy of the grid that they share, and make 1.x of 0.x.

    0.x has offsets of the opposite sign, and the centres' map first instead of last.
    """
    old = any("offset_conv_layers." in key for key in state)
    made: State = {}
    for key, value in state.items():
        if key.endswith("regular_matrix"):
            outputs = state[key.replace("regular_matrix", "transform_matrix_conv.bias")]
            value = value.repeat(len(outputs) // 6, 1, 1)
        elif old and "offset_conv_layers.3." in key:
            value = -value
        elif old and "heatmap_conv_layers.2." in key:
            value = value.roll(-1, 0)
        made[key.replace("offset_conv_layers.", "displacement_conv_layers.")] = value
    return made


_CROWDPOSE = {"skeleton": "crowdpose14"}

DEKR = Foreign(
    "dekr",
    origin="https://github.com/HRNet/DEKR",
    licence="MIT",
    marks=("transition_offset.|1.transition_offset.",),
    rules=(
        (r"(?:1\.)?((?:transition_(?:heatmap|offset)|offset_\w+)\..*)", r"head.\1"),
        (r"(?:1\.)?head_heatmap\.0\.0\.(.*)", r"head.head_heatmap.0.\1"),
        (r"(?:1\.)?(head_heatmap\.1\..*)", r"head.\1"),
        (r"(?:1\.)?(.*)", r"backbone.\1"),
    ),
    prepare=_authors,
    variants={
        "coco/w32/w32_4x_reg03_bs10_512_adam_lr1e-3_coco_x140": partial(create, "dekr_w32"),
        "coco/w48/w48_4x_reg03_bs5_640_adam_lr1e-3_coco_x140": partial(create, "dekr_w48"),
        "crowdpose/w32/w32_4x_reg03_bs10_512_adam_lr1e-3_crowdpose_x300": partial(
            create, "dekr_w32", **_CROWDPOSE
        ),
        "crowdpose/w48/w48_4x_reg03_bs5_640_adam_lr1e-3_crowdpose_x300": partial(
            create, "dekr_w48", **_CROWDPOSE
        ),
    },
)

RESCORE = Foreign(
    "dekr_rescore",
    origin="https://github.com/HRNet/DEKR",
    licence="MIT",
    marks=("l1.weight", "l3.weight"),
    rules=(),
    variants={
        "final_rescore_coco_kpt": partial(RescoreNet, COCO17),
        "final_rescore_crowd_pose_kpt": partial(RescoreNet, CROWDPOSE14),
    },
)

_MMPOSE_HEAD = r"(?:keypoint_)?head\."

MMPOSE_DEKR = Foreign(
    "mmpose_dekr",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("*head.displacement_conv_layers.|*head.offset_conv_layers.",),
    rules=(
        (_MMPOSE_HEAD + r"heatmap_conv_layers\.0\.conv\.(.*)", r"head.transition_heatmap.0.\1"),
        (_MMPOSE_HEAD + r"heatmap_conv_layers\.0\.bn\.(.*)", r"head.transition_heatmap.1.\1"),
        (_MMPOSE_HEAD + r"heatmap_conv_layers\.1\.(.*)", r"head.head_heatmap.0.\1"),
        (_MMPOSE_HEAD + r"heatmap_conv_layers\.2\.(.*)", r"head.head_heatmap.1.\1"),
        (_MMPOSE_HEAD + r"displacement_conv_layers\.0\.conv\.(.*)", r"head.transition_offset.0.\1"),
        (_MMPOSE_HEAD + r"displacement_conv_layers\.0\.bn\.(.*)", r"head.transition_offset.1.\1"),
        (
            _MMPOSE_HEAD + r"displacement_conv_layers\.1\.norm\.(.*)",
            r"head.offset_feature_layers.0.bn.\1",
        ),
        (
            _MMPOSE_HEAD + r"displacement_conv_layers\.2\.norm\.(.*)",
            r"head.offset_feature_layers.1.bn.\1",
        ),
        (
            _MMPOSE_HEAD + r"displacement_conv_layers\.1\.(.*)",
            r"head.offset_feature_layers.0.\1",
        ),
        (
            _MMPOSE_HEAD + r"displacement_conv_layers\.2\.(.*)",
            r"head.offset_feature_layers.1.\1",
        ),
        (_MMPOSE_HEAD + r"displacement_conv_layers\.3\.(.*)", r"head.offset_final_layer.\1"),
        (r"(?:(?:keypoint_)?head\.)?(rescore_net\..*)", r"head.\1"),
    ),
    prepare=_mmpose,
    variants={
        "dekr_w32": partial(create, "dekr_w32", codec="mmpose_dekr", rescore=True),
        "dekr_w48": partial(create, "dekr_w48", codec="mmpose_dekr", rescore=True),
    },
)
