"""PoseFlow's similarity of two people in different frames.

Source: Xiu et al., "Pose Flow: Efficient Online Pose Tracking", arXiv:1802.00977, with the weights
and thresholds of its published program.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posewright.nms import box_iou
from posewright.people import Floats, Mask, People
from posewright.trackers.flow import Members, Pairs, inside, runs

__all__ = ["ENOUGH", "Shapes", "link_scores", "outwards"]


ENOUGH = 4  # correspondences in a person's box: fewer say nothing
_SEEN = 0.1  # joint score above which a joint counts
_GROWN = 0.05  # of its sides, by which each edge of the box of the joints is moved out
_REACH = 30.0  # px, half a side of the square round a joint
_SIZE = 300.0  # px, the person for whom such a square is meant, where squares scale
_TOP = 7  # joints whose overlaps count: the best ones


@dataclass(frozen=True, slots=True, eq=False)
class Shapes:
    """The boxes and joints of N people that are compared.

    boxes: (N, 4) px round the joints, grown.  joints: (N, K, 2) px.  there: (N, K) joints that
    count.  reach: (N,) px, half the sides of the squares round the joints.
    """

    boxes: Floats
    joints: Floats
    there: Mask
    reach: Floats

    @classmethod
    def of(cls, people: People, scaled: bool = True, *, every: bool = False) -> Shapes:
        """Return the shapes of people; of a person without joints that count, the unchanged box.

        scaled: squares are of 60 px for a person of 300 px (longer side), larger for larger ones.
        every: joints count whatever their score.
        """
        there = people.scores > (-1 if every else _SEEN)
        # (N, 4) smallest boxes round the joints that are there; people's own where none is
        joints, none = people.keypoints, ~there[..., None]
        low = np.where(none, np.inf, joints).min(1, initial=np.inf)
        high = np.where(none, -np.inf, joints).max(1, initial=-np.inf)
        boxes = np.where(there.any(1, keepdims=True), np.concatenate([low, high], 1), people.boxes)
        reach = np.full(len(people), _REACH, np.float32)
        if scaled:
            reach *= np.maximum((boxes[:, 2:] - boxes[:, :2]).max(1, initial=0), 1) / _SIZE
        grown = boxes + _GROWN * outwards(boxes)
        boxes = np.where(there.any(1, keepdims=True), grown, boxes)
        return cls(boxes, people.keypoints, there, reach)

    @property
    def corners(self) -> tuple[Floats, Floats]:
        """(K, N, 2) lower and (K, N, 2) upper corners of the squares; inside out where no joint."""
        half = np.where(self.there, self.reach[:, None], -np.inf).T[..., None]
        middle = self.joints.transpose(1, 0, 2)
        return middle - half, middle + half


def link_scores(old: Shapes, new: Shapes, adjacent: Mask, pairs: Pairs) -> Floats:
    """Return the (T, N) scores of T people of the past with N of now.

    The box overlap plus that of the joints; for those of the frame just before, (T,) `adjacent`,
    twice these plus the same two measured in correspondences: the share of pairs that begin in one
    and end in the other, of all that do either.  Where a person has too few, no motion is assumed,
    which makes both equal to the plain overlaps.  The largest score is 2, or 6.
    """
    # (K, T, N) intersection over union of the squares round equal joints
    (low, high), (other_low, other_high) = old.corners, new.corners
    sides = np.minimum(high[:, :, None], other_high[:, None])
    sides = np.maximum(sides - np.maximum(low[:, :, None], other_low[:, None]), 0)
    both = sides[..., 0] * sides[..., 1]
    either = np.square(2 * old.reach)[:, None] + np.square(2 * new.reach) - both
    plain = box_iou(old.boxes, new.boxes) + _mean_of_best(
        np.asarray(both / np.maximum(either, 1e-9))
    )
    by_pairs = plain.copy()
    starts = inside(pairs[0], old.boxes[:, :2], old.boxes[:, 2:])
    told = adjacent & (np.bincount(starts[0], minlength=len(adjacent)) >= ENOUGH)
    if told.any():
        ends = inside(pairs[1], new.boxes[:, :2], new.boxes[:, 2:])
        boxes = _share(starts, ends, (1, *plain.shape))[0]
        by_pairs[told] = (boxes + _mean_of_best(_moved_joints(old, new, pairs)))[told]
    return np.where(adjacent[:, None], 2 * plain + by_pairs, plain)


def _moved_joints(old: Shapes, new: Shapes, pairs: Pairs) -> Floats:
    """(K, T, N) shares of the pairs round two joints that begin round one, end round the other."""
    (low, high), (other_low, other_high) = old.corners, new.corners
    starts = inside(pairs[0], low.reshape(-1, 2), high.reshape(-1, 2))
    ends = inside(pairs[1], other_low.reshape(-1, 2), other_high.reshape(-1, 2))
    return _share(starts, ends, (*low.shape[:2], other_low.shape[1]))


def _share(starts: Members, ends: Members, shape: tuple[int, int, int]) -> Floats:
    """Return (B, T, N) pairs in both shapes over those in either.

    starts, ends: members of B x T and of B x N shapes; shapes of different B are not compared.
    """
    b, t, n = shape
    order = np.argsort(ends[1])
    place = ends[1][order]
    # Members are few of all shapes times all pairs, so they are joined as lists.
    first, stop = (np.searchsorted(place, starts[1], side) for side in ("left", "right"))
    at, other = runs(first, stop)
    row, column = starts[0][at], ends[0][order[other]]
    same = row // max(t, 1) == column // max(n, 1)
    both = np.bincount((row * n + column % max(n, 1))[same], minlength=b * t * n)
    before = np.bincount(starts[0], minlength=b * t).reshape(b, t, 1)
    after = np.bincount(ends[0], minlength=b * n).reshape(b, 1, n)
    both = both.reshape(shape)
    return np.asarray(both / np.maximum(before + after - both, 1), np.float32)


def _mean_of_best(overlaps: Floats) -> Floats:
    """(K, T, N) -> (T, N) mean of the best few; those that are missing count as 0."""
    count = min(_TOP, len(overlaps))
    if count == 0:
        return np.zeros(overlaps.shape[1:], np.float32)
    best = np.partition(overlaps, len(overlaps) - count, 0)[len(overlaps) - count :]
    return np.asarray(best.mean(0))


def outwards(boxes: Floats) -> Floats:
    """(N, 4) -> (N, 4) by how much its edges move out when each moves by one side."""
    return np.tile(boxes[:, 2:] - boxes[:, :2], 2) * np.array([-1, -1, 1, 1], np.float32)
