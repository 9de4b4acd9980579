"""AlphaPose, with HRNet and Simple Baselines under its names, and MindSpore's port of FastPose."""

from __future__ import annotations

import re
from functools import partial

from posewright.checkpoints.base import Foreign, State
from posewright.models import create

__all__ = ["ALPHAPOSE", "MINDSPORE_FASTPOSE", "from_mindspore"]


def _same_names(state: State) -> State:
    """Return `state` with the names that our modules have inside of their blocks.

    AlphaPose's Simple Baselines puts a prefix on its ResNet, and its deformable convolutions lie
    beside the ones that make their offsets.
    """
    prefix = "preact." if "deconv_layers.0.weight" in state else ""
    renamed = {}
    for key, value in state.items():
        deforms = key.replace(".conv2.", ".conv2_offset.") in state and ".conv2." in key
        new = key.replace(".conv2.", ".conv2.conv.") if deforms else key
        renamed[new.removeprefix(prefix)] = value
    return renamed


_RULES = (
    (r"(.*\.conv2)_offset\.(.*)", r"backbone.\1.offset.\2"),
    (r"conv_out\.(.*)", r"head.final_layer.\1"),
    (r"((?:deconv_layers|final_layer)\..*)", r"head.\1"),
    (r"(.*)", r"backbone.\1"),
)

ALPHAPOSE = Foreign(
    "alphapose",
    origin="https://github.com/MVIG-SJTU/AlphaPose",
    licence="non-commercial (Shanghai Jiao Tong University)",
    marks=("preact.layer1.|stage2.0.branches.", "conv_out.|final_layer."),
    prepare=_same_names,
    rules=_RULES,
    variants={
        "fastpose_r50": partial(create, "fastpose_r50"),
        "fastpose_r50_dcn": partial(create, "fastpose_r50_dcn"),
        "fastpose_r101": partial(create, "fastpose_r101"),
        "fastpose_r152": partial(create, "fastpose_r152"),
        "fastpose_duc_r50_shuffle": partial(create, "fastpose_duc_r50"),
        "fastpose_duc_r152": partial(create, "fastpose_duc_r152"),
        "halpe26_fastpose_r50": partial(create, "fastpose_r50", skeleton="halpe26"),
        "halpe136_fastpose_r50_regression": partial(create, "fastpose_r50_regression"),
        "halpe_coco_wholebody_136_dcn_combined": partial(create, "fastpose_r50_dcn_combined"),
        "hrnet_w32": partial(create, "alphapose_hrnet_w32"),
        "simplepose_r50": partial(create, "alphapose_simple_r50"),
        "old_r101_320x256": partial(create, "alphapose_old_r101"),
    },
)

_MINDSPORE = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}
# what MindSpore's Adam and its callbacks keep beside the network
_TRAINING = re.compile(
    r"((.*\.)?moments?[12]?\..*|beta[12]_power|global_step|learning_rate|(epoch|step)_num|scale_sense"
    r"|(current|last_overflow)_iterator_step)"
)
_WRAPPED = re.compile(r"^(_?(network|backbone)\.)+")


def from_mindspore(state: State) -> State:
    """Return `state` with PyTorch's names for batch norm's tensors, and without the optimiser's.

    The port (mindspore-ai/models, research/cv/AlphaPose/src) calls its modules as AlphaPose does,
    but for the shortcuts, `down_sample_layer`, and trains the network as the member `network` of
    another, whose name then stands in front.  Its published .ckpt have not been examined: what
    they call otherwise, `convert` names.
    """
    renamed = {}
    for key, value in state.items():
        if not _TRAINING.fullmatch(key):
            named = _WRAPPED.sub("", key).replace(".down_sample_layer.", ".downsample.")
            module, _, leaf = named.rpartition(".")
            renamed[f"{module}.{_MINDSPORE.get(leaf, leaf)}"] = value
    return renamed


MINDSPORE_FASTPOSE = Foreign(
    "mindspore_fastpose",
    origin="https://gitee.com/mindspore/models (research/cv/AlphaPose)",
    licence="Apache-2.0, derived from non-commercial code",
    marks=("*.gamma", "conv_out."),
    prepare=from_mindspore,
    rules=_RULES,
    variants={"fastpose_r50": partial(create, "fastpose_r50_mindspore")},
)
