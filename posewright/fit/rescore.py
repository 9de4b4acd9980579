"""The re-scoring network of DEKR, learned from poses found on labelled images.

As its authors train it (arXiv:2104.02300): squared error of the OKS, Adam, batches of 1,024 poses.
Their data holds each pose three times, once for each range of areas, so that their 20 epochs are 60
here; in the ranges of medium and large people it also states the OKS with another person where the
pose's own is of another size, which is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from posewright.codecs.limbs import limb_features
from posewright.datasets.base import Dataset
from posewright.errors import UsageError, counted
from posewright.evaluation.arrays import in_order, labels_of
from posewright.evaluation.coco_files import detections, read_entries
from posewright.metrics.instances import Detections, Truth
from posewright.metrics.oks import MOST, crowdpose_truth, evaluate_keypoints, oks_pairs, sigmas_of
from posewright.metrics.ranking import ranked
from posewright.people import Doubles, Floats, People
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.skeletons import Skeleton

__all__ = ["Poses", "Rescoring", "fit_rescoring", "read_poses", "true_oks"]

_WIDTH, _BATCH, _RATE = 256, 1024, 1e-3
_BETAS = 0.9, 0.999


@dataclass(frozen=True)
class Poses:
    """Poses found on labelled images, at most 20 of each, and the labels.

    oks: (D,) of each pose with the labelled person that it is most like.
    """

    truth: Truth
    found: Detections
    oks: Doubles
    skeleton: Skeleton

    @property
    def people(self) -> People:
        """The poses; a box score is the score over the mean joint score."""
        scores = np.clip(self.found.keypoints[..., 2], 0, 1)
        boxes = np.clip(self.found.scores / np.maximum(scores.mean(1), 1e-6), 0, 1)
        points = self.found.keypoints[..., :2]
        return People.of(None, boxes, points.astype(np.float32), scores.astype(np.float32))

    def precision(self, scores: Doubles) -> float:
        """Return the AP of the poses with other scores."""
        found = self.found.replace(scores=scores)
        return evaluate_keypoints(self.truth, found, sigmas_of(self.skeleton)).numbers["AP"]


@dataclass(frozen=True)
class Rescoring:
    """What was learned: the network, mean squared error of each epoch, AP before and after."""

    network: ExpectedOKS
    losses: tuple[float, ...]
    before: float
    after: float


def read_poses(dataset: Dataset, path: Path, crowdpose: bool = False) -> Poses:
    """Return the poses of COCO keypoint results on the images of a labelled set.

    crowdpose: areas are 0.53 of the boxes'.  Errors: those of `coco_files.detections`.
    """
    dataset = dataset[in_order(dataset.samples)]
    labels = labels_of(dataset)
    found = detections(read_entries(path), labels, path, False)
    truth = crowdpose_truth(labels.truth) if crowdpose else labels.truth
    found = found[np.sort(ranked(found, MOST)[0])]
    oks = true_oks(truth, found, dataset.skeleton)
    seen = np.isfinite(oks)
    return Poses(truth, found[seen], oks[seen], dataset.skeleton)


def true_oks(truth: Truth, found: Detections, skeleton: Skeleton) -> Doubles:
    """Return (D,) the highest OKS of each pose with a person who counts.

    Where nobody counts, of those who do not; 1 is 0 then, of a pose inside of an unlabelled box.
    NaN where nobody is labelled.
    """
    pairs = oks_pairs(truth, found, sigmas_of(skeleton))
    best = np.full((2, len(found)), -1.0)  # with those who count, with the others
    np.maximum.at(best, (truth.ignored[pairs.truth].astype(int), pairs.found), pairs.likeness)
    other = np.where(best[1] < 0, np.nan, np.where(best[1] == 1, 0, best[1]))
    return np.where(best[0] >= 0, best[0], other)


def fit_rescoring(
    poses: Poses,
    *,
    epochs: int = 60,
    seed: int = 0,
    source: str = "",
    progress: Callable[[str], None] | None = None,
) -> Rescoring:
    """Return a network that expects the OKS of poses, and what it is worth on these images.

    progress: called with a line for every tenth epoch.  UsageError: nothing was found, or joints
    without limbs.
    """
    people = poses.people
    if not len(people):
        raise UsageError(
            "no pose lies on an image with labelled people; give results of its images"
        )
    scores = people.scores * people.box_scores[:, None]
    x = limb_features(people.keypoints, scores, poses.skeleton).astype(np.float32)
    rng, losses = np.random.default_rng(seed), list[float]()
    layers = _initial((x.shape[1], _WIDTH, _WIDTH, 1), rng)
    for loss in _epochs(layers, x, poses.oks.astype(np.float32), epochs, rng):
        losses.append(loss)
        if progress is not None and len(losses) % 10 == 0:
            progress(f"epoch {len(losses)} of {epochs}: mean squared error {loss:.5f}")
    pairs = tuple(zip(layers[::2], layers[1::2], strict=True))
    origin = f"posewright fit rescore, {counted(len(people), 'pose')} of {source}"
    network = ExpectedOKS(poses.skeleton, pairs, origin=origin)
    after = poses.precision(poses.found.scores * network(people))
    return Rescoring(network, tuple(losses), poses.precision(poses.found.scores), after)


def _initial(sizes: tuple[int, ...], rng: np.random.Generator) -> list[Floats]:
    """Return weights by Kaiming's uniform rule, whose slope is 1 in the original, and biases 0."""
    layers: list[Floats] = []
    for inputs, outputs in pairwise(sizes):
        bound = np.sqrt(3 / inputs)
        layers.append(rng.uniform(-bound, bound, (outputs, inputs)).astype(np.float32))
        layers.append(np.zeros(outputs, np.float32))
    return layers


def _epochs(
    layers: list[Floats], x: Floats, y: Floats, epochs: int, rng: np.random.Generator
) -> Iterator[float]:
    """Change layers in place; yield the mean loss of each epoch.  An incomplete batch is left."""
    size = min(_BATCH, len(x))
    moments = [np.zeros_like(layer) for layer in layers * 2]
    step = 0
    for _ in range(epochs):
        order, total = rng.permutation(len(x)), 0.0
        starts = range(0, len(x) - size + 1, size)
        for start in starts:
            rows = order[start : start + size]
            loss, slopes = loss_and_slopes(layers, x[rows], y[rows])
            step += 1
            _adam(layers, slopes, moments, step)
            total += loss
        yield total / len(starts)


def loss_and_slopes(layers: list[Floats], x: Floats, y: Floats) -> tuple[float, list[Floats]]:
    """Return the mean squared error and its derivatives by weights and biases."""
    inputs = [x]
    for weight, bias in zip(layers[::2], layers[1::2], strict=True):
        inputs.append(inputs[-1] @ weight.T + bias)
        if len(inputs) <= len(layers) // 2:
            inputs[-1] = np.maximum(inputs[-1], 0)
    off = inputs.pop()[:, 0] - y
    slope: Floats = np.asarray(2 / len(y) * off, np.float32)[:, None]
    found: list[Floats] = []
    for weight, given in zip(layers[-2::-2], inputs[::-1], strict=True):
        found = [slope.T @ given, slope.sum(0), *found]
        slope = np.asarray((slope @ weight) * (given > 0), np.float32)
    return float(np.square(off).mean()), found


def _adam(layers: list[Floats], slopes: list[Floats], moments: list[Floats], step: int) -> None:
    """Change layers and moments in place (arXiv:1412.6980)."""
    means, squares = moments[: len(layers)], moments[len(layers) :]
    one, two = _BETAS
    rate = _RATE / (1 - one**step)
    for layer, slope, mean, square in zip(layers, slopes, means, squares, strict=True):
        mean += (1 - one) * (slope - mean)
        square += (1 - two) * (slope**2 - square)
        layer -= rate * mean / (np.sqrt(square / (1 - two**step)) + 1e-8)
