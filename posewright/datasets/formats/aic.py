"""AI Challenger keypoints (arXiv:1711.06475) in their native form: a list of images."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.findings import Notes
from posewright.datasets.layouts import Layout
from posewright.datasets.places import header_size, picture_finder
from posewright.errors import SourceError
from posewright.files.values import BROKEN, finite, load
from posewright.people import Floats
from posewright.skeletons import AIC14

__all__ = ["LAYOUTS", "read_aic"]

_VISIBILITY = np.array([0, 2, 1, 0], np.float32)  # the file: 1 visible, 2 hidden, 3 not labelled


def read_aic(path: Path, images: Path | None = None) -> Dataset:
    """Read image_id, human_annotations and keypoint_annotations of each image."""
    data = load(path)
    if not isinstance(data, list):
        raise SourceError(f"{path} is not an AI Challenger file: it must be a list; check the name")
    notes = Notes(path)
    names = [f"{e['image_id']}.jpg" for e in data if isinstance(e, dict) and "image_id" in e]
    find = picture_finder(path, names, images, notes)
    entries = [e for e in data if isinstance(e, dict) and "image_id" in e]
    samples = tuple(_sample(e, find(n), notes) for e, n in zip(entries, names, strict=True))
    return Dataset(path.stem, AIC14, samples, notes.lines())


def _sample(entry: dict[str, Any], picture: Path, notes: Notes) -> Sample:
    points: list[Floats] = []
    boxes: list[Floats] = []
    joints = entry.get("keypoint_annotations") or {}
    for name, box in (entry.get("human_annotations") or {}).items():
        try:
            person = finite(joints[name]).reshape(14, 3)
            person[:, 2] = _VISIBILITY[person[:, 2].astype(int).clip(0, 3)]
            corner = finite(box).reshape(4)
        except BROKEN as error:
            notes.add(f"person skipped: {error!r}", f"{entry['image_id']} {name}")
            continue
        points.append(person)
        boxes.append(corner)
    return Sample.of(
        picture,
        header_size(picture),
        str(entry["image_id"]),
        np.array(points, np.float32).reshape(len(points), 14, 3),
        np.reshape(boxes, (-1, 4)),
    )


LAYOUTS = {
    "aic": Layout(
        read_aic, classes=False, holds=lambda json: json.list_of("keypoint_annotations"), rank=8
    )
}
