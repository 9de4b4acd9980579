"""Joints assigned among people who overlap: CrowdPose's global association (arXiv:1812.00324).

A crop of one person in a crowd shows the neighbours' joints, too, and often more clearly.  Instead
of the highest peak, all peaks of a map are candidates; those of several crops that lie together are
one node, and each node goes to one person at most, so that the sum of scores is the largest.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import lap
import numpy as np
from numpy.typing import ArrayLike, NDArray

from posewright.codecs.base import finds_peaks, finite_views
from posewright.errors import UsageError
from posewright.people import Floats, Frame, Ints, People
from posewright.runtimes import Model
from posewright.warp import Warp

__all__ = ["Peaks", "associate", "estimate_all"]

Spread = Callable[..., Iterable[Any]]

_LEAST = 0.05  # score of a candidate that is looked at
_REACH = 0.1  # candidates within this times sigma times the root of the area are one joint
_SURE = 0.1  # best joint of somebody who is kept


@dataclass(frozen=True, slots=True, eq=False)
class Peaks:
    """Up to M candidates of each joint of N people.

    points: (N, K, M, 2) image px, best first.  scores: (N, K, M) in [0, 1], 0 where there is none.
    """

    points: Floats
    scores: Floats

    def __post_init__(self) -> None:
        if self.points.shape != (*self.scores.shape, 2):
            raise UsageError(
                f"candidates of shape {self.points.shape} do not match scores of "
                f"{self.scores.shape}; give (N, K, M, 2) and (N, K, M)"
            )


def associate(people: People, peaks: Peaks, sigmas: ArrayLike) -> People:
    """Return people with the joints assigned to them; people without any are dropped.

    people: N boxes with their scores; keypoints of N people that replace a joint assigned to
    another person, with a score of 0.  sigmas: (K,) OKS sigmas.  A joint is the score-weighted mean
    of its node's candidates, its score the person's own.  A duplicate loses all joints to the
    better of the two, so duplicates are removed, too.
    """
    if len(people) == 0:
        return people
    if peaks.scores.shape[:2] != people.scores.shape:
        raise UsageError(
            f"candidates of {peaks.scores.shape[:2]} people and joints for "
            f"{people.scores.shape}; give those of the same people"
        )
    sides = np.maximum(people.sides, 1)
    size = np.sqrt(sides.prod(1, dtype=np.float64))
    worth = people.box_scores * peaks.scores.max(2).mean(1)
    points, scores = people.keypoints.copy(), np.zeros_like(people.scores)
    for k, sigma in enumerate(np.asarray(sigmas, np.float64)):
        places, weights = _nodes(peaks.points[:, k], peaks.scores[:, k], _REACH * sigma * size)
        who, which = _shared_out(weights * worth[:, None])
        points[who, k], scores[who, k] = places[which], weights[who, which]
    kept = scores.max(1) >= _SURE
    return people.replace(keypoints=points, scores=scores)[np.flatnonzero(kept)]


def _nodes(points: Floats, scores: Floats, reach: NDArray[np.float64]) -> tuple[Floats, Floats]:
    """(N, M, 2) px, (N, M), (N,) px -> (J, 2) nodes and (N, J) each person's score in each of them.

    By falling score a candidate joins the nearest node within the smaller reach of the two people,
    unless its own person is in it, or begins one.
    """
    who, which = np.nonzero(scores >= _LEAST)
    order = np.argsort(-scores[who, which], kind="stable")
    members: list[list[int]] = []
    who, xy, value = who[order], points[who, which][order], scores[who, which][order]
    for i in range(len(who)):
        heads = np.array([m[0] for m in members], np.int64)
        far = np.hypot(*(xy[heads] - xy[i]).T)
        mine = np.array([bool((who[m] == who[i]).any()) for m in members], bool)
        far = np.where(mine | (far > np.minimum(reach[who[heads]], reach[who[i]])), np.inf, far)
        if len(far) and np.isfinite(far.min()):
            members[int(far.argmin())].append(i)
        else:
            members.append([i])
    weights = np.zeros((len(scores), len(members)), np.float32)
    places = np.zeros((len(members), 2), np.float32)
    for j, rows in enumerate(members):
        weights[who[rows], j] = value[rows]
        places[j] = np.average(xy[rows], axis=0, weights=value[rows])
    return places, weights


def _shared_out(weights: Floats) -> tuple[Ints, Ints]:
    """(N, J) -> rows and columns of the matching of the largest sum; only where a weight is."""
    if weights.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    _, columns, _ = lap.lapjv(-weights.astype(np.float64), extend_cost=True)
    rows = np.flatnonzero(columns >= 0)
    columns = np.asarray(columns, np.int64)[rows]
    there = weights[rows, columns] > 0
    return rows[there], columns[there]


def estimate_all(
    model: Model,
    frames: Sequence[Frame],
    people: Sequence[People] | None = None,
    *,
    flip: bool = False,
    batch: int = 4,
    spread: Spread = map,
    faults: Counter[int] | None = None,
) -> list[People]:
    """Do what `pipeline.estimate_all` does, with joints assigned among the people of a frame.

    UsageError: a model without heatmaps, or no boxes.
    """
    if not finds_peaks(model.codec) or people is None:
        raise UsageError(
            f"{model.info.name} has no heatmap of each person's joints to assign them by; choose "
            "a top-down heatmap network, or another way to remove duplicates"
        )
    jobs = [
        (number, warp)
        for number, (frame, known) in enumerate(zip(frames, people, strict=True))
        for warp in model.codec.warps(frame.size, known)
    ]
    chunks = [jobs[i : i + batch] for i in range(0, len(jobs), batch)]

    def run(chunk: list[tuple[int, Warp]]) -> list[tuple[Floats, Floats, bool]]:
        return _run(model, [(frames[number], warp) for number, warp in chunk], flip)

    parts = [part for some in spread(run, chunks) for part in some]
    if faults is not None:
        faults.update(number for (number, _), part in zip(jobs, parts, strict=True) if not part[2])
    owned = zip((number for number, _ in jobs), parts, strict=True)
    by_frame = {n: [part for _, part in each] for n, each in groupby(owned, lambda o: o[0])}
    sigmas = model.skeleton.oks_sigmas
    return [
        _matched(known, by_frame[n], sigmas) if n in by_frame else People.empty(model.skeleton)
        for n, known in enumerate(people)
    ]


def _matched(known: People, parts: list[tuple[Floats, Floats, bool]], sigmas: Floats) -> People:
    peaks = Peaks(np.stack([p for p, _, _ in parts]), np.stack([s for _, s, _ in parts]))
    people = known.replace(keypoints=peaks.points[:, :, 0], scores=peaks.scores[:, :, 0])
    return associate(people, peaks, sigmas)


def _run(
    model: Model, views: list[tuple[Frame, Warp]], flip: bool
) -> list[tuple[Floats, Floats, bool]]:
    """Return (K, M, 2) image px and (K, M) scores of the candidates in each view, and whether its
    outputs are finite."""
    codec = model.codec
    assert finds_peaks(codec)
    pixels = np.stack([warp.image(frame.image) for frame, warp in views])
    outputs = model(pixels)
    if flip:
        mirrored = codec.unflip(model(np.ascontiguousarray(pixels[:, :, ::-1])), model.skeleton)
        outputs = {key: (outputs[key] + mirrored[key]) / 2 for key in outputs}
    points, scores = codec.candidates(outputs)
    rows = zip(views, points, scores, finite_views(outputs, len(views)).tolist(), strict=True)
    return [(warp.inverse().points(p), s, finite) for (_, warp), p, s, finite in rows]
