"""The metadata of a network file; `layouts` recognises files without metadata."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_type_hints

import numpy as np
from numpy.typing import NDArray

from posewright.codecs import codec_from_dict, codec_to_dict
from posewright.codecs.base import Codec
from posewright.errors import ModelError, UsageError
from posewright.files.address import masked
from posewright.files.fields import parsed, text_of, typed
from posewright.nms import PPoseNMS
from posewright.skeletons import Skeleton, get_skeleton

__all__ = ["METADATA_KEY", "NO_JOINTS", "Input", "ModelInfo"]

METADATA_KEY = "posewright"
_SCHEMA = 1  # of the entry; another number would mean something else by the same keys
NO_JOINTS = Skeleton("none", ())

_SIDE = "(?:left|right|l|r)?"
_BODY = re.compile(
    rf"(?<![a-z]){_SIDE}[^a-z]*(?:shoulder|elbow|wrist|hip|knee|ankle|head|neck|pelvis|thorax)s?"
    rf"[^a-z]*{_SIDE}(?![a-z])"
)
_ANIMAL = re.compile("tail|paw|hoof|fetlock|withers|wing|beak|snout|muzzle|antenna|horn")


@dataclass(frozen=True)
class Input:
    """What a graph takes: memory layout, element type, colour order and normalisation."""

    layout: Literal["NHWC", "NCHW"] = "NHWC"
    dtype: Literal["uint8", "int32", "float16", "float32"] = "uint8"
    color: Literal["RGB", "BGR"] = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Input:
        """Read the plain form that a file carries; ValueError for an invalid one."""
        if not isinstance(data, Mapping):
            raise ValueError(f"input {ascii(data)[:40]} is not a valid description")
        of_input = get_type_hints(cls)
        found = cls(**{name: typed(data[name], hint) for name, hint in of_input.items()})
        if min(found.std) <= 0:
            raise ValueError(f"std {found.std} is not positive")
        return found

    @property
    def raw(self) -> bool:
        """Whether views are passed unchanged, because the graph normalises them itself."""
        return self == Input()

    def prepare(self, views: NDArray[np.uint8]) -> NDArray[Any]:
        """(B, h, w, 3) uint8 RGB -> what the graph takes."""
        if self.raw:
            return views
        order = [0, 1, 2] if self.color == "RGB" else [2, 1, 0]
        b, h, w, _ = views.shape
        planes = np.empty((b, 3, h, w), np.float32)
        for to, channel in enumerate(order):  # one fused pass per plane; mean and std in file order
            np.multiply(views[..., channel], np.float32(1 / self.std[to]), out=planes[:, to])
            planes[:, to] -= np.float32(self.mean[to] / self.std[to])
        given = planes if self.layout == "NCHW" else planes.transpose(0, 2, 3, 1)
        return np.ascontiguousarray(given, self.dtype)


@dataclass(frozen=True)
class ModelInfo:
    """The metadata of a network file.

    outputs: names that the codec knows, for each output of the graph in order.
    ppose: what `posewright fit nms` has learned for it; files without take the usual constants.
    second: name of a second input: "orig_target_sizes", (B, 2) int64 width and height of what the
    outputs count pixels of, in graphs that take one view at a time, or "dataset_index", (B,) int64
    number of the data set whose joints are wanted, 0 for COCO's.
    """

    name: str
    codec: Codec
    skeleton: Skeleton
    input: Input = Input()
    outputs: tuple[str, ...] = ()
    licence: str = "not stated"
    attribution: str = ""
    origin: str = ""
    training_data: str = "not stated"
    ppose: PPoseNMS | None = None
    second: str = ""

    @property
    def of_people(self) -> bool:
        """Whether at least two joints are named as of a human body and none as of an animal."""
        names = [joint.lower() for joint in self.skeleton.joints]
        body = sum(_BODY.search(name) is not None for name in names)
        return body > 1 and not any(_ANIMAL.search(name) for name in names)

    def with_threshold(self, score: float) -> ModelInfo:
        """Return the same description with another score threshold; UsageError: there is none."""
        if not hasattr(self.codec, "threshold"):
            raise UsageError(f"{self.name} has no score threshold; set that of a detector")
        codec = replace(self.codec, threshold=score)  # type: ignore[type-var]
        return replace(self, codec=codec)

    @classmethod
    def from_json(cls, text: str, path: Path | str) -> ModelInfo:
        """Read the metadata entry of the file `path`; a ModelError says what is wrong with it."""
        try:
            data = parsed(text)
            if isinstance(data, dict) and data.get("schema", _SCHEMA) != _SCHEMA:
                shown = ascii(data["schema"])[:40]
                raise ValueError(f"schema {shown}; this version of posewright reads {_SCHEMA}")
            codec = codec_from_dict(data["codec"])
            return cls(
                text_of(data["name"]),
                codec,
                _skeleton(data["skeleton"]),
                Input.from_dict(data["input"]),
                licence=masked(text_of(data["licence"])),
                attribution=masked(text_of(data["attribution"])),
                origin=masked(text_of(data["origin"])),
                training_data=masked(text_of(data["training_data"])),
                ppose=PPoseNMS.from_dict(data["ppose"]) if "ppose" in data else None,
            )
        except KeyError as error:
            raise ModelError(f"{path}: its posewright metadata lacks {error}") from error
        except (ModelError, TypeError, ValueError, OverflowError) as error:
            raise ModelError(f"{path}: its posewright metadata is invalid: {error}") from error

    def to_json(self) -> str:
        """Return the metadata entry, the same text for the same model."""
        data = {
            "schema": _SCHEMA,
            "name": self.name,
            "codec": codec_to_dict(self.codec),
            "skeleton": self.skeleton.to_dict() if len(self.skeleton) else None,
            "input": {k: getattr(self.input, k) for k in self.input.__dataclass_fields__},
            "licence": self.licence,
            "attribution": self.attribution,
            "origin": self.origin,
            "training_data": self.training_data,
        }
        if self.ppose is not None:  # files without stay the same to the byte
            data["ppose"] = asdict(self.ppose)
        return json.dumps(data, sort_keys=True, separators=(",", ":"))


def _skeleton(data: str | Mapping[str, Any] | None) -> Skeleton:
    """Return the joints that a file names, or lists."""
    if data is None:
        return NO_JOINTS
    return get_skeleton(data) if isinstance(data, str) else Skeleton.from_dict(data)
