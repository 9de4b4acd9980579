"""What a layout of labels is, and which there are: those that the files of formats/ declare."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from posewright.datasets.base import Dataset
from posewright.files.modules import declared

__all__ = ["Layout", "layouts"]


@dataclass(frozen=True)
class Layout:
    """How a tool or a data set keeps its labels.

    read: called with the path of an annotation file or a folder, and with the folder of the images
    or None; with class_name=, if there are classes, and with split=, if there are parts.  classes:
    objects of several classes are labelled; otherwise people alone.  parts: returns which of the
    parts train, val and test the labels at a path declare.  matches: whether a path, which exists,
    holds this layout; without it, the kind must be named, or `opening.guess_kind` knows it.
    """

    read: Callable[..., Dataset]
    classes: bool = True
    parts: Callable[[Path], tuple[str, ...]] | None = None
    matches: Callable[[Path], bool] | None = None


@cache
def layouts() -> dict[str, Layout]:
    """Return the layouts by their kind, COCO's first."""
    found = dict(declared("posewright.datasets.formats", "LAYOUTS"))
    return {"coco": found.pop("coco"), **found}
