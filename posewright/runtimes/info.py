"""What a network file says of itself, and what is known of files that say nothing."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.codecs import Boxes, SimCC, codec_from_dict, codec_to_dict
from posewright.codecs.base import Codec
from posewright.errors import ModelError, UsageError, nearest
from posewright.nms import PPoseNMS
from posewright.skeletons import Skeleton, for_joints, get_skeleton

__all__ = ["METADATA_KEY", "Input", "ModelInfo", "infer_info"]

METADATA_KEY = "posewright"
NO_JOINTS = Skeleton("none", ())


@dataclass(frozen=True)
class Input:
    """What a graph takes: memory layout, element type, colour order and normalisation."""

    layout: str = "NHWC"
    dtype: str = "uint8"
    color: str = "RGB"
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Input:
        """Read the plain form that a file carries."""
        mean, std = ((float(r), float(g), float(b)) for r, g, b in (data["mean"], data["std"]))
        return cls(str(data["layout"]), str(data["dtype"]), str(data["color"]), mean, std)

    @property
    def raw(self) -> bool:
        """Whether views go in as they are, because the graph normalises by itself."""
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
        return (
            planes if self.layout == "NCHW" else np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        )


@dataclass(frozen=True)
class ModelInfo:
    """The self-description of a network file.

    outputs: names that the codec knows, for each output of the graph in order.
    ppose: what `posewright ppnms fit` has learned for it; files without take the usual constants.
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

    @classmethod
    def from_json(cls, text: str) -> ModelInfo:
        """Read the metadata entry of a file; a ModelError says what is missing."""
        try:
            data = json.loads(text)
            codec = codec_from_dict(data["codec"])
            return cls(
                str(data["name"]),
                codec,
                _skeleton(data["skeleton"]),
                Input.from_dict(data["input"]),
                licence=str(data["licence"]),
                attribution=str(data["attribution"]),
                origin=str(data["origin"]),
                training_data=str(data["training_data"]),
                ppose=PPoseNMS.from_dict(data["ppose"]) if "ppose" in data else None,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise ModelError(f"the file's posewright metadata cannot be read: {error!r}") from error

    def to_json(self) -> str:
        """Return the metadata entry, the same text for the same model."""
        data = {
            "schema": 1,
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
    if data is None:
        return NO_JOINTS
    return get_skeleton(data) if isinstance(data, str) else Skeleton.from_dict(data)


# mean and std as mmpose, mmdet and mmyolo configure them, in the colour order that the graph takes
_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))
_LAYOUTS = {
    "rtmpose": Input("NCHW", "float32", "RGB", *_IMAGENET),
    "rtmdet": Input("NCHW", "float32", "BGR", _IMAGENET[0][::-1], _IMAGENET[1][::-1]),
    "yolox": Input("NCHW", "float32", "BGR"),
}

Shapes = Mapping[str, Sequence[Any]]


def infer_info(path: Path, layout: str, inputs: Shapes, outputs: Shapes) -> ModelInfo:
    """Return what is known of a file without metadata in a layout that mmdeploy publishes.

    RTMPose: outputs simcc_x (B, K, W * split) and simcc_y.  RTMDet and YOLOX: dets (B, N, 5) and
    labels (B, N); the two differ in normalisation only, which the file does not tell: the layout,
    or else the file's name, does.
    """
    if layout and layout not in _LAYOUTS:
        raise UsageError(f"no layout {layout!r}{nearest(layout, _LAYOUTS)}; {sorted(_LAYOUTS)}")
    names = list(outputs)
    size = _view_size(path, next(iter(inputs.values())))
    if "simcc_x" in names and "simcc_y" in names:
        return _rtmpose(path, size, outputs, layout or "rtmpose")
    if "dets" in names:
        kind = layout or _named(path)
        fields = ("labels" if n == "labels" else n for n in names)
        return ModelInfo(
            path.stem, Boxes(input_size=size), NO_JOINTS, _LAYOUTS[kind], tuple(fields)
        )
    raise ModelError(
        f"{path}: no posewright metadata, and its outputs {names} are neither simcc_x and simcc_y "
        "(RTMPose) nor dets and labels (RTMDet, YOLOX); export it with metadata"
    )


def _rtmpose(path: Path, size: tuple[int, int], outputs: Shapes, layout: str) -> ModelInfo:
    joints, bins = outputs["simcc_x"][1], outputs["simcc_x"][2]
    skeleton = for_joints(joints) if isinstance(joints, int) else None
    if skeleton is None:
        raise ModelError(f"{path}: no skeleton is known for {joints} joints")
    split = bins / size[0] if isinstance(bins, int) else 2.0
    codec = SimCC(input_size=size, split=split)
    names = tuple({"simcc_x": "x", "simcc_y": "y"}.get(n, n) for n in outputs)
    return ModelInfo(path.stem, codec, skeleton, _LAYOUTS[layout], names)


def _view_size(path: Path, shape: Sequence[Any]) -> tuple[int, int]:
    """Return (width, height) of a graph's input (B, 3, h, w), from its name where it is dynamic."""
    if len(shape) == 4 and all(isinstance(n, int) for n in shape[2:]):
        return int(shape[3]), int(shape[2])
    named = re.search(r"(\d{2,4})x(\d{2,4})", path.stem)  # height x width, as mmpose names files
    if named:
        return int(named[2]), int(named[1])
    raise ModelError(
        f"{path}: the input is {list(shape)}, so its size is not known; put HEIGHTxWIDTH "
        "into the file's name, as in rtmpose-m_256x192.onnx"
    )


def _named(path: Path) -> str:
    found = [name for name in _LAYOUTS if name in path.stem.lower()]
    if len(found) != 1:
        raise ModelError(
            f"{path}: RTMDet and YOLOX files differ only in normalisation; say which it is with "
            f"rtmdet:{path.name} or yolox:{path.name}"
        )
    return found[0]
