"""The summary of a person: range of motion, mean and symmetry of each quantity."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from posewright.measure.quantities import Quantity

__all__ = ["Row", "summary", "symmetry"]


@dataclass(frozen=True, slots=True)
class Row:
    """What one quantity did over time; NaN where it was never measured.

    frames, missing: numbers with and without a value.  range: greatest minus least value, the range
    of motion of an angle.  symmetry: percent, see `symmetry`; NaN for what has no other side.
    """

    quantity: str
    unit: str
    frames: int
    missing: int
    least: float
    greatest: float
    range: float
    mean: float
    sd: float
    symmetry: float


def summary(quantities: Sequence[Quantity]) -> list[Row]:
    """Return a row for each quantity."""
    ranges = {one.name: _ends(one) for one in quantities}
    means = {one.name: _mean(one) for one in quantities}
    return [_row(one, ranges, means) for one in quantities]


def symmetry(left: float, right: float) -> float:
    """Return how much more the right side has than the left, in percent of their mean.

    0 where both are equal, positive where the right one is greater (Robinson et al. 1987).
    """
    both = (abs(left) + abs(right)) / 2
    return 100 * (right - left) / both if both > 0 else float("nan")


def _row(
    one: Quantity, ranges: Mapping[str, tuple[float, float]], means: Mapping[str, float]
) -> Row:
    known = np.isfinite(one.values)
    least, greatest = ranges[one.name]
    sd = float(np.std(one.values[known])) if known.any() else float("nan")
    return Row(
        one.name,
        one.unit,
        int(known.sum()),
        int((~known).sum()),
        least,
        greatest,
        greatest - least,
        means[one.name],
        sd,
        _symmetry(one, ranges, means),
    )


def _symmetry(
    one: Quantity, ranges: Mapping[str, tuple[float, float]], means: Mapping[str, float]
) -> float:
    """Return the symmetry of both sides: of the mean lengths, or of the ranges of the angles."""
    side, _, rest = one.name.partition("_")
    if side not in ("left", "right") or not rest.endswith(("_length", "_angle")):
        return float("nan")
    pair = [f"{side}_{rest}" for side in ("left", "right")]
    if any(name not in means for name in pair):
        return float("nan")
    if rest.endswith("_length"):
        left, right = (means[name] for name in pair)
    else:
        left, right = (ranges[name][1] - ranges[name][0] for name in pair)
    return symmetry(left, right)


def _ends(one: Quantity) -> tuple[float, float]:
    known = one.values[np.isfinite(one.values)]
    return (float(known.min()), float(known.max())) if len(known) else (float("nan"),) * 2


def _mean(one: Quantity) -> float:
    known = one.values[np.isfinite(one.values)]
    return float(known.mean()) if len(known) else float("nan")
