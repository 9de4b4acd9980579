"""Tracks of people by their boxes: the numbers of MOT and HOTA over several sequences."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from posewright.metrics.hota import Hota, hota, hota_numbers
from posewright.metrics.tracking import Sight, Tally, box_distances, mot_numbers, tally
from posewright.people import Doubles, Ints

__all__ = ["BoxFrame", "grown_extents", "track_numbers"]

_FEWEST = 3  # joints from which their extent says where somebody is
_MARGIN = 1 / 8  # of the extent, on each side
_SMALLEST = 10.0  # px, of an extent whose joints lie on one line


@dataclass(frozen=True, slots=True, eq=False)
class BoxFrame:
    """One labelled frame: T people of the ground truth, F predicted.

    truth, found: (T, 4), (F, 4) left, top, width, height px; people without a size match nothing.
    truth_ids, found_ids: (T,), (F,) identities within the sequence.
    """

    truth: Doubles
    found: Doubles
    truth_ids: Ints
    found_ids: Ints

    def sight(self, least: float) -> Sight:
        """Return the distances of all pairs; least: lowest overlap of a possible match."""
        a, b = self.truth[:, 2:].min(1) > 0, self.found[:, 2:].min(1) > 0
        distances = box_distances(self.truth[a], self.found[b], least)
        return Sight(self.truth_ids[a], self.found_ids[b], distances)


def track_numbers(sequences: Iterable[Sequence[BoxFrame]]) -> dict[str, float]:
    """Return the numbers of `mot_numbers`, from an IoU of 0.5, and of `hota_numbers`."""
    counts, overlaps = Tally(), Hota()
    for frames in sequences:
        counts = counts + tally(frame.sight(0.5) for frame in frames)
        overlaps = overlaps + hota([frame.sight(0.0) for frame in frames])
    return mot_numbers(counts) | hota_numbers(overlaps)


def grown_extents(points: Doubles) -> Doubles:
    """(N, K, 3) -> (N, 4) left, top, width, height px of the box round each person's joints.

    points: x, y px and more than 0 for a joint that is there.  An eighth of the extent (at least
    1.25 px) is added on each side; 0 for a person with fewer than three joints.
    """
    boxes = np.zeros((len(points), 4))
    there = points[:, :, 2:] > 0
    enough = there.sum((1, 2)) >= _FEWEST
    xy, there = points[enough, :, :2], there[enough]
    low = np.where(there, xy, np.inf).min(1, initial=np.inf)
    high = np.where(there, xy, -np.inf).max(1, initial=-np.inf)
    margin = np.maximum(high - low, _SMALLEST) * _MARGIN
    boxes[enough] = np.concatenate([low - margin, high - low + 2 * margin], 1)
    return boxes
