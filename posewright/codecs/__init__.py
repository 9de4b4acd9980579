"""Codecs: people in image pixels <-> inputs and outputs of a network.

A codec is a class with a `kind` of its own in a file of this folder; there is no table of them.  A
file may declare NAMED, as below, for what `create(codec=...)` takes by name.

base            what a codec is, and what some have besides
heatmap         heatmaps, with quarter offset or DARK
udp             UDP's combined target
megvii          Megvii's heatmaps
integral        soft-argmax over heatmaps
regression      coordinates: DeepPose, RLE
simcc           classification along the axes
posefix         a pose goes in, a better one comes out
mistakes        synthetic errors to train PoseFix with
boxes           person detectors
anchors         grids and anchors, shared by the next three
anchor_boxes    the detectors YOLOv3, EfficientDet and JDE
yolo_pose       YOLO-Pose
yolox           YOLOX-Pose and RTMO
dekr            DEKR
limbs           limbs of a pose, by which its OKS is expected (DEKR)
adaptivepose    AdaptivePose
movenet         MoveNet, single and multi
decoded_points  MoveNet's official graphs
listed          RTMO's and YOLO's graphs that list people or boxes
queries         transformers: D-FINE, RT-DETR, RF-DETR, DETRPose
grid_boxes      the detectors YOLOX and NanoDet-Plus
embedding       features for re-identification
stated          the fields that a model file states, checked
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import cache
from typing import Any

from posewright.codecs.adaptivepose import AdaptivePose
from posewright.codecs.base import Codec
from posewright.codecs.boxes import Boxes, DistributionBoxes
from posewright.codecs.dekr import DEKR
from posewright.codecs.embedding import Embedding
from posewright.codecs.heatmap import Heatmap, usual_widths
from posewright.codecs.integral import Combined, Integral
from posewright.codecs.megvii import Megvii
from posewright.codecs.movenet import MoveNet, MoveNetMulti
from posewright.codecs.posefix import PoseFix
from posewright.codecs.regression import Regression
from posewright.codecs.simcc import SimCC
from posewright.codecs.stated import stated_fields
from posewright.codecs.udp import CombinedUDP
from posewright.codecs.yolo_pose import YoloPose
from posewright.codecs.yolox import RTMO, YoloxPose
from posewright.errors import ModelError, UsageError, nearest
from posewright.files.modules import declared, modules_in

__all__ = [
    "DEKR",
    "RTMO",
    "AdaptivePose",
    "Boxes",
    "Codec",
    "Combined",
    "CombinedUDP",
    "DistributionBoxes",
    "Embedding",
    "Heatmap",
    "Integral",
    "Megvii",
    "MoveNet",
    "MoveNetMulti",
    "PoseFix",
    "Regression",
    "SimCC",
    "YoloPose",
    "YoloxPose",
    "codec_from_dict",
    "codec_named",
    "codec_to_dict",
]

# what `create(codec=...)` takes by name
NAMED: dict[str, tuple[Any, dict[str, Any]]] = {
    "heatmap": (Heatmap, {"quantised": True}),
    "dark": (Heatmap, {"refine": "dark"}),
    "udp": (Heatmap, {"refine": "udp", "unbiased": True}),
    "udp_combined": (CombinedUDP, {}),
    "megvii": (Megvii, {}),
    "simcc": (SimCC, {}),
    "sa_simdr": (SimCC, {"sigma": 6.0, "normalised": True}),
    "simdr": (SimCC, {"normalised": True, "smoothing": 0.1, "score": "max"}),
    "integral": (Integral, {}),
    "alphapose_integral": (Integral, {"normalise": "sigmoid"}),
    "alphapose_combined": (Combined, {}),
    "dekr": (DEKR, {}),
    "mmpose_dekr": (DEKR, {"outward": True}),
    "adaptivepose": (AdaptivePose, {}),
    "regression": (Regression, {}),
    "rle": (Regression, {"centred": True, "sigma": True}),
    "mmpose_rle": (Regression, {"sigma": True}),
}


@cache
def _kinds() -> dict[str, Any]:
    """Return the class of each kind of codec: those that state their own, in every file here."""
    found: dict[str, Any] = {}
    for module in modules_in(__name__):
        for value in vars(module).values():
            ours = isinstance(value, type) and value.__module__ == module.__name__
            kind = vars(value).get("kind") if ours else None
            if isinstance(kind, str) and found.setdefault(kind, value) is not value:
                raise ValueError(f"two codecs have the kind {kind!r}")
    return found


@cache
def _named() -> dict[str, tuple[Any, dict[str, Any]]]:
    """Return class and fields of each codec that has a name: the table above, and the files'."""
    found = dict(declared(__name__, "NAMED"))
    if twice := found.keys() & NAMED:
        raise ValueError(f"two codecs are called {twice.pop()!r}")
    return {**NAMED, **found}


def codec_named(name: str, input_size: tuple[int, int]) -> Codec:
    """Return the codec that papers call `name`, for views of (width, height) `input_size`."""
    known = _named()
    if name not in known:
        raise UsageError(f"no codec {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    make, fields = known[name]
    if make is Heatmap:
        fields = {**usual_widths(input_size), **fields}
    codec: Codec = make(input_size=input_size, **fields)
    return codec


def codec_to_dict(codec: Codec) -> dict[str, Any]:
    """Return the plain form of a codec: its kind and its fields."""
    return {"kind": codec.kind, **dataclasses.asdict(codec)}  # type: ignore[call-overload]


def codec_from_dict(data: Mapping[str, Any]) -> Codec:
    """Build a codec from its plain form.

    ModelError: an unknown kind or field, or an invalid value.
    """
    kind = data.get("kind") if isinstance(data, Mapping) else data
    known = _kinds()
    if not isinstance(kind, str) or kind not in known:
        word = ascii(kind)[:40]
        raise ModelError(f"codec {word} is unknown{nearest(word.strip(chr(39)), known)}")
    try:
        fields = stated_fields(known[kind], {k: v for k, v in data.items() if k != "kind"})
        codec: Codec = known[kind](**fields)
    except ValueError as error:
        raise ModelError(f"codec {kind!r} has {error}") from error
    return codec
