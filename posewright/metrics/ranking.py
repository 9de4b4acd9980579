"""Detections ranked by score, matched to ground truth, and the resulting precision and recall.

The rules are those of the COCO evaluator (cocodataset.org/#detection-eval), for all images at once;
every number equals pycocotools' to the last bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from posewright.metrics.instances import Detections, Truth
from posewright.people import Doubles, Ints, Mask

__all__ = [
    "RECALLS",
    "THRESHOLDS",
    "Curve",
    "Pairs",
    "average",
    "candidates",
    "curve",
    "match",
    "ranked",
]

# As the reference builds them: numpy.arange would differ in the last bit.
THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0.0, 1.0, 101)

_EXACT = 1 - 1e-10  # a likeness that passes for 1


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """P pairs of a detection and an instance of the same cell.

    found, truth: (P,) their numbers.  likeness: (P,) OKS or IoU.
    """

    found: Ints
    truth: Ints
    likeness: Doubles

    def __getitem__(self, rows: Ints | Mask) -> Pairs:
        return Pairs(self.found[rows], self.truth[rows], self.likeness[rows])


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """precision: (T, R) at each threshold and recall level.  recall: (T,) the highest reached.

    All -1 without ground truth.
    """

    precision: Doubles
    recall: Doubles


def ranked(found: Detections, most: int) -> tuple[Ints, Ints]:
    """Return the rows of the best `most` detections of each cell, by cell and falling score.

    And their ranks within the cell.  Equal scores keep the order of the file.
    """
    order = np.lexsort((-found.scores, found.cells))
    cells = found.cells[order]
    starts = np.flatnonzero(np.diff(cells, prepend=-1))
    sizes = np.diff(starts, append=len(cells))
    ranks = np.arange(len(cells)) - np.repeat(starts, sizes)
    keep = ranks < most
    return order[keep], ranks[keep]


def candidates(truth: Truth, found: Detections) -> tuple[Ints, Ints]:
    """Return the numbers (P,), (P,) of detection and instance of every pair within a cell."""
    first = np.searchsorted(truth.cells, found.cells, "left")
    counts = np.searchsorted(truth.cells, found.cells, "right") - first
    pairs = np.repeat(np.arange(len(found)), counts)
    start = np.cumsum(counts) - counts
    return pairs, np.arange(len(pairs)) + np.repeat(first - start, counts)


def match(
    pairs: Pairs, ranks: Ints, ignored: Mask, crowd: Mask, thresholds: Doubles = THRESHOLDS
) -> Ints:
    """Return (D, T) the instance that each detection takes at each threshold; -1 for none.

    Best score first, each takes the most similar instance that is still free, evaluated before
    ignored ones; of equally similar ones the last.  A crowd is always free.  ranks: (D,) of
    `ranked`.  ignored, crowd: (G,).
    """
    order = np.lexsort(
        (pairs.truth, pairs.likeness, ~ignored[pairs.truth], pairs.found, ranks[pairs.found])
    )
    pairs = pairs[order]
    enough = pairs.likeness[:, None] >= np.minimum(thresholds, _EXACT)  # (P, T)
    taken = np.full((len(ranks), len(thresholds)), -1)
    free = np.ones((len(ignored), len(thresholds)), bool)
    turns = np.flatnonzero(np.diff(ranks[pairs.found], prepend=-1))
    for first, last in pairwise([*turns, len(order)]):
        found, truth = pairs.found[first:last], pairs.truth[first:last]
        can = enough[first:last] & (free[truth] | crowd[truth, None])
        starts = np.flatnonzero(np.diff(found, prepend=-1))
        # Sorted from worst to best, so the last pair of a detection that can be is its best.
        best = np.maximum.reduceat(np.where(can, np.arange(last - first)[:, None], -1), starts)
        rows, levels = np.nonzero(best >= 0)
        chosen = truth[best[rows, levels]]
        taken[found[starts[rows]], levels] = chosen
        free[chosen, levels] = False
    return taken


def curve(
    taken: Ints,
    ignored: Mask,
    outside: Mask,
    order: Ints,
    to_find: int,
    recalls: Doubles = RECALLS,
) -> Curve:
    """Precision over recall of matched detections.

    taken: (D, T) of `match`.  ignored: (G,).  outside: (D,) is ignored where it matches nothing.
    order: rows of D by falling score.  to_find: number of instances that count.
    """
    levels = taken.shape[1]
    if to_find == 0:
        return Curve(np.full((levels, len(recalls)), -1.0), np.full(levels, -1.0))
    precision, recall = np.zeros((levels, len(recalls))), np.zeros(levels)
    rows, counted = taken[order], np.append(~ignored, False)
    outside = outside[order]
    for t in range(levels):
        hit = rows[:, t] >= 0
        true = counted[rows[:, t]]  # -1 is nobody: False
        false = np.cumsum(~hit & ~outside)
        precision[t], recall[t] = _levels(false[true], to_find, recalls)
    return Curve(precision, recall)


def _levels(false: Ints, to_find: int, recalls: Doubles) -> tuple[Doubles, float]:
    """Return precision at the recall levels, from the false ones before each true one.

    Only true ones are looked at: precision never rises at any other.
    """
    if len(false) == 0:
        return np.zeros(len(recalls)), 0.0
    true = np.arange(1.0, len(false) + 1)
    precision = true / (false + true + np.spacing(1))
    best = np.maximum.accumulate(precision[::-1])[::-1]  # never rises with recall
    recall = true / to_find
    at = np.searchsorted(recall, recalls, "left")
    return np.append(best, 0.0)[at], float(recall[-1])


def average(values: Doubles | Sequence[float]) -> float:
    """Return the mean of all values except -1 (no ground truth); -1 for none."""
    flat = np.ravel(values)
    flat = flat[flat > -1]
    return float(np.mean(flat)) if len(flat) else -1.0
