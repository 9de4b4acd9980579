"""Hands and faces: where their crops lie, and that what is found there lands on the right person.

The image states its own coordinates in its colours, so what a network sees at a pixel of a view
tells where in the image that pixel is.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from posewright.codecs.simcc import SimCC
from posewright.errors import UsageError
from posewright.people import Frame, People
from posewright.pipeline.parts import Parts, face_squares, hand_squares
from posewright.pipeline.pipeline import Pipeline
from posewright.skeletons import (
    AP10K17,
    COCO17,
    COCO133,
    FACE68,
    FACE106,
    HALPE26,
    HALPE136,
    HAND21,
    Skeleton,
    get_skeleton,
)
from posewright.skeletons.whole_body import joined
from tests.helpers.people import POSE

SIZE = 250
GRID = np.zeros((SIZE, SIZE, 3), np.uint8)
GRID[..., 0] = np.arange(SIZE)  # red states x
GRID[..., 1] = np.arange(SIZE)[:, None]  # green states y
FRAME = Frame(GRID, name="grid.png")
RIGHT_HAND = Skeleton("right21", tuple(f"right_{j}" for j in HAND21.joints))


class Codec(SimCC):
    """The crops of SimCC; outputs are the answers themselves."""

    def decode(self, outputs: Any) -> list[People]:
        points, scores = outputs["points"], outputs["scores"]
        return [
            People.of(keypoints=p[None], scores=s[None])
            if np.isfinite(p).all()
            else People.empty(points.shape[1])
            for p, s in zip(points, scores, strict=True)
        ]

    def unflip(self, outputs: Any, skeleton: Skeleton) -> Any:
        return {**outputs, "points": outputs["points"] * (-1, 1) + (63, 0)}


@dataclass
class Spy:
    """Answers with fixed pixels of the view, and remembers the image places that it saw there."""

    skeleton: Skeleton
    name: str = "spy"
    broken: bool = False
    padding: float = 1.25
    seen: list[np.ndarray] = field(default_factory=list)
    views: list[np.ndarray] = field(default_factory=list)
    runtime: str = "none"

    def __post_init__(self) -> None:
        self.codec: Any = Codec(input_size=(64, 64), padding=self.padding)
        self.info = SimpleNamespace(name=self.name)
        rng = np.random.default_rng(3)
        self.at = rng.integers(20, 44, (len(self.skeleton), 2))

    def __call__(self, views: np.ndarray) -> dict[str, np.ndarray]:
        for view in views:
            self.views.append(view)
            self.seen.append(view[self.at[:, 1], self.at[:, 0], :2].astype(np.float32))
        points = np.repeat(self.at[None].astype(np.float32), len(views), 0)
        if self.broken:
            points[0] = np.nan
        return {"points": points, "scores": np.full(points.shape[:2], 0.75, np.float32)}


def person(*, dx: float = 0, **scores: float) -> People:
    """Somebody in the image's middle; scores of joints by name, else 0.9."""
    points = (POSE + np.array((125 + dx, 120))).astype(np.float32)[None]
    found = np.full((1, 17), 0.9, np.float32)
    for joint, score in scores.items():
        found[0, COCO17[joint]] = score
    return People.of(boxes=[[60, 20, 190, 220]], keypoints=points, scores=found, ids=[7])


def hand_of(people: People, skeleton: Skeleton, side: str) -> tuple[np.ndarray, np.ndarray]:
    at = [skeleton[f"{side}_{j}"] for j in HAND21.joints]
    return people.keypoints[0, at], people.scores[0, at]


# --- geometry ------------------------------------------------------------------------------------


def test_a_hand_lies_beyond_the_wrist_along_the_forearm() -> None:
    points = np.zeros((1, 17, 2), np.float32)
    for joint, place in {"shoulder": (0, 0), "elbow": (100, 0), "wrist": (100, 50)}.items():
        points[0, COCO17[f"left_{joint}"]] = place
    people = People.of(keypoints=points)
    middle, half = np.array([100, 50 + 0.33 * 50]), 1.5 * 90 / 2  # 0.9 upper arm > forearm
    expected = [*(middle - half), *(middle + half)]
    np.testing.assert_allclose(hand_squares(people, COCO17, "left")[0], expected, atol=1e-4)
    hidden = np.ones((1, 17), np.float32)
    hidden[0, COCO17["left_shoulder"]] = 0.1
    square = hand_squares(people.replace(scores=hidden), COCO17, "left")[0]
    assert square[2] - square[0] == pytest.approx(1.5 * 50)  # the forearm alone


@pytest.mark.parametrize("joint", ["left_wrist", "left_elbow"])
def test_no_hand_without_wrist_and_elbow(joint: str) -> None:
    people = person(**{joint: 0.2})
    width = [np.ptp(hand_squares(people, COCO17, s)[0, ::2]) for s in ("left", "right")]
    assert width[0] == 0 and width[1] > 0


def test_a_face_lies_round_eyes_and_ears() -> None:
    square = face_squares(person(), COCO17)[0]
    eyes, ears = 3 * 10, 2 * 20  # px apart in POSE: 10 and 20
    assert square[2] - square[0] == pytest.approx((eyes + ears) / 2)
    assert (square[0] + square[2]) / 2 == pytest.approx(125)
    assert (square[1] + square[3]) / 2 == pytest.approx(120 + (-95 - 92) / 2)
    front = face_squares(person(left_ear=0, right_ear=0), COCO17)[0]
    assert front[2] - front[0] == pytest.approx(eyes)
    side = face_squares(person(right_eye=0, right_ear=0), COCO17)[0]
    assert side[2] - side[0] == pytest.approx(1.7 * (np.hypot(5, 5) + np.hypot(10, 2)))
    assert (side[0] + side[2]) / 2 == pytest.approx(125 - 5)
    none = face_squares(person(left_eye=0, right_eye=0, nose=0, left_ear=0), COCO17)[0]
    assert none[2] == none[0]


@pytest.mark.parametrize("padding", [1.0, 1.25])
@pytest.mark.parametrize("skeleton", [HAND21, RIGHT_HAND], ids=["both", "right"])
def test_a_point_of_a_crop_arrives_at_its_place(skeleton: Skeleton, padding: float) -> None:
    spy = Spy(skeleton, padding=padding)
    parts = Parts(COCO17, hands=spy)
    [found], failed = parts([FRAME], [person()])
    assert failed == {"hands": {}}
    for side, seen, view in zip(("left", "right"), spy.seen, spy.views, strict=True):
        points, scores = hand_of(found, parts.skeleton, side)
        np.testing.assert_allclose(points, seen, atol=0.6)  # the colours are rounded
        np.testing.assert_array_equal(scores, np.float32(0.75))
        mirrored = skeleton is RIGHT_HAND and side == "left"
        assert (int(view[32, 40, 0]) < int(view[32, 24, 0])) == mirrored
        square = hand_squares(person(), COCO17, side)[0]
        middle = view[31:33, 31:33, :2].mean((0, 1))
        np.testing.assert_allclose(middle, (square[:2] + square[2:]) / 2, atol=1.0)
        # the view shows the square whatever room the codec leaves round boxes
        step = abs(int(view[32, 52, 0]) - int(view[32, 12, 0])) / 40
        assert step == pytest.approx((square[2] - square[0]) / 64, rel=0.1)


@pytest.mark.parametrize(("skeleton", "views"), [(HAND21, 4), (RIGHT_HAND, 2), (FACE68, 2)])
def test_the_flip_test_leaves_networks_of_one_hand_alone(skeleton: Skeleton, views: int) -> None:
    spy = Spy(skeleton)
    option = "face" if skeleton is FACE68 else "hands"
    [found], _ = Parts(COCO17, flip=True, **{option: spy})([FRAME], [person()])  # type: ignore[arg-type]
    assert len(spy.views) == views
    if skeleton is HAND21:  # both views answer with the same pixels, whose mean is the middle's
        middle = hand_squares(person(), COCO17, "left")[0, [0, 2]].mean()
        points, _ = hand_of(found, joined(COCO17, sided("left"), sided("right")), "left")
        np.testing.assert_allclose(points[:, 0], middle, atol=0.6)


def test_every_person_of_every_frame_gets_the_own_hands_and_face() -> None:
    hand, face = Spy(HAND21), Spy(FACE68)
    parts = Parts(COCO17, hand, face, batch=3)
    crowd = People.concat([person(dx=-30), person(left_wrist=0.1), person(dx=30)])
    found, _ = parts([FRAME, FRAME, FRAME], [crowd, People.empty(17), person()])
    assert [len(p) for p in found] == [3, 0, 1] and len(hand.seen) == 7 and len(face.seen) == 4
    for people, start in ((found[0], 0), (found[2], 3)):
        for i in range(len(people)):
            at = [parts.skeleton[j] for j in FACE68.joints]
            np.testing.assert_allclose(people.keypoints[i, at], face.seen[start + i], atol=0.6)
    at = [parts.skeleton[f"left_{j}"] for j in HAND21.joints]
    np.testing.assert_allclose(found[0].keypoints[0, at], hand.seen[0], atol=0.6)
    np.testing.assert_allclose(found[0].keypoints[2, at], hand.seen[1], atol=0.6)
    assert (found[0].scores[1, at] == 0).all()
    wrist = person().keypoints[0, COCO17["left_wrist"]]
    np.testing.assert_array_equal(found[0].keypoints[1, at], np.tile(wrist, (21, 1)))
    np.testing.assert_array_equal(found[0].boxes, crowd.boxes)
    np.testing.assert_array_equal(found[0].keypoints[:, :17], crowd.keypoints)
    np.testing.assert_array_equal(found[0].ids, crowd.ids)


def test_a_hand_outside_of_the_image_or_too_small_has_no_crop() -> None:
    spy = Spy(HAND21)
    far = person()
    far = far.replace(keypoints=far.keypoints + 400)
    small = person()
    small = small.replace(keypoints=small.keypoints * 0.05)
    found, _ = Parts(COCO17, spy)([FRAME, FRAME], [far, small])
    assert not spy.views and all((p.scores[:, 17:] == 0).all() for p in found)


def test_joints_of_a_whole_body_are_replaced_where_there_is_a_crop() -> None:
    body = person(right_wrist=0.1)
    points = np.zeros((1, 133, 2), np.float32)
    points[:, :17] = body.keypoints
    scores = np.full((1, 133), 0.5, np.float32)
    scores[:, :17] = body.scores
    whole = People.of(boxes=body.boxes, keypoints=points, scores=scores)
    parts = Parts(COCO133, Spy(HAND21))
    [found], _ = parts([FRAME], [whole])
    assert parts.skeleton is COCO133
    assert (hand_of(found, COCO133, "left")[1] == 0.75).all()
    assert (hand_of(found, COCO133, "right")[1] == 0.5).all()  # the body network's own


def test_what_only_the_body_network_states_is_unknown_of_the_parts() -> None:
    body = person()
    stated = body.replace(expected_error=np.full((1, 17), 2, np.float32))
    [found], _ = Parts(COCO17, Spy(HAND21))([FRAME], [stated])
    assert found.expected_error is not None and found.visibility is None
    assert (found.expected_error[:, :17] == 2).all() and np.isnan(
        found.expected_error[:, 17:]
    ).all()


# --- skeletons -----------------------------------------------------------------------------------


def sided(side: str) -> Skeleton:
    return Skeleton(side, tuple(f"{side}_{j}" for j in HAND21.joints), HAND21.links, HAND21.sigmas)


def test_joined_skeletons_keep_names_links_sigmas_and_mirror() -> None:
    whole = joined(COCO17, FACE106, sided("left"), sided("right"))
    assert whole.joints[:17] == COCO17.joints and len(whole) == 17 + 106 + 42
    assert len(whole.links) == len(COCO17.links) + 2 * len(HAND21.links)
    assert whole.oks_sigmas[whole["left_thumb4"]] == np.float32(HAND21.sigmas[4])
    assert whole.oks_sigmas[whole["right_pupil"]] == np.float32(0.05)
    assert whole.flip_index[whole["left_thumb4"]] == whole["right_thumb4"]
    assert set(COCO133.joints) - set(
        joined(COCO17, FACE68, sided("left"), sided("right")).joints
    ) == {f"{s}_{j}" for s in ("left", "right") for j in ("big_toe", "small_toe", "heel")}


def test_a_known_skeleton_is_recognised() -> None:
    assert joined(HALPE26, FACE68, sided("left"), sided("right")) is HALPE136
    assert joined(COCO17) is COCO17


def test_a_stated_mirror_is_extended() -> None:
    odd = Skeleton("odd", ("a", "b", "nose"), mirror=(1, 0, 2))
    assert joined(odd, sided("left"), sided("right")).flip_index[[0, 1, 3]].tolist() == [1, 0, 24]


@pytest.mark.parametrize(
    ("option", "network", "body", "text"),
    [
        ("hands", COCO17, COCO17, "does not find the joints of a hand"),
        ("hands", FACE68, COCO17, "does not find the joints of a hand"),
        ("face", HAND21, COCO17, "does not find the joints of a face"),
        ("hands", HAND21, AP10K17, "--hands needs left_wrist, which ap10k17 does not have"),
        ("face", FACE68, get_skeleton("mpii16"), "--face needs nose, which mpii16"),
    ],
)
def test_networks_and_bodies_that_do_not_fit(
    option: str, network: Skeleton, body: Skeleton, text: str
) -> None:
    with pytest.raises(UsageError, match=text):
        Parts(body, **{option: Spy(network)})


# --- in the pipeline -----------------------------------------------------------------------------


class Bodies:
    """A model that finds the same person by itself in every frame."""

    skeleton, runtime = COCO17, "none"
    info = SimpleNamespace(name="bodies")

    def __init__(self) -> None:
        self.codec: Any = SimpleNamespace(top_down=False, warps=self._warps, decode=self._decode)

    def _warps(self, size: tuple[int, int], people: Any) -> list[Any]:
        from posewright.warp import Warp

        return [Warp(np.eye(2, 3), size)]

    def __call__(self, views: np.ndarray) -> dict[str, np.ndarray]:
        return {"n": np.zeros(len(views))}

    def _decode(self, outputs: Any) -> list[People]:
        return [person() for _ in outputs["n"]]


@pytest.mark.parametrize("broken", [False, True])
def test_results_have_the_joints_of_body_and_parts(broken: bool) -> None:
    hand = Spy(HAND21, "hand net", broken)
    parts = Parts(COCO17, hand)
    pipeline = Pipeline(Bodies(), parts=parts, threads=1)  # type: ignore[arg-type]
    bad = Frame.failed("bad.png", "gone")
    first, second, third = pipeline.run([FRAME, bad, Frame(GRID, 2, name="grid3.png")])
    for found in (first, third):
        assert found.skeleton is parts.skeleton and found.keypoints.shape == (1, 59, 2)
        assert found.status == "ok" and ("hand net" in found.message) == broken
        assert (hand_of(found.people, parts.skeleton, "left")[1] == 0).all() == broken
        assert (hand_of(found.people, parts.skeleton, "right")[1] == 0.75).all()
    assert second.status == "decode_error" and second.keypoints.shape == (0, 59, 2)
    assert second.skeleton is parts.skeleton


def test_min_score_judges_the_body_alone() -> None:
    parts = Parts(COCO17, Spy(HAND21))
    pipeline = Pipeline(Bodies(), parts=parts, threads=1, min_score=0.8)  # type: ignore[arg-type]
    [found] = pipeline.run([FRAME])
    assert len(found) == 1 and found.people.pose_scores[0] < 0.8
