"""A sample: who in it counts for a measure."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from posewright.datasets import Sample


def test_crowds_and_people_without_labelled_joints_do_not_count() -> None:
    points = np.ones((4, 3, 3))
    points[1, :, 2] = 0
    points[3, :2, 2] = 0  # one joint is enough
    sample = Sample.of(Path("a.png"), (9, 9), 1, points, crowd=[False, False, True, False])
    assert sample.counting.tolist() == [True, False, False, True]
    assert sample[:0].counting.shape == (0,)
