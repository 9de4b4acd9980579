"""People of 26 and 133 joints keep their identities, and their duplicates fall."""

from __future__ import annotations

import numpy as np
import pytest

from posewright.nms import PPoseNMS, oks, oks_nms, ppose_nms
from posewright.people import Frame, People
from posewright.skeletons import COCO133, HALPE26, HALPE136, Skeleton, get_skeleton
from posewright.trackers import create_tracker
from tests.helpers.people import WHOLE

BLANK = np.zeros((0, 0, 3), np.uint8)
BODY = np.flatnonzero(COCO133.weights == 1)
SKELETONS = [HALPE26, COCO133, HALPE136]


def person(skeleton: Skeleton, place: tuple[float, float]) -> np.ndarray:
    """(K, 2) px of a person at a place; what COCO-WholeBody lacks lies between the hips."""
    joints = COCO133.mapping(skeleton)
    return np.where((joints >= 0)[:, None], WHOLE[joints], 0) + place


def people(points: np.ndarray, scores: float | np.ndarray = 0.9) -> People:
    body = points[:, :17]
    margin = np.array([-10, -10, 10, 10])
    boxes = np.concatenate([body.min(1), body.max(1)], 1) + margin
    marks = np.broadcast_to(scores, points.shape[:2])
    return People.of(boxes, np.full(len(points), 0.9), points, marks)


def restless(points: np.ndarray, skeleton: Skeleton, rng: np.random.Generator) -> np.ndarray:
    """Move bodies a little, and each hand and face as a whole by much more."""
    moved = points + rng.normal(0, 1, points.shape)
    for part in sorted(set(skeleton.parts) - {"body"}):
        at = [i for i, p in enumerate(skeleton.parts) if p == part]
        moved[:, at] += rng.normal(0, 12, (len(points), 1, 2))
    return moved


# --- weights -------------------------------------------------------------------------------------


def test_a_face_and_hands_weigh_little() -> None:
    each = COCO133.weights
    assert len(BODY) == 23 and each[BODY].tolist() == [1] * 23
    assert each.sum() == pytest.approx(23 + 3 * 2)
    assert HALPE26.weights.tolist() == [1] * 26


@pytest.mark.parametrize("name", ["hand21", "face68", "face106", "ap10k17"])
def test_joints_without_a_body_weigh_the_same(name: str) -> None:
    assert set(get_skeleton(name).weights.tolist()) == {1.0}


# --- trackers ------------------------------------------------------------------------------------


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda s: s.name)
@pytest.mark.parametrize("name", ["oks", "bytetrack", "ocsort", "poseflow"])
def test_two_who_cross_keep_their_ids(name: str, skeleton: Skeleton) -> None:
    track, rng = create_tracker(name, skeleton=skeleton), np.random.default_rng(2)
    for index in range(60):
        step = 10 * index
        places = [(100 + step, 300), (690 - step, 330)]
        points = np.stack([person(skeleton, place) for place in places])
        found = track(Frame(BLANK, index, index / 30), people(restless(points, skeleton, rng)))
        assert index < 5 or found.ids.tolist() == [1, 2], index


@pytest.mark.parametrize("name", ["oks", "poseflow"])
def test_hidden_hands_and_faces_start_and_continue_tracks(name: str) -> None:
    scores = np.zeros((1, 133))
    scores[:, BODY] = 0.7  # the mean over all joints is 0.12
    track = create_tracker(name, skeleton=COCO133)
    for index in range(5):
        found = track(
            Frame(BLANK, index, index / 30),
            people(person(COCO133, (200 + 3 * index, 200))[None], scores),
        )
        assert found.ids.tolist() == [1]


def test_boxes_that_were_predicted_follow_the_body_not_the_hands() -> None:
    track = create_tracker("oks", skeleton=COCO133)
    start = people(person(COCO133, (200, 200))[None])
    track(Frame(BLANK, 0, 0.0), start)
    for index in range(1, 6):
        boxes = track.predict(Frame(BLANK, index, index / 30))
        waving = start.keypoints.copy()
        waving[:, 91:] += 60  # both hands
        now = boxes.replace(keypoints=waving, scores=start.scores)
        track(Frame(BLANK, index, index / 30), now)
    ahead = track.predict(Frame(BLANK, 6, 0.2))
    assert np.abs(ahead.boxes - start.boxes).max() < 20  # 59 with equal weights


# --- duplicates ----------------------------------------------------------------------------------


def doubled(skeleton: Skeleton, reach: float) -> People:
    """Three people, each found three times: bodies 1 px apart, hands and faces `reach` each way."""
    rng = np.random.default_rng(5)
    points = np.stack([person(skeleton, (x, 200)) for x in (100, 190, 280) for _ in range(3)])
    moved = points + rng.normal(0, 1, points.shape)
    for part in sorted(set(skeleton.parts) - {"body"}):
        at = [i for i, p in enumerate(skeleton.parts) if p == part]
        moved[:, at] += rng.choice([-reach, reach], (len(points), 1, 2))
    rank = np.linspace(0.95, 0.6, len(points))[:, None]
    return people(moved, rank)


@pytest.mark.parametrize("skeleton", SKELETONS, ids=lambda s: s.name)
def test_near_duplicates_fall(skeleton: Skeleton) -> None:
    assert len(oks_nms(doubled(skeleton, 4), skeleton, threshold=0.8)) == 3
    assert len(ppose_nms(doubled(skeleton, 2), PPoseNMS.usual(len(skeleton)))) == 3


def test_without_weights_faces_would_keep_duplicates() -> None:
    found = doubled(COCO133, 4)
    plain = oks(found[:3], found[:3], COCO133.oks_sigmas)
    weighed = oks(found[:3], found[:3], COCO133.oks_sigmas, weights=COCO133.weights)
    apart = ~np.eye(3, dtype=bool)
    assert plain[apart].min() < 0.6 and weighed[apart].min() > 0.8


def test_people_whose_faces_coincide_are_not_duplicates() -> None:
    one = person(COCO133, (100, 200))
    other = one.copy()
    other[:23] += 60  # another body, whose face and hands were found at the first one's
    found = people(np.stack([one, other]))
    assert len(oks_nms(found, COCO133)) == 2
