"""Joint angles by name against a figure of known angles, and against the numbers of Sports2D."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.errors import UsageError
from posewright.measure import direction, joint_angle, joint_angles, point, present, wrap
from posewright.skeletons import COCO17, COCO133, HALPE26, HAND21, LSP14, Skeleton
from tests.conftest import SHARED

Array = NDArray[np.float64]
BODY = ["knee", "hip", "shoulder", "elbow"]


def along(degrees: Array) -> Array:
    """Unit vectors of directions that are anticlockwise as seen on the screen."""
    return np.stack([np.cos(np.radians(degrees)), -np.sin(np.radians(degrees))], -1)


def figure(lean: Array, angles: dict[str, Array]) -> Array:
    """People in profile who face right, from their angles: (..., 26, 2) px in HALPE26's order."""
    points = np.full((*lean.shape, 26, 2), 5.0)

    def put(name: str, at: Array) -> Array:
        points[..., HALPE26[name], :] = at
        return at

    hip = put("mid_hip", np.full((*lean.shape, 2), 300.0))
    neck = put("neck", hip + 150 * along(90 - lean))
    for side in ("left", "right"):
        put(f"{side}_hip", hip)
        put(f"{side}_shoulder", neck)
        thigh = -90 - lean + angles["hip"]
        shank = thigh - angles["knee"]
        foot = shank + 90 + angles["ankle"]
        arm = -90 - lean + angles["shoulder"]
        knee = put(f"{side}_knee", hip + 110 * along(thigh))
        ankle = put(f"{side}_ankle", knee + 105 * along(shank))
        heel = put(f"{side}_heel", ankle - 12 * along(foot) + 9 * along(foot - 90))
        put(f"{side}_big_toe", heel + 60 * along(foot))
        elbow = put(f"{side}_elbow", neck + 80 * along(arm))
        put(f"{side}_wrist", elbow + 70 * along(arm + angles["elbow"]))
    return points


@pytest.fixture
def angles() -> dict[str, Array]:
    rng = np.random.default_rng(1)
    return {name: rng.uniform(-170, 170, (40, 3)) for name in (*BODY, "ankle")}


@pytest.fixture
def points(angles: dict[str, Array]) -> Array:
    """40 frames of 3 people: (40, 3, 26, 2) px."""
    return figure(np.random.default_rng(2).uniform(-40, 40, (40, 3)), angles)


@pytest.mark.parametrize("joint", [*BODY, "ankle"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_angles_that_a_figure_was_made_of(
    side: str, joint: str, points: Array, angles: dict[str, Array]
) -> None:
    found = joint_angle(points, HALPE26, f"{side}_{joint}")
    assert found.shape == (40, 3) and np.abs(found - angles[joint]).max() < 1e-9
    mirrored = joint_angle(points * [-1, 1] + [900, 0], HALPE26, f"{side}_{joint}", facing="left")
    assert np.abs(mirrored - found).max() < 1e-9
    wrong = joint_angle(points, HALPE26, f"{side}_{joint}", facing="left")
    expected = 180 - found if joint == "ankle" else -found
    assert np.abs(wrap(wrong - expected)).max() < 1e-9


def test_mid_hip_and_neck_are_means_where_the_skeleton_lacks_them(points: Array) -> None:
    body = points[..., HALPE26.mapping(COCO17), :]
    body[..., COCO17["left_shoulder"], :] += [30, 4]
    body[..., COCO17["right_shoulder"], :] -= [30, 4]
    assert np.allclose(point(body, COCO17, "neck"), point(points, HALPE26, "neck"))
    assert np.allclose(point(body, COCO17, "mid_hip"), point(points, HALPE26, "mid_hip"))
    knee = joint_angle(body, COCO17, "right_knee")
    assert np.allclose(knee, joint_angle(points, HALPE26, "right_knee"))


def test_what_each_skeleton_can_measure() -> None:
    both = [f"{side}_{joint}" for joint in BODY for side in ("left", "right")]
    assert sorted(joint_angles(COCO17)) == sorted(both)
    feet = [*both, "left_ankle", "right_ankle"]
    assert sorted(joint_angles(HALPE26)) == sorted(joint_angles(COCO133)) == sorted(feet)
    assert joint_angles(HAND21) == []
    assert sorted(joint_angles(LSP14)) == sorted(both)
    left = Skeleton("left", tuple(joint for joint in COCO17.joints if "right" not in joint))
    assert joint_angles(left) == ["left_knee", "left_elbow"]


def test_a_missing_joint_makes_its_own_angles_unknown() -> None:
    figures = figure(np.zeros((4, 2)), {name: np.full((4, 2), 20.0) for name in (*BODY, "ankle")})
    scores = np.ones((4, 2, 26))
    scores[1, 0, HALPE26["right_knee"]] = 0.29
    scores[2, 1, HALPE26["right_knee"]] = np.nan
    figures[3, 1, HALPE26["right_hip"], 1] = np.nan
    gone = [[1, 0], [2, 1], [3, 1]]
    for name, expected in {
        "right_knee": gone,
        "right_hip": gone,
        "right_ankle": gone[:2],
        "right_elbow": [],
        "left_knee": [],
    }.items():
        found = joint_angle(figures, HALPE26, name, scores=scores)
        assert np.argwhere(np.isnan(found)).tolist() == expected, name
    lower = joint_angle(figures, HALPE26, "right_knee", scores=scores, min_score=0.2)
    assert np.argwhere(np.isnan(lower)).tolist() == gone[1:]


def test_a_mean_of_one_hip_is_no_guess() -> None:
    body = np.random.default_rng(0).uniform(0, 100, (17, 2))
    body[COCO17["left_hip"]] = np.nan
    assert np.isnan(point(body, COCO17, "mid_hip")).all()
    assert np.isnan(joint_angle(body, COCO17, "right_hip"))
    assert np.isfinite(joint_angle(body, COCO17, "right_knee"))


def test_nobody_and_nothing() -> None:
    assert joint_angle(np.zeros((0, 17, 2)), COCO17, "left_knee").shape == (0,)
    assert np.isnan(joint_angle(np.zeros((1, 17, 2)), COCO17, "left_knee")).all()  # all equal


def test_pixels_are_made_square(points: Array, angles: dict[str, Array]) -> None:
    narrow = points / [1.5, 1.0]
    found = joint_angle(narrow, HALPE26, "left_hip", pixel_aspect=1.5)
    assert np.abs(found - angles["hip"]).max() < 1e-9
    assert np.abs(joint_angle(narrow, HALPE26, "left_hip") - angles["hip"]).max() > 1


def test_the_given_arrays_are_not_changed(points: Array) -> None:
    before, scores = points.copy(), np.zeros(points.shape[:-1])
    assert np.isnan(present(points, scores, pixel_aspect=2.0)).all()
    assert (points == before).all()


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("right_nee", "no angle 'right_nee'; did you mean 'right_knee'?; known: "),
        ("knee", "no angle 'knee'; did you mean"),
        ("left_ankle", "left_ankle needs left_big_toe, left_heel, which coco17 does not have"),
    ],
)
def test_an_angle_that_there_is_not(name: str, told: str) -> None:
    with pytest.raises(UsageError) as raised:
        joint_angle(np.zeros((17, 2)), COCO17, name)
    assert str(raised.value).startswith(told)


def test_arrays_and_words_that_do_not_fit() -> None:
    with pytest.raises(UsageError, match="no joint 'mid_hp'; did you mean 'mid_hip'"):
        point(np.zeros((17, 2)), COCO17, "mid_hp")
    with pytest.raises(UsageError, match=r"coco17 must have shape \(..., 17, 2\), not \(26, 2\)"):
        joint_angle(np.zeros((26, 2)), COCO17, "left_knee")
    with pytest.raises(UsageError, match=r"scores must have shape \(2, 17\), not \(17,\)"):
        joint_angle(np.zeros((2, 17, 2)), COCO17, "left_knee", scores=np.ones(17))
    with pytest.raises(UsageError, match="facing='front'; give 'left' or 'right'"):
        joint_angle(np.zeros((17, 2)), COCO17, "left_knee", facing="front")  # type: ignore[arg-type]


# --- the walker: made from known angles, and measured by Sports2D ---------------------------------

MOVEMENT = Path(os.environ.get("POSEWRIGHT_TEST_DATA", SHARED / "data")).parent / "movement"
TRUTH = {"ankle": "dorsiflexion", **dict.fromkeys(BODY, "flexion")}


@pytest.fixture(scope="module")
def walker() -> dict[str, Array]:
    if not MOVEMENT.is_dir():
        pytest.skip(f"no movement data at {MOVEMENT}; set POSEWRIGHT_TEST_DATA")
    with np.load(MOVEMENT / "walker.npz") as file:
        return dict(file)


@pytest.mark.parametrize("joint", TRUTH)
@pytest.mark.parametrize("side", ["left", "right"])
def test_the_walker(side: str, joint: str, walker: dict[str, Array]) -> None:
    points = walker["points"]
    found = joint_angle(points, HALPE26, f"{side}_{joint}")
    assert np.abs(found - walker[f"{side}_{joint}_{TRUTH[joint]}"]).max() < 1e-9
    left = joint_angle([1280, 0] + points * [-1, 1], HALPE26, f"{side}_{joint}", facing="left")
    assert np.abs(left - found).max() < 1e-9
    with (MOVEMENT / "walker_sports2d_angles_raw.csv").open(encoding="utf-8") as file:
        theirs = [float(row[f"{side} {joint}"]) for row in csv.DictReader(file)]
    assert len(theirs) == 100 and np.abs(found - theirs).max() < 1e-6


@pytest.mark.parametrize("joint", BODY)
def test_the_walker_with_the_joints_of_coco(joint: str, walker: dict[str, Array]) -> None:
    points = walker["points"][:, HALPE26.mapping(COCO17)]
    found = joint_angle(points, COCO17, f"right_{joint}", scores=np.ones((100, 17)))
    assert np.abs(found - walker[f"right_{joint}_flexion"]).max() < 1e-9


def test_the_relations_of_segments(walker: dict[str, Array]) -> None:
    def segment(start: str, end: str) -> Array:
        return direction(*(point(walker["points"], HALPE26, name) for name in (start, end)))

    thigh, shank = segment("right_hip", "right_knee"), segment("right_knee", "right_ankle")
    lean = 90 - segment("mid_hip", "neck")
    hip, knee, ankle, shoulder, elbow = (
        joint_angle(walker["points"], HALPE26, f"right_{joint}")
        for joint in ("hip", "knee", "ankle", "shoulder", "elbow")
    )
    arm = segment("right_shoulder", "right_elbow")
    for found, expected in (
        (lean, walker["trunk_lean_forward"]),
        (thigh, -90 - lean + hip),
        (shank, thigh - knee),
        (segment("right_heel", "right_big_toe"), shank + 90 + ankle),
        (arm, -90 - lean + shoulder),
        (segment("right_elbow", "right_wrist"), arm + elbow),
    ):
        assert np.abs(found - expected).max() < 1e-9


def test_a_star_that_faces_the_camera(walker: dict[str, Array]) -> None:
    """Arms 40 and legs 15 degrees out: of opposite signs, as one side is turned to each edge."""
    with np.load(MOVEMENT / "front_star.npz") as file:
        points = file["points"]
    names = ("right_hip", "left_hip", "right_shoulder", "left_shoulder")
    found = [float(np.ravel(joint_angle(points, HALPE26, name))[0]) for name in names]
    assert np.allclose(found, [-15, 15, -40, 40])
