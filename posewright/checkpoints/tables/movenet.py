"""MoveNet: lee-man's and fire717's ports, and Google's own files."""

from __future__ import annotations

import re
from functools import partial

from posewright.checkpoints.base import Foreign, State
from posewright.models import create
from posewright.skeletons import Skeleton

# the seven joints of fire717's other network; which of the two sides comes first, it does not say
UPPER_BODY7 = Skeleton(
    "upper_body7",
    (
        "left_wrist",
        "left_elbow",
        "left_shoulder",
        "nose",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    ((0, 1), (1, 2), (2, 3), (3, 4), (4, 5), (5, 6), (2, 4)),
)

LEEMAN = Foreign(
    "movenet_leeman",
    origin="https://github.com/lee-man/movenet-pytorch",
    licence="MIT; weights by Google, Apache-2.0",
    marks=("backbone.fpn.", "hm_hp."),
    rules=(
        (r"backbone\.body\.(0|18)\.[01]\.(.*)", r"backbone.body.\1.\2"),
        (r"backbone\.body\.1\.conv\.0\.0\.(.*)", r"backbone.body.1.depthwise.\1"),
        (r"backbone\.body\.1\.conv\.1\.(.*)", r"backbone.body.1.project.\1"),
        (r"backbone\.body\.(\d+)\.conv\.0\.0\.(.*)", r"backbone.body.\1.expand.\2"),
        (r"backbone\.body\.(\d+)\.conv\.1\.[01]\.(.*)", r"backbone.body.\1.depthwise.\2"),
        (r"backbone\.body\.(\d+)\.conv\.2\.(.*)", r"backbone.body.\1.project.\2"),
        (r"backbone\.fpn\.layer_blocks\.(\d)\.conv\.(.*)", r"backbone.layer_blocks.\1.\2"),
        (r"backbone\.fpn\.(.*)", r"backbone.\1"),
        (r"hm\.(.*)", r"head.branches.centre.\1"),
        (r"hm_hp\.(.*)", r"head.branches.heatmap.\1"),
        (r"hps\.(.*)", r"head.branches.regression.\1"),
        (r"hp_offset\.(.*)", r"head.branches.offset.\1"),
    ),
    variants={name: partial(create, name) for name in ("movenet_lightning", "movenet_thunder")},
)


def _y_before_x(state: State) -> State:
    """Exchange each pair of channels of the maps that hold x before y."""
    for head in ("header_regs", "header_offsets"):
        for key in (f"header.{head}.1.weight", f"header.{head}.1.bias"):
            if key in state:
                state[key] = state[key].unflatten(0, (-1, 2)).flip(1).flatten(0, 1)
    return state


FIRE717 = Foreign(
    "movenet_fire717",
    origin="https://github.com/fire717/movenet.pytorch",
    licence="MIT",
    marks=("header.header_heatmaps.",),
    rules=(
        (r"header\.header_centers\.(.*)", r"head.branches.centre.\1"),
        (r"header\.header_heatmaps\.(.*)", r"head.branches.heatmap.\1"),
        (r"header\.header_regs\.(.*)", r"head.branches.regression.\1"),
        (r"header\.header_offsets\.(.*)", r"head.branches.offset.\1"),
    ),
    variants={
        "movenet_mobilenetv2_17kpt": partial(create, "movenet_fire717"),
        "movenet_mobilenetv2_7kpt": partial(create, "movenet_fire717", skeleton=UPPER_BODY7),
    },
    prepare=_y_before_x,
)

# A name in Google's graphs -> the layer's, such as block_3_expand: what stands before it, and the
# endings of kernels and biases.  A separable convolution is two layers.
_SCOPE = re.compile(r"Stateful\w+/(.*/model_1/)?(model/)?")
_ENDINGS = (
    (r"(.*separable_conv2d(_\d)?)/separable_conv2d/ReadVariableOp", r"\1/depthwise.weight"),
    (r"(.*)/(separable_conv2d_weights|separable_conv2d/ReadVariableOp_1)", r"\1.weight"),
    (r"(.*)/(Conv2D_weights|Conv2D/ReadVariableOp|depthwise_weights)", r"\1.weight"),
    (r"(.*)/(\w+_bn_offset|BiasAdd/ReadVariableOp)", r"\1.bias"),
)
_DEPTHWISE = ("_depthwise.weight", "/depthwise.weight")


def _plain_layers(state: State) -> State:
    """Return the convolutions by the names of their layers, kernels as torch lays them out.

    Names of graphs become those of the embedded network, whose kernels are laid out already;
    constants of the decoding are left out; a depthwise half without a bias gets zeros.
    """
    found: State = {}
    for key, value in state.items():
        short = _SCOPE.sub("", key)
        name = _layer(short)
        if name is None:
            if key == short:  # not of a graph
                found[key] = value
            continue
        if value.ndim == 4:
            value = value.permute((2, 3, 0, 1) if name.endswith(_DEPTHWISE) else (3, 2, 0, 1))
        found[name] = value
    for key in [key for key in found if key.endswith("/depthwise.weight")]:
        found.setdefault(key.replace(".weight", ".bias"), found[key].new_zeros(len(found[key])))
    return {_numbered(key): value for key, value in found.items()}


def _layer(name: str) -> str | None:
    for pattern, replacement in _ENDINGS:
        match = re.fullmatch(pattern, name)
        if match:
            return match.expand(replacement)
    return None


def _numbered(name: str) -> str:
    """Return a block's name with the number that it has among all layers of the body."""
    block = re.match(r"block_(\d+)_", name)
    return f"body_{int(block[1]) + 1}_{name[block.end() :]}" if block else name


GOOGLE = Foreign(
    "movenet",
    origin="https://tfhub.dev/google/movenet (TF.js graphs, and the embedded network)",
    licence="Apache-2.0",
    marks=("*kpt_heatmap_0",),
    rules=(
        (r"Conv1\.(.*)", r"backbone.body.0.\1"),
        (r"Conv_1\.(.*)", r"backbone.body.18.\1"),
        (r"expanded_conv_(\w+)\.(.*)", r"backbone.body.1.\1.\2"),
        (r"body_(\d+)_(\w+)\.(.*)", r"backbone.body.\1.\2.\3"),
        (r"conv2d\.(.*)", r"backbone.inner_blocks.3.\1"),
        (r"conv2d_1\.(.*)", r"backbone.inner_blocks.2.\1"),
        (r"conv2d_2\.(.*)", r"backbone.inner_blocks.1.\1"),
        (r"conv2d_3\.(.*)", r"backbone.inner_blocks.0.\1"),
        (r"separable_conv2d/depthwise\.(.*)", r"backbone.layer_blocks.2.0.\1"),
        (r"separable_conv2d\.(.*)", r"backbone.layer_blocks.2.1.\1"),
        (r"separable_conv2d_1/depthwise\.(.*)", r"backbone.layer_blocks.1.0.\1"),
        (r"separable_conv2d_1\.(.*)", r"backbone.layer_blocks.1.1.\1"),
        (r"separable_conv2d_2/depthwise\.(.*)", r"backbone.layer_blocks.0.0.\1"),
        (r"separable_conv2d_2\.(.*)", r"backbone.layer_blocks.0.1.\1"),
        *(
            rule
            for theirs, ours in (
                ("center", "centre"),
                ("kpt_heatmap", "heatmap"),
                ("kpt_regress", "regression"),
                ("kpt_offset", "offset"),
                ("box_scale", "box_scale"),
                ("box_offset", "box_offset"),
            )
            for rule in (
                (rf"{theirs}_0/separable_conv2d_\d/depthwise\.(.*)", rf"head.branches.{ours}.0.\1"),
                (rf"{theirs}_0/separable_conv2d_\d\.(.*)", rf"head.branches.{ours}.1.\1"),
                (rf"{theirs}_0/conv2d_\d\.(.*)", rf"head.branches.{ours}.3.\1"),
            )
        ),
    ),
    variants={
        name: partial(create, name)
        for name in ("movenet_lightning", "movenet_thunder", "movenet_multipose")
    },
    prepare=_plain_layers,
)
