"""The families of the zoo with their recipes, and where each is written; on COCO unless said.

Where a recipe uses what is not built (mosaic, mixing of images), its source says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.errors import UsageError, nearest_network
from posewright.extras import installed
from posewright.recipes import one_stage, published
from posewright.recipes.recipe import Recipe

if TYPE_CHECKING:
    from posewright.models import Variant

__all__ = [
    "FAMILIES",
    "Family",
    "families",
    "find",
    "has_recipe",
    "names",
    "recipe_for",
    "recipe_of",
]


@dataclass(frozen=True)
class Family:
    """Networks that were trained the same way, and where that is written."""

    networks: tuple[str, ...]
    source: str
    build: Callable[[str], Recipe]


_ALPHAPOSE = "AlphaPose (arXiv:2211.03375)"
_MMPOSE_1X = "github.com/open-mmlab/mmpose configs/body_2d_keypoint"

FAMILIES = (
    Family(
        ("simple_baseline_r50", "simple_baseline_r101", "simple_baseline_r152"),
        "github.com/microsoft/human-pose-estimation.pytorch experiments/coco",
        published.simple_baseline,
    ),
    Family(
        ("hrnet_w32", "hrnet_w48"),
        "github.com/leoxiaobin/deep-high-resolution-net.pytorch experiments/coco/hrnet; "
        "DARK and UDP keep it",
        published.hrnet,
    ),
    Family(
        ("hrnet_w32_lite", "hrnet_w48_lite"), "HRNet's: none is published for it", published.hrnet
    ),
    Family(
        ("hourglass_4", "hourglass_8"),
        f"{_MMPOSE_1X}/topdown_heatmap/coco/td-hm_hourglass52_8xb32-210e_coco-256x256",
        published.hourglass,
    ),
    Family(
        ("seresnet_50", "seresnet_101"),
        f"{_MMPOSE_1X}/topdown_heatmap/coco/td-hm_seresnet50_8xb64-210e_coco-256x192",
        published.mmpose,
    ),
    Family(
        ("seresnet_152",),
        f"{_MMPOSE_1X}/topdown_heatmap/coco/td-hm_seresnet152_8xb48-210e_coco-256x192",
        published.seresnet_152,
    ),
    Family(
        (
            "fastpose_r50",
            "fastpose_r101",
            "fastpose_r152",
            "fastpose_duc_r50",
            "fastpose_duc_r152",
            "alphapose_simple_r50",
            "alphapose_hrnet_w32",
        ),
        f"{_ALPHAPOSE}, its 1x schedule",
        published.alphapose_1x,
    ),
    Family(
        ("alphapose_old_r101",),
        "AlphaPose 0.2 (arXiv:1612.00137): optimiser, rate and colours; the rest is 1x of today",
        published.alphapose_old,
    ),
    Family(("fastpose_r50_dcn",), f"{_ALPHAPOSE}, its 2x schedule", published.alphapose_2x),
    Family(
        ("fastpose_r50_regression", "fastpose_r50_dcn_combined"),
        f"{_ALPHAPOSE}, on Halpe-136",
        published.alphapose_halpe,
    ),
    Family(
        ("fastpose_r50_mindspore",),
        "github.com/mindspore-ai/models research/cv/AlphaPose; the batch is AlphaPose's",
        published.mindspore,
    ),
    Family(
        ("simple_pose_dconv", "simple_pose_dconv_se", "simple_pose_duc", "simple_pose_duc_se"),
        "github.com/liangheming/simple_pose, without its random crops",
        published.simple_pose,
    ),
    Family(
        ("lite_hrnet_18", "lite_hrnet_30", "naive_lite_hrnet_18"),
        "github.com/HRNet/Lite-HRNet configs/top_down/lite_hrnet/coco; batch of arXiv:2104.06403",
        published.lite_hrnet,
    ),
    Family(
        ("hrformer_s", "hrformer_b"),
        "github.com/HRNet/HRFormer pose/configs/top_down/hrt/coco",
        published.hrformer,
    ),
    Family(
        ("tokenpose_t", "tokenpose_s_v1", "tokenpose_s_v2", "tokenpose_b"),
        "github.com/leeyegy/TokenPose experiments/coco",
        published.tokenpose,
    ),
    Family(
        ("tokenpose_l_d24",), "github.com/leeyegy/TokenPose experiments/coco", published.tokenpose_l
    ),
    Family(
        ("tokenpose_l_d6",),
        "github.com/leeyegy/TokenPose experiments/mpii, on MPII",
        published.tokenpose_l_mpii,
    ),
    Family(
        ("vitpose_s", "vitpose_b", "vitpose_l", "vitpose_h"),
        "github.com/ViTAE-Transformer/ViTPose configs, ViTPose_*_coco_256x192",
        published.vitpose,
    ),
    Family(
        ("vitpose_plus_s", "vitpose_plus_b", "vitpose_plus_l", "vitpose_plus_h"),
        "github.com/ViTAE-Transformer/ViTPose configs, vitPose+_*, there on six data sets",
        published.vitpose_plus,
    ),
    Family(
        (
            "simcc_r50",
            "simcc_r101",
            "simcc_r152",
            "simcc_r50_upsample_free",
            "simcc_r101_upsample_free",
            "simcc_r152_upsample_free",
        ),
        "github.com/leeyegy/SimCC experiments/coco/resnet",
        published.simcc,
    ),
    Family(
        ("simcc_mobilenetv2",),
        f"{_MMPOSE_1X}/simcc/coco/simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192",
        published.mmpose,
    ),
    Family(
        ("rtmpose_m", "rtmpose_l"),
        f"{_MMPOSE_1X}/rtmpose/coco; batch of arXiv:2303.07399; without blur, without its last "
        "30 milder epochs",
        published.rtmpose,
    ),
    Family(("rtmpose_s",), f"{_MMPOSE_1X}/rtmpose/coco, as rtmpose_m", published.rtmpose_s),
    Family(("rtmpose_t",), f"{_MMPOSE_1X}/rtmpose/coco, as rtmpose_m", published.rtmpose_t),
    Family(
        ("rtmpose_x",),
        f"{_MMPOSE_1X}/rtmpose/body8/rtmpose-x_8xb256-700e_body8-halpe26-384x288, on 7 sets",
        published.rtmpose_x,
    ),
    Family(
        ("deeppose_r50", "deeppose_r101", "deeppose_r152", "rle_r101", "rle_r152"),
        f"{_MMPOSE_1X}/topdown_regression/coco",
        published.mmpose,
    ),
    Family(
        ("rle_mobilenetv2",), f"{_MMPOSE_1X}/topdown_regression/coco", published.rle_mobilenetv2
    ),
    Family(
        ("ipr_r50",),
        f"{_MMPOSE_1X}/integral_regression/coco/ipr_res50_8xb64-210e_coco-256x256, there from a "
        "trained heatmap network",
        published.mmpose,
    ),
    Family(
        ("rle_r50",),
        "RLE (arXiv:2107.11291); batch and augmentation are AlphaPose's",
        published.rle,
    ),
    Family(
        ("poseur_r50", "poseur_mobilenetv2", "poseur_hrnet_w32", "poseur_hrnet_w48"),
        "github.com/aim-uofa/Poseur configs/poseur/coco",
        published.poseur,
    ),
    Family(
        ("posefix_r50", "posefix_r152"),
        "github.com/mks0601/PoseFix_RELEASE main/config.py; there with posefix.poses, too",
        published.posefix,
    ),
    Family(
        ("dekr_w32",),
        "github.com/HRNet/DEKR experiments/coco/w32",
        one_stage.dekr_w32,
    ),
    Family(
        ("dekr_w48",),
        "github.com/HRNet/DEKR experiments/coco/w48",
        one_stage.dekr_w48,
    ),
    Family(
        ("adaptivepose_dla34", "adaptivepose_hrnet_w32", "adaptivepose_hrnet_w48"),
        "github.com/buptxyb666/AdaptivePose; batch not stated, augmentation is DEKR's",
        one_stage.adaptivepose,
    ),
    Family(
        ("yoloxpose_tiny", "yoloxpose_s", "yoloxpose_m", "yoloxpose_l"),
        f"{_MMPOSE_1X}/yoloxpose/coco; without mosaic, mixing and L1 losses of the last 20 epochs",
        one_stage.yoloxpose,
    ),
    Family(
        ("rtmo_t", "rtmo_s", "rtmo_m", "rtmo_l"),
        f"{_MMPOSE_1X}/rtmo/coco; second stage from epoch 280; without mosaic, mixing and the L1 "
        "loss of the last 20 epochs; from epoch 280 on the rate stays, where there it falls from "
        "5e-4 once more",
        one_stage.rtmo,
    ),
    Family(
        (
            "yolo_pose_s6",
            "yolo_pose_m6",
            "yolo_pose_l6",
            "yolo_pose_s6_ti_lite",
            "yolo_pose_m6_ti_lite",
            "yolo_pose_l6_ti_lite",
        ),
        "YOLO-Pose (arXiv:2204.06806) and YOLOv5's defaults; without mosaic",
        one_stage.yolo_pose,
    ),
    Family(
        ("movenet_lightning", "movenet_thunder", "movenet_multipose", "movenet_fire717"),
        "github.com/fire717/movenet.pytorch; augmentation is ours; Google has published none",
        one_stage.movenet,
    ),
)


def families() -> list[Family]:
    """Return those above, and one for each network that brings its recipe; needs torch."""
    from posewright.models import variants

    return [*FAMILIES, *(find(name) for name, v in variants().items() if v.recipe is not None)]


def names() -> list[str]:
    """Return every network of the families above."""
    return sorted(name for family in FAMILIES for name in family.networks)


def find(name: str) -> Family:
    """Return the family of a network that it is trained with.

    One that is not here has the recipe that it was registered with, or else HRNet's.
    UsageError: no such network of the zoo; suggests the nearest name.
    """
    for family in FAMILIES:
        if name in family.networks:
            return family
    variant = _variant(name)
    if variant is not None and variant.recipe is not None:
        recipe = variant.recipe
        return Family((name,), variant.paper, lambda name: replace(recipe, model=name))
    if variant is not None:
        return Family((name,), "HRNet's: none is published for it", published.hrnet)
    raise UsageError(
        f"no recipe for {name!r}{nearest_network(name, names())}; known networks: "
        "`posewright models list`; a network of your own: -m FILE.py:NAME"
    )


def has_recipe(name: str) -> bool:
    """Whether a network is trained with a recipe for it, and not with HRNet's for want of one."""
    variant = None if name in names() else _variant(name)
    return variant is None or variant.recipe is not None


def _variant(name: str) -> Variant | None:
    """Return a network for poses by its name; None, too, without torch, where nobody can tell."""
    if not installed("torch"):
        return None
    from posewright.models import variants

    return variants().get(name)


def recipe_for(name: str) -> Recipe:
    """Return a network's recipe, HRNet's for one without; UsageError: no such network."""
    return find(name).build(name)


def recipe_of(
    model: str, data: str | Path | Sequence[str | Path], settings: Mapping[str, Any]
) -> Recipe:
    """Return a network's recipe for some data, with settings given as values.

    Those of a group, of options and of lr_multipliers are given as dicts; each entry counts.
    """
    paths = [data] if isinstance(data, (str, Path)) else list(data)
    texts_of = []
    for key, value in settings.items():
        parts = {f"{key}.{k}": v for k, v in value.items()} if isinstance(value, dict) else None
        for name, one in (parts or {key: value}).items():
            plain_one = str(one) if isinstance(one, Path) else one
            text_of = plain_one if isinstance(plain_one, str) else json.dumps(plain_one)
            texts_of.append(f"{name}={text_of}")
    recipe = replace(recipe_for(model), data=tuple(map(str, paths)))
    return recipe.with_overrides(texts_of)
