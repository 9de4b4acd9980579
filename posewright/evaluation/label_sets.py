"""Data sets for evaluation: labels with what a measure needs, or the images of a test set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset
from posewright.datasets.formats.coco import parse_coco
from posewright.datasets.layouts import layouts
from posewright.datasets.opening import open_dataset, open_part
from posewright.errors import SourceError, UsageError
from posewright.files.matfile import read_mat
from posewright.files.values import load
from posewright.people import Doubles, Mask, People
from posewright.skeletons import Skeleton

__all__ = ["open_labelled", "with_heads"]

_NEAR = 3.0  # px between the same joint in two files: of rounding, and of counting from 0 or 1


def open_labelled(
    data: str,
    ann: Path,
    images: Path | None,
    skeleton: Skeleton,
    class_name: str | None = None,
    split: str | None = None,
) -> tuple[Dataset, bool]:
    """Return the images of a data set, and whether they are labelled.

    data: one of MEASURES.  A COCO file without the list of annotations is that of a test set;
    its people would have the joints of `skeleton`.  class_name: as of `open_dataset`.  split: the
    part of a set with parts; val, else test, if None.  Errors as `open_dataset`.
    """
    kind = data if data in layouts() else None
    try:
        if split is not None:
            return open_dataset(ann, kind, images, class_name, split), True
        return open_part(ann, kind, images, "val", "test", class_name=class_name), True
    except SourceError:
        found = load(ann) if ann.suffix == ".json" else None
        if not isinstance(found, dict) or not isinstance(found.get("images"), list):
            raise
        if "annotations" in found:
            raise
    dataset = parse_coco({**found, "annotations": []}, ann, images)
    nobody = People.empty(skeleton)
    seen = np.zeros((0, len(skeleton)), np.uint8)
    samples = tuple(sample.replace(people=nobody, visibility=seen) for sample in dataset)
    return replace(dataset, skeleton=skeleton, samples=samples), False


def with_heads(dataset: Dataset, path: Path) -> Dataset:
    """Return MPII people with the head boxes of detections_our_format.mat.

    Row n of the file is entry n of the labels.  UsageError: the file is not of these people.
    """
    values = read_mat(path)
    try:
        heads = values["headboxes_src"].reshape(4, -1).T.astype(np.float64)
        points = values["pos_gt_src"].transpose(2, 0, 1).astype(np.float64)
        known = values["jnt_missing"].T == 0
    except (KeyError, AttributeError, ValueError) as error:
        raise SourceError(
            f"{path} does not hold headboxes_src, pos_gt_src and jnt_missing of MPII; give "
            "detections_our_format.mat"
        ) from error
    samples = []
    for sample in dataset:
        rows = sample.numbers
        if len(rows) and (
            rows.max() >= len(heads)
            or not _same(sample.keypoints.astype(np.float64), points[rows], known[rows])
        ):
            raise UsageError(
                f"{path} does not match the people of {dataset.name}; give the file of that set"
            )
        samples.append(sample.replace(heads=heads[rows].astype(np.float32)))
    return replace(dataset, samples=tuple(samples))


def _same(labels: Doubles, points: Doubles, known: Mask) -> bool:
    """Tell whether joints that both label lie in the same places."""
    both = known & (labels[:, :, 2] > 0)
    away = np.abs(labels[:, :, :2] - points).max(2)[both]
    return len(away) == 0 or float(np.median(away)) <= _NEAR
