"""Groups of a recipe: the settings that belong to one method of training.

A group is a table of the recipe's file and a prefix on the command line: "stn.loss_weight=5".
Augmentation is one too, in `posewright.augment`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from posewright.errors import UsageError
from posewright.recipes.rules import keep_checked, number, one_of, setting, text

__all__ = [
    "EARLIER_NAMES",
    "OF_OTHERS",
    "OKSLossSettings",
    "PoseFixSettings",
    "RTMOSettings",
    "STNSettings",
    "with_new_names",
]

# Keys of recipes of earlier versions and of other programs, and what they are called here.
EARLIER_NAMES = {
    "parallel": "stn.loss_weight",
    "parallel_labels": "stn.labels",
    "oks_width": "oks_loss.width",
    "teach_from": "rtmo.teach_from",
    "pretrained": "backbone",  # HRNet and mmpose; what fits of another pose network is "try_load"
    "try_load": "weights",  # AlphaPose
}


# Settings of other systems, in lower case, and where they are here; `recipes/configs.py` reads
# whole configuration files.
OF_OTHERS = {
    "amp": "precision=fp16 or precision=bf16",
    "gpus": "--devices N on the command line",
    "num_workers": "workers",
    "nthreads": "workers",
    "batch_size": "batch, in crops over all devices together",
    "train_batch_size": "batch, in crops over all devices together",
    "samples_per_gpu": "batch, in crops over all devices together",
    "end_epoch": "epochs",
    "max_epochs": "epochs",
    "train_end_epoch": "epochs",
    "base_lr": "lr",
    "learning_rate": "lr",
    "lr_step": "milestones",
    "lr_factor": "gamma",
    "wd": "weight_decay",
    "load_from": "weights",
    "checkpoint": "weights",
    "image_size": "options.input_size, width before height",
    "rot_factor": "augment.rotate, in degrees",
    "scale_factor": "augment.scale",
    "grad_clip": "clip",
    "work_dir": "-o DIR on the command line",
}


@dataclass(frozen=True)
class STNSettings:
    """What teaches a spatial transformer (`options.stn`); UsageError: an invalid value."""

    loss_weight: float = setting(
        1.0, number(0), "factor of the loss that teaches the transformer; 0: none"
    )
    labels: str = setting(
        "centred",
        one_of("centred", "cropped", "boxes"),
        "poses that the parallel branch asks for: moved to the middle (RMPE's), or as in the "
        "codec's crop of the labelled box; boxes: no branch, the transformer itself learns that "
        "crop",
    )

    def __post_init__(self) -> None:
        keep_checked(self, "stn.")

    @property
    def copies(self) -> bool:
        """Whether a copy of the network teaches, which keeps the weights that it started from."""
        return self.loss_weight > 0 and self.labels != "boxes"


@dataclass(frozen=True)
class OKSLossSettings:
    """How 1 - OKS is minimised; UsageError: an invalid value."""

    width: float = setting(
        1.0,
        number(1, 100),
        "YOLO-Pose, YOLOX-Pose, RTMO: factor of the loss's sigmas at the start, 1 from half of the "
        "training on",
    )

    def __post_init__(self) -> None:
        keep_checked(self, "oks_loss.")


@dataclass(frozen=True)
class RTMOSettings:
    """How RTMO is trained in two stages; UsageError: an invalid value."""

    teach_from: int = setting(
        0,
        number(0, whole=True),
        "epoch at which RTMO's second stage begins, in which its classifier teaches the other "
        "branches; 0: never",
    )

    def __post_init__(self) -> None:
        keep_checked(self, "rtmo.")


@dataclass(frozen=True)
class PoseFixSettings:
    """Which poses a network learns to refine; UsageError: an invalid value."""

    poses: str = setting(
        "",
        text(),
        "PoseFix: results of another model on the training images; joints that are not labelled "
        "are given where it has found them, with synthetic errors like those that are, as by its "
        "authors; if empty, they are not given",
    )
    synthetic: float = setting(
        1.0,
        number(0, 1),
        "share of the views whose pose is the label with synthetic errors; the others have the "
        "pose of posefix.poses as it is",
    )

    def __post_init__(self) -> None:
        keep_checked(self, "posefix.")


def with_new_names(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the table of a recipe with other names of settings replaced by those of today.

    UsageError: a setting is there by both names.
    """
    values = {key: value for key, value in data.items() if key not in EARLIER_NAMES}
    for earlier in EARLIER_NAMES.keys() & data.keys():
        name, dot, key = EARLIER_NAMES[earlier].partition(".")
        if not dot:
            if name in values:
                raise UsageError(f"{earlier} is here {name}; a recipe cannot have both")
            values[name] = data[earlier]
            continue
        group = values.get(name, {})
        if isinstance(group, Mapping):  # else the recipe says what is wrong
            if key in group:
                raise UsageError(f"{earlier} is now {name}.{key}; a recipe cannot have both")
            values[name] = {**group, key: data[earlier]}
    return values
