"""PCK, PCKh, the area under its curve and the error in pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from posewright.evaluation.person_files import read_lsp
from posewright.metrics.pck import (
    auc,
    box_sizes,
    epe,
    head_sizes,
    normalised,
    pck,
    pckh,
    torso_sizes,
)
from posewright.skeletons import LSP14


def test_lspet_labels_as_predictions(data_dir: Path) -> None:
    people = read_lsp(data_dir / "lspet" / "joints.mat")
    assert people.keypoints.shape == (10000, 14, 2)
    errors = normalised(people.keypoints, people.keypoints, people.sizes)
    known = people.labelled & (people.sizes > 0)[:, None]
    assert known.sum() > 90000
    assert pck(errors, known, 0.2).mean_by_count == 1 and auc(errors, known, 0.2) == 1
    shifted = people.keypoints + np.array([3, 4])
    assert epe(shifted, people.keypoints, people.labelled) == pytest.approx(5)


def test_by_hand() -> None:
    truth = np.zeros((2, 3, 2))
    found = np.array([[[1, 0], [0, 2], [3, 4]], [[0, 1], [0, 0], [9, 9]]], float)
    labelled = np.array([[1, 1, 1], [1, 0, 0]], bool)
    errors = normalised(found, truth, np.array([10.0, 2.0]))
    assert errors[0].tolist() == [0.1, 0.2, 0.5] and errors[1, 0] == 0.5
    scores = pck(errors, labelled, 0.2)
    assert scores.joints.tolist() == [0.5, 1, 0] and scores.counts.tolist() == [2, 1, 1]
    assert scores.mean_of_joints == 0.5 and scores.mean_by_count == 0.5
    assert pck(errors, labelled, 0.1).mean_by_count == 0.25
    assert auc(errors, labelled, 0.5) == pytest.approx((0.8 + 0.6 + 0 + 0) / 4)
    assert epe(found, truth, labelled) == (1 + 2 + 5 + 1) / 4


def test_area_is_the_limit_of_a_sum() -> None:
    rng = np.random.default_rng(0)
    errors, labelled = rng.exponential(0.3, (50, 14)), rng.random((50, 14)) < 0.8
    steps = [pck(errors, labelled, t).mean_by_count for t in np.linspace(0, 0.5, 2001)]
    assert auc(errors, labelled, 0.5) == pytest.approx(np.mean(steps), abs=1e-3)


def test_sizes() -> None:
    assert head_sizes([[0, 0, 3, 4], [1, 1, 1, 1]]).tolist() == [3, 0]
    points = np.zeros((1, 14, 2))
    points[0, LSP14["left_shoulder"]] = [6, 8]
    assert torso_sizes(points).tolist() == [10]
    labelled = np.ones((1, 14), bool)
    assert box_sizes(points, labelled).tolist() == [8]
    assert box_sizes(points, ~labelled).tolist() == [0]


def test_nothing_found_and_nothing_labelled() -> None:
    truth, labelled = np.ones((2, 16, 2)), np.ones((2, 16), bool)
    nowhere = normalised(np.full((2, 16, 2), np.nan), truth, np.array([5.0, 0.0]))
    assert np.isinf(nowhere).all()
    assert set(pckh(nowhere, labelled).values()) == {0}
    assert set(pckh(nowhere, ~labelled).values()) == {-1}
    nobody = np.zeros((0, 16))
    assert set(pckh(nobody, nobody > 0).values()) == {-1}
    assert epe(truth[:0], truth[:0], labelled[:0]) == -1
