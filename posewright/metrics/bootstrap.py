"""How sure a difference is that two models make on the same images: the paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from posewright.people import Doubles

__all__ = ["Difference", "paired_difference"]

_DRAWS = 2000
_SHARES = (2.5, 97.5)  # percentiles: an interval of 95 %


@dataclass(frozen=True)
class Difference:
    """The mean of a difference per person, and the ends of its interval of 95 %."""

    mean: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval leaves 0 out."""
        return not self.low <= 0 <= self.high


def paired_difference(first: Sequence[Doubles], second: Sequence[Doubles]) -> Difference | None:
    """Return how much higher the people of `second` score than the same ones of `first`.

    first, second: for each image (N,) scores of its people, -1 of those who do not count.  Images
    are drawn anew, with replacement and all their people, as people of an image are alike
    (Efron and Tibshirani 1993, percentile interval; 2,000 draws of a fixed seed).  None: nobody
    counts for both.
    """
    sums, counts = np.zeros(len(first)), np.zeros(len(first))
    for i, (a, b) in enumerate(zip(first, second, strict=True)):
        both = (a >= 0) & (b >= 0)
        sums[i], counts[i] = (b - a)[both].sum(), both.sum()
    used = counts > 0
    sums, counts = sums[used], counts[used]
    if not len(counts):
        return None
    rng = np.random.default_rng(0)
    drawn = (rng.integers(0, len(counts), len(counts)) for _ in range(_DRAWS))
    means = [sums[rows].sum() / counts[rows].sum() for rows in drawn]
    low, high = np.percentile(means, _SHARES).tolist()
    return Difference(float(sums.sum() / counts.sum()), low, high)
