"""Labelled and detected instances of a whole data set, as arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from posewright.people import Doubles, Ints, Mask

__all__ = ["Detections", "Truth"]


@dataclass(frozen=True, slots=True, eq=False)
class Truth:
    """G labelled instances; float64, because the field's evaluators are.

    cells: (G,) ascending number of the image (of the image and category, where there are several):
    instances are compared within one cell only.  keypoints: (G, K, 3) x, y px and visibility.
    boxes: (G, 4) left, top, width, height px.  areas: (G,) px².  ignored: (G,) neither found nor
    missed counts.  crowd: (G,) a region of several people, which any number of detections may
    match.
    """

    cells: Ints
    keypoints: Doubles
    boxes: Doubles
    areas: Doubles
    ignored: Mask
    crowd: Mask

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, rows: Any) -> Truth:
        """Return the instances at a mask, a slice or an array of ints."""
        return Truth(
            self.cells[rows],
            self.keypoints[rows],
            self.boxes[rows],
            self.areas[rows],
            self.ignored[rows],
            self.crowd[rows],
        )

    def replace(self, **changes: Any) -> Truth:
        """Return a copy with some arrays exchanged."""
        return replace(self, **changes)


@dataclass(frozen=True, slots=True, eq=False)
class Detections:
    """D detected instances in the order of their file.

    cells: (D,) as in Truth, in any order.  scores: (D,) any scale, best highest.
    keypoints: (D, K, 3) x, y px and score.
    boxes: (D, 4) left, top, width, height px.  areas: (D,) px².
    """

    cells: Ints
    scores: Doubles
    keypoints: Doubles
    boxes: Doubles
    areas: Doubles

    def __len__(self) -> int:
        return len(self.cells)

    def __getitem__(self, rows: Any) -> Detections:
        """Return the instances at a mask, a slice or an array of ints."""
        return Detections(
            self.cells[rows],
            self.scores[rows],
            self.keypoints[rows],
            self.boxes[rows],
            self.areas[rows],
        )

    def replace(self, **changes: Any) -> Detections:
        """Return a copy with some arrays exchanged."""
        return replace(self, **changes)
