"""Error types of keypoints, and the OKS of each person.

Kinds as in Ronchi and Perona, "Benchmarking and Error Diagnosis in Multi-Instance Pose Estimation"
(arXiv:1707.05388), by the similarity s = exp(-d² / (2 area (2 sigma)²)) of a joint.
"""

from __future__ import annotations

import numpy as np

from posewright.metrics.instances import Detections, Truth
from posewright.metrics.oks import MOST, oks_pairs
from posewright.metrics.ranking import candidates, match, ranked
from posewright.people import Doubles, Ints, Mask

__all__ = ["KINDS", "joint_table", "matched", "mistakes", "oks_histogram"]

# good: s >= .85.  jitter: .5 <= s < .85.  Otherwise s >= .5 at another joint of the same person is
# an inversion, at any joint of another person of the image a swap; the rest are misses.
KINDS = ("good", "jitter", "inversion", "swap", "miss")

_GOOD, _NEAR = 0.85, 0.5
_LEAST = np.array([0.1])  # OKS from which a detection is of a person at all


def matched(truth: Truth, found: Detections, sigmas: Doubles) -> tuple[Ints, Doubles]:
    """Return the row of `found` (G,) that each person is matched with, -1 for none, and its OKS.

    Best score first, as in the evaluation, from an OKS of 0.1; 0 where there is none.
    """
    rows, ranks = ranked(found, MOST)
    pairs = oks_pairs(truth, found[rows], sigmas)
    taken = match(pairs, ranks, truth.ignored, truth.crowd, _LEAST)[:, 0]
    hit = taken[pairs.found] == pairs.truth
    chosen, likeness = np.full(len(truth), -1), np.zeros(len(truth))
    chosen[pairs.truth[hit]] = rows[pairs.found[hit]]
    likeness[pairs.truth[hit]] = pairs.likeness[hit]
    return chosen, likeness


def oks_histogram(truth: Truth, found: Detections, sigmas: Doubles, bins: int = 20) -> Ints:
    """Return the number of evaluated people (bins,) whose OKS is in equal ranges from 0 to 1."""
    likeness = matched(truth, found, sigmas)[1][~truth.ignored]
    return np.histogram(likeness, bins, (0.0, 1.0))[0].astype(np.int64)


def mistakes(truth: Truth, found: Detections, sigmas: Doubles) -> tuple[Ints, Ints]:
    """Return the kind (M, K) of each joint of the M people who are matched, and their rows in G.

    Kinds are numbers in KINDS; -1 where the joint is not labelled.
    """
    chosen = matched(truth, found, sigmas)[0]
    people = np.flatnonzero((chosen >= 0) & ~truth.ignored)
    points, labels = found.keypoints[chosen[people], :, :2], truth.keypoints[people]
    areas = truth.areas[people]
    # (M, K predicted, K labelled): how near each predicted joint is to each joint of its person
    own = _similarity(points, labels, sigmas, areas)
    right = np.einsum("mkk->mk", own).copy()
    np.einsum("mkk->mk", own)[:] = 0
    other = _near_others(truth, people, points, sigmas, areas)
    kinds = np.full(right.shape, len(KINDS) - 1)
    # From the last kind to the first: an earlier one goes before a later one.
    tests = {3: other, 2: own.max(2) >= _NEAR, 1: right >= _NEAR, 0: right >= _GOOD}
    for kind, fits in tests.items():
        kinds[fits] = kind
    return np.where(labels[:, :, 2] > 0, kinds, -1), people


def _similarity(points: Doubles, labels: Doubles, sigmas: Doubles, areas: Doubles) -> Doubles:
    """(M, K, 2), (M, K, 3), (K,), (M,) -> (M, K, K); 0 for joints without label.

    The tolerance is that of the joint that was to be found, at the scale of its person.
    """
    away = ((points[:, :, None] - labels[:, None, :, :2]) ** 2).sum(-1)
    scale = 8 * sigmas[:, None] ** 2 * (areas[:, None, None] + np.spacing(1))
    return np.asarray(np.exp(-away / scale) * (labels[:, None, :, 2] > 0))


def _near_others(
    truth: Truth, people: Ints, points: Doubles, sigmas: Doubles, areas: Doubles
) -> Mask:
    """Return (M, K) whether a joint is near some joint of another person of the image."""
    which, whose = candidates(truth, _stand_ins(truth, people))
    keep = people[which] != whose
    which, whose = which[keep], whose[keep]
    near = np.zeros(points.shape[:2], bool)
    for start in range(0, len(which), 4096):  # the table of all would not fit for whole bodies
        a, b = which[start : start + 4096], whose[start : start + 4096]
        table = _similarity(points[a], truth.keypoints[b], sigmas, areas[a])
        np.logical_or.at(near, a, table.max(2) >= _NEAR)
    return near


def _stand_ins(truth: Truth, people: Ints) -> Detections:
    """Return people as detections, to pair them with everybody of their image."""
    nothing = np.zeros(len(people))
    return Detections(
        truth.cells[people], nothing, truth.keypoints[people], truth.boxes[people], nothing
    )


def joint_table(truth: Truth, found: Detections, sigmas: Doubles) -> Doubles:
    """Return (K, 5) the share of each of KINDS among a joint's labels; -1 without any.

    Joints of unmatched people are misses.
    """
    kinds, _ = mistakes(truth, found, sigmas)
    labelled = (truth.keypoints[~truth.ignored, :, 2] > 0).sum(0)
    counts = np.stack([(kinds == n).sum(0) for n in range(len(KINDS))], 1)
    counts[:, -1] += labelled - counts.sum(1)
    shares = counts / np.maximum(labelled, 1)[:, None]
    return np.where(labelled[:, None] > 0, shares, -1.0)
