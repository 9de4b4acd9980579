"""Poses averaged over views of a person, and over duplicates."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from posewright import Pose
from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.pipeline import averaging
from posewright.pipeline.averaging import average_duplicates
from posewright.pipeline.estimate import Detectors, Faults, estimate_all, find_people
from posewright.pipeline.loading import estimator
from posewright.skeletons import COCO17

FRAME = Frame(np.zeros((300, 400, 3), np.uint8))


class Moving:
    """A top-down network whose answer depends on the left edge of the box: (left, left) px in the
    image, with a score of 100 / left.

    blind: left edges of boxes for which it finds nobody.
    """

    def __init__(self, *blind: float) -> None:
        self.codec: Any = self
        self.skeleton, self.info = COCO17, SimpleNamespace(name="moving")
        self.top_down, self.mirrors, self.task, self.runtime = True, True, "joints", "none"
        self._blind = blind

    def warps(self, size: tuple[int, int], people: People) -> list[Any]:
        assert people is not None
        return [_View(float(left)) for left in people.boxes[:, 0]]

    def __call__(self, views: np.ndarray, condition: object = None) -> dict[str, np.ndarray]:
        left = views[:, 0, 0, 0].astype(np.float32)
        return {"left": np.where(np.isin(left, self._blind), np.nan, left)}

    def decode(self, outputs: dict[str, np.ndarray]) -> list[People]:
        return [self._person(left) for left in outputs["left"]]

    def _person(self, left: float) -> People:
        if not np.isfinite(left):
            return People.empty(COCO17)
        points = np.full((1, 17, 2), left, np.float32)
        found = People.of(keypoints=points, scores=np.full((1, 17), 100 / left))
        return found.replace(expected_error=np.full((1, 17), left, np.float32))


class _View:
    """A view of one grey level."""

    size = (4, 4)

    def __init__(self, level: float) -> None:
        self._level = level

    def image(self, pixels: np.ndarray, out: np.ndarray) -> None:
        out[:] = round(self._level)

    def inverse(self) -> _View:
        return self

    def people(self, people: People) -> People:
        return people


def boxes(*lefts: float) -> People:
    count = len(lefts)
    some = [[left, 0, left + 100, 50] for left in lefts]
    return People.of(some, np.full(count, 0.5), ids=range(7, 7 + count))


def test_views_are_averaged_by_their_scores() -> None:
    model: Any = Moving()
    [found] = averaging.estimate_all(model, [FRAME], [boxes(200, 100)], moves=(0.0, 0.2))
    each = np.array([[200, 220], [100, 120]], np.float64)
    scores = 100 / each
    wanted = (each * scores**4).sum(1) / (scores**4).sum(1)
    np.testing.assert_allclose(found.keypoints[:, 3, 1], wanted, rtol=1e-5)
    np.testing.assert_allclose(found.expected_error[:, 3], wanted, rtol=1e-5)
    np.testing.assert_allclose(found.scores[:, 3], scores.mean(1), rtol=1e-5)
    assert found.ids.tolist() == [7, 8] and found.boxes[:, 0].tolist() == [200, 100]


def test_a_view_without_numbers_is_left_out_and_counted() -> None:
    model: Any = Moving(220, 100, 120)
    faults = Faults()
    frames, people = [FRAME, FRAME], [boxes(), boxes(200, 100)]
    nobody, found = averaging.estimate_all(
        model, frames, people, moves=(0.0, 0.2), faults=faults, batch=1
    )
    assert len(nobody) == 0 and nobody.keypoints.shape == (0, 17, 2)
    assert found.ids.tolist() == [7] and found.keypoints[0, 0].tolist() == [200, 200]
    assert faults == {1: 3}


def test_one_view_is_what_estimate_all_does(clip_frames: list[np.ndarray]) -> None:
    pose, frame = Pose(), Frame(clip_frames[0])
    people = find_people(pose.detector, [frame])
    assert people is not None
    [plain] = estimate_all(pose.model, [frame], people)
    [single] = averaging.estimate_all(pose.model, [frame], people, moves=(0.0,))
    np.testing.assert_allclose(single.keypoints, plain.keypoints, atol=1e-3)
    np.testing.assert_allclose(single.scores, plain.scores, atol=1e-6)
    [three] = averaging.estimate_all(pose.model, [frame], people)
    moved = np.abs(three.keypoints - plain.keypoints)[plain.scores > 0.5]
    assert 0 < np.median(moved) < 5  # px, of people of some 250 px


def poses(*offsets: float, scores: list[float] | None = None) -> People:
    """One pose again and again, moved by so many px."""
    base = np.random.default_rng(1).uniform(50, 250, (17, 2))
    points = np.stack([base + offset for offset in offsets])
    return People.of([[50, 50, 250, 250]] * len(offsets), scores, points)


def test_duplicates_are_averaged_by_their_scores() -> None:
    people = poses(0, 3, 400, scores=[0.5, 0.25, 0.9])
    found = average_duplicates(people, COCO17)
    assert len(found) == 2
    np.testing.assert_allclose(found.keypoints[0], people.keypoints[2], atol=1e-3)
    np.testing.assert_allclose(found.keypoints[1], people.keypoints[0] + 1, atol=1e-3)
    assert found.box_scores.tolist() == pytest.approx([0.9, 0.5])


def test_unknown_errors_of_one_person_stay_with_that_person() -> None:
    people = poses(0, 3, 400, scores=[0.5, 0.25, 0.9])
    error = np.full((3, 17), 2, np.float32)
    error[2] = np.nan
    found = average_duplicates(people.replace(expected_error=error), COCO17)
    assert found.expected_error is not None
    assert np.isnan(found.expected_error[0]).all() and (found.expected_error[1] == 2).all()


def test_nobody_and_people_apart_stay_as_they_are() -> None:
    assert len(average_duplicates(People.empty(COCO17), COCO17)) == 0
    people = poses(0, 300, scores=[0.8, 0.6])
    found = average_duplicates(people, COCO17)
    np.testing.assert_allclose(found.keypoints, people.keypoints, atol=1e-3)
    np.testing.assert_allclose(found.scores, people.scores)


def test_several_detectors_find_everybody_that_one_of_them_finds() -> None:
    known = [People.of([[1, 2, 30, 40]], [0.5]), People.of([[5, 6, 70, 80], [2, 2, 9, 9]])]
    several = Detectors(tuple(_Finding(p) for p in known))  # type: ignore[misc]
    [found] = find_people(several, [FRAME]) or []
    assert found.boxes.tolist() == [[1, 2, 30, 40], [5, 6, 70, 80], [2, 2, 9, 9]]


class _Finding:
    """A detector that finds the same people in each image."""

    top_down, mirrors, task, runtime, skeleton = False, False, "boxes", "none", ()

    def __init__(self, people: People) -> None:
        self._people, self.codec, self.info = people, self, SimpleNamespace(name="finding")

    def warps(self, size: tuple[int, int], people: None) -> list[Any]:
        return [_View(1)]

    def __call__(self, views: np.ndarray, condition: object = None) -> dict[str, np.ndarray]:
        return {"level": views[:, 0, 0, 0]}

    def decode(self, outputs: dict[str, np.ndarray]) -> list[People]:
        return [self._people] * len(outputs["level"])


def test_accurate_where_it_cannot_be() -> None:
    model: Any = Moving()
    with pytest.raises(UsageError, match="accurate averages views"):
        estimator("crowd", True, model)
    model.top_down = False
    with pytest.raises(UsageError, match="moving finds people by itself"):
        estimator("oks", True, model)
    with pytest.raises(UsageError, match="finds people by itself"):
        averaging.estimate_all(model, [FRAME], None)
