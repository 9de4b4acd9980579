"""SimplePose of liangheming/simple_pose."""

from __future__ import annotations

from functools import partial

from posewright.checkpoints.base import Foreign, State
from posewright.checkpoints.tables.seresnet import flat_gates
from posewright.models import create

__all__ = ["SIMPLE_POSE"]

_HEAD = ("deconv_layers.", "duc_layers.", "final_layer.")

_DEPTHS: dict[int, dict[str, int]] = {
    50: {},
    **{depth: {"depth": depth} for depth in (18, 34, 101, 152)},
}


def _named(state: State) -> State:
    """Return `state` with linear gates and, under pixel shuffles, the names of FastPose."""
    shuffled = any(key.startswith("duc_layers.") for key in state)
    prefix = "backbone.preact." if shuffled else "backbone."
    return {
        key if key.startswith(_HEAD) else prefix + key: value
        for key, value in flat_gates(state).items()
    }


SIMPLE_POSE = Foreign(
    "simple_pose",
    origin="https://github.com/liangheming/simple_pose",
    licence="none stated",
    marks=("layer4.", "duc_layers.|deconv_layers.1.running_mean", "final_layer."),
    prepare=_named,
    rules=(
        (r"((?:deconv_layers|final_layer)\..*)", r"head.\1"),
        (r"duc_layers\.(\d)\.(.*)", r"backbone.duc\1.\2"),
    ),
    variants={
        f"{head}_r{depth}{gates}": partial(create, f"simple_pose_{head}{gates}", **options)
        for head in ("dconv", "duc")
        for gates in ("", "_se")
        for depth, options in _DEPTHS.items()
    },
)
