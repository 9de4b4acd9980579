"""Backbones trained on ImageNet, as torchvision and timm publish them, to start a training from."""

from __future__ import annotations

from posewright.checkpoints.base import Foreign, State, foreign, renamed
from posewright.errors import ModelError
from posewright.models import PoseModel

__all__ = ["load_backbone"]

# what a classifier has and a pose network has not; timm's HRNet calls its head's parts so too
_CLASSIFIER = (
    (
        r"(fc|classifier|head|head_fc|head_norm|norm|incre_modules|downsamp_modules|final_layer)\..*",
        None,
    ),
    (r"(cls_token|head_dist)", None),
    (r"(.*)", r"backbone.\1"),
)

RESNET = Foreign(
    "imagenet_resnet",
    origin="https://github.com/pytorch/vision (timm's resnet has the same names)",
    licence="BSD-3-Clause",
    marks=("layer4.", "fc."),
    rules=_CLASSIFIER,
)
HRNET = Foreign(
    "imagenet_hrnet",
    origin="https://github.com/huggingface/pytorch-image-models (hrnet_w32, hrnet_w48)",
    licence="Apache-2.0; trained by HRNet's authors, MIT",
    marks=("stage4.", "classifier."),
    rules=_CLASSIFIER,
)


def load_backbone(model: PoseModel, state: State, family: str) -> tuple[list[str], list[str]]:
    """Copy what fits of an ImageNet checkpoint into the backbone of `model`.

    Returns (loaded, left): our names that were filled, and those of the backbone that were not.
    ModelError: less than half of the backbone's tensors fit, so it belongs to another network.
    """
    ours = model.state_dict()
    given = renamed(state, foreign(family))
    fits = {k: v for k, v in given.items() if k in ours and ours[k].shape == v.shape}
    backbone = [k for k in ours if k.startswith("backbone.")]
    left = [k for k in backbone if k not in fits and not k.endswith("num_batches_tracked")]
    if len(fits) * 2 < len(backbone):
        raise ModelError(
            f"only {len(fits)} of {len(backbone)} tensors of {model.name}'s backbone are in this "
            f"{family} checkpoint; it belongs to another network"
        )
    model.load_state_dict({**ours, **fits})
    return sorted(fits), left
