"""What a layout of labels is, and which there are: those that the files of formats/ declare.

A path is recognised by asking the layouts in the order of their `rank`: those of one's own, then
ours: joints.mat (LSP), annotations.xml (CVAT), YAML or labels/ (YOLO), annotations/*.txt
(VisDrone), then what JSON files hold, of labelme, PoseTrack, AI Challenger, Label Studio and MPII;
COCO's form, which several data sets have, comes last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from posewright.datasets.base import Dataset
from posewright.errors import SourceError
from posewright.files.modules import declared
from posewright.files.values import load

__all__ = ["Json", "Layout", "layouts"]

_LARGE = 8 << 20  # bytes of a JSON file from which on its layout is told by its beginning


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON file, as far as it is read to tell its layout.

    data: parsed; None for a broken file, and for an object of more than 8 MB, which is parsed once,
    by its reader.  head: the first 8 MB of such an object; empty for any other file.
    """

    data: Any
    head: bytes = b""

    @classmethod
    def read(cls, path: Path) -> Json:
        """Read a file that exists."""
        if path.stat().st_size > _LARGE:
            with open(path, "rb") as file:
                head = file.read(_LARGE)
            if head.lstrip()[:1] == b"{":
                return cls(None, head)
        try:
            return cls(load(path))
        except SourceError:
            return cls(None)

    def list_of(self, *keys: str) -> bool:
        """Whether it is a list whose first object has these keys."""
        return isinstance(self.data, list) and _first(self.data).keys() >= set(keys)

    def object_of(self, key: str) -> bool:
        """Whether it is an object that holds a list under a key."""
        return isinstance(self.data, dict) and isinstance(self.data.get(key), list)

    def images_of(self, *keys: str) -> bool:
        """Whether it is an object with a list of images whose first has these keys, none: any."""
        if self.head:
            return all(b'"%b"' % key.encode() in self.head for key in keys)
        return self.object_of("images") and _first(self.data["images"]).keys() >= set(keys)


@dataclass(frozen=True)
class Layout:
    """How a tool or a data set keeps its labels.

    read: called with the path of an annotation file or a folder, and with the folder of the images
    or None; with class_name=, if there are classes, with split=, if there are parts, and with
    joints=, if their names are typed by hand.  classes:
    objects of several classes are labelled; otherwise people alone.  parts: returns which of the
    parts train, val and test the labels at a path declare.  matches: whether a path, which exists,
    holds this layout.  holds: whether a JSON file is of it.  Without both, the kind must be named.
    typed: whether the names of joints are typed by hand, so that `open_dataset` is told which of
    them are meant as they stand.  by_images: the parts are those of the images, which a folder of
    images replaces.  rank: place in the order in which layouts are asked; 0 is before ours.
    """

    read: Callable[..., Dataset]
    classes: bool = True
    parts: Callable[[Path], tuple[str, ...]] | None = None
    matches: Callable[[Path], bool] | None = None
    holds: Callable[[Json], bool] | None = None
    typed: bool = False
    by_images: bool = False
    rank: int = 0


def _first(entries: list[Any]) -> dict[str, Any]:
    return next((entry for entry in entries if isinstance(entry, dict)), {})


@cache
def layouts() -> dict[str, Layout]:
    """Return the layouts by their kind, COCO's first."""
    found = dict(declared("posewright.datasets.formats", "LAYOUTS"))
    return {"coco": found.pop("coco"), **found}
