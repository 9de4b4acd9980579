"""The numbers of the recipes of top-down networks: what their authors trained them with.

Where each is written, and for which networks it is, says posewright.recipes.lookup.
"""

from __future__ import annotations

from dataclasses import replace

from posewright.augment import Augmentation
from posewright.recipes.recipe import Recipe

__all__ = [
    "alphapose_1x",
    "alphapose_2x",
    "alphapose_halpe",
    "alphapose_old",
    "hourglass",
    "hrformer",
    "hrnet",
    "lite_hrnet",
    "mindspore",
    "mmpose",
    "posefix",
    "poseur",
    "rle",
    "rle_mobilenetv2",
    "rtmpose",
    "rtmpose_s",
    "rtmpose_t",
    "rtmpose_x",
    "seresnet_152",
    "simcc",
    "simple_baseline",
    "simple_pose",
    "tokenpose",
    "tokenpose_l",
    "tokenpose_l_mpii",
    "vitpose",
    "vitpose_plus",
]

# --- augmentations ----------------------------------------------------------------------------

_RESNET = Augmentation(flip=0.5, scale=0.3, rotate=40.0, rotate_probability=0.6, half_body=0.0)
_HRNET = replace(_RESNET, scale=0.35, rotate=45.0, half_body=0.3, half_body_joints=8)
_VIT = replace(_HRNET, scale=0.5, rotate=40.0)  # as in mmpose 0.x
# mmpose 1.x moves three boxes in ten by up to .16 of a side; all of them by up to .08 has that
# variance.
_MMPOSE = replace(_VIT, shift=0.08)
_RTMPOSE = replace(_MMPOSE, scale=0.4, colour=0.12, erase=1.0)
_PGPG = replace(_RESNET, pgpg="alphapose", pgpg_from=140)


# --- top-down, heatmaps -----------------------------------------------------------------------


def simple_baseline(model: str) -> Recipe:
    return Recipe(model, epochs=140, milestones=(90, 120), batch=128, lr=1e-3, augment=_RESNET)


def hrnet(model: str) -> Recipe:
    return Recipe(model, epochs=210, milestones=(170, 200), batch=128, lr=1e-3, augment=_HRNET)


def mmpose(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=210,
        milestones=(170, 200),
        batch=512,
        lr=5e-4,
        warmup=500,
        warmup_factor=0.001,
        augment=_MMPOSE,
    )


def hourglass(model: str) -> Recipe:
    return replace(mmpose(model), batch=256)


def seresnet_152(model: str) -> Recipe:
    return replace(mmpose(model), batch=384)


def alphapose_1x(model: str) -> Recipe:
    # The learning rate starts anew with PGPG.
    return Recipe(
        model,
        epochs=200,
        milestones=(90, 120, 160, 190),
        restart=140,
        batch=128,
        lr=1e-3,
        augment=_PGPG,
    )


def alphapose_old(model: str) -> Recipe:
    return replace(
        alphapose_1x(model), optimizer="rmsprop", lr=2.5e-4, augment=replace(_PGPG, colour=0.3)
    )


def alphapose_2x(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=270,
        milestones=(170, 200, 230, 250),
        restart=210,
        batch=128,
        lr=1e-3,
        augment=replace(_HRNET, pgpg="alphapose", pgpg_from=210),
    )


def alphapose_halpe(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=320,
        milestones=(190, 220, 260, 280),
        restart=230,
        batch=128,
        lr=1e-3,
        augment=replace(_HRNET, pgpg="alphapose", pgpg_from=230),
    )


def mindspore(model: str) -> Recipe:
    return Recipe(model, epochs=270, milestones=(170, 200), batch=128, lr=1e-3, augment=_RESNET)


def simple_pose(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=180,
        milestones=(120, 160),
        batch=128,
        lr=1e-3,
        augment=replace(_RESNET, scale_draw="uniform", rotate_probability=1.0),
    )


def lite_hrnet(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=210,
        milestones=(170, 200),
        batch=256,
        lr=2e-3,
        warmup=500,
        warmup_factor=0.001,
        augment=replace(_HRNET, scale=0.25, rotate=30.0),
    )


def hrformer(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=210,
        milestones=(170, 200),
        batch=256,
        optimizer="adamw",
        lr=5e-4,
        weight_decay=0.01,
        no_decay=("relative_position_bias_table",),
        warmup=500,
        warmup_factor=0.001,
        sync_bn=True,
        augment=_VIT,
    )


def tokenpose(model: str) -> Recipe:
    return Recipe(model, epochs=300, milestones=(200, 260), batch=128, lr=1e-3, augment=_HRNET)


def tokenpose_l(model: str) -> Recipe:
    return replace(tokenpose(model), batch=64)


def tokenpose_l_mpii(model: str) -> Recipe:
    return replace(tokenpose_l(model), augment=replace(_RESNET, scale=0.25, rotate=30.0))


def vitpose(model: str) -> Recipe:
    size = model.rpartition("_")[2]
    return Recipe(
        model,
        epochs=210,
        milestones=(170, 200),
        batch=512,
        optimizer="adamw",
        lr=5e-4,
        weight_decay=0.1,
        no_decay=("norm", "bias", "pos_embed"),
        clip=1.0,
        warmup=500,
        warmup_factor=0.001,
        layer_decay={"s": 0.8, "b": 0.75, "l": 0.8, "h": 0.85}[size],
        augment=_VIT,
    )


def vitpose_plus(model: str) -> Recipe:
    return replace(vitpose(model), lr=1e-3, batch=1024)


# --- top-down, classification along the axes and regression -------------------------------------


def simcc(model: str) -> Recipe:
    return Recipe(model, epochs=140, milestones=(90, 120), batch=128, lr=1e-3, augment=_RESNET)


def rtmpose(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=420,
        batch=1024,
        optimizer="adamw",
        lr=4e-3,
        weight_decay=0.05,
        no_decay=("norm", "bias"),
        schedule="cosine",
        cosine_from=210,
        final_factor=0.05,
        warmup=1000,
        warmup_factor=1e-5,
        ema=0.9998,
        sync_bn=True,
        augment=_RTMPOSE,
    )


def rtmpose_s(model: str) -> Recipe:
    return replace(rtmpose(model), weight_decay=0.0)


def rtmpose_t(model: str) -> Recipe:
    return replace(rtmpose(model), weight_decay=0.0, ema=0.0)


def rtmpose_x(model: str) -> Recipe:
    return replace(
        rtmpose(model),
        epochs=700,
        cosine_from=350,
        clip=35.0,
        augment=replace(_RTMPOSE, scale=0.5, rotate=45.0),
    )


def rle_mobilenetv2(model: str) -> Recipe:
    return replace(mmpose(model), lr=1e-3)


def rle(model: str) -> Recipe:
    return Recipe(model, epochs=270, milestones=(170, 200), batch=256, lr=1e-3, augment=_HRNET)


def poseur(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=325,
        milestones=(255, 310),
        batch=256,
        optimizer="adamw",
        lr=1e-3,
        weight_decay=1e-4,
        lr_multipliers={"sampling_offsets": 0.1},
        warmup=500,
        warmup_factor=0.001,
        sync_bn=True,
        augment=_VIT,
    )


def posefix(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=140,
        milestones=(90, 120),
        batch=16,
        lr=5e-4,
        weight_decay=1e-5,
        augment=_RESNET,
    )
