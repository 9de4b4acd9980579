"""The paired bootstrap: exact where nothing varies, and of the right width where it does."""

from __future__ import annotations

import numpy as np
import pytest

from posewright.metrics.bootstrap import paired_difference
from posewright.people import Doubles


def images(rng: np.random.Generator, count: int) -> list[Doubles]:
    return [rng.uniform(0.2, 0.8, rng.integers(0, 4)) for _ in range(count)]


def test_a_constant_difference_is_certain() -> None:
    first = images(np.random.default_rng(1), 40)
    found = paired_difference(first, [people + 0.125 for people in first])
    assert found is not None and found.differs
    assert [found.mean, found.low, found.high] == pytest.approx([0.125] * 3)
    same = paired_difference(first, first)
    assert same is not None and not same.differs and (same.low, same.high) == (0, 0)


def test_who_does_not_count_for_one_counts_for_neither() -> None:
    first = [np.array([0.5, -1.0]), np.array([0.5])]
    second = [np.array([0.75, 0.9]), np.array([-1.0])]
    found = paired_difference(first, second)
    assert found is not None and found.mean == 0.25
    assert paired_difference(first[1:], second[1:]) is None
    assert paired_difference([], []) is None


def test_the_interval_is_that_of_the_normal_law_and_pairs_count() -> None:
    rng = np.random.default_rng(2)
    first = [rng.uniform(0, 0.5, 1) for _ in range(400)]
    second = [people + 0.25 + rng.normal(0, 0.1, 1) for people in first]
    found = paired_difference(first, [people.clip(0) for people in second])
    assert found is not None
    half = 1.96 * 0.1 / 20  # of a mean of 400; unpaired it were 1.7 times as wide
    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)


def test_people_of_an_image_are_drawn_together() -> None:
    rng = np.random.default_rng(3)
    shifts = rng.normal(0, 0.1, 100)
    first = [np.full(5, 0.5) for _ in shifts]
    together = paired_difference(
        first, [people + s for people, s in zip(first, shifts, strict=True)]
    )
    alone = paired_difference(
        [np.full(1, 0.5)] * 500, [np.full(1, 0.5 + s) for s in np.repeat(shifts, 5)]
    )
    assert together is not None and alone is not None
    ratio = (together.high - together.low) / (alone.high - alone.low)
    assert ratio == pytest.approx(np.sqrt(5), rel=0.15)
