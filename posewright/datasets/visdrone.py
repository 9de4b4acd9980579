"""VisDrone-DET (Zhu et al., arXiv:2001.06303), read for its person boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.notes import Notes
from posewright.datasets.places import header_size
from posewright.errors import SourceError
from posewright.people import Floats
from posewright.readers.values import BROKEN, corners
from posewright.skeletons import Skeleton

__all__ = ["read_visdrone"]

_IGNORED, _PERSON = 0, (1, 2)  # categories: ignored region; pedestrian and person


def read_visdrone(path: Path, images: Path | None = None) -> Dataset:
    """Read a folder with `annotations/*.txt` and `images/*.jpg`; the people have no joints.

    A line: left, top, width, height, score, category, truncation, occlusion.
    """
    labels = path / "annotations" if (path / "annotations").is_dir() else path
    files = sorted(labels.glob("*.txt"))
    if not files:
        raise SourceError(f"{path} is no VisDrone folder: it holds no annotations/*.txt")
    notes = Notes(path)
    folder = images or labels.parent / "images"
    samples = tuple(_sample(file, folder / f"{file.stem}.jpg", notes) for file in files)
    return Dataset(path.name, Skeleton("boxes", ()), samples, notes.lines())


def _sample(file: Path, picture: Path, notes: Notes) -> Sample:
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
            notes.add("line left out: it needs eight numbers", f"{file.name}:{number}")
            continue
        if category == _IGNORED or (category in _PERSON and not counts):
            ignore.append(box[[0, 1, 2, 1, 2, 3, 0, 3]].reshape(4, 2))
        elif category in _PERSON:
            boxes.append(box)
    blank = np.zeros((len(boxes), 0, 3), np.float32)
    return Sample.of(
        picture, header_size(picture), file.stem, blank, np.reshape(boxes, (-1, 4)),
        ignore=tuple(ignore),
    )  # fmt: skip
