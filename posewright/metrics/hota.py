"""HOTA: detection and association in one number (Luiten et al. 2021, arXiv:2009.07736).

The correspondences are those of TrackEval, the evaluator of the paper's authors: one assignment a
frame, in which overlaps count by how well the two identities agree over the whole sequence, and
which then holds for every threshold that the overlap reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import lap
import numpy as np

from posewright.metrics.tracking import Sight
from posewright.people import Doubles, Ints

__all__ = ["ALPHAS", "Hota", "hota", "hota_numbers"]

ALPHAS = np.arange(1, 20) / 20  # overlaps from which a pair counts: 0.05, 0.10 ... 0.95
_ROUNDING = np.finfo(np.float64).eps  # an overlap of 0.5 reaches 0.5 however it was computed


@dataclass(frozen=True, slots=True, eq=False)
class Hota:
    """Counts of a sequence, or of several added; (19,) each, one for each of ALPHAS.

    matches: pairs that count.  association: sum over them of A(c), the share of frames in which the
    pair's two identities are together among all frames in which either is there.
    """

    objects: int = 0
    predictions: int = 0
    matches: Ints = field(default_factory=lambda: np.zeros(len(ALPHAS), np.int64))
    association: Doubles = field(default_factory=lambda: np.zeros(len(ALPHAS)))

    @property
    def detection_accuracy(self) -> Doubles:
        """(19,) DetA in [0, 1]: matches among all labelled and predicted objects."""
        return self.matches / np.maximum(self.objects + self.predictions - self.matches, 1)

    @property
    def association_accuracy(self) -> Doubles:
        """(19,) AssA in [0, 1]: the mean of A(c); 0 without matches."""
        return self.association / np.maximum(self.matches, 1)

    def __add__(self, other: Hota) -> Hota:
        return Hota(
            self.objects + other.objects,
            self.predictions + other.predictions,
            self.matches + other.matches,
            self.association + other.association,
        )


def hota(frames: Sequence[Sight]) -> Hota:
    """Count the matches of one sequence at every threshold.

    The frames' distances are 1 - similarity, so in [0, 1]; NaN means no similarity at all.  Take
    all overlaps (box_distances with least=0), as thresholds begin at 0.05.
    """
    truth, found = _Names.of([f.truth for f in frames]), _Names.of([f.found for f in frames])
    alike = [np.nan_to_num(1 - f.distances, nan=0.0) for f in frames]
    agree = _agreement(alike, truth, found)
    together = np.zeros((len(ALPHAS), *agree.shape), np.int32)
    for similar, rows, columns in zip(alike, truth.numbers, found.numbers, strict=True):
        row, column = _best(agree[np.ix_(rows, columns)] * similar)
        counts = similar[row, column] >= ALPHAS[:, None] - _ROUNDING  # (19, pairs)
        together[:, rows[row], columns[column]] += counts
    either = truth.counts[:, None] + found.counts
    # Each of `times` pairs has the share times / (either - times); one threshold at a time is small
    shares = [float((times / np.maximum(either - times, 1) * times).sum()) for times in together]
    return Hota(
        int(truth.counts.sum()),
        int(found.counts.sum()),
        together.sum((1, 2), dtype=np.int64),
        np.array(shares),
    )


@dataclass(frozen=True, slots=True, eq=False)
class _Names:
    """Identities as numbers from 0.  numbers: (N,) each frame.  counts: (I,) frames of each."""

    numbers: list[Ints]
    counts: Doubles

    @classmethod
    def of(cls, frames: list[Ints]) -> _Names:
        everybody = np.concatenate([np.zeros(0, np.int64), *frames])
        _, numbers, counts = np.unique(everybody, return_inverse=True, return_counts=True)
        ends = np.cumsum([len(f) for f in frames])[:-1]
        parts = np.split(numbers.reshape(-1), ends) if frames else []
        return cls([np.asarray(p, np.int64) for p in parts], counts.astype(np.float64))


def _agreement(alike: list[Doubles], truth: _Names, found: _Names) -> Doubles:
    """Return (truths, identities found): how much of their frames two identities share, softly.

    A pair's share in a frame is its overlap among all overlaps of either one there.
    """
    shared = np.zeros((len(truth.counts), len(found.counts)))
    for similar, rows, columns in zip(alike, truth.numbers, found.numbers, strict=True):
        all_of = similar.sum(1)[:, None] + similar.sum(0) - similar
        part = np.divide(similar, all_of, out=np.zeros_like(similar), where=all_of > _ROUNDING)
        shared[np.ix_(rows, columns)] += part
    return np.asarray(shared / np.maximum(truth.counts[:, None] + found.counts - shared, _ROUNDING))


def _best(gain: Doubles) -> tuple[Ints, Ints]:
    """(T, F) -> rows and columns of the one-to-one pairs with the largest total."""
    if gain.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    _, columns, _ = lap.lapjv(gain.max() - gain, extend_cost=True)
    rows = np.flatnonzero(columns >= 0)
    return rows, np.asarray(columns[rows], np.int64)


def hota_numbers(counts: Hota) -> dict[str, float]:
    """Return HOTA, DetA and AssA, means over ALPHAS in [0, 1]; -1 without anything to measure."""
    if counts.objects + counts.predictions == 0:
        return {"HOTA": -1.0, "DetA": -1.0, "AssA": -1.0}
    detection, association = counts.detection_accuracy, counts.association_accuracy
    return {
        "HOTA": float(np.sqrt(detection * association).mean()),
        "DetA": float(detection.mean()),
        "AssA": float(association.mean()),
    }
