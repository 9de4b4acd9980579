"""The networks that can be named, and the look-up of a network by name or file.

registry   every network that can be named
networks   the file of one, fetched once
modes      pairs of pose network and detector
folders    where downloads are kept
published  checkpoints, and how they are read
download   verified, resumed, in place only when whole
archive    one file of an archive
transport  HTTP with limits of time
headers    what a response says
part       a download that is not finished
receipt    the SHA-256 of what was downloaded
"""

from __future__ import annotations

import os
from pathlib import Path

from posewright.errors import ModelError, UsageError, near
from posewright.weights.networks import ready
from posewright.weights.registry import EMBEDDED, lookup, named, suggestion

__all__ = ["EMBEDDED", "LAYOUTS", "find_model", "parted", "stated_skeleton"]

# of files without metadata: what runtimes/forms.py recognises, and what its networks find
LAYOUTS = {
    "rtmpose": "pose",
    "rtmw3d": "pose",
    "rtmo": "pose",
    "vitpose": "pose",
    "heatmap": "pose",
    "movenet": "pose",
    "movenet-multipose": "pose",
    "yolov8-pose": "pose",
    "detrpose": "pose",
    "ecpose": "pose",
    "rfdetr-pose": "pose",
    "rtmdet": "boxes",
    "yolox": "boxes",
    "nanodet-plus": "boxes",
    "yolov8": "boxes",
    "dfine": "boxes",
    "rfdetr": "boxes",
}
_SUFFIXES = (".onnx", ".safetensors", ".xml")
_UNTOLD = ("ap10k17", "vitpose25")  # 17 joints mean coco17, 25 body25
# layouts of the registry that a graph does not tell; the others are recognised
_TOLD = {"rtmdet-nms": "rtmdet", "yolox-nms": "yolox"}


def parted(name: str) -> tuple[str, str]:
    """Return the layout, "" for none, and the path of "layout:path"."""
    prefix, colon, rest = name.partition(":")
    return (prefix, rest) if colon and prefix in LAYOUTS else ("", name)


def find_model(name: str | Path) -> tuple[Path, str]:
    """Return (file, layout) of a network's name, a path, or "layout:path".

    A published network that is named for the first time is fetched.
    ModelError: what looks like a path of a file is none.  UsageError: an unknown name.
    """
    text = str(name)
    layout, path = parted(text)
    if text in EMBEDDED:
        return EMBEDDED[text].path, ""
    if os.path.isfile(path):  # False, too, for names that no file can have
        return Path(path), layout
    if (entry := lookup(text)) is not None:
        return ready(entry), _TOLD.get(entry.layout, "")
    if layout or os.path.dirname(path) or os.path.splitext(path)[1] in _SUFFIXES:
        raise ModelError(f"no model file {path!r}{near(path)}")
    raise UsageError(
        f"no model {text!r}{suggestion(text)}; give the path of an .onnx or .safetensors file, a "
        "name of `posewright models list`, or a network of the zoo with --weights FILE"
    )


def stated_skeleton(name: str | Path) -> str:
    """Return the skeleton of a network whose number of joints means another one; "" otherwise."""
    entry = None if os.path.isfile(name) else named(str(name))
    return entry.skeleton if entry is not None and entry.skeleton in _UNTOLD else ""
