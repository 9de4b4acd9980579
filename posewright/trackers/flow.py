"""Correspondences between two images: which point of the first is which of the second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from posewright.people import Doubles, Floats, Ints

__all__ = [
    "Correspondences",
    "Members",
    "OpticalFlow",
    "Orb",
    "Pairs",
    "inside",
    "no_pairs",
    "runs",
]

Pairs = tuple[Floats, Floats]  # (M, 2) x, y px in the first image, (M, 2) in the second
Members = tuple[Ints, Ints]  # numbers of a shape and of a point in it

_STRIP = 48.0  # px, width of the strips in which points are sorted


class Correspondences(Protocol):
    """A method to find pairs of points; the result of `look` is kept for the next image."""

    def look(self, image: NDArray[np.uint8]) -> Any:
        """(H, W, 3) RGB -> the data that `pairs` needs."""

    def pairs(self, before: Any, after: Any, points: Floats) -> Pairs:
        """Return pairs of two images; points: (P, 2) px of the first that are of interest."""


@dataclass(frozen=True, slots=True, eq=False)
class _Grey:
    """An image in grey, smaller than the frame by `ratio` (frame px per px)."""

    pixels: NDArray[np.uint8]
    ratio: float


@dataclass(frozen=True, slots=True)
class OpticalFlow:
    """Pyramidal Lucas-Kanade flow of the points of interest themselves.

    side: px to which the image's longer side is resized, which bounds the time; a small image
    allows large movements.  window: px of that image round a point.  levels: of the pyramid above
    it.
    """

    side: int = 320
    window: int = 11
    levels: int = 3

    def look(self, image: NDArray[np.uint8]) -> _Grey:
        """(H, W, 3) RGB -> the small grey image."""
        return _grey(image, self.side)

    def pairs(self, before: _Grey, after: _Grey, points: Floats) -> Pairs:
        """(P, 2) px -> the M of them that were found again, and where."""
        import cv2

        if len(points) == 0 or before.pixels.shape != after.pixels.shape:
            return no_pairs()
        size = (self.window, self.window)
        steps = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, 10, 0.03)
        start = np.ascontiguousarray(points / np.float32(before.ratio), np.float32)
        end, found, _ = cv2.calcOpticalFlowPyrLK(
            before.pixels,
            after.pixels,
            start,
            None,  # type: ignore[call-overload]
            winSize=size,
            maxLevel=self.levels,
            criteria=steps,
        )
        height, width = after.pixels.shape
        good = (found[:, 0] > 0) & (end >= 0).all(1) & (end < (width, height)).all(1)
        return points[good], np.asarray(end[good] * after.ratio, np.float32)


@dataclass(frozen=True, slots=True, eq=False)
class _Features:
    """(F, 2) px of the frame and (F, 32) bytes that describe them."""

    points: Floats
    marks: NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Orb:
    """ORB features whose nearest neighbour is much nearer than the second.

    count: maximum number of features per image.  side: px to which its longer side is resized; 0 =
    unchanged.  nearest: largest ratio of the nearest to the second-nearest distance.
    """

    count: int = 500
    side: int = 640
    nearest: float = 0.8

    def look(self, image: NDArray[np.uint8]) -> _Features:
        """(H, W, 3) RGB -> its features."""
        import cv2

        grey = _grey(image, self.side)
        points, marks = cv2.ORB_create(self.count).detectAndCompute(grey.pixels, None)  # type: ignore[attr-defined]
        if marks is None:
            return _Features(np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8))
        places = np.array([p.pt for p in points], np.float32).reshape(-1, 2)
        return _Features(places * np.float32(grey.ratio), marks)

    def pairs(self, before: _Features, after: _Features, points: Floats) -> Pairs:
        """Return the features that are in both images, regardless of the points of interest."""
        import cv2

        if len(before.points) == 0 or len(after.points) < 2:
            return no_pairs()
        found = cv2.BFMatcher(cv2.NORM_HAMMING).knnMatch(before.marks, after.marks, k=2)
        best = [
            (a.queryIdx, a.trainIdx) for a, b in found if a.distance < self.nearest * b.distance
        ]
        rows = np.array(best, np.int64).reshape(-1, 2)
        return before.points[rows[:, 0]], after.points[rows[:, 1]]


def no_pairs() -> Pairs:
    """Return no correspondences at all."""
    return np.zeros((0, 2), np.float32), np.zeros((0, 2), np.float32)


def inside(points: Floats, low: Floats, high: Floats) -> Members:
    """(M, 2) points, (R, 2) and (R, 2) corners -> the pairs of a rectangle and a point in it.

    Points are sorted by upright strips and by y in each, so that few are compared.
    """
    if len(points) == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    strip = np.floor(points[:, 0].astype(np.float64) / _STRIP)
    order = np.argsort(key := _key(strip, points[:, 1]))
    key, span = key[order], (strip.min(), strip.max())
    first, last = (np.clip(np.floor(c[:, 0] / _STRIP), *span).astype(int) for c in (low, high))
    row, strips = runs(first, last + 1)
    start = np.searchsorted(key, _key(strips, low[row, 1]))
    part, at = runs(start, np.searchsorted(key, _key(strips, high[row, 1]), "right"))
    row, column = row[part], order[at]
    x = points[column, 0]
    good = (x >= low[row, 0]) & (x <= high[row, 0])
    return row[good], column[good]


def _key(strip: Doubles | Ints, y: Floats) -> Doubles:
    """Return numbers that rise with the strip, and with y inside it."""
    return np.asarray(strip * 1e7 + np.clip(y, -4e6, 4e6))


def runs(first: Ints, stop: Ints) -> tuple[Ints, Ints]:
    """(R,), (R,) -> all numbers from each `first` up to `stop`, after the row of each."""
    count = np.maximum(stop - first, 0)
    row = np.repeat(np.arange(len(first)), count)
    return row, np.arange(len(row)) + np.repeat(first - (np.cumsum(count) - count), count)


def _grey(image: NDArray[np.uint8], side: int) -> _Grey:
    """Return the image in grey, its longer side at most `side` px where that is not 0."""
    import cv2

    grey = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2GRAY)
    ratio = max(grey.shape) / side if side else 1.0
    if ratio <= 1:
        return _Grey(np.asarray(grey, np.uint8), 1.0)
    height, width = grey.shape
    size = max(round(width / ratio), 1), max(round(height / ratio), 1)
    return _Grey(np.asarray(cv2.resize(grey, size, interpolation=cv2.INTER_AREA), np.uint8), ratio)
