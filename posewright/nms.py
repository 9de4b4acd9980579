"""Duplicate removal: box NMS, OKS-NMS and the parametric pose NMS of RMPE.  People -> People."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posewright.errors import UsageError
from posewright.files.fields import typed
from posewright.people import Floats, Ints, People, extent, proposal_score
from posewright.skeletons import Skeleton

__all__ = [
    "Order",
    "PPoseNMS",
    "Part",
    "box_iou",
    "box_nms",
    "box_nms_indices",
    "groups",
    "oks",
    "oks_nms",
    "ppose_nms",
    "proposal_score",
]

Similar = Callable[[Ints, Ints], NDArray[np.bool_]]
Order = Literal["mean", "box*mean"]

_BLOCK = 64  # rows compared at once: bounds the memory, and most candidates fall to the first block


def box_iou(a: Floats, b: Floats) -> Floats:
    """(N, 4), (M, 4) x1, y1, x2, y2 -> (N, M) intersection over union; 0 for boxes without area."""
    one, two = np.asarray(a, np.float64)[:, None], np.asarray(b, np.float64)[None]
    wide = np.minimum(one[..., 2], two[..., 2]) - np.maximum(one[..., 0], two[..., 0])
    high = np.minimum(one[..., 3], two[..., 3]) - np.maximum(one[..., 1], two[..., 1])
    inter = np.maximum(wide, 0) * np.maximum(high, 0)
    union = _area(one) + _area(two) - inter
    return np.asarray(inter / np.maximum(union, 1e-9), np.float32)


def box_nms_indices(boxes: Floats, scores: Floats, iou: float) -> Ints:
    """(N, 4) boxes, (N,) scores -> indices of the boxes to keep, by descending score.

    Greedy: a box is removed when its IoU with a better kept one exceeds `iou`.  Of equal scores the
    first is the better.  Boxes that are not finite are dropped.
    """
    good = np.flatnonzero(np.isfinite(boxes).all(1) & np.isfinite(scores))
    boxes = np.asarray(boxes[good], np.float32)
    kept = groups(scores[good], lambda best, rest: box_iou(boxes[best], boxes[rest]) > iou)[1]
    return good[kept]


def box_nms(people: People, iou: float = 0.6) -> People:
    """Return the people that greedy box NMS keeps, by descending box score."""
    return people[box_nms_indices(people.boxes, people.box_scores, iou)]


def oks(
    a: People, b: People, sigmas: ArrayLike, *, weighted: bool = False, weights: ArrayLike = 1
) -> Floats:
    """Return the (N, M) object keypoint similarity of each of `a` with each of `b`.

    sigmas: (K,) standard deviations in units of the square root of the area, which is the mean of
    the two boxes' areas.  weighted: joints count by the product of their scores instead of equally;
    0 where no joint counts.  weights: (K,) of joints besides.  Source: the COCO keypoint metric.
    """
    gap = _bounded(a.keypoints)[:, None] - _bounded(b.keypoints)[None]  # (N, M, K, 2)
    squares = np.einsum("nmkc,nmkc->nmk", gap, gap)
    area = np.clip((_area(a.boxes)[:, None] + _area(b.boxes)) / 2, 1e-3, 1e18).astype(np.float32)
    # Divisions are dear on (N, M, K): multiply by the reciprocals.  8 sigma^2 = 2 (2 sigma)^2.
    squares *= (-1 / area)[..., None]
    squares *= 1 / (8 * np.square(np.asarray(sigmas, np.float32)))
    near = np.exp(squares, out=squares)
    each = np.broadcast_to(np.asarray(weights, np.float32), near.shape[2:])
    if not weighted:
        return np.asarray((near * each).sum(2) / max(each.sum(), 1e-9))
    scores = a.scores * each
    total = scores @ b.scores.T
    share = np.einsum("nmk,nk,mk->nm", near, scores, b.scores)
    return np.asarray(share / np.maximum(total, 1e-9))


def oks_nms(people: People, skeleton: Skeleton, threshold: float = 0.9) -> People:
    """Return the people whose OKS with every better kept one is at most `threshold`, best first.

    The score is box score times mean joint score.  A face and hands count for no more than their
    Skeleton.weights.  Source: Simple Baselines (arXiv:1804.06208).
    """
    scores = people.box_scores * people.pose_scores
    sigmas, each = skeleton.oks_sigmas, skeleton.weights
    near = partial(oks, sigmas=sigmas, weights=each)
    return people[groups(scores, lambda i, j: near(people[i], people[j]) > threshold)[1]]


@dataclass(frozen=True, slots=True)
class Part:
    """A run of joints of the full body and its weights in the pose similarity.

    start, stop: joint numbers as in a slice.  factor: weight of the part.  score, distance: weights
    of its two terms.
    """

    start: int | None
    stop: int | None
    factor: float = 1.0
    score: float = 1.0
    distance: float = 1.0

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Part:
        """Read the plain form, that of dataclasses.asdict; ValueError or KeyError if invalid."""
        if not isinstance(data, Mapping):
            raise ValueError(f"a part {ascii(data)[:40]} is not an object")
        hints = get_type_hints(cls)
        return cls(**{name: typed(value, hints[name]) for name, value in data.items()})


@dataclass(frozen=True, slots=True)
class PPoseNMS:
    """Settings of the parametric pose NMS (RMPE, arXiv:1612.00137, section 3.3).

    delta1, delta2: scales of joint score and of distance (px).  mu: weight of the distance term.
    gamma: a pose whose similarity with a better one exceeds it is a duplicate; so is one with at
    least `matches` joints within min(alpha * larger box side, match_reach) px.  gamma and matches
    are stated for 17 joints and scale with their number; with `parts` gamma is taken as it stands.
    score: people whose best joint is below it are dropped.  merge_reach: a duplicate's joint within
    min(alpha * side, merge_reach) px of the kept one's takes part in the mean.  min_area: smallest
    area (px^2) of the merged pose's extent, grown by 1.5 each way.  order: which of two duplicates
    is the better one, by its mean joint score (AlphaPose) or by that times its box score, by which
    people are ranked everywhere else.

    parts: empty, all joints alike; else the similarity is a weighted sum of the parts' means, and
    only joints at which the better pose scores at least `score` count.  The original's score term
    counts exactly the joints *below* that threshold, while its distance term counts those above;
    no reason is given and it rewards wrong joints, so here both terms count those above.
    """

    delta1: float = 1.0
    mu: float = 1.7
    delta2: float = 2.65
    gamma: float = 22.48
    score: float = 0.3
    matches: float = 5.0
    alpha: float = 0.1
    match_reach: float = 7.0
    merge_reach: float = 15.0
    min_area: float = 0.0
    parts: tuple[Part, ...] = ()
    order: Order = "mean"

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> PPoseNMS:
        """Read the plain form, that of dataclasses.asdict; a UsageError names what is wrong."""
        if not isinstance(data, Mapping):
            raise UsageError(f"p-Pose NMS settings {ascii(data)[:40]} are not an object")
        known = {f.name for f in fields(cls)}
        parts, order = data.get("parts", ()), data.get("order", "mean")
        numbers = {k: v for k, v in data.items() if k not in ("parts", "order")}
        wrong = [k for k, v in numbers.items() if k not in known or not _positive(v)]
        if wrong or order not in get_args(Order):
            raise UsageError(
                f"p-Pose NMS settings {wrong or [order]} are invalid; expected {sorted(known)}, "
                f"finite numbers from 0 and an order of {', '.join(get_args(Order))}"
            )
        floats = {k: float(v) for k, v in numbers.items()}
        return cls(**floats, parts=tuple(map(Part.from_dict, parts)), order=order)

    @classmethod
    def usual(cls, joints: int) -> PPoseNMS:
        """Return the published constants; the whole-body ones for 133 and 136 joints."""
        return cls.wholebody() if joints in (133, 136) else cls()

    def ranks(self, people: People) -> Floats:
        """(N,) scores that rank duplicates."""
        scores = people.pose_scores
        return scores * people.box_scores if self.order == "box*mean" else scores

    @classmethod
    def wholebody(cls) -> PPoseNMS:
        """Return the settings for skeletons of 133 and 136 joints: body, face (68), hands (42).

        gamma is the same share of the largest possible similarity as for 17 joints (58 % of 8.04);
        the original's 22.48 cannot be reached with means.
        """
        return cls(gamma=4.66, parts=_FULL_BODY)

    @classmethod
    def regression(cls) -> PPoseNMS:
        """Return the full-body settings for networks trained with a regression loss."""
        return cls(
            mu=1.65, delta2=8.0, gamma=3.6, score=0.01, matches=3.0, alpha=0.15, parts=_FULL_BODY
        )

    def weights(self, joints: int) -> tuple[Floats, Floats]:
        """Return the (K,) weights of the score and of the distance term of each joint.

        A UsageError says when a skeleton has no such parts.
        """
        if not self.parts:
            return np.ones(joints, np.float32), np.full(joints, self.mu, np.float32)
        weights = np.zeros((2, joints), np.float32)
        for part in self.parts:
            run = weights[:, part.start : part.stop]
            if run.shape[1] == 0 or joints <= 110:
                raise UsageError(
                    "whole-body pose NMS needs a skeleton with face and hands (133 or 136 "
                    "joints), "
                    f"not {joints} joints; use PPoseNMS()"
                )
            run[:] = np.array([[part.score], [part.distance * self.mu]]) * part.factor
            run /= run.shape[1]
        return weights[0], weights[1]


_FULL_BODY = (Part(None, -110), Part(-110, -42, 1.9), Part(-42, None, 0.55, 0.1, 1.5))


def ppose_nms(people: People, settings: PPoseNMS = PPoseNMS()) -> People:
    """Merge each group of duplicate poses into its best one, best first (by settings.order).

    A merged joint is the score-weighted mean of the group's joints near the kept one's, its score
    the score-weighted mean score.  Boxes, box scores and ids stay those of the kept pose.  A
    UsageError says when there are people without keypoints.
    """
    if len(people) == 0:
        return people
    if people.keypoints.shape[1] == 0:
        raise UsageError("ppose_nms needs keypoints, but these people have only boxes; use box_nms")
    reach = settings.alpha * people.sides.max(1)  # (N,) px
    ranks = settings.ranks(people)
    owner, picks = groups(ranks, _duplicates(people, settings, reach))
    picks = picks[people.scores[picks].max(1) >= settings.score]
    merged = _merged(people, owner, picks, np.minimum(reach, settings.merge_reach))
    span = np.ptp(merged.keypoints, axis=1)
    return merged[2.25 * span.prod(1, dtype=np.float64) >= settings.min_area]


def _duplicates(people: People, settings: PPoseNMS, reach: Floats) -> Similar:
    """Return the test of which of the rest repeat a kept pose, by similarity or matching joints."""
    joints = people.scores.shape[1]
    by_score, by_distance = settings.weights(joints)
    share = joints / 17
    gamma = settings.gamma if settings.parts else settings.gamma * share
    sure = np.tanh(np.maximum(people.scores, 1e-5) / settings.delta1)
    close = np.minimum(reach, settings.match_reach)
    counts = (people.scores >= settings.score) if settings.parts else np.ones_like(sure, bool)
    # Poses of which no two joints come within `apart` px are not duplicates by either rule, so
    # that only pairs whose extents come that near are compared joint by joint.
    largest = max(settings.delta2 * np.log(by_distance.sum() / gamma), 1.0, settings.match_reach)
    apart = np.array([-1, -1, 1, 1]) * largest / 2
    points = _bounded(people.keypoints)
    areas = extent(points) + apart

    def similar(kept: Ints, rest: Ints) -> NDArray[np.bool_]:
        row, column = np.nonzero(_touch(areas[kept], areas[rest]))
        i, j = kept[row], rest[column]  # P pairs
        gap = points[i] - points[j]
        distance = np.sqrt(np.square(gap).sum(2))  # (P, K)
        likeness = (distance <= 1) * sure[j] * (sure[i] * by_score)
        likeness += np.exp(distance / -settings.delta2) * by_distance
        total = np.einsum("pk,pk->p", likeness, counts[i])
        matched = np.count_nonzero(distance <= close[i, None], axis=1)
        result: NDArray[np.bool_] = np.zeros((len(kept), len(rest)), np.bool_)
        result[row, column] = (total > gamma) | (matched >= settings.matches * share)
        return result

    return similar


def _positive(value: Any) -> bool:
    """Tell whether a setting is a finite number from 0."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return number and bool(np.isfinite(value)) and value >= 0


def _touch(a: Floats, b: Floats) -> NDArray[np.bool_]:
    """(N, 4), (M, 4) -> (N, M) whether two boxes touch."""
    a, b = a[:, None], b[None]
    return np.asarray(((a[..., :2] <= b[..., 2:]) & (b[..., :2] <= a[..., 2:])).all(2))


def _merged(people: People, owner: Ints, picks: Ints, reach: Floats) -> People:
    """Return the picked people with their groups' joints merged in; reach: (N,) px."""
    points = _bounded(people.keypoints)
    gap = points - points[owner]
    near = np.hypot(gap[..., 0], gap[..., 1]) <= reach[owner, None]
    weight = near * np.maximum(people.scores, 1e-5)  # (N, K)
    group = (picks[:, None] == owner).astype(np.float32)  # (P, N)
    total = group @ weight
    # Offsets from the kept pose, not positions, so that float32 loses nothing on large images.
    moves = (group @ (weight[..., None] * gap).reshape(len(gap), -1)).reshape(*total.shape, 2)
    shift = moves / total[..., None]
    scores = group @ (weight * people.scores) / total
    return people[picks].replace(
        keypoints=people.keypoints[picks] + shift, scores=np.clip(scores, 0, 1)
    )


def groups(scores: Floats, similar: Similar) -> tuple[Ints, Ints]:
    """(N,) scores -> (N,) the best of each one's duplicates, and those best ones, best first.

    similar(best, rest): (B,), (R,) indices -> (B, R) whether the second repeats the first.
    """
    owner = np.arange(len(scores))
    order = np.argsort(-scores, kind="stable")
    while len(order):
        block = order[:_BLOCK]
        falls = similar(block, order)  # (B, R)
        kept = _first(falls[:, : len(block)])
        by = falls[kept]
        gone = np.asarray(by.any(0))
        gone[kept] = False
        owner[order[gone]] = block[kept[by[:, gone].argmax(0)]]
        gone[: len(block)] = True
        order = order[~gone]
    kept = np.flatnonzero(owner == np.arange(len(owner)))
    return owner, kept[np.argsort(-scores[kept], kind="stable")]


def _first(falls: NDArray[np.bool_]) -> Ints:
    """(B, B) who removes whom, best first -> rows that survive."""
    alive = np.ones(len(falls), bool)
    for row, removed in enumerate(falls):
        if alive[row]:
            alive[row + 1 :] &= ~removed[row + 1 :]
    return np.flatnonzero(alive)


def _area(boxes: Floats | NDArray[np.float64]) -> NDArray[np.float64]:
    """(..., 4) -> (...) px^2; 0 for boxes turned inside out."""
    sides = np.maximum(boxes[..., 2:].astype(np.float64) - boxes[..., :2], 0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _bounded(keypoints: Floats) -> Floats:
    """Return keypoints cut off where a square would overflow, which keeps all numbers finite."""
    return np.clip(keypoints, -1e9, 1e9)
