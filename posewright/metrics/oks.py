"""Average precision and recall of keypoints by object keypoint similarity (OKS).

COCO's rules (cocodataset.org/#keypoints-eval), which OCHuman shares; CrowdPose (arXiv:1812.00324)
takes 0.53 of the box for the area and splits images by how crowded they are; COCO-WholeBody
(arXiv:2007.11858) measures five parts and the whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from posewright.metrics.instances import Detections, Truth
from posewright.metrics.ranking import (
    THRESHOLDS,
    Curve,
    Pairs,
    average,
    candidates,
    curve,
    match,
    ranked,
)
from posewright.people import Doubles, Ints, Mask
from posewright.skeletons import COCO133, Skeleton

__all__ = [
    "AREAS",
    "CROWDS",
    "MOST",
    "PARTS",
    "Scores",
    "crowdpose_numbers",
    "crowdpose_truth",
    "evaluate_keypoints",
    "oks_pairs",
    "part_of",
    "sigmas_of",
]

# Ranges of area in px² between which an instance counts, both ends included.
AREAS = {"all": (0.0, 1e10), "medium": (32.0**2, 96.0**2), "large": (96.0**2, 1e10)}

# Lowest crowd index of each kind of image, as evaluators have it; the paper says 0.1 for 0.2.
CROWDS = {"easy": 0.0, "medium": 0.2, "hard": 0.8}

# Rows of COCO-WholeBody's joints that make a part.
PARTS = {
    "body": slice(0, 17),
    "foot": slice(17, 23),
    "face": slice(23, 91),
    "left hand": slice(91, 112),
    "right hand": slice(112, 133),
    "whole": slice(0, 133),
}

MOST = 20  # detections of an image that count


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """The result of COCO's keypoint evaluation.

    curves: area range -> precision and recall at the ten thresholds.  numbers: the published names,
    -1 without ground truth.
    """

    curves: dict[str, Curve]
    numbers: dict[str, float]


def sigmas_of(skeleton: Skeleton) -> Doubles:
    """(K,) OKS sigmas in float64, by the tenth as the reference evaluators write them."""
    tenths = np.array([round(10 * s, 9) for s in skeleton.sigmas or [0.05] * len(skeleton)])
    return np.asarray(tenths / 10.0)


def oks_pairs(
    truth: Truth, found: Detections, sigmas: Doubles, rows: tuple[Ints, Ints] | None = None
) -> Pairs:
    """Return the OKS of every detection with every instance of its cell.

    OKS = mean over labelled joints of exp(-d² / (2 area (2 sigma)²)).  An instance without labelled
    joints stands for its box, doubled: distances are those to that box.  rows: pairs to look at, by
    default all `candidates`.
    """
    which, whose = candidates(truth, found) if rows is None else rows
    visible = truth.keypoints[:, :, 2] > 0
    counts = visible.sum(1)
    joints = np.argsort(~visible, axis=1, kind="stable")  # labelled ones first, in order
    likeness = np.zeros(len(which))
    sizes = counts[whose]
    order = np.argsort(sizes, kind="stable")
    # One group per number of labelled joints: sums over equally many terms are rounded as in the
    # reference, which a masked sum is not.
    for group in np.split(order, np.flatnonzero(np.diff(sizes[order])) + 1):
        if len(group) == 0:
            continue
        a, b, n = which[group], whose[group], int(sizes[group[0]])
        pick = joints[b, : n or visible.shape[1]]
        points = found.keypoints[a[:, None], pick, :2]  # (P, n, 2)
        away = _from_joints(truth, b, pick, points) if n else _from_box(truth.boxes[b], points)
        likeness[group] = _likeness(away, sigmas[pick], truth.areas[b])
    return Pairs(which, whose, likeness)


def _from_joints(truth: Truth, rows: Ints, pick: Ints, points: Doubles) -> Doubles:
    return np.asarray(points - truth.keypoints[rows[:, None], pick, :2])


def _from_box(boxes: Doubles, points: Doubles) -> Doubles:
    """Return how far points lie outside boxes (P, 4) of three times the width and height."""
    low = (boxes[:, :2] - boxes[:, 2:])[:, None]
    high = (boxes[:, :2] + boxes[:, 2:] * 2)[:, None]
    return np.asarray(np.maximum(0, low - points) + np.maximum(0, points - high))


def _likeness(away: Doubles, sigmas: Doubles, areas: Doubles) -> Doubles:
    """(P, n, 2) px, (P, n), (P,) px² -> (P,); the order of operations is the reference's."""
    squares = away[..., 0] ** 2 + away[..., 1] ** 2
    terms = squares / (sigmas * 2) ** 2 / (areas + np.spacing(1))[:, None] / 2
    return np.asarray(np.exp(-terms).sum(1) / terms.shape[1])


def evaluate_keypoints(
    truth: Truth,
    found: Detections,
    sigmas: Doubles,
    areas: Mapping[str, tuple[float, float]] = AREAS,
) -> Scores:
    """Return AP and AR of `found`: the mean over OKS thresholds .5, .55 to .95, and at .5 and .75.

    areas: ranges to measure; "all" is one of them.  The names are AP, AP50, AP75, AR, AR50, AR75,
    and AP and AR with the first letter of each other range.
    """
    rows, ranks = ranked(found, MOST)
    found = found[rows]
    pairs = oks_pairs(truth, found, sigmas)
    pairs = pairs[pairs.likeness >= THRESHOLDS[0]]
    order = np.argsort(-found.scores, kind="stable")
    curves = {}
    for name, (low, high) in areas.items():
        ignored = truth.ignored | _outside(truth.areas, low, high)
        taken = match(pairs, ranks, ignored, truth.crowd)
        outside = _outside(found.areas, low, high)
        curves[name] = curve(taken, ignored, outside, order, int((~ignored).sum()))
    return Scores(curves, _numbers(curves))


def _outside(areas: Doubles, low: float, high: float) -> Mask:
    return np.asarray((areas < low) | (areas > high))


def _numbers(curves: Mapping[str, Curve]) -> dict[str, float]:
    """Return AP and AR under their published names, in the published order."""
    values = {}
    for kind, field in (("AP", "precision"), ("AR", "recall")):
        table = getattr(curves["all"], field)
        values[kind] = average(table)
        values[f"{kind}50"], values[f"{kind}75"] = average(table[0]), average(table[5])
        for name in curves:
            if name != "all":
                values[kind + name[0].upper()] = average(getattr(curves[name], field))
    return values


def crowdpose_truth(truth: Truth) -> Truth:
    """Return the same people with the area that CrowdPose takes: 0.53 of their box."""
    return truth.replace(areas=truth.boxes[:, 2] * truth.boxes[:, 3] * 0.53)


def crowdpose_numbers(
    truth: Truth, found: Detections, sigmas: Doubles, crowd_index: Doubles
) -> dict[str, float]:
    """Return AP, AP50, AP75, AR, AR50, AR75 and the AP of easy, medium and hard images.

    crowd_index: (images,) in [0, 1] by cell.
    """
    truth = crowdpose_truth(truth)
    everything = {"all": AREAS["all"]}
    numbers = dict(evaluate_keypoints(truth, found, sigmas, everything).numbers)
    kinds = np.digitize(crowd_index, list(CROWDS.values())) - 1
    for kind, name in enumerate(CROWDS):
        inside = kinds == kind
        scores = evaluate_keypoints(
            truth[inside[truth.cells]], found[inside[found.cells]], sigmas, everything
        )
        numbers[f"AP_{name}"] = scores.numbers["AP"]
    return numbers


def part_of(name: str, truth: Truth, found: Detections) -> tuple[Truth, Detections, Doubles]:
    """Return one of the PARTS of 133 joints, and its sigmas.

    People without labels there are ignored; detections whose scores there are all 0 are skipped.
    """
    rows = PARTS[name]
    points = truth.keypoints[:, rows]
    ignored = truth.ignored | ~(points[:, :, 2] > 0).any(1)
    seen = (found.keypoints[:, rows, 2] > 0).any(1)
    return (
        truth.replace(keypoints=points, ignored=ignored),
        found.replace(keypoints=found.keypoints[:, rows])[seen],
        sigmas_of(COCO133)[rows],
    )
