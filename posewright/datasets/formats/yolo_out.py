"""YOLO-pose folders out: data.yaml, images/SUBSET, labels/SUBSET."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.folders import Progress, copy_picture, output_names, sized, write_text
from posewright.errors import counted
from posewright.files.part import reserve
from posewright.skeletons import Skeleton

__all__ = ["write_yolo"]


def write_yolo(
    parts: Mapping[str, Dataset],
    out: Path,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Write each part as a subset; return what was amiss.

    Crowd regions are left out, because the format has none; an image of unknown size is too.
    """
    reserve(out, overwrite, folder=True)
    notes: list[str] = []
    for subset, part in parts.items():
        for sample, name in zip(map(sized, part), output_names(part.samples), strict=True):
            if progress:
                progress(f"{name}: {counted(len(sample), 'person', 'people')}")
            if min(sample.size) == 0:
                notes.append(f"{sample.image} skipped: its size is unknown")
                continue
            if not copy_picture(sample.image, out / "images" / subset / name):
                notes.append(f"{sample.image} cannot be read; its labels are kept without it")
            label = out / "labels" / subset / f"{Path(name).stem}.txt"
            write_text(label, _lines(sample[~sample.crowd]))
        crowds = sum(int(sample.crowd.sum()) for sample in part)
        if crowds:
            notes.append(f"{crowds} crowd regions of {subset} skipped: YOLO labels have none")
    first = next(iter(parts.values()))
    write_text(out / "data.yaml", _yaml(list(parts), first.skeleton, first.class_name))
    return notes


def _lines(sample: Sample) -> str:
    """Return a line for each person."""
    width, height = sample.size
    scale = np.array([width, height], np.float64)
    boxes = sample.people.boxes.astype(np.float64)
    centres, sides = (
        (boxes[:, :2] + boxes[:, 2:]) / 2 / scale,
        (boxes[:, 2:] - boxes[:, :2]) / scale,
    )
    points = sample.people.keypoints / scale
    lines = []
    for i in range(len(sample)):
        numbers = [*centres[i], *sides[i]]
        words = [f"{number:.9g}" for number in numbers]
        for (x, y), seen in zip(points[i], sample.visibility[i], strict=True):
            words += [f"{x:.9g}", f"{y:.9g}", str(int(seen))]
        lines.append(" ".join(["0", *words]) + "\n")
    return "".join(lines)


def _yaml(subsets: list[str], skeleton: Skeleton, class_name: str) -> str:
    """Return data.yaml: a subset that is missing stands for the first one."""
    first = subsets[0]
    train = "train" if "train" in subsets else first
    val = "val" if "val" in subsets else first
    # the table of mirror images; none where neither names nor labels tell of any
    pairs = skeleton.flip_index.tolist()
    lines = [
        "path: .",
        f"train: images/{train}",
        f"val: images/{val}",
        *(["test: images/test"] if "test" in subsets else []),
        f"kpt_shape: [{len(skeleton)}, 3]",
        *([f"flip_idx: {pairs}"] if skeleton.mirror or pairs != sorted(pairs) else []),
        "names:",
        f"  0: {json.dumps(class_name)}",
        "kpt_names:",
        "  0:",
        *(f"    - {json.dumps(joint)}" for joint in skeleton.joints),
    ]
    return "\n".join(lines) + "\n"
