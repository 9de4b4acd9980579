"""The numbers of the recipes of networks that find people by themselves, without a detector.

Where each is written, and for which networks it is, says posewright.recipes.lookup.
"""

from __future__ import annotations

from dataclasses import replace

from posewright.augment import Augmentation
from posewright.recipes.groups import RTMOSettings
from posewright.recipes.recipe import Recipe

__all__ = ["adaptivepose", "dekr_w32", "dekr_w48", "movenet", "rtmo", "yolo_pose", "yoloxpose"]

# DEKR: a region .75 to 1.5 times as large, moved by up to 40 of 512 pixels.
_DEKR = Augmentation(
    flip=0.5,
    scale=0.375,
    scale_middle=1.125,
    scale_draw="uniform",
    rotate=30.0,
    rotate_probability=1.0,
    shift=0.08,
    half_body=0.0,
)
_YOLO = replace(_DEKR, scale_middle=1.0)


def dekr_w32(model: str) -> Recipe:
    return Recipe(model, epochs=140, milestones=(90, 120), batch=40, lr=1e-3, augment=_DEKR)


def dekr_w48(model: str) -> Recipe:
    return replace(dekr_w32(model), batch=20)


def adaptivepose(model: str) -> Recipe:
    return Recipe(model, epochs=280, milestones=(230, 260), batch=32, lr=2.5e-4, augment=_DEKR)


def yoloxpose(model: str) -> Recipe:
    # Five epochs of warm-up are 1,100 steps of 256 of COCO's 56,599 images with people.
    return Recipe(
        model,
        epochs=300,
        batch=256,
        optimizer="adamw",
        lr=4e-3,
        weight_decay=0.05,
        no_decay=("norm", "bias"),
        clip=0.1,
        schedule="cosine",
        cosine_from=5,
        cosine_until=280,
        final_factor=0.05,
        warmup=1100,
        warmup_factor=0.0,
        ema=0.9998,
        augment=replace(_YOLO, scale=0.25, rotate=10.0, shift=0.1, colour=0.12),
    )


def rtmo(model: str) -> Recipe:
    return replace(
        yoloxpose(model),
        epochs=600,
        rtmo=RTMOSettings(teach_from=280),
        lr_multipliers={"neck.encoder": 0.05},
    )


def yolo_pose(model: str) -> Recipe:
    # Three epochs of warm-up are 2,650 steps of 64 of the same images.
    return Recipe(
        model,
        epochs=300,
        batch=64,
        optimizer="sgd",
        lr=0.01,
        momentum=0.937,
        weight_decay=5e-4,
        no_decay=("norm", "bias"),
        schedule="cosine",
        final_factor=0.2,
        warmup=2650,
        warmup_factor=0.0,
        ema=0.9999,
        augment=replace(_YOLO, scale=0.5, rotate=0.0, shift=0.1, colour=0.4),
    )


def movenet(model: str) -> Recipe:
    return Recipe(
        model,
        epochs=120,
        milestones=(70, 100),
        batch=64,
        lr=1e-3,
        weight_decay=5e-4,
        augment=replace(_YOLO, scale=0.25, colour=0.2),
    )
