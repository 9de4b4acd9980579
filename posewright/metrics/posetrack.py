"""PoseTrack: average precision and tracking accuracy per joint (arXiv:1710.10000).

Distances are in head sizes (0.6 of the head box's diagonal) and a joint is correct within half of
one.  PoseTrack's ignore regions are not removed from the predictions here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from posewright.metrics.tracking import Sight, Tally, tally
from posewright.people import Doubles, Ints, Mask

__all__ = ["PoseFrame", "joint_ap", "joint_tallies"]

THRESHOLD = 0.5  # head sizes


@dataclass(frozen=True, slots=True, eq=False)
class PoseFrame:
    """One labelled frame: T people of the ground truth, F predicted.

    truth: (T, K, 3) x, y px and whether labelled.  heads: (T,) head sizes in px.
    found: (F, K, 3) x, y px and score, 0 for a joint that was not predicted.
    truth_ids, found_ids: (T,), (F,) identities within the sequence.
    """

    truth: Doubles
    heads: Doubles
    found: Doubles
    truth_ids: Ints
    found_ids: Ints

    def distances(self) -> Doubles:
        """(T, F, K) distances in head sizes; NaN where a joint is missing or too far away."""
        away = self.truth[:, None, :, :2] - self.found[None, :, :, :2]
        heads = np.maximum(self.heads, np.spacing(1))[:, None, None]
        distances = np.linalg.norm(away, axis=-1) / heads
        there = (self.truth[:, None, :, 2] > 0) & (self.found[None, :, :, 2] > 0)
        return np.where(there & (distances <= THRESHOLD), distances, np.nan)


def joint_tallies(sequences: Iterable[Sequence[PoseFrame]], joints: int) -> list[Tally]:
    """Return a tally of each joint, added over the sequences."""
    totals = [Tally() for _ in range(joints)]
    for frames in sequences:
        distances = [frame.distances() for frame in frames]
        for k in range(joints):
            pairs = zip(frames, distances, strict=True)
            totals[k] = totals[k] + tally(_sight(f, d[:, :, k], k) for f, d in pairs)
    return totals


def _sight(frame: PoseFrame, distances: Doubles, joint: int) -> Sight:
    there, seen = frame.truth[:, joint, 2] > 0, frame.found[:, joint, 2] > 0
    return Sight(frame.truth_ids[there], frame.found_ids[seen], distances[there][:, seen])


def joint_ap(frames: Iterable[PoseFrame], joints: int) -> Doubles:
    """Return (K,) average precision in [0, 1] of each joint; -1 where it is never labelled.

    A found person belongs to the labelled one with the largest share of joints near, and a labelled
    one keeps the best of those; every joint of other people is a false positive.
    """
    scores: list[Doubles] = [np.zeros((0, joints))]
    right: list[Mask] = [np.zeros((0, joints), bool)]
    labelled = np.zeros(joints, np.int64)
    for frame in frames:
        near = np.isfinite(frame.distances())  # (T, F, K)
        hits = np.zeros(frame.found.shape[:2], bool)
        for person, found in _partners(near, frame.truth[:, :, 2] > 0):
            hits[found] = near[person, found]
        scores.append(frame.found[:, :, 2])
        right.append(hits)
        labelled += (frame.truth[:, :, 2] > 0).sum(0)
    all_scores, all_right = np.concatenate(scores), np.concatenate(right)
    return np.array(
        [_ap(all_scores[:, k], all_right[:, k], int(labelled[k])) for k in range(joints)]
    )


def _partners(near: Mask, labelled: Mask) -> list[tuple[int, int]]:
    """(T, F, K), (T, K) -> pairs of a labelled and a found person."""
    if near.shape[0] == 0 or near.shape[1] == 0:
        return []
    share = near.sum(2) / np.maximum(labelled.sum(1), 1)[:, None]  # (T, F)
    share = np.where(np.arange(len(share))[:, None] == share.argmax(0), share, 0.0)
    best = share.argmax(1)
    return [(t, int(f)) for t, f in enumerate(best) if share[t, f] > 0]


def _ap(scores: Doubles, right: Mask, labelled: int) -> float:
    """Return the area under precision, made to fall with recall, over recall."""
    if labelled == 0:
        return -1.0
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] > 0]  # joints that were found
    true = np.cumsum(right[order])
    precision = true / np.arange(1, len(order) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(best[right[order]].sum() / labelled)
