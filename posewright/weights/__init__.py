"""The embedded networks, and the look-up of a network by name or file.

published  the registry of published weights
download   verified, resumed, in place only when whole
transport  HTTP with limits of time
headers    what a response says
part       a download that is not finished
receipt    the SHA-256 of what was downloaded
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from posewright.errors import ModelError, UsageError, near, nearest_network

__all__ = ["EMBEDDED", "LAYOUTS", "Embedded", "find_model"]

_HERE = Path(__file__).parent


@dataclass(frozen=True)
class Embedded:
    """An embedded network: its file and purpose; docs/benchmarks.md has its scores."""

    name: str
    task: str
    summary: str

    @property
    def path(self) -> Path:
        """Where its file is."""
        return _HERE / f"{self.name}.onnx"


EMBEDDED = {
    e.name: e
    for e in (
        Embedded(
            "movenet-thunder",
            "pose",
            "MoveNet SinglePose Thunder v4, 17 COCO joints, one crop per person",
        ),
        Embedded(
            "nanodet-g-person",
            "boxes",
            "NanoDet-g reduced to people, letterbox up to 512 px",
        ),
    )
}
# of files without metadata: what runtimes/forms.py recognises, and what its networks find
LAYOUTS = {
    "rtmpose": "pose",
    "rtmw3d": "pose",
    "rtmo": "pose",
    "vitpose": "pose",
    "heatmap": "pose",
    "movenet": "pose",
    "yolov8-pose": "pose",
    "detrpose": "pose",
    "ecpose": "pose",
    "rfdetr-pose": "pose",
    "rtmdet": "boxes",
    "yolox": "boxes",
    "nanodet-plus": "boxes",
    "dfine": "boxes",
    "rfdetr": "boxes",
}
_SUFFIXES = (".onnx", ".safetensors", ".xml")


def find_model(name: str | Path) -> tuple[Path, str]:
    """Return (file, layout) of an embedded name, a path, or "layout:path".

    ModelError: what looks like a path of a file is none.  UsageError: an unknown name.
    """
    text = str(name)
    if text in EMBEDDED:
        return EMBEDDED[text].path, ""
    prefix, colon, rest = text.partition(":")
    layout, path = (prefix, rest) if colon and prefix in LAYOUTS else ("", text)
    if os.path.isfile(path):  # False, too, for names that no file can have
        return Path(path), layout
    if layout or os.path.dirname(path) or os.path.splitext(path)[1] in _SUFFIXES:
        raise ModelError(f"no model file {path!r}{near(path)}")
    hint = nearest_network(text, EMBEDDED)
    raise UsageError(
        f"no model {text!r}{hint}; give the path of an .onnx or .safetensors file, one of "
        f"{', '.join(EMBEDDED)}, or a network of `posewright models list` with --weights FILE"
    )
