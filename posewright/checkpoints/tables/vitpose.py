"""ViTPose and ViTPose+ from their authors (mmpose 0.x), in mmpose 1.x and in transformers."""

from __future__ import annotations

from functools import partial

import torch

from posewright.checkpoints.base import Foreign, State
from posewright.models import create

_LAYER = r"backbone\.encoder\.layer\.(\d+)\."
_SIZES = {"small": "s", "base": "b", "large": "l", "huge": "h"}
# the heads of the other data sets that ViTPose+ is trained on at once
_OTHERS = (r"associate_keypoint_heads\..*", None)

VITPOSE = Foreign(
    "vitpose",
    origin="https://github.com/ViTAE-Transformer/ViTPose",
    licence="Apache-2.0",
    marks=("backbone.patch_embed.proj.", "keypoint_head.final_layer.|head.final_layer."),
    rules=(_OTHERS, (r"keypoint_head\.(.*)", r"head.\1")),
    variants={
        **{name: partial(create, f"vitpose_{s}") for name, s in _SIZES.items()},
        **{
            f"{name}_simple": partial(create, f"vitpose_{s}", simple=True)
            for name, s in _SIZES.items()
        },
        **{f"plus_{name}": partial(create, f"vitpose_plus_{s}") for name, s in _SIZES.items()},
        # the authors' configuration of this name has the deconvolutions of the classic head
        "small_simple": partial(create, "vitpose_s"),
    },
)

MMPOSE_VITPOSE = Foreign(
    "mmpose_vitpose",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("backbone.patch_embed.projection.", "head.final_layer."),
    rules=(
        (r"backbone\.patch_embed\.projection\.(.*)", r"backbone.patch_embed.proj.\1"),
        (r"backbone\.layers\.(\d+)\.ln([12])\.(.*)", r"backbone.blocks.\1.norm\2.\3"),
        (r"backbone\.layers\.(\d+)\.attn\.(.*)", r"backbone.blocks.\1.attn.\2"),
        (r"backbone\.layers\.(\d+)\.ffn\.layers\.0\.0\.(.*)", r"backbone.blocks.\1.mlp.fc1.\2"),
        (r"backbone\.layers\.(\d+)\.ffn\.layers\.1\.(.*)", r"backbone.blocks.\1.mlp.fc2.\2"),
        (r"backbone\.ln1\.(.*)", r"backbone.last_norm.\1"),
    ),
    variants={
        **{f"vitpose_{s}": partial(create, f"vitpose_{s}", class_position=False) for s in "sblh"},
        **{
            f"vitpose_{s}_simple": partial(
                create, f"vitpose_{s}", simple=True, class_position=False
            )
            for s in "sblh"
        },
    },
)


def _fused(state: State) -> State:
    """Put the separate queries, keys and values of transformers into one tensor."""
    for key in [k for k in state if ".attention.attention.query." in k]:
        parts = [key.replace(".query.", f".{part}.") for part in ("query", "key", "value")]
        if all(part in state for part in parts):  # otherwise `convert` names what is missing
            fused = key.replace(".attention.query.", ".qkv.")
            state[fused] = torch.cat([state.pop(part) for part in parts])
    return state


VITPOSE_HF = Foreign(
    "vitpose_hf",
    origin="https://huggingface.co/usyd-community",
    licence="Apache-2.0",
    marks=("backbone.encoder.layer.", "head.conv."),
    rules=(
        (r"backbone\.embeddings\.position_embeddings", "backbone.pos_embed"),
        (
            r"backbone\.embeddings\.patch_embeddings\.projection\.(.*)",
            r"backbone.patch_embed.proj.\1",
        ),
        (_LAYER + r"attention\.qkv\.(.*)", r"backbone.blocks.\1.attn.qkv.\2"),
        (
            _LAYER + r"attention\.output\.dense\.(.*)",
            r"backbone.blocks.\1.attn.proj.\2",
        ),
        (_LAYER + r"layernorm_before\.(.*)", r"backbone.blocks.\1.norm1.\2"),
        (_LAYER + r"layernorm_after\.(.*)", r"backbone.blocks.\1.norm2.\2"),
        (_LAYER + r"mlp\.(.*)", r"backbone.blocks.\1.mlp.\2"),
        (r"backbone\.layernorm\.(.*)", r"backbone.last_norm.\1"),
        (r"head\.deconv1\.(.*)", r"head.deconv_layers.0.\1"),
        (r"head\.batchnorm1\.(.*)", r"head.deconv_layers.1.\1"),
        (r"head\.deconv2\.(.*)", r"head.deconv_layers.3.\1"),
        (r"head\.batchnorm2\.(.*)", r"head.deconv_layers.4.\1"),
        (r"head\.conv\.(.*)", r"head.final_layer.\1"),
    ),
    variants={
        "vitpose-base": partial(create, "vitpose_b"),
        "vitpose-base-simple": partial(create, "vitpose_b", simple=True),
        "vitpose-base-coco-aic-mpii": partial(create, "vitpose_b"),
        **{
            f"vitpose-plus-{name}": partial(create, f"vitpose_plus_{s}")
            for name, s in _SIZES.items()
        },
    },
    prepare=_fused,
)
