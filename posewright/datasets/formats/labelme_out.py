"""labelme out: a json beside each image, and labels.txt that keeps the order of the joints."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.folders import Progress, copy_picture, output_names, sized, write_text
from posewright.errors import counted
from posewright.files.part import reserve
from posewright.files.values import plain

__all__ = ["write_labelme"]


def write_labelme(
    dataset: Dataset, out: Path, overwrite: bool = False, progress: Progress | None = None
) -> list[str]:
    """Write images and their json files into one folder; return what was amiss."""
    reserve(out, overwrite, folder=True)
    notes: list[str] = []
    names = output_names(dataset.samples)
    for sample, name in zip(dataset, names, strict=True):
        if progress:
            progress(f"{name}: {counted(len(sample), 'person', 'people')}")
        if not copy_picture(sample.image, out / name):
            notes.append(f"{sample.image} cannot be read; its labels are kept without it")
        page = _page(sized(sample), dataset, name)
        write_text(out / f"{Path(name).stem}.json", page)
    write_text(
        out / "labels.txt",
        "\n".join(["__ignore__", dataset.class_name, *dataset.skeleton.joints, ""]),
    )
    return notes


def _shape(label: str, kind: str, points: Any, group: int | None, **flags: bool) -> Any:
    """Return one entry of `shapes`."""
    return {
        "label": label,
        "points": points,
        "group_id": group,
        "description": "",
        "shape_type": kind,
        "flags": {name: True for name, on in flags.items() if on},
    }


def _page(sample: Sample, dataset: Dataset, name: str) -> str:
    """Return an image's labelme json: groups are numbered from 1."""
    shapes = []
    for i in range(len(sample)):
        crowd, group = bool(sample.crowd[i]), i + 1
        outlines = [("polygon", plain(polygon)) for polygon in sample.outlines[i]]
        box = plain(sample.people.boxes[i].reshape(2, 2))
        for kind, points in outlines or [("rectangle", box)]:
            shapes.append(_shape(dataset.class_name, kind, points, group, crowd=crowd))
        for joint in np.flatnonzero(sample.visibility[i]):
            at = [plain(sample.people.keypoints[i, joint])]
            hidden = int(sample.visibility[i, joint]) == 1
            label = dataset.skeleton.joints[joint]
            shapes.append(_shape(label, "point", at, group, occluded=hidden))
    width, height = sample.size
    return json.dumps(
        {
            "version": "5.5.0",
            "flags": {},
            "shapes": shapes,
            "imagePath": name,
            "imageData": None,
            "imageHeight": height,
            "imageWidth": width,
        },
        allow_nan=False,
        indent=1,
    )
