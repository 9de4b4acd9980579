"""HRFormer from its authors, whose projections are separate, and of mmpose 0.x and 1.x."""

from __future__ import annotations

from functools import partial

import torch

from posewright.checkpoints.base import Foreign, State
from posewright.models import create

_RULES = (
    (r".*\.relative_position_index", None),  # follows from the size of a window
    (r"keypoint_head\.(.*)", r"head.\1"),
    (r"(.*)\.out_proj\.(.*)", r"\1.proj.\2"),
    (r"(.*)\.mlp\.(.*)", r"\1.ffn.\2"),
)
_SIZES = {"256x192": (192, 256), "384x288": (288, 384)}


def _merged(state: State) -> State:
    """Put the separate projections to queries, keys and values into one, in this order.

    The authors' network holds biases of relative places but never adds them, so they become 0.
    """
    merged = {}
    for key, value in state.items():
        names = [key.replace(".q_proj.", f".{p}_proj.") for p in "qkv"]
        if ".q_proj." in key and all(name in state for name in names):
            merged[key.replace(".q_proj.", ".qkv.")] = torch.cat([state[n] for n in names])
        elif key.endswith("relative_position_bias_table"):
            merged[key] = torch.zeros_like(value)
        elif ".k_proj." not in key and ".v_proj." not in key:
            merged[key] = value
    return merged


HRFORMER = Foreign(
    "hrformer",
    origin="https://github.com/HRNet/HRFormer",
    licence="MIT",
    marks=("backbone.stage*.q_proj.",),
    rules=_RULES,
    prepare=_merged,
    variants={
        f"hrt_{name}_coco_{size}": partial(create, f"hrformer_{name[0]}", input_size=pixels)
        for name in ("small", "base")
        for size, pixels in _SIZES.items()
    },
)

MMPOSE_HRFORMER = Foreign(
    "mmpose_hrformer",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("backbone.stage*.qkv.",),
    rules=_RULES,
    variants={f"hrformer_{size}": partial(create, f"hrformer_{size}") for size in "sb"},
)
