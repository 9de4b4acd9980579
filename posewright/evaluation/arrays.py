"""Data sets and people as the arrays that metrics compare."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.evaluation.coco_files import Labels, rows_of_names
from posewright.evaluation.person_files import Persons
from posewright.files.values import plain
from posewright.metrics.instances import Detections, Truth
from posewright.metrics.pck import head_sizes, torso_sizes
from posewright.people import Doubles, Floats, Ints, Mask, People, triples, xywh
from posewright.skeletons import LSP14, MPII16, Skeleton

__all__ = [
    "detections_of",
    "in_order",
    "in_skeleton",
    "labels_of",
    "lsp_persons",
    "mpii_persons",
]


def in_order(samples: Sequence[Sample]) -> Ints:
    """Return (P,) the images by ascending id, the order in which evaluators take them.

    It decides which of two equal scores comes first.  Images whose ids are not all integers stay
    as they are.
    """
    ids = [sample.image_id for sample in samples]
    if not all(isinstance(i, int) for i in ids):
        return np.arange(len(ids))
    # numbers may be larger than an array holds
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), np.int64)


def labels_of(dataset: Dataset, path: Path | None = None, shared: Mask | None = None) -> Labels:
    """Return the labels of a data set, as `read_truth` returns those of a COCO file.

    The cell of a person is the number of the image in the data set.  path: of the labels, for
    errors.  shared: (K,) joints that are measured, by default all.
    """
    points = _stacked([s.keypoints for s in dataset], (len(dataset.skeleton), 3))
    if shared is not None:
        points[:, ~shared, 2] = 0
    boxes = _stacked([s.people.boxes for s in dataset], (4,))
    boxes[:, 2:] -= boxes[:, :2]
    crowd = _stacked([s.crowd for s in dataset], ()) > 0
    truth = Truth(
        np.repeat(np.arange(len(dataset)), [len(s) for s in dataset]),
        points,
        boxes,
        _stacked([s.areas for s in dataset], ()),
        crowd | ~(points[:, :, 2] > 0).any(1),
        crowd,
    )
    # a set without numbers has names for ids
    names = rows_of_names(
        (name, row) for row, s in enumerate(dataset) for name in (str(s.image_id), str(s.image))
    )
    index = np.array([s.crowd_index or 0.0 for s in dataset])
    ids: list[int] = [s.image_id for s in dataset]  # type: ignore[misc]  # some sets have names
    return Labels(
        path or Path(dataset.name), truth, ids, names, [dataset.category], index, otherwise=1
    )


def _stacked(parts: Sequence[np.typing.ArrayLike], shape: tuple[int, ...]) -> Doubles:
    """Return everybody of all images in float64; (0, *shape) where there is none."""
    return np.concatenate([np.zeros((0, *shape)), *(np.asarray(p, np.float64) for p in parts)])


def in_skeleton(people: People, own: Skeleton, other: Skeleton) -> People:
    """Return people of `own` with the joints of `other`; absent ones have a score of 0.

    They lie in the middle of the others, so that a person stays where they are.
    """
    if own.joints == other.joints:
        return people
    index = own.mapping(other)
    there = index >= 0
    middle = people.keypoints[:, index[there]].mean(1, keepdims=True)
    points = np.where(there[:, None], people.keypoints[:, index], middle)
    return people.replace(
        keypoints=points.astype(np.float32),
        scores=np.where(there, people.scores[:, index], 0).astype(np.float32),
    )


def detections_of(results: Sequence[People], ranks: Sequence[Floats], joints: int) -> Detections:
    """Return people found as `read_detections` would, had they been written to a file.

    ranks: of each image, (N,) the score of each of its people.  joints: of everybody.
    """
    sizes = [len(people) for people in results]
    if not sum(sizes):
        return Detections(
            np.zeros(0, np.int64),
            np.zeros(0),
            np.zeros((0, joints, 3)),
            np.zeros((0, 4)),
            np.zeros(0),
        )
    everybody = People.concat(results)
    # Decimals as files have them: the same results give the same numbers, written or not.
    scores, keypoints, boxes = (
        np.array(plain(a)) for a in (np.concatenate(ranks), triples(everybody), xywh(everybody))
    )
    cells = np.repeat(np.arange(len(sizes)), sizes)
    return Detections(cells, scores, keypoints, boxes, boxes[:, 2] * boxes[:, 3])


def lsp_persons(dataset: Dataset, shared: Mask) -> Persons:
    """Return one person for each image of LSP; sizes are torsos, 0 where an end is unlabelled."""
    points = _stacked([s.keypoints for s in dataset], (len(LSP14), 3))
    labelled = points[:, :, 2] > 0
    ends = labelled[:, [LSP14["left_shoulder"], LSP14["right_hip"]]].all(1)
    sizes = np.where(ends, torso_sizes(points[:, :, :2]), 0.0)
    return Persons(Path(dataset.name), points[:, :, :2], labelled & shared, sizes, 1)


def mpii_persons(dataset: Dataset, shared: Mask) -> Persons:
    """Return all people of MPII, image by image; people without a head box do not count."""
    points = _stacked([s.keypoints for s in dataset], (len(MPII16), 3))
    sizes = head_sizes(_stacked([s.heads for s in dataset], (4,)))
    labelled = (points[:, :, 2] > 0) & shared & (sizes > 0)[:, None]
    return Persons(Path(dataset.name), points[:, :, :2], labelled, sizes, 0)
