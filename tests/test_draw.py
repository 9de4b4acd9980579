"""Drawing: what must be seen, where, and that nothing breaks it."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from posewright.draw import (
    LEFT,
    MIDDLE,
    OUTLINE,
    PERSON_COLOURS,
    RIGHT,
    Style,
    draw,
    heatmap_overlay,
)
from posewright.errors import UsageError
from posewright.people import People
from posewright.results import Result
from posewright.skeletons import COCO17, COCO133, Skeleton, get_skeleton
from posewright.warp import Warp
from tests.helpers.people import WHOLE

Pixels = NDArray[np.uint8]
# A person of 240 px facing the camera: the left side is on the image's right.
UPRIGHT = np.array(
    [
        [100, 30],
        [106, 24],
        [94, 24],
        [114, 28],
        [86, 28],
        [130, 60],
        [70, 60],
        [150, 110],
        [50, 110],
        [155, 155],
        [45, 155],
        [120, 150],
        [80, 150],
        [124, 205],
        [76, 205],
        [126, 260],
        [74, 260],
    ],
    np.float32,
)


def grey(width: int = 220, height: int = 300) -> Pixels:
    return np.full((height, width, 3), 128, np.uint8)


def upright(ids: int = -1, **changes: Any) -> People:
    return People.of(keypoints=UPRIGHT[None], ids=[ids]).replace(**changes)


def near(picture: Pixels, point: Any, colour: Any, reach: int = 2) -> bool:
    x, y = np.rint(point).astype(int)
    patch = picture[y - reach : y + reach + 1, x - reach : x + reach + 1]
    return bool((np.abs(patch.astype(int) - colour).max(-1) <= 3).any())


def test_sides_have_their_colours() -> None:
    picture = draw(grey(), upright(), COCO17)
    for joint in ("shoulder", "elbow", "wrist", "hip", "knee", "ankle"):
        assert near(picture, UPRIGHT[COCO17[f"left_{joint}"]], LEFT)
        assert near(picture, UPRIGHT[COCO17[f"right_{joint}"]], RIGHT)
    assert near(picture, (UPRIGHT[5] + UPRIGHT[6]) / 2, MIDDLE)
    assert near(picture, UPRIGHT[0], MIDDLE)


def test_sides_differ_in_lightness_or_hue_for_colour_blind_eyes() -> None:
    blue = [c[2] - (c[0] + c[1]) / 2 for c in (LEFT, RIGHT, MIDDLE)]  # what all types can see
    assert blue[0] > 100 and blue[1] < -100 and abs(blue[2]) < 20


def test_limbs_have_a_dark_rim_on_any_ground() -> None:
    for level in (128, 255):
        picture = draw(np.full((300, 220, 3), level, np.uint8), upright(), COCO17)
        row = picture[180, 70:86].astype(int)  # across the right thigh
        assert (row.max(-1) < 118).sum() >= 2 and (row[:, 0] > 200).any()


def test_the_picture_given_is_not_changed() -> None:
    image = grey()
    image.flags.writeable = False
    assert (draw(image, upright(3), COCO17, Style(boxes=True, alpha=0.5)) != image).any()
    assert (image == 128).all()


def test_joints_below_the_threshold_are_left_out() -> None:
    scores = np.where(np.arange(17) == COCO17["left_wrist"], 0.2, 0.9).astype(np.float32)[None]
    wrist = UPRIGHT[COCO17["left_wrist"]]
    assert not near(draw(grey(), upright(scores=scores), COCO17), wrist, LEFT)
    low = Style(joint_threshold=0.1)
    assert near(draw(grey(), upright(scores=scores), COCO17, low), wrist, LEFT)


def test_nobody_and_empty_pictures() -> None:
    np.testing.assert_array_equal(draw(grey(), People.empty(COCO17), COCO17), grey())
    assert draw(np.zeros((0, 0, 3), np.uint8), upright(1), COCO17).shape == (0, 0, 3)
    assert draw(np.zeros((1, 1, 3), np.uint8), upright(1), COCO17).shape == (1, 1, 3)


@pytest.mark.parametrize(
    "options",
    [
        {"ids": False},
        {"scores": True},
        {"boxes": True},
        {"joint_threshold": 1.1},
        {"thickness": 9.0},
        {"alpha": 0.4},
    ],
)
def test_every_option_has_an_effect(options: dict[str, Any]) -> None:
    plain = draw(grey(), upright(4), COCO17)
    assert (draw(grey(), upright(4), COCO17, Style(**options)) != plain).any()


@pytest.mark.parametrize("options", [{"alpha": 0.0}, {"alpha": 1.5}, {"thickness": 0.0}])
def test_options_that_cannot_be_meant(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Style(**options)


def test_alpha_mixes_with_the_picture() -> None:
    whole = draw(grey(), upright(), COCO17).astype(int)
    half = draw(grey(), upright(), COCO17, Style(alpha=0.5)).astype(int)
    assert np.abs(half - (whole + 128) / 2).max() <= 1


@pytest.mark.parametrize("corner", [(-60, -60), (130, -60), (-60, 200), (130, 200)])
def test_tags_stay_within_the_picture(corner: tuple[int, int]) -> None:
    moved = People.of(keypoints=UPRIGHT[None] + np.float32(corner), ids=[12])
    colour = PERSON_COLOURS[12 % len(PERSON_COLOURS)]
    with_tag = draw(grey(), moved, COCO17)
    without = draw(grey(), moved, COCO17, Style(ids=False))
    rows, columns = np.nonzero((with_tag != without).any(-1))
    whole = draw(grey(), upright(12), COCO17)
    bare = draw(grey(), upright(12), COCO17, Style(ids=False))
    tall, wide = np.nonzero((whole != bare).any(-1))
    assert np.ptp(rows) == np.ptp(tall) and np.ptp(columns) == np.ptp(wide)
    assert (with_tag[rows, columns] == colour).all(-1).any()


def test_tags_are_legible_at_any_size() -> None:
    for scale in (0.5, 1, 4, 12):
        image = grey(int(320 * scale), int(320 * scale))
        who = People.of(keypoints=UPRIGHT[None] * np.float32(scale), ids=[88])
        changed = draw(image, who, COCO17) != draw(image, who, COCO17, Style(ids=False))
        tall = np.ptp(np.nonzero(changed.any(-1))[0])
        assert 14 <= tall <= 0.2 * 240 * scale + 8


def test_an_identity_keeps_its_colour() -> None:
    style = Style(boxes=True)
    first = draw(grey(), upright(5), COCO17, style)
    both = People.concat([upright(9), upright(5)])[1:]
    np.testing.assert_array_equal(draw(grey(), both, COCO17, style), first)


def test_limbs_grow_with_picture_and_person() -> None:
    def inked(scale: float, person: float) -> float:
        image = grey(int(640 * scale), int(640 * scale))
        who = People.of(keypoints=UPRIGHT[None] * np.float32(person))
        return float((draw(image, who, COCO17) != 128).any(-1).sum()) / person

    assert inked(2, 1) >= inked(0.5, 1)
    assert inked(4, 4) > 1.5 * inked(4, 1)


def test_boxes_alone_and_other_skeletons() -> None:
    boxes = People.of(boxes=[[10, 10, 60, 90]], box_scores=[0.5])
    assert (draw(grey(), boxes, COCO17, Style(boxes=True, scores=True)) != 128).any()
    hand = Skeleton("hand", ("wrist", "left_thumb", "right_thumb"), ((0, 1), (0, 2)))
    points = np.array([[[50, 50], [90, 50], [50, 90]]])
    picture = draw(grey(), People.of(keypoints=points), hand, Style(thickness=4))
    assert near(picture, (70, 50), LEFT) and near(picture, (50, 70), RIGHT)


@given(
    st.lists(st.floats(-1e9, 1e9, width=32), min_size=34, max_size=34),
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(-1e9, 1e9, width=32),
)
@settings(max_examples=60, deadline=None)
def test_any_numbers_can_be_drawn(values: list[float], w: int, h: int, far: float) -> None:
    points = np.array(values, np.float32).reshape(1, 17, 2)
    who = People.of([[far, 0, 5, far]], [0.5], points, ids=[2**40])
    picture = draw(grey(w, h), who, COCO17, Style(boxes=True, scores=True))
    assert picture.shape == (h, w, 3) and picture.dtype == np.uint8


def test_eight_people_at_720p_take_milliseconds() -> None:
    image = np.full((720, 1280, 3), 90, np.uint8)
    shifts = np.arange(8, dtype=np.float32)[:, None, None] * [140, 40]
    who = People.of(keypoints=UPRIGHT + shifts.astype(np.float32), ids=np.arange(8))
    spent = []
    for _ in range(8):
        start = time.process_time()
        draw(image, who, COCO17)
        spent.append(time.process_time() - start)
    assert min(spent) < 0.02  # measured: 1.6 ms


def test_result_plot_draws() -> None:
    result = Result(upright(1), COCO17, (220, 300), image=grey())
    np.testing.assert_array_equal(result.plot(), draw(grey(), upright(1), COCO17))


# --- heat maps -----------------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [(48, 64), (96, 128), (192, 256)])
def test_heat_lies_where_the_joint_is(resolution: tuple[int, int]) -> None:
    warp = Warp.crop([40, 20, 160, 270], (192, 256))
    joint = np.array([126.0, 205.0])
    stride = 192 / resolution[0]
    x, y = (warp.points(joint) + 0.5) / stride - 0.5
    columns, rows = np.meshgrid(np.arange(resolution[0]), np.arange(resolution[1]))
    heat = np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * (12 / stride) ** 2))
    picture = heatmap_overlay(grey(), heat[None].astype(np.float32), warp).astype(int)
    change = np.abs(picture - 128).max(-1).astype(float)
    change[change < 10] = 0
    where = np.array(np.nonzero(change))
    np.testing.assert_allclose(where.mean(1)[::-1], joint, atol=0.7)


def test_no_heat_no_change() -> None:
    warp = Warp.letterbox((220, 300), (64, 64))
    np.testing.assert_array_equal(heatmap_overlay(grey(), np.zeros((17, 16, 16)), warp), grey())
    np.testing.assert_array_equal(heatmap_overlay(grey(), np.zeros((0, 16, 16)), warp), grey())
    np.testing.assert_array_equal(heatmap_overlay(grey(), np.full((2, 8, 8), -3.0), warp), grey())


def test_heat_opacity() -> None:
    warp = Warp.letterbox((220, 300), (64, 64))
    faint = heatmap_overlay(grey(), np.ones((1, 16, 16)), warp, alpha=0.1).astype(int)
    strong = heatmap_overlay(grey(), np.ones((1, 16, 16)), warp, alpha=0.9).astype(int)
    assert 0 < np.abs(faint - 128).mean() < np.abs(strong - 128).mean()


def test_whole_body_skeletons_show_faces_and_hands() -> None:
    skeleton = get_skeleton("coco133")
    points = np.random.default_rng(0).uniform(20, 380, (1, 133, 2)).astype(np.float32)
    for word in ("jaw3", "forefinger2"):
        joint = skeleton[f"left_{word}"]
        scores = np.zeros((1, 133), np.float32)
        scores[0, [joint, joint + 1]] = 0.9
        who = People.of([[0, 0, 400, 400]], None, points, scores)
        picture = draw(grey(400, 400), who, skeleton, Style(thickness=8))
        assert near(picture, points[0, joint], LEFT, 3)


def share(scale: float, part: str) -> float:
    """Return how much of the box round a face or a left hand is drawn over."""
    points = (WHOLE * scale + (160, 170)).astype(np.float32)
    at = [i for i, p in enumerate(COCO133.parts) if p == part]
    scores = np.zeros((1, 133), np.float32)
    scores[0, at] = 0.9
    who = People.of([[0, 0, 185 * scale, 185 * scale]], None, points[None], scores)
    picture = draw(grey(340, 340), who, COCO133)
    (x1, y1), (x2, y2) = points[at].min(0).astype(int), points[at].max(0).astype(int) + 1
    return float((picture[y1:y2, x1:x2] != 128).any(2).mean())


@pytest.mark.parametrize("part", ["face", "left_hand"])
@pytest.mark.parametrize("scale", [0.15, 0.3, 0.5, 1.0, 1.2, 1.6])
def test_faces_and_hands_are_no_blobs_at_any_size(scale: float, part: str) -> None:
    drawn = share(scale, part)
    assert drawn < {"face": 0.2, "left_hand": 0.6}[part]
    assert (drawn > 0) == (scale >= 1)  # smaller ones are left out


def test_the_dots_of_eyes_leave_room_for_a_face() -> None:
    points = (WHOLE * 1.6 + (160, 170)).astype(np.float32)[None]
    scores = np.zeros((1, 133), np.float32)
    scores[0, 1] = 0.9
    who = People.of([[0, 0, 300, 300]], None, points, scores)
    alone = draw(grey(340, 340), who, COCO133)
    scores[0, 23:91] = 0.9
    both = draw(grey(340, 340), who.replace(scores=scores), COCO133)
    assert near(both, points[0, 1], LEFT)
    rims = [(np.abs(p.astype(int) - OUTLINE).max(2) < 30).sum() for p in (both, alone)]
    assert rims[0] < 0.8 * rims[1]


@pytest.mark.parametrize("name", ["halpe26", "vitpose25", "ap10k17", "hand21", "face106"])
def test_every_skeleton_is_drawn(name: str) -> None:
    skeleton = get_skeleton(name)
    points = np.random.default_rng(1).uniform(20, 300, (1, len(skeleton), 2)).astype(np.float32)
    who = People.of([[0, 0, 320, 320]], None, points)
    picture = draw(grey(320, 320), who, skeleton)
    colours = {"left": LEFT, "right": RIGHT, "middle": MIDDLE}
    seen = [near(picture, point, colours[skeleton.side(i)], 3) for i, point in enumerate(points[0])]
    assert np.mean(seen) > 0.8  # some lie under others
