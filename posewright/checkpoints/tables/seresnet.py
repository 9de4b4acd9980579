"""SE-ResNet of mmpose 0.x and 1.x."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign, State
from posewright.models import create

__all__ = ["MMPOSE_SERESNET", "flat_gates"]


def flat_gates(state: State) -> State:
    """Return `state` with its gates' 1x1 convolutions, 4-D, as linear layers."""
    return {
        key: value.flatten(1)
        if key.endswith(".weight") and (".se_layer." in key or ".se." in key)
        else value
        for key, value in state.items()
    }


MMPOSE_SERESNET = Foreign(
    "mmpose_seresnet",
    origin="https://github.com/open-mmlab/mmpose",
    licence="Apache-2.0",
    marks=("backbone.*.se_layer.",),
    prepare=flat_gates,
    rules=(
        (r"(backbone\..*\.)se_layer\.conv1\.conv\.(.*)", r"\1se.fc.0.\2"),
        (r"(backbone\..*\.)se_layer\.conv2\.conv\.(.*)", r"\1se.fc.2.\2"),
        (r"keypoint_head\.(.*)", r"head.\1"),
    ),
    variants={
        "seresnet50": partial(create, "seresnet_50"),
        "seresnet101": partial(create, "seresnet_101"),
        "seresnet152": partial(create, "seresnet_152"),
    },
)
