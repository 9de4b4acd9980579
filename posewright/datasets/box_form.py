"""Checks whether the boxes of a data set are in another form than the one they are read as."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.findings import Findings
from posewright.people import Floats

__all__ = ["check_box_form"]

_MOST = 0.8  # share of the people whose joints must lie in the boxes of the other form
_FEW = 0.6  # share above which the form that was read holds
_SLACK = 1.0  # px


def check_box_form(dataset: Dataset, found: Findings) -> None:
    """Add an error where the joints fit boxes of another form, and not those that were read.

    As corners, x1, y1, x2, y2 in place of left, top, width, height, boxes reach too far; given by
    their middles they lie too far to the right and bottom.  Single people are no evidence: COCO's
    own labels have some whose joints lie outside of their boxes.
    """
    rows = [row for sample in dataset for row in _fits(sample)]
    if not rows:
        return
    read, corners, middles = np.mean(rows, 0)
    if read > _FEW or max(corners, middles) < _MOST:
        return
    form = "x1, y1, x2, y2" if corners >= middles else "centre x, centre y, width, height"
    text = f"the joints match boxes in the form {form}; boxes are read as left, top, width, height"
    found.add("box form", "error", text, dataset.name)


def _fits(sample: Sample) -> NDArray[np.bool_]:
    """(N, 3) whether each labelled person fits its box as read, by corners and by its middle."""
    rows = np.flatnonzero(sample.counting)
    boxes, points = sample.people.boxes[rows], sample.people.keypoints[rows]
    seen = sample.visibility[rows] > 0
    low, sides = boxes[:, :2], boxes[:, 2:] - boxes[:, :2]
    size = np.array(sample.size, np.float32)
    outside = (boxes[:, 2:] > size + _SLACK).any(1) & (size > 0).all()
    forms = [
        boxes,
        np.concatenate([low, sides], 1),
        np.concatenate([low - sides / 2, low + sides / 2], 1),
    ]
    holds = np.stack([_holds(form, points, seen) for form in forms], 1)
    holds[:, 0] &= ~outside
    return np.asarray(holds, np.bool_)


def _holds(boxes: Floats, points: Floats, seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(N, 4) px, (N, K, 2), (N, K) -> (N,) whether most of the labelled joints lie in the box."""
    low, high = boxes[:, None, :2] - _SLACK, boxes[:, None, 2:] + _SLACK
    inside = ((points >= low) & (points <= high)).all(2) & seen
    return np.asarray(inside.sum(1) * 2 > seen.sum(1), np.bool_)
