"""VisDrone-DET (Zhu et al., arXiv:2001.06303), read for its person boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.classes import PERSON, Classes, class_title
from posewright.datasets.findings import Notes
from posewright.datasets.layouts import Layout
from posewright.datasets.places import header_size
from posewright.errors import SourceError
from posewright.files.values import BROKEN, corners
from posewright.people import Floats
from posewright.skeletons import Skeleton

__all__ = ["LAYOUTS", "read_visdrone"]

_IGNORED = 0  # the category of regions in which nothing counts
_CATEGORIES = (
    "ignored",
    "pedestrian",
    "people",
    "bicycle",
    "car",
    "van",
    "truck",
    "tricycle",
    "awning-tricycle",
    "bus",
    "motor",
    "others",
)
_PEOPLE = ("pedestrian", "people")  # who stand or walk, and who sit, ride or lie


def read_visdrone(path: Path, images: Path | None = None, class_name: str | None = None) -> Dataset:
    """Read a folder with `annotations/*.txt` and `images/*.jpg`; the people have no joints.

    A line: left, top, width, height, score, category, truncation, occlusion.  class_name: of the
    paper's categories; by default pedestrian and people.
    """
    labels = path / "annotations" if (path / "annotations").is_dir() else path
    files = sorted(labels.glob("*.txt"))
    if not files:
        raise SourceError(f"{path} is not a VisDrone folder: it contains no annotations/*.txt")
    notes = Notes(path)
    folder = images or labels.parent / "images"
    classes = Classes()
    for name in _CATEGORIES[1:]:
        classes.declare(name, joints=False)
    default = class_name is None or class_name.casefold() == PERSON
    chosen = _PEOPLE if default else classes.choose(class_name, path)
    numbers = {_CATEGORIES.index(name) for name in chosen}
    samples = tuple(
        _sample(file, folder / f"{file.stem}.jpg", numbers, classes, notes) for file in files
    )
    title = PERSON if default else class_title(chosen)
    remarks = classes.remarks(chosen, path)
    skeleton = Skeleton("boxes", ())
    return Dataset(path.name, skeleton, samples, notes.lines(), remarks, title)


def _sample(file: Path, picture: Path, chosen: set[int], classes: Classes, notes: Notes) -> Sample:
    boxes: list[Floats] = []
    ignore: list[Floats] = []
    text = file.read_text("utf-8", "replace")
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            fields = [float(word) for word in line.strip().strip(",").split(",")]
            box, category, counts = corners(fields[:4]), int(fields[5]), fields[4] > 0
        except BROKEN:
            notes.add("line skipped: it needs eight numbers", f"{file.name}:{number}")
            continue
        if category == _IGNORED or (category in chosen and not counts):
            ignore.append(box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2))
        elif category in chosen:
            boxes.append(box)
        elif 0 < category < len(_CATEGORIES):
            classes.add(_CATEGORIES[category], joints=False)
    blank = np.zeros((len(boxes), 0, 3), np.float32)
    return Sample.of(
        picture,
        header_size(picture),
        file.stem,
        blank,
        np.reshape(boxes, (-1, 4)),
        ignore=tuple(ignore),
    )


LAYOUTS = {
    "visdrone": Layout(
        read_visdrone, matches=lambda path: any((path / "annotations").glob("*.txt")), rank=4
    )
}
