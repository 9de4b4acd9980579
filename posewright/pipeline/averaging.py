"""Averages that raise the accuracy of `--accurate`: over views of a person, and over duplicates."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import islice

import numpy as np

from posewright.errors import UsageError
from posewright.nms import groups, oks
from posewright.people import OPTIONAL, Floats, Frame, Ints, People
from posewright.pipeline.estimate import Faults, Spread, estimate_views
from posewright.runtimes import Model
from posewright.skeletons import Skeleton

__all__ = ["MOVES", "average_duplicates", "estimate_all"]

# Views of a person that are averaged: the box, and the box moved by so many of its sides to the
# right and down.  docs/benchmarks.md tells which other sets were tried.
MOVES = (0.0, 0.04, -0.04)
_CERTAIN = 4  # power of a joint's score that weighs a view
_SURE = 2  # and a duplicate
_SAME = 0.7  # OKS above which two poses are of one person


def estimate_all(
    model: Model,
    frames: Sequence[Frame],
    people: Sequence[People] | None = None,
    *,
    flip: bool = False,
    batch: int = 4,
    spread: Spread = map,
    faults: Faults | None = None,
    moves: Sequence[float] = MOVES,
) -> list[People]:
    """Do what `estimate.estimate_all` does, on several views of each person.

    A joint is the mean of what the views give, weighted by the fourth power of its score in each;
    its score is the plain mean.  moves: of each view's box to the right and down, in its sides.  A
    view without finite outputs is left out.  UsageError: no boxes.
    """
    if people is None:
        raise UsageError(f"{model.info.name} finds people by itself: there are no views to average")
    jobs = [
        (number, warp)
        for number, (frame, known) in enumerate(zip(frames, people, strict=True))
        for share in moves
        for warp in model.codec.warps(frame.size, _moved(known, share))
    ]
    views = iter(
        estimate_views(model, frames, jobs, flip=flip, batch=batch, spread=spread, faults=faults)
    )
    return [_of_views(model, known, [*islice(views, len(moves) * len(known))]) for known in people]


def average_duplicates(people: People, skeleton: Skeleton, threshold: float = _SAME) -> People:
    """Average each group of poses whose OKS with its best one exceeds `threshold`, best first.

    A person's score is box score times mean joint score; a joint is the mean of the group's,
    weighted by the square of its score times the person's score.  The rest is that of the best.
    """
    worth = people.box_scores * people.pose_scores
    near = partial(oks, sigmas=skeleton.oks_sigmas, weights=skeleton.weights)
    best, kept = groups(worth, lambda i, j: near(people[i], people[j]) > threshold)
    place = np.zeros(len(people), np.int64)
    place[kept] = np.arange(len(kept))
    means = _means(people, place[best], people.scores**_SURE * worth[:, None])
    return people[kept].replace(**means)


def _moved(people: People, share: float) -> People:
    """Return people with boxes moved by a share of their width and height."""
    return people.replace(boxes=people.boxes + np.tile(people.sides * np.float32(share), 2))


def _of_views(model: Model, known: People, parts: Sequence[People]) -> People:
    """Return the people that the views of one frame give; those without any are dropped."""
    rows = [i % len(known) for i, part in enumerate(parts) for _ in range(len(part))]
    if not rows:
        return People.empty(model.skeleton)
    views = People.concat(parts)
    seen, owner = np.unique(rows, return_inverse=True)
    counts = np.bincount(owner)[:, None]
    scores = np.zeros((len(seen), views.scores.shape[1]))
    np.add.at(scores, owner, views.scores)
    means = _means(views, owner, views.scores**_CERTAIN)
    return known[seen].replace(scores=(scores / counts).astype(np.float32), **means)


def _means(people: People, owner: Ints, weights: Floats) -> dict[str, Floats]:
    """(N,) numbers of groups, (N, K) weights -> the groups' mean keypoints, visibility, error."""
    shape = (owner.max(initial=-1) + 1, weights.shape[1])
    weights = np.maximum(weights.astype(np.float64), 1e-9)
    total = np.zeros(shape)
    np.add.at(total, owner, weights)
    found = {}
    for name in ("keypoints", *OPTIONAL):
        values = getattr(people, name)
        if values is None:
            continue
        each = (slice(None), slice(None), *[None] * (values.ndim - 2))
        mean = np.zeros((*shape, *values.shape[2:]))
        np.add.at(mean, owner, weights[each] * values)
        found[name] = (mean / total[each]).astype(np.float32)
    return found
