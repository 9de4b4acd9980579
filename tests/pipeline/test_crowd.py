"""Joints shared out among people who overlap."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright import Pose
from posewright.codecs import Heatmap, SimCC
from posewright.errors import UsageError
from posewright.nms import oks
from posewright.people import Frame, People
from posewright.pipeline.crowd import Peaks, associate, estimate_all
from posewright.pipeline.estimate import estimate_all as plain_estimate
from posewright.runtimes.info import ModelInfo
from posewright.skeletons import COCO17

CODEC = Heatmap(refine="dark")
FRAME = Frame(np.zeros((400, 500, 3), np.uint8))


def two_people() -> People:
    """Two poses side by side in overlapping boxes."""
    rng = np.random.default_rng(3)
    pose = rng.uniform(0, 1, (17, 2)) * [100, 260] + [100, 60]
    points = np.stack([pose, pose + np.array([70, 12])])
    return People.of([[90, 50, 240, 340], [130, 60, 310, 350]], [0.9, 0.8], points)


@dataclass
class Crowd:
    """A network whose maps show all of `people` in every crop.

    heights: (crops, people, K) of the peaks.
    """

    people: People
    heights: np.ndarray
    boxes: People
    codec: Any = CODEC
    skeleton: Any = COCO17
    runtime: str = "none"
    info: ModelInfo = field(default_factory=lambda: ModelInfo("crowd", CODEC, COCO17))

    def __call__(self, views: np.ndarray, condition: object = None) -> dict[str, np.ndarray]:
        maps = []
        for i, warp in enumerate(self.codec.warps(FRAME.size, self.boxes)):
            seen = self.codec.encode(warp.people(self.people))["heatmap"]  # (people, K, h, w)
            maps.append((seen * self.heights[i][:, :, None, None]).max(0))
        return {"heatmap": np.stack(maps).astype(np.float32)}


def confused(neighbour: float = 0.8, own: float = 0.6) -> tuple[Crowd, People]:
    """In the second crop the first person's joints 5 to 10 are clearer than its own."""
    people = two_people()
    heights = np.full((2, 2, 17), 0.2)
    heights[0, 0], heights[1, 1] = 0.9, 0.85
    heights[1, 0, 5:11], heights[1, 1, 5:11] = neighbour, own
    return Crowd(people, heights, people), people


def test_plain_peaks_take_the_neighbours_joints_and_matching_does_not() -> None:
    model, people = confused()
    [plain] = plain_estimate(model, [FRAME], [people])
    wrong = np.hypot(*np.moveaxis(plain.keypoints[1] - people.keypoints[1], 1, 0)) > 10
    assert np.flatnonzero(wrong).tolist() == [5, 6, 7, 8, 9, 10]
    [shared] = estimate_all(model, [FRAME], [people])
    assert len(shared) == 2
    assert np.abs(shared.keypoints - people.keypoints).max() < 1.0
    assert shared.scores[1, 5:11] == pytest.approx(0.6, abs=0.02)
    np.testing.assert_array_equal(shared.boxes, people.boxes)


def test_people_apart_are_as_without_matching() -> None:
    people = two_people()
    apart = people.replace(
        boxes=people.boxes + np.array([[0] * 4, [180, 0, 180, 0]], np.float32),
        keypoints=people.keypoints + np.array([[[0, 0]], [[180, 0]]], np.float32),
    )
    heights = np.stack([np.array([[0.9], [0]]), np.array([[0], [0.8]])]) * np.ones(17)
    model = Crowd(apart, heights, apart)
    [plain], [shared] = (f(model, [FRAME], [apart]) for f in (plain_estimate, estimate_all))
    np.testing.assert_allclose(shared.keypoints, plain.keypoints, atol=1e-3)
    np.testing.assert_allclose(shared.scores, plain.scores, atol=1e-5)


def test_somebody_found_twice_is_there_once() -> None:
    person = two_people()[[0, 0]].replace(box_scores=np.array([0.6, 0.9], np.float32))
    jittered = person.replace(boxes=person.boxes + np.array([[0] * 4, [2, -2, 1, 3]], np.float32))
    model = Crowd(person[[0]], np.full((2, 1, 17), 0.9), jittered)
    [found] = estimate_all(model, [FRAME], [jittered])
    assert found.box_scores.tolist() == pytest.approx([0.9])
    assert np.abs(found.keypoints - person.keypoints[0]).max() < 1.0


def test_a_joint_that_only_the_neighbour_has_is_unseen() -> None:
    """The second person's joint has no peak of its own: a score of 0, and the first keeps his."""
    model, people = confused(neighbour=0.8, own=0.0)
    [shared] = estimate_all(model, [FRAME], [people])
    assert (shared.scores[1, 5:11] == 0).all() and (shared.scores[0] > 0.8).all()
    assert np.isfinite(shared.keypoints).all()


def test_flip_and_batches_change_nothing_here() -> None:
    model, people = confused()
    [one] = estimate_all(model, [FRAME], [people], batch=2)
    pair = estimate_all(model, [FRAME, FRAME][:1], [people], batch=64)
    np.testing.assert_array_equal(one.keypoints, pair[0].keypoints)
    nobody = estimate_all(model, [FRAME], [People.empty()])
    assert len(nobody[0]) == 0 and nobody[0].keypoints.shape == (0, 17, 2)


def test_what_has_no_heatmaps_is_refused() -> None:
    model, people = confused()
    model.codec = SimCC()
    with pytest.raises(UsageError, match="no heatmap"):
        estimate_all(model, [FRAME], [people])
    with pytest.raises(UsageError, match="no heatmap"):
        estimate_all(confused()[0], [FRAME])
    with pytest.raises(UsageError, match="same people"):
        associate(people, Peaks(np.zeros((1, 17, 2, 2)), np.zeros((1, 17, 2))), COCO17.oks_sigmas)
    with pytest.raises(UsageError, match="do not match scores"):
        Peaks(np.zeros((1, 17, 2)), np.zeros((1, 17, 2)))


# --- candidates ----------------------------------------------------------------------------------


@pytest.mark.parametrize("codec", [CODEC, Heatmap(), Heatmap(refine="udp", unbiased=True)])
def test_candidates_are_all_peaks_best_first(codec: Heatmap) -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(30, 90, (2, 17, 2)) + np.array([[[0, 0]], [[70, 120]]])
    maps = (
        codec.encode(People.of(keypoints=points))["heatmap"]
        * np.array([0.5, 0.9])[:, None, None, None]
    )
    found, scores = codec.candidates({"heatmap": maps.max(0)[None].astype(np.float32)})
    assert found.shape == (1, 17, 4, 2) and scores.shape == (1, 17, 4)
    bound = 0.35 if codec.refine != "quarter" else 2.0
    assert np.abs(found[0, :, 0] - points[1]).max() < bound
    assert np.abs(found[0, :, 1] - points[0]).max() < bound
    assert (scores[0, :, 1] > 0.4).all() and (scores[0, :, 2:] < 0.01).all()


def test_first_candidate_is_the_decoded_joint() -> None:
    rng = np.random.default_rng(1)
    maps = rng.uniform(0.01, 1, (3, 17, 64, 48)).astype(np.float32)
    found, scores = CODEC.candidates({"heatmap": maps})
    people = People.concat(CODEC.decode({"heatmap": maps}))
    np.testing.assert_allclose(found[:, :, 0], people.keypoints, atol=1e-5)
    np.testing.assert_allclose(scores[:, :, 0], people.scores)


def test_maps_of_nothing_have_no_candidates() -> None:
    for value in (0.0, -1.0, np.nan):
        maps = np.full((1, 17, 64, 48), value, np.float32)
        found, scores = CODEC.candidates({"heatmap": maps})
        assert np.isfinite(found).all() and (scores == 0).all()


# --- the matching --------------------------------------------------------------------------------


@given(st.integers(0, 6), st.integers(1, 4), st.integers(0, 2**32 - 1))
@settings(max_examples=40, deadline=None)
def test_no_joint_goes_to_two(count: int, most: int, seed: int) -> None:
    """Nodes are given once; everything is finite; nobody is invented; boxes stay."""
    rng = np.random.default_rng(seed)
    points = rng.integers(0, 40, (count, 17, most, 2)).astype(np.float32) * 5
    scores = np.sort(rng.random((count, 17, most)), axis=2)[:, :, ::-1].astype(np.float32)
    boxes = np.tile(np.array([0, 0, 200, 200], np.float32), (count, 1))
    people = People.of(boxes, rng.random(count), points[:, :, 0], scores[:, :, 0], np.arange(count))
    left = associate(people, Peaks(points, scores), COCO17.oks_sigmas)
    assert len(set(left.ids.tolist())) == len(left) <= count
    assert np.isfinite(left.keypoints).all() and (left.scores <= 1).all()
    for k in range(17):
        given_to = left.keypoints[left.scores[:, k] > 0, k]
        assert len(np.unique(given_to, axis=0)) == len(given_to)


def test_the_sum_of_scores_is_the_largest() -> None:
    """The second may have one place only; the first gives way although it scores higher there."""
    points = np.zeros((2, 17, 2, 2), np.float32)
    points[:, :, 1] = 100
    points[1, :, 1] = 500
    scores = np.zeros((2, 17, 2), np.float32)
    scores[0], scores[1, :, 0] = [0.9, 0.8], 0.7
    boxes = [[0, 0, 200, 200]] * 2
    people = People.of(boxes, None, points[:, :, 0], scores[:, :, 0])
    left = associate(people, Peaks(points, scores), COCO17.oks_sigmas)
    assert (left.keypoints[0] == 100).all() and (left.keypoints[1] == 0).all()
    same = oks(left, left, COCO17.oks_sigmas)
    assert same[0, 1] < 0.1


def test_pose_shares_out_joints_where_asked() -> None:
    with pytest.raises(UsageError, match="needs heatmaps"):
        Pose(nms="crowd")  # MoveNet's codec has another way to read its maps
    assert Pose().pipeline.estimate is not estimate_all
