"""Codecs: people in image pixels <-> what a network takes and emits.  `codec_from_dict` reads the
form that a model file carries."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
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

_KINDS: dict[str, Any] = {
    c.kind: c
    for c in (
        Heatmap,
        CombinedUDP,
        Megvii,
        Integral,
        Combined,
        SimCC,
        MoveNet,
        MoveNetMulti,
        DistributionBoxes,
        Boxes,
        DEKR,
        AdaptivePose,
        YoloxPose,
        RTMO,
        YoloPose,
        PoseFix,
        Regression,
        Embedding,
    )
}


# what `create(codec=...)` takes by name
_NAMED: dict[str, tuple[Any, dict[str, Any]]] = {
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


def codec_named(name: str, input_size: tuple[int, int]) -> Codec:
    """Return the codec that papers call `name`, for views of (width, height) `input_size`."""
    if name not in _NAMED:
        raise UsageError(f"no codec {name!r}{nearest(name, _NAMED)}; known: {', '.join(_NAMED)}")
    make, fields = _NAMED[name]
    if make is Heatmap:
        fields = {**usual_widths(input_size), **fields}
    codec: Codec = make(input_size=input_size, **fields)
    return codec


def codec_to_dict(codec: Codec) -> dict[str, Any]:
    """Return the plain form of a codec: its kind and its fields."""
    return {"kind": codec.kind, **dataclasses.asdict(codec)}  # type: ignore[call-overload]


def codec_from_dict(data: Mapping[str, Any]) -> Codec:
    """Build a codec from its plain form.

    ModelError: a kind or a field that is not known, or a value that no field can have.
    """
    kind = data.get("kind") if isinstance(data, Mapping) else data
    if not isinstance(kind, str) or kind not in _KINDS:
        word = ascii(kind)[:40]
        raise ModelError(f"codec {word} is not known{nearest(word.strip(chr(39)), _KINDS)}")
    try:
        fields = stated_fields(_KINDS[kind], {k: v for k, v in data.items() if k != "kind"})
        codec: Codec = _KINDS[kind](**fields)
    except ValueError as error:
        raise ModelError(f"codec {kind!r} has {error}") from error
    return codec
