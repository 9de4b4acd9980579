"""Videos of a data set: their frames in order, and the identities in them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset, Sample, labelled_extent
from posewright.errors import UsageError
from posewright.evaluation.arrays import in_order
from posewright.metrics.box_tracks import BoxFrame, grown_extents
from posewright.metrics.pck import head_sizes
from posewright.metrics.posetrack import PoseFrame
from posewright.people import Doubles, Ints, Mask, People, triples, xywh
from posewright.skeletons import POSETRACK15

__all__ = ["RATE", "box_frames", "check_identities", "frame_numbers", "posetrack_frames", "videos"]

RATE = 25.0  # frames a second where the labels do not say
_FOUND = 0.3  # score from which a joint is there; mAP ranks all of them


def videos(samples: Sequence[Sample]) -> list[Ints]:
    """Return the numbers of each video's images, in their order.

    A video is what has one name and one folder: PoseTrack's numbers repeat from source to source.
    """
    rows: dict[tuple[str, Path], list[int]] = {}
    for row in in_order(samples).tolist():
        rows.setdefault((samples[row].video, samples[row].image.parent), []).append(row)
    return [np.array(each, np.int64) for each in rows.values()]


def frame_numbers(samples: Sequence[Sample]) -> Ints:
    """Return (P,) the number of each image of a video, from 0.

    It counts from image to image unless all of the labels' own numbers rise.
    """
    numbers = np.array([sample.frame for sample in samples], np.int64)
    rising = bool((np.diff(numbers) > 0).all())
    return numbers - numbers[0] if rising else np.arange(len(numbers))


def check_identities(dataset: Dataset) -> None:
    """Raise a UsageError where a labelled person has no identity, or that of another person."""
    for sample in dataset:
        ids = sample.people.ids[sample.counting]
        if (ids < 0).any() or len(np.unique(ids)) < len(ids):
            raise UsageError(
                f"{dataset.name}: image {sample.image_id} has people without a unique track_id, "
                f"which tracking metrics need; leave the tracker out"
            )


def posetrack_frames(
    dataset: Dataset, results: Sequence[People], shared: Mask, tracked: bool = False
) -> list[list[PoseFrame]]:
    """Return the labelled frames of each video, with the people found.

    Both have the joints of the data set; a frame in which nobody is labelled counts for unlabelled,
    a person without head box is left out.  tracked: of those found, people with an identity and
    their joints that score at least 0.3, as tracks are measured by what is shown, not by ranks.
    """
    index = dataset.skeleton.mapping(POSETRACK15)
    sequences = []
    for rows in _labelled(dataset):
        frames = []
        for row in rows:
            sample, people = dataset.samples[row], results[row]
            heads = head_sizes(sample.heads)
            points = (sample.keypoints * shared[:, None])[:, index]
            truth = points[heads > 0].astype(np.float64)
            people = people[people.ids >= 0] if tracked else people
            found = _found(people) if tracked else triples(people).astype(np.float64)
            ids = sample.people.ids[heads > 0]
            frames.append(PoseFrame(truth, heads[heads > 0], found[:, index], ids, people.ids))
        sequences.append(frames)
    return sequences


def box_frames(
    dataset: Dataset, results: Sequence[People], shared: Mask
) -> tuple[list[list[BoxFrame]], bool]:
    """Return the same frames as boxes of those with identities, and whether labels have boxes.

    Where the labels' boxes are the bare extents of their joints, all of them and those found are
    `grown_extents` of the joints that both have.  Crowds and people without joints are left out.
    """
    own = any(
        not np.array_equal(sample.people.boxes, labelled_extent(sample.keypoints))
        for sample in dataset
    )
    index = dataset.skeleton.mapping(POSETRACK15)
    sequences = []
    for rows in _labelled(dataset):
        frames = []
        for row in rows:
            truth, people = dataset.samples[row], results[row]
            truth, people = truth[truth.counting], people[people.ids >= 0]
            if own:
                a, b = xywh(truth.people).astype(np.float64), xywh(people).astype(np.float64)
            else:
                both = (truth.keypoints.astype(np.float64), _found(people))
                a, b = (grown_extents((points * shared[:, None])[:, index]) for points in both)
            frames.append(BoxFrame(a, b, truth.people.ids, people.ids))
        sequences.append(frames)
    return sequences, own


def _labelled(dataset: Dataset) -> list[Ints]:
    """Return the numbers of the images of each video in which somebody is labelled."""
    there = np.array([len(sample) > 0 for sample in dataset], bool)
    return [rows[there[rows]] for rows in videos(dataset.samples) if there[rows].any()]


def _found(people: People) -> Doubles:
    """(N, K, 3) x, y px and score; 0 for a joint that is not there."""
    points = triples(people).astype(np.float64)
    points[points[:, :, 2] < _FOUND, 2] = 0
    return points
