"""COCO keypoints out: annotation files that pycocotools scores, and their images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.folders import Progress, copy_picture, output_names, sized, write_text
from posewright.errors import counted
from posewright.files.part import reserve
from posewright.files.values import dumps, plain
from posewright.people import xywh

__all__ = ["to_coco", "write_coco", "write_labels"]


def write_coco(
    parts: Mapping[str, Dataset],
    out: Path,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> list[str]:
    """Write `annotations/person_keypoints_NAME.json` and the folder NAME for each part.

    The annotation file comes last, so that it stands for a complete part.  Return what was amiss.
    """
    reserve(out, overwrite, folder=True)
    notes: list[str] = []
    for name, part in parts.items():
        names = output_names(part.samples)
        for sample, file in zip(part, names, strict=True):
            if progress:
                progress(f"{file}: {counted(len(sample), 'person', 'people')}")
            if not copy_picture(sample.image, out / name / file):
                notes.append(f"{sample.image} cannot be read; its labels are kept without it")
        target = out / "annotations" / f"person_keypoints_{name}.json"
        write_text(target, dumps(to_coco(part, names)))
    return notes


def write_labels(dataset: Dataset, file: Path) -> None:
    """Write the annotation file alone; its images stay where they are."""
    write_text(file, dumps(to_coco(dataset)))


def to_coco(dataset: Dataset, names: Sequence[str] | None = None) -> dict[str, Any]:
    """Return the annotation file of a data set; `names` are its images' file names.

    Ids stay where they are integers and unique; else they are numbered from 1.
    """
    names = [s.image.name for s in dataset] if names is None else names
    image_ids = _image_ids(dataset, names)
    numbers = [int(n) for sample in dataset for n in sample.numbers]
    keep = len(set(numbers)) == len(numbers) and all(n > 0 for n in numbers)
    numbers = numbers if keep else list(range(1, len(numbers) + 1))
    images, people, at = [], [], 0
    for sample, name, image_id in zip(map(sized, dataset), names, image_ids, strict=True):
        images.append(_image(sample, name, image_id))
        people += _annotations(sample, image_id, numbers[at : at + len(sample)])
        at += len(sample)
    skeleton = dataset.skeleton
    category = {
        "id": 1,
        "name": dataset.class_name,
        "supercategory": dataset.class_name,
        "keypoints": list(skeleton.joints),
        "skeleton": [[a + 1, b + 1] for a, b in skeleton.links],
        # COCO's evaluator knows its own 17 sigmas only; others are read from here.
        "sigmas": plain(skeleton.oks_sigmas),
    }
    if skeleton.mirror:
        category["flip_index"] = list(skeleton.mirror)
    return {
        "info": {"description": dataset.name, "version": "1.0"},
        "licenses": [],
        "categories": [category],
        "images": images,
        "annotations": people,
    }


def _image_ids(dataset: Dataset, names: Sequence[str]) -> list[int]:
    own = [sample.image_id for sample in dataset]
    stems = [Path(name).stem for name in names]
    if not all(isinstance(i, int) for i in own) and all(s.isdecimal() for s in stems):
        own = [int(stem) for stem in stems]
    whole = [i for i in own if isinstance(i, int)]
    return whole if len(set(whole)) == len(own) else list(range(1, len(own) + 1))


def _image(sample: Sample, name: str, image_id: int) -> dict[str, Any]:
    width, height = sample.size
    entry: dict[str, Any] = {"id": image_id, "file_name": name, "width": width, "height": height}
    if sample.video:
        entry |= {"vid_id": sample.video, "frame_id": sample.frame}
    if sample.fps:
        entry["fps"] = sample.fps
    if sample.ignore:
        entry["ignore_regions_x"] = [plain(p[:, 0]) for p in sample.ignore]
        entry["ignore_regions_y"] = [plain(p[:, 1]) for p in sample.ignore]
    return entry if sample.crowd_index is None else entry | {"crowdIndex": sample.crowd_index}


def _annotations(sample: Sample, image_id: int, numbers: list[int]) -> list[dict[str, Any]]:
    """Return each person's entry; joints only where the skeleton has any."""
    points, boxes = sample.keypoints, plain(xywh(sample.people))
    entries = []
    for i, number in enumerate(numbers):
        entry: dict[str, Any] = {
            "id": number,
            "image_id": image_id,
            "category_id": 1,
            "bbox": boxes[i],
            "area": float(sample.areas[i]),
            "iscrowd": int(sample.crowd[i]),
            "segmentation": [plain(polygon.reshape(-1)) for polygon in sample.outlines[i]],
        }
        if points.shape[1]:
            flat = plain(points[i])
            entry["keypoints"] = [v for x, y, seen in flat for v in (x, y, int(seen))]
            entry["num_keypoints"] = int(np.count_nonzero(sample.visibility[i]))
        if sample.people.ids[i] >= 0:
            entry["track_id"] = int(sample.people.ids[i])
        if sample.heads[i].any():
            x1, y1, x2, y2 = sample.heads[i]
            entry["bbox_head"] = plain([x1, y1, x2 - x1, y2 - y1])
        entries.append(entry)
    return entries
