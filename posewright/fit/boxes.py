"""Learn how far a detector's boxes are from the labelled ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from posewright.augment.mixtures import cluster, fit_mixture
from posewright.augment.offsets import BoxOffsets, aligned
from posewright.errors import SourceError
from posewright.people import Doubles, Floats, Frame, People

if TYPE_CHECKING:
    from posewright.datasets.base import Dataset, Sample
    from posewright.readers.boxes import BoxFile
    from posewright.skeletons import Skeleton

__all__ = ["detected", "fit_offsets", "jittered"]

_EACH = 20  # offsets that a Gaussian of four dimensions needs
_LEAST_SIDE = 2.0  # px, of a true box


def detected(
    dataset: Dataset, boxes: BoxFile, iou: float, score: float
) -> tuple[People, Doubles, int]:
    """Match a detector's boxes to the people of a set.

    Returns the N people found, (N, 4) offsets of their boxes in widths and heights of the true
    ones, and how many could have been found.  In each image the best score comes first and takes
    the free person with the highest IoU, at least `iou`; crowd regions do not count.
    """
    people, offsets, count = [People.empty(dataset.skeleton)], [np.zeros((0, 4))], 0
    for sample in dataset:
        true = _countable(sample)
        count += len(true)
        rows = boxes.boxes.get(sample.image_id)
        found = (
            boxes.people(Frame.failed(str(sample.image), ""))
            if rows is None
            else People.of(rows[:, :4], rows[:, 4].clip(0, 1))
        )
        found = found[found.box_scores >= score]
        whose, which = _matched(true.boxes, found, iou)
        people.append(true[whose])
        low, high = true.boxes[whose, :2], true.boxes[whose, 2:]
        sides = np.tile((high - low).astype(np.float64), 2)
        offsets.append((found.boxes[which].astype(np.float64) - true.boxes[whose]) / sides)
    return People.concat(people), np.concatenate(offsets), count


def jittered(
    dataset: Dataset, deviation: float, rng: np.random.Generator
) -> tuple[People, Doubles, int]:
    """Return the same as `detected` for boxes whose edges are off by normal noise.

    deviation: of each edge, in widths and heights.
    """
    people = People.concat(
        [People.empty(dataset.skeleton), *(_countable(sample) for sample in dataset)]
    )
    return people, deviation * rng.standard_normal((len(people), 4)), len(people)


def fit_offsets(
    people: People,
    offsets: Doubles,
    skeleton: Skeleton,
    *,
    poses: int = 16,
    components: int = 3,
    seed: int = 0,
    source: str = "",
) -> BoxOffsets:
    """Cluster N people's poses and fit a mixture to the (N, 4) offsets of each cluster.

    poses: clusters at most.  components: Gaussians of each at most; small clusters get fewer, and
    those of fewer than 20 people have no mixture of their own.  SourceError: fewer than 20 people.
    """
    if len(people) < _EACH:
        raise SourceError(
            f"{source}: {len(people)} boxes match a labelled person, at least {_EACH} are needed; "
            "give boxes of the same images, or lower the IoU"
        )
    rng = np.random.default_rng(seed)
    everybody = fit_mixture(offsets, _parts(len(offsets), components), rng)
    at, known = aligned(people, skeleton)
    able = np.flatnonzero(known.any(1))
    centres, mixtures, counts = [], [], []
    if len(able):
        points = at[able].reshape(len(able), -1)
        # more clusters than this would leave most of them too small
        found, labels = cluster(points, np.repeat(known[able], 2, 1), _parts(len(able), poses), rng)
        for number in np.argsort(-np.bincount(labels), kind="stable"):
            own = offsets[able[labels == number]]
            if len(own) >= _EACH:
                centres.append(found[number])
                mixtures.append(fit_mixture(own, _parts(len(own), components), rng))
                counts.append(len(own))
    places = np.array(centres).reshape(len(centres), len(skeleton), 2)
    return BoxOffsets(skeleton, places, np.array(counts, np.int64), (*mixtures, everybody), source)


def _parts(count: int, most: int) -> int:
    return max(1, min(most, count // _EACH))


def _countable(sample: Sample) -> People:
    """Return the people that are no crowd and whose box has sides."""
    sides = sample.people.sides
    return sample.people[~sample.crowd & (sides >= _LEAST_SIDE).all(1)]


def _matched(true: Floats, found: People, iou: float) -> tuple[list[int], list[int]]:
    """Return the numbers of true and of found boxes that belong together."""
    low = np.maximum(true[:, None, :2], found.boxes[None, :, :2])
    high = np.minimum(true[:, None, 2:], found.boxes[None, :, 2:])
    shared = np.maximum(high - low, 0).prod(2)  # (N, M)
    areas = [(b[:, 2:] - b[:, :2]).prod(1) for b in (true, found.boxes)]
    union = areas[0][:, None] + areas[1][None] - shared
    likeness = shared / np.maximum(union, 1e-9)
    whose: list[int] = []
    which: list[int] = []
    for number in np.argsort(-found.box_scores, kind="stable") if len(true) else ():
        best = int(likeness[:, number].argmax())
        if likeness[best, number] >= iou:
            whose.append(best)
            which.append(int(number))
            likeness[best] = -1
    return whose, which
