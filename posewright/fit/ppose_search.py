"""The constants of p-Pose NMS that give labelled images the highest average precision.

As the paper has it (arXiv:1612.00137, section 3.3): two parameters at a time, the others fixed, in
turn until none of the pairs gains.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from posewright.metrics.instances import Detections, Truth
from posewright.metrics.oks import MOST, oks_pairs
from posewright.metrics.ranking import average, curve, match, ranked
from posewright.nms import Order, PPoseNMS, ppose_nms
from posewright.people import Doubles, Floats, Ints, People, extent

__all__ = ["BOUNDS", "PAIRS", "Candidates", "Objective", "Search", "search"]

# What is searched together: the paper's four, two by two, and the rule that counts near joints.
PAIRS = (
    ("mu", "gamma"),
    ("delta2", "gamma"),
    ("delta1", "gamma"),
    ("delta2", "mu"),
    ("delta1", "mu"),
    ("delta1", "delta2"),
    ("matches", "match_reach"),
    ("matches", "gamma"),
)

# Within these, poses more than _FAR px apart are no duplicates: their pairs need not be looked at.
BOUNDS = {
    "delta1": (0.02, 10.0),
    "delta2": (0.2, 10.0),
    "mu": (0.05, 10.0),
    "gamma": (1.0, 100.0),
    "matches": (1.0, 20.0),
    "match_reach": (1.0, 50.0),
}
_FAR = 50.0

_STEPS = (2.0, 2**0.5, 2**0.25)  # factor from one value to the next, coarse to fine
_REACH = np.arange(-3, 4)  # steps either way: 49 points a pair
# Least gain of average precision, times the number of labelled people.  One person more or less is
# about 1: what is less is chance, and does worse on other images.
_GAIN = 0.4
_MOST = 500_000  # outcomes kept, of about a kilobyte each

Outcome = tuple[NDArray[np.int8], Doubles]  # (D, T) what detections are worth, (D,) their scores


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """People found on labelled images before duplicates are removed.

    truth: labels by ascending image.  people: of each image; box scores in [0, 1].  ranks: of
    each image, (N,) the scores by which the file ranks them, of any scale.  sigmas: (K,) of OKS.
    """

    truth: Truth
    people: tuple[People, ...]
    ranks: tuple[Doubles, ...]
    sigmas: Doubles

    def __len__(self) -> int:
        return len(self.people)

    def __getitem__(self, pictures: Sequence[int] | Ints) -> Candidates:
        """Return some of the images, numbered anew."""
        numbers = np.sort(np.asarray(pictures, np.int64))
        row = np.full(len(self), -1)
        row[numbers] = np.arange(len(numbers))
        kept = self.truth[row[self.truth.cells] >= 0]
        return Candidates(
            kept.replace(cells=row[kept.cells]),
            tuple(self.people[i] for i in numbers),
            tuple(self.ranks[i] for i in numbers),
            self.sigmas,
        )

    def outcome(self, picture: int, left: People, rows: Ints) -> Outcome:
        """Return what the people left of an image are worth at each threshold.

        rows: (M,) who of the image they are.  -1 finds nobody, 0 somebody who counts, 1 somebody
        who is ignored.  A person's score changes as the mean of the joint scores does.
        """
        before = np.maximum(self.people[picture].pose_scores[rows], 1e-9)
        scores = self.ranks[picture][rows] * (left.pose_scores / before)
        points = np.concatenate([left.keypoints, left.scores[..., None]], 2).astype(np.float64)
        boxes = np.zeros((len(left), 4))
        found = Detections(np.full(len(left), picture), scores, points, boxes, boxes[:, 0])
        best, places = ranked(found, MOST)
        first, last = np.searchsorted(self.truth.cells, [picture, picture + 1])
        truth = self.truth[first:last]
        pairs = oks_pairs(truth, found[best], self.sigmas)
        taken = match(pairs, places, truth.ignored, truth.crowd)
        worth = np.where(taken >= 0, np.append(truth.ignored, False)[taken], -1)
        return worth.astype(np.int8), scores[best]

    def precision(self, outcomes: Sequence[Outcome]) -> float:
        """Return the average precision of all images together; -1 where there is nobody."""
        worth = np.concatenate([o[0] for o in outcomes]).astype(np.int64)
        order = np.argsort(-np.concatenate([o[1] for o in outcomes]), kind="stable")
        nothing = np.zeros(len(worth), bool)
        to_find = int((~self.truth.ignored).sum())
        return average(curve(worth, np.array([False, True]), nothing, order, to_find).precision)

    def cleaned(self, settings: Sequence[PPoseNMS | None]) -> float:
        """Return the average precision after `ppose_nms`, each image by its own settings.

        None leaves everybody.
        """
        outcomes = []
        for picture, (people, how) in enumerate(zip(self.people, settings, strict=True)):
            marked = people.replace(ids=np.arange(len(people)))
            left = marked if how is None else ppose_nms(marked, how)
            outcomes.append(self.outcome(picture, left, left.ids))
        return self.precision(outcomes)


class _Near:
    """Every pair of people of an image that may be duplicates, of all images in a row.

    first, second: (P,) numbers of the better and the worse one, were it so, over all images.
    ends: (images + 1,) where each image's pairs begin.
    """

    def __init__(self, people: Sequence[People], start: PPoseNMS) -> None:
        found = [_touching(p) for p in people]
        sizes = np.cumsum([0, *(len(p) for p in people)])
        self.ends = np.cumsum([0, *(len(f[0]) for f in found)])
        self.first = np.concatenate([f[0] + s for f, s in zip(found, sizes, strict=False)])
        self.second = np.concatenate([f[1] + s for f, s in zip(found, sizes, strict=False)])
        everybody = People.concat(people)
        gap = everybody.keypoints[self.first] - everybody.keypoints[self.second]
        self.distance: Floats = np.hypot(gap[..., 0], gap[..., 1])  # (P, K) px
        self._scores = everybody.scores
        self._side = everybody.sides.max(1) * start.alpha
        joints = everybody.scores.shape[1]
        self._start = start
        self._by_score, by_distance = start.weights(joints)
        self._by_distance = by_distance / start.mu
        self._share = joints / 17
        seen = self._scores >= start.score if start.parts else np.ones_like(self._scores, bool)
        self._counts = seen[self.first]
        self._known: dict[tuple[str, float], NDArray[Any]] = {}

    def falls(self, settings: PPoseNMS) -> NDArray[np.bool_]:
        """(P,) whether the second of each pair repeats the first, as `ppose_nms` has it."""
        alike = self._of("delta1", settings.delta1)
        alike = alike + settings.mu * self._of("delta2", settings.delta2)
        gamma = settings.gamma if settings.parts else settings.gamma * self._share
        near = self._of("match_reach", settings.match_reach) >= settings.matches * self._share
        return np.asarray((alike > gamma) | near)

    def _of(self, name: str, value: float) -> NDArray[Any]:
        """Return the (P,) sums that depend on one setting only, kept for the next time."""
        if (name, value) not in self._known:
            if len(self._known) > 200:  # of large sets, so that memory stays bounded
                self._known.clear()
            self._known[name, value] = getattr(self, f"_{name}")(value)
        return self._known[name, value]

    def _delta1(self, value: float) -> Floats:
        sure = np.tanh(np.maximum(self._scores, 1e-5) / value)
        both = sure[self.first] * sure[self.second] * ((self.distance <= 1) & self._counts)
        return np.asarray(both @ self._by_score, np.float32)

    def _delta2(self, value: float) -> Floats:
        return np.asarray((np.exp(self.distance / -value) * self._counts) @ self._by_distance)

    def _match_reach(self, value: float) -> Ints:
        close = np.minimum(self._side, value)[self.first]
        return np.asarray(np.count_nonzero(self.distance <= close[:, None], axis=1))


def _touching(people: People) -> tuple[Ints, Ints]:
    """Return the ordered pairs whose poses come within _FAR px of each other."""
    area = extent(people.keypoints) + np.array([-1, -1, 1, 1]) * _FAR / 2
    low, high = area[:, None, :2] <= area[None, :, 2:], area[None, :, :2] <= area[:, None, 2:]
    touch = np.asarray((low & high).all(2))
    np.fill_diagonal(touch, False)
    return np.nonzero(touch)  # type: ignore[return-value]


class Objective:
    """Average precision after `ppose_nms`, for many settings.

    Which pairs are duplicates is told from kept similarities, and people are merged and compared
    with the labels only where that differs from all settings before.
    """

    def __init__(self, candidates: Candidates, start: PPoseNMS) -> None:
        self.candidates = candidates
        self.count = 0  # of settings looked at
        self._start = start
        self._known: dict[tuple[int, str, bytes], Outcome] = {}
        self._values: dict[PPoseNMS, float] = {}

    @cached_property
    def _near(self) -> _Near:
        return _Near(self.candidates.people, self._start)

    def __call__(self, settings: PPoseNMS) -> float:
        """Return the average precision, in [0, 1].

        settings: those of the start but for `order` and what PAIRS names.
        """
        if settings not in self._values:
            self.count += 1
            falls, ends = self._near.falls(settings), self._near.ends
            outcomes = [
                self._outcome(i, settings, falls[ends[i] : ends[i + 1]].tobytes())
                for i in range(len(self.candidates))
            ]
            self._values[settings] = self.candidates.precision(outcomes)
        return self._values[settings]

    def _outcome(self, picture: int, settings: PPoseNMS, falls: bytes) -> Outcome:
        key = (picture, settings.order, falls)
        if key not in self._known:
            if len(self._known) >= _MOST:
                self._known.clear()
            people = self.candidates.people[picture]
            left = ppose_nms(people.replace(ids=np.arange(len(people))), settings)
            self._known[key] = self.candidates.outcome(picture, left, left.ids)
        return self._known[key]


@dataclass(frozen=True, slots=True)
class Search:
    """What a search ends at.

    settings: the best.  value: their average precision.  rounds: passes over all PAIRS.
    count: settings looked at.
    """

    settings: PPoseNMS
    value: float
    rounds: int
    count: int


def search(candidates: Candidates, start: PPoseNMS) -> Search:
    """Return the best settings found from `start`, for each of the two orders; the better one.

    Each pair of PAIRS is tried on a grid round its best values so far, 49 points, wide at first and
    finer once no pair gains.  Of equal points the nearest to the values so far is taken, so that
    nothing moves without a gain.
    """
    objective = Objective(candidates, start)
    ends = [_descend(objective, replace(start, order=order)) for order in get_args(Order)]
    settings, value, _ = max(ends, key=lambda end: end[1])
    return Search(settings, value, sum(end[2] for end in ends), objective.count)


def _descend(objective: Objective, settings: PPoseNMS) -> tuple[PPoseNMS, float, int]:
    value, rounds = objective(settings), 0
    least = _GAIN / max(int((~objective.candidates.truth.ignored).sum()), 1)
    for step in _STEPS:
        gained = True
        while gained:
            gained, rounds = False, rounds + 1
            for pair in PAIRS:
                best, at = max(
                    ((objective(p), p) for p in _grid(settings, pair, step)), key=lambda v: v[0]
                )
                if best > value + least:
                    value, settings, gained = best, at, True
    return settings, value, rounds


def _grid(settings: PPoseNMS, pair: tuple[str, str], step: float) -> Iterator[PPoseNMS]:
    """Yield settings with both of a pair changed by powers of `step`, the nearest first."""
    a, b = np.meshgrid(_REACH, _REACH, indexing="ij")
    order = np.argsort((a**2 + b**2).ravel(), kind="stable")
    for steps in np.stack([a.ravel(), b.ravel()], 1)[order].tolist():
        values = {n: getattr(settings, n) * step**e for n, e in zip(pair, steps, strict=True)}
        if all(low <= values[n] <= high for n, (low, high) in BOUNDS.items() if n in values):
            yield replace(settings, **values)
