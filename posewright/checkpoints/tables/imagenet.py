"""Backbones that were trained for another task, by the names of those who publish them.

A training starts from them (`posewright.checkpoints.starts`).  The names that the rules lead to are
those inside of our backbones; what a backbone does not have, such as a classifier, is left out
there.  So no rule drops anything.
"""

from __future__ import annotations

from posewright.checkpoints.base import Foreign, Rule, State
from posewright.checkpoints.tables.alphapose import from_mindspore
from posewright.checkpoints.tables.hrformer import HRFORMER
from posewright.checkpoints.tables.vitpose import MMPOSE_VITPOSE, VITPOSE_HF
from posewright.models.parts.mobilenetv2 import LAYERS

__all__ = ["LAYOUTS"]

RESNET = Foreign(
    "imagenet_resnet",
    origin="https://github.com/pytorch/vision (timm's resnet has the same names)",
    licence="BSD-3-Clause",
    marks=("layer4.", "fc."),
    rules=(
        (r"(.*)\.se_layer\.conv1\.conv\.(.*)", r"\1.se.fc.0.\2"),  # mmpretrain
        (r"(.*)\.se_layer\.conv2\.conv\.(.*)", r"\1.se.fc.2.\2"),
        (r"(.*)\.se\.fc1\.(.*)", r"\1.se.fc.0.\2"),  # timm
        (r"(.*)\.se\.fc2\.(.*)", r"\1.se.fc.2.\2"),
    ),
)
HRNET = Foreign(
    "imagenet_hrnet",
    origin="https://github.com/HRNet/HRNet-Image-Classification (timm has the same names)",
    licence="MIT",
    marks=("stage4.", "classifier."),
    rules=(),
)


def _inside(rules: object) -> tuple[Rule, ...]:
    """Return rules for the names inside of a backbone, from those for whole networks."""
    assert isinstance(rules, (tuple, list))
    return tuple(
        (pattern.replace(r"backbone\.", ""), new and new.replace("backbone.", ""))
        for pattern, new in rules
        if "head" not in pattern
    )


def _torchvision_mobilenet() -> tuple[Rule, ...]:
    """Return the rules of torchvision's MobileNetV2, whose blocks have one number through."""
    rules: list[Rule] = []
    for part, ours in ((r"0", "conv1"), (r"18", "conv2")):
        rules += [
            (rf"features\.{part}\.0\.(.*)", rf"{ours}.conv.\1"),
            (rf"features\.{part}\.1\.(.*)", rf"{ours}.bn.\1"),
        ]
    places = [(i, j) for i, layer in enumerate(LAYERS, 1) for j in range(layer[2])]
    for number, (i, j) in enumerate(places, 1):
        theirs, ours = rf"features\.{number}\.conv\.", f"layer{i}.{j}.conv."
        last = 1 if number == 1 else 2  # the block without widening has a part less
        rules += [
            (rf"{theirs}(\d)\.0\.(.*)", rf"{ours}\1.conv.\2"),
            (rf"{theirs}(\d)\.1\.(.*)", rf"{ours}\1.bn.\2"),
            (rf"{theirs}{last}\.(.*)", rf"{ours}{last}.conv.\1"),
            (rf"{theirs}{last + 1}\.(.*)", rf"{ours}{last}.bn.\1"),
        ]
    return tuple(rules)


def _timm_mobilenet() -> tuple[Rule, ...]:
    """Return the rules of timm's mobilenetv2_100, whose layers count from 0."""
    rules: list[Rule] = [
        (r"conv_stem\.(.*)", r"conv1.conv.\1"),
        (r"bn1\.(.*)", r"conv1.bn.\1"),
        (r"conv_head\.(.*)", r"conv2.conv.\1"),
        (r"bn2\.(.*)", r"conv2.bn.\1"),
    ]
    first, others = ("conv_dw", "conv_pw"), ("conv_pw", "conv_dw", "conv_pwl")
    for layer in range(len(LAYERS)):
        for at, name in enumerate(others if layer else first):
            theirs, ours = rf"blocks\.{layer}\.(\d+)\.", rf"layer{layer + 1}.\1.conv.{at}"
            rules += [
                (rf"{theirs}{name}\.(.*)", rf"{ours}.conv.\2"),
                (rf"{theirs}bn{at + 1}\.(.*)", rf"{ours}.bn.\2"),
            ]
    return tuple(rules)


def _megvii_yolox() -> tuple[Rule, ...]:
    """Return the rules of YOLOX's backbone by its authors."""
    rules: list[Rule] = []
    for stage in range(1, 5):
        layer = 2 if stage == 4 else 1  # behind the pooling of the last stage
        theirs, ours = rf"dark{stage + 1}\.", f"stage{stage}."
        for number, name in enumerate(("main_conv", "short_conv", "final_conv"), 1):
            rules.append((rf"{theirs}{layer}\.conv{number}\.(.*)", rf"{ours}{layer}.{name}.\1"))
        rules.append((rf"{theirs}{layer}\.m\.(.*)", rf"{ours}{layer}.blocks.\1"))
        rules.append((rf"{theirs}(.*)", rf"{ours}\1"))
    return tuple(rules)


def _merged(state: State) -> State:
    """Put HRFormer's separate projections into one, where the file has such."""
    separate = any(".q_proj." in key for key in state)
    return HRFORMER.prepare(state) if separate and HRFORMER.prepare else state


# what a start may be written in: those of torchvision come first, and of two that fit as much the
# first counts
LAYOUTS = (
    RESNET,
    Foreign(
        "mindspore_resnet",
        origin="https://gitee.com/mindspore/models (official/cv/ResNet), MindCV",
        licence="Apache-2.0",
        rules=((r"(.*)\.down_sample(?:_layer)?\.(.*)", r"\1.downsample.\2"),),
        prepare=from_mindspore,
    ),
    Foreign(
        "torchvision_mobilenet",
        origin="https://github.com/pytorch/vision",
        licence="BSD-3-Clause",
        rules=_torchvision_mobilenet(),
    ),
    Foreign(
        "timm_mobilenet",
        origin="https://github.com/huggingface/pytorch-image-models (mobilenetv2_100)",
        licence="Apache-2.0",
        rules=_timm_mobilenet(),
    ),
    Foreign(
        "hrformer",
        origin="https://github.com/HRNet/HRFormer",
        licence="MIT",
        rules=_inside(HRFORMER.rules),
        prepare=_merged,
    ),
    Foreign(
        "vit",
        origin="MAE, DINO and timm's vision transformers, which have the same names",
        licence="CC-BY-NC-4.0 (MAE), Apache-2.0 (DINO)",
        rules=((r"norm\.(.*)", r"last_norm.\1"),),
    ),
    Foreign(
        "mmpretrain_vit",
        origin="https://github.com/open-mmlab/mmpretrain",
        licence="Apache-2.0",
        rules=_inside(MMPOSE_VITPOSE.rules),
    ),
    Foreign(
        "transformers_vit",
        origin="https://github.com/huggingface/transformers (ViT, ViT-MAE)",
        licence="Apache-2.0",
        rules=(  # ViTPose there has other names for the perceptrons than all others
            (r"encoder\.layer\.(\d+)\.intermediate\.dense\.(.*)", r"blocks.\1.mlp.fc1.\2"),
            (r"encoder\.layer\.(\d+)\.output\.dense\.(.*)", r"blocks.\1.mlp.fc2.\2"),
            *_inside(VITPOSE_HF.rules),
        ),
        prepare=VITPOSE_HF.prepare,
    ),
    Foreign(
        "yolox",
        origin="https://github.com/Megvii-BaseDetection/YOLOX",
        licence="Apache-2.0",
        rules=_megvii_yolox(),
    ),
)
