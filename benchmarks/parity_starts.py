"""Backbones that trainings start from, beside what their originals compute (for parity.py).

The fixtures are of whole classifiers.  `posewright.checkpoints.starts` takes the backbone out of
them, as a training does; the classifier's own tensors and outputs are left out of the comparison.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.checkpoints.starts import fill_backbone
from posewright.models import create
from posewright.models.hrnet import HRNet
from posewright.models.parts.mobilenetv2 import LAYERS
from posewright.models.parts.resnet import ResNet
from posewright.models.vitpose import ViT

__all__ = ["STARTS", "Started", "started"]

_COUNTED = ("running_mean", "running_var", "num_batches_tracked")
_RESNETS = {depth: f"simple_baseline_r{depth}" for depth in (50, 101, 152)}
# torchvision's number of the block that ends a layer -> the layer
_ENDS = {sum(layer[2] for layer in LAYERS[: i + 1]): i + 1 for i in range(len(LAYERS))}


class Own(nn.Module):
    """A network of one's own with a backbone that no network of the zoo has."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone


# the fixture -> the networks that start from it.  Where there are two, the number of heads is
# another, which no tensor shows: ViTPose's own MAE has 12 in ViT-S, others have 6.
STARTS: dict[tuple[str, str], list[Callable[..., nn.Module]]] = {
    **{
        (system, f"resnet{depth}"): [partial(create, name)]
        for system in ("torchvision", "timm")
        for depth, name in _RESNETS.items()
    },
    **{
        (system, f"resnet{depth}"): [partial(lambda depth: Own(ResNet(depth)), depth)]
        for system in ("torchvision", "timm")
        for depth in (18, 34)
    },
    ("torchvision", "mobilenet_v2"): [partial(create, "simcc_mobilenetv2")],
    ("timm", "mobilenetv2_100"): [partial(create, "simcc_mobilenetv2")],
    ("hrnet_imagenet", "w18_c"): [lambda: Own(HRNet((18, 36, 72, 144), multi_scale=True))],
    ("hrnet_imagenet", "w32_c"): [partial(create, "dekr_w32")],
    ("hrnet_imagenet", "w48_c"): [partial(create, "dekr_w48")],
    ("vit_mae", "small_encoder"): [partial(create, "vitpose_s", heads=h) for h in (12, 6)],
    ("vit_mae", "base_encoder"): [partial(create, "vitpose_b")],
    ("vit_mae", "large_encoder"): [partial(create, "vitpose_l")],
    ("vit_mae", "huge_encoder"): [partial(create, "vitpose_h")],
}


@dataclass(frozen=True)
class Started:
    """A backbone that was filled.

    outputs: ours.  expected: the fixture's, without the classifier's.  ours, theirs: numbers of
    parameters, theirs without those that the start leaves out.
    """

    outputs: list[Tensor]
    expected: list[dict[str, Any]]
    ours: int
    theirs: int


def started(fixture: dict[str, Any], state: dict[str, Tensor], x: Tensor) -> list[Started]:
    """Fill each network that starts from a fixture's tensors and run its backbone on the input."""
    size = {"input_size": (x.shape[3], x.shape[2])} if fixture["system"] == "vit_mae" else {}
    builds = STARTS[fixture["system"], fixture["variant"]]
    return [_run(build(**size).eval(), fixture, state, x) for build in builds]


def _run(model: nn.Module, fixture: dict[str, Any], state: dict[str, Tensor], x: Tensor) -> Started:
    filled = fill_backbone(model, state)
    backbone = model.get_submodule("backbone")
    expected = [output for output in fixture["outputs"] if output["name"] != "logits"]
    names = [output["name"] for output in expected]
    ours = sum(p.numel() for p in backbone.parameters())
    left = dict(filled.left)
    with torch.inference_mode():
        if isinstance(backbone, ViT):
            outputs = [tokens(backbone, state["cls_token"], x)]
            ours += state["cls_token"].numel()
            del left["cls_token"]
        elif isinstance(backbone, HRNet):
            outputs = backbone(x)
        else:
            outputs = outputs_of(backbone, [_module(name) for name in names], x)
    theirs = fixture["parameters"] - sum(
        math.prod(shape)
        for key, shape, _, _ in fixture["keys"]
        if key in left and key.rpartition(".")[2] not in _COUNTED
    )
    return Started(outputs, expected, ours, theirs)


def _module(output: str) -> str:
    """Return our module for one of torchvision's or timm's; a KeyError if there is none."""
    if re.fullmatch(r"layer[1-4]", output):
        return output
    if output in ("features.18", "conv_head", "bn2"):
        return "conv2"
    if found := re.fullmatch(r"features\.(\d+)", output):
        return f"layer{_ENDS[int(found[1])]}"
    if found := re.fullmatch(r"blocks\.(\d)", output):
        return f"layer{int(found[1]) + 1}"
    raise KeyError(f"no module of ours is {output}")


def outputs_of(backbone: nn.Module, names: list[str], x: Tensor) -> list[Tensor]:
    """Return what some modules of a backbone return."""
    found: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, given: object, returned: Tensor) -> None:
        found[name] = returned

    hooks = [
        backbone.get_submodule(name).register_forward_hook(partial(keep, name)) for name in names
    ]
    backbone(x)
    for hook in hooks:
        hook.remove()
    return [found[name] for name in names]


def tokens(vit: ViT, class_token: Tensor, x: Tensor) -> Tensor:
    """Return what MAE's encoder computes with the tensors of ours.

    ViTPose has no class token and moves its patches by 2 px: the blocks, the positions and the
    patches are compared, not its forward.
    """
    proj = vit.patch_embed.proj
    patches = functional.conv2d(x, proj.weight, proj.bias, proj.stride).flatten(2).transpose(1, 2)
    tokens = torch.cat([class_token, patches], 1) + vit.pos_embed
    for block in vit.blocks:
        tokens = block(tokens)
    return vit.last_norm(tokens)
