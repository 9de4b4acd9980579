"""Average precision and recall of boxes, as COCO measures detectors."""

from __future__ import annotations

import numpy as np

from posewright.metrics.instances import Detections, Truth
from posewright.metrics.ranking import THRESHOLDS, Pairs, average, candidates, curve, match, ranked
from posewright.people import Doubles, Ints, Mask

__all__ = ["evaluate_boxes", "iou_pairs"]

_RANGES = {
    "all": (0.0, 1e10),
    "small": (0.0, 32.0**2),
    "medium": (32.0**2, 96.0**2),
    "large": (96.0**2, 1e10),
}
_MOST = (1, 10, 100)  # detections of a category in an image


def iou_pairs(truth: Truth, found: Detections) -> Pairs:
    """Return the IoU of every detection with every instance of its cell.

    With a crowd region it is the fraction of the detection inside it.
    """
    which, whose = candidates(truth, found)
    a, b = found.boxes[which], truth.boxes[whose]
    sides = np.minimum(a[:, :2] + a[:, 2:], b[:, :2] + b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.where((sides > 0).all(1), sides[:, 0] * sides[:, 1], 0.0)
    own = a[:, 2] * a[:, 3]
    either = np.where(truth.crowd[whose], own, own + b[:, 2] * b[:, 3] - shared)
    likeness = np.divide(shared, either, out=np.zeros(len(which)), where=shared > 0)
    return Pairs(which, whose, likeness)


def evaluate_boxes(truth: Truth, found: Detections, images: int) -> dict[str, float]:
    """Return COCO's twelve numbers: AP, AP50, AP75, APS, APM, APL, AR1, AR10, AR100, ARS, ARM, ARL.

    Cells are numbers of image + `images` x number of category; precision is averaged over the
    categories that have instances.  -1 without ground truth.
    """
    order = np.argsort(truth.cells, kind="stable")
    truth = truth[order]
    rows, ranks = ranked(found, _MOST[-1])
    found = found[rows]
    pairs = iou_pairs(truth, found)
    pairs = pairs[pairs.likeness >= THRESHOLDS[0]]
    # precision (T, R, categories) and recall (T, categories) by range and number of detections
    tables = {
        (name, most): _by_category(truth, found, pairs, ranks, images, limits, most)
        for name, limits in _RANGES.items()
        for most in (_MOST if name == "all" else _MOST[-1:])
    }
    numbers = {"AP": average(tables["all", 100][0])}
    numbers["AP50"] = average(tables["all", 100][0][0])
    numbers["AP75"] = average(tables["all", 100][0][5])
    sizes = [name for name in _RANGES if name != "all"]
    numbers |= {f"AP{name[0].upper()}": average(tables[name, 100][0]) for name in sizes}
    numbers |= {f"AR{most}": average(tables["all", most][1]) for most in _MOST}
    return numbers | {f"AR{name[0].upper()}": average(tables[name, 100][1]) for name in sizes}


def _by_category(
    truth: Truth,
    found: Detections,
    pairs: Pairs,
    ranks: Ints,
    images: int,
    limits: tuple[float, float],
    most: int,
) -> tuple[Doubles, Doubles]:
    ignored = truth.ignored | _outside(truth.areas, limits)
    taken = match(pairs, ranks, ignored, truth.crowd)
    outside = _outside(found.areas, limits)
    order = np.argsort(-found.scores, kind="stable")
    order = order[ranks[order] < most]
    kinds, wanted = found.cells[order] // images, truth.cells // images
    curves = [
        curve(taken, ignored, outside, order[kinds == kind], int((~ignored[wanted == kind]).sum()))
        for kind in np.unique(wanted)
    ]
    if not curves:
        return np.full((len(THRESHOLDS), 1, 1), -1.0), np.full((len(THRESHOLDS), 1), -1.0)
    return np.stack([c.precision for c in curves], -1), np.stack([c.recall for c in curves], -1)


def _outside(areas: Doubles, limits: tuple[float, float]) -> Mask:
    return np.asarray((areas < limits[0]) | (areas > limits[1]))
