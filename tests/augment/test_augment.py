"""Random views: where pixels and joints go, what is drawn, and that a seed decides it."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.augment import Augmentation, Views
from posewright.augment.halves import halves
from posewright.augment.views import corner_maps, mapped
from posewright.codecs import DEKR, Codec, CombinedUDP, Heatmap, MoveNetMulti, YoloPose
from posewright.codecs.yolox import RTMO
from posewright.errors import UsageError
from posewright.people import People
from posewright.skeletons import COCO17, COCO133, HAND21, MPII16, Skeleton

SIZE = (640, 480)
OFF = Augmentation.none()
TOP_DOWN = [Heatmap(), Heatmap(unbiased=True), CombinedUDP()]
WHOLE = [YoloPose(input_size=(320, 320)), MoveNetMulti(), RTMO(input_size=(320, 320)), DEKR()]


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def crowd(count: int, joints: int = 17, seed: int = 0) -> People:
    """People of about 80 x 200 px with every joint labelled."""
    rng = generator(seed)
    corner = rng.uniform([60, 60], [480, 220], (count, 1, 2))
    points = corner + rng.uniform(0, 1, (count, joints, 2)) * [80, 200]
    return People.of(keypoints=points)


def mirror_of(width: int) -> np.ndarray:
    return np.array([[-1, 0, width - 1], [0, 1, 0], [0, 0, 1]], float)


@pytest.mark.parametrize("codec", [*TOP_DOWN, *WHOLE[:3]], ids=lambda c: c.kind)
def test_off_is_the_codecs_own_view(codec: Codec) -> None:
    people = crowd(5)
    views = OFF.views(codec, SIZE, people, COCO17, generator())
    warps = codec.warps(SIZE, people if codec.top_down else None)
    assert len(views) == len(warps) and views.size == warps[0].size == codec.input_size
    for matrix, warp in zip(views.matrices, warps, strict=True):
        assert np.abs(matrix[:2] - warp.matrix).max() < 1e-12
        assert (matrix[2] == (0, 0, 1)).all()
    image = generator().integers(0, 256, (*SIZE[::-1], 3), np.uint8)
    assert (views.image(image, 0) == warps[0].image(image)).all() and views.fill == warps[0].fill
    wanted = warps[0].people(people[0] if codec.top_down else people)
    got = views.people(people)
    assert np.allclose(got.keypoints[: len(wanted)], wanted.keypoints, atol=1e-4)
    assert np.allclose(got.boxes[: len(wanted)], wanted.boxes, atol=1e-4)


def test_a_view_of_the_pictures_shape_is_cut_to_the_input_size_about_its_middle() -> None:
    codec = DEKR(input_size=(512, 512))
    views = OFF.views(codec, SIZE, crowd(2), COCO17, generator())
    assert views.size == (512, 512)
    assert views.matrices[0, 0, 0] == pytest.approx(512 / 480)
    assert np.allclose(views.matrices[0] @ [319.5, 239.5, 1], [255.5, 255.5, 1])


@pytest.mark.parametrize("codec", TOP_DOWN + WHOLE, ids=lambda c: c.kind)
def test_a_flipped_view_is_the_mirrored_view(codec: Codec) -> None:
    people = crowd(3)
    plain = Augmentation(flip=0).views(codec, SIZE, people, COCO17, generator(4))
    flipped = Augmentation(flip=1).views(codec, SIZE, people, COCO17, generator(4))
    assert flipped.flipped.all() and not plain.flipped.any()
    assert np.allclose(flipped.matrices, mirror_of(codec.input_size[0]) @ plain.matrices)
    image = cv2.GaussianBlur(generator().integers(0, 256, (480, 640, 3), np.uint8), (0, 0), 3)
    there = flipped.image(image, 0)[:, ::-1].astype(int)
    assert np.abs(there - plain.image(image, 0)).max() <= 3  # rounding of the interpolation
    a, b = plain.people(people), flipped.people(people)
    assert len(a) == len(b) > 0
    width = codec.input_size[0]
    assert np.allclose(
        b.keypoints[:, COCO17.flip_index, 0], width - 1 - a.keypoints[..., 0], atol=1e-2
    )
    assert np.allclose(b.keypoints[:, COCO17.flip_index, 1], a.keypoints[..., 1], atol=1e-2)


def test_scores_follow_their_joints_through_the_mirror() -> None:
    scores = np.arange(17) / 17
    person = People.of(keypoints=crowd(1).keypoints, scores=scores[None])
    flipped = Augmentation(flip=1).views(Heatmap(), SIZE, person, COCO17, generator())
    assert np.allclose(flipped.people(person).scores[0], scores[COCO17.flip_index])


ALL = Augmentation(
    flip=0.5,
    scale=0.3,
    rotate=30,
    rotate_probability=1,
    shift=0.1,
    half_body=0.3,
    perspective=0.3,
    pgpg="alphapose",
)


@pytest.mark.parametrize(
    "codec", [*TOP_DOWN, YoloPose(input_size=(448, 448)), DEKR()], ids=lambda c: c.kind
)
def test_markers_are_found_where_their_joints_went(codec: Codec) -> None:
    """Draw a spot at a joint, take a random view with everything on, find the spot again."""
    found = flips = tilted = 0
    for seed in range(25):
        people = crowd(1, seed=seed)
        views = replace(ALL.views(codec, SIZE, people, COCO17, generator(seed)), fill=0)
        flips += int(views.flipped[0])
        tilted += bool(views.matrices[0, 2, :2].any())
        placed = views.people(people)
        if not len(placed):
            continue
        for joint in (0, 5, 10, 16):
            x, y = placed.keypoints[0, COCO17.flip_index[joint] if views.flipped[0] else joint]
            if not (12 < x < views.size[0] - 13 and 12 < y < views.size[1] - 13):
                continue
            view = views.image(spot(people.keypoints[0, joint]), 0)[..., 0].astype(float)
            rows, columns = np.mgrid[: view.shape[0], : view.shape[1]]
            view[view < 25] = 0  # far tails lean under perspective
            at = np.array([(view * columns).sum(), (view * rows).sum()]) / view.sum()
            assert np.abs(at - (x, y)).max() < 0.7
            found += 1
    assert found > 40 and 0 < flips < 25 and tilted == 25


def spot(at: np.ndarray) -> np.ndarray:
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    bell = 255 * np.exp(-((columns - at[0]) ** 2 + (rows - at[1]) ** 2) / (2 * 2.5**2))
    return np.repeat(bell.round().astype(np.uint8)[..., None], 3, 2)


def maps(
    augment: Augmentation, codec: Codec, count: int, seed: int = 1
) -> tuple[np.ndarray, Views]:
    """What augmentation did to the codec's view, (B, 3, 3)."""
    people = crowd(count)
    views = augment.views(codec, SIZE, people, COCO17, generator(seed))
    return views.matrices @ np.linalg.inv(
        OFF.views(codec, SIZE, people, COCO17, generator()).matrices
    ), views


def drawn(augment: Augmentation, count: int = 20_000) -> tuple[np.ndarray, np.ndarray]:
    """(count,) factors and angles in degrees of the views."""
    found, _ = maps(augment, Heatmap(), count)
    linear = found[:, :2, :2]
    factor = 1 / np.sqrt(np.linalg.det(linear))
    return factor, np.rad2deg(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))


def test_normal_draws_are_those_of_hrnet() -> None:
    factor, angle = drawn(Augmentation(flip=0, half_body=0, scale=0.35, rotate=45))
    assert 0.65 - 1e-9 <= factor.min() and factor.max() <= 1.35 + 1e-9
    assert (np.abs(factor - 1) > 0.35 - 1e-9).mean() == pytest.approx(0.3173, abs=0.01)
    assert np.abs(angle).max() == pytest.approx(90)
    turned = np.abs(angle) > 1e-9
    assert turned.mean() == pytest.approx(0.6, abs=0.01)
    assert (np.abs(angle[turned]) < 45).mean() == pytest.approx(0.6827, abs=0.012)


def test_uniform_draws_are_even() -> None:
    factor, angle = drawn(
        Augmentation(
            flip=0,
            half_body=0,
            scale=0.375,
            scale_middle=1.125,
            rotate=30,
            rotate_probability=1,
            scale_draw="uniform",
        )
    )
    assert (factor.min(), factor.max()) == (
        pytest.approx(0.75, abs=1e-3),
        pytest.approx(1.5, abs=1e-3),
    )
    assert factor.std() == pytest.approx(0.75 / 12**0.5, rel=0.02)
    assert np.abs(angle).max() == pytest.approx(30, abs=0.01)
    assert angle.std() == pytest.approx(60 / 12**0.5, rel=0.02)


@pytest.mark.parametrize(
    "codec", [*TOP_DOWN, YoloPose(input_size=(320, 320))], ids=lambda c: c.kind
)
def test_scale_and_rotation_keep_the_middle_of_the_person_or_picture(codec: Codec) -> None:
    people = crowd(3)
    augment = Augmentation(flip=0, half_body=0, rotate_probability=1)
    views = augment.views(codec, SIZE, people, COCO17, generator())
    before = OFF.views(codec, SIZE, people, COCO17, generator())
    middle = (
        (people.boxes[:, :2] + people.boxes[:, 2:]) / 2
        if codec.top_down
        else np.array([[319.5, 239.5]])
    )
    for old, new, point in zip(before.matrices, views.matrices, middle, strict=True):
        assert not np.allclose(old, new)
        assert np.allclose(old @ [*point, 1], new @ [*point, 1])


def test_shift_is_a_share_of_the_view() -> None:
    found, _ = maps(
        Augmentation(flip=0, scale=0, rotate=0, half_body=0, shift=0.1), Heatmap(), 5000
    )
    x, y = found[:, 0, 2], found[:, 1, 2]
    assert np.abs(x).max() == pytest.approx(19.2, abs=0.1) and np.abs(y).max() == pytest.approx(
        25.6, abs=0.1
    )
    assert abs(x.mean()) < 0.5 and x.std() == pytest.approx(38.4 / 12**0.5, rel=0.03)


def test_corner_maps_put_the_corners_where_they_are_wanted() -> None:
    moves = generator().uniform(-40, 40, (6, 4, 2))
    corners = np.array([[0, 0], [191, 0], [191, 255], [0, 255]], np.float32)
    went = mapped(corner_maps((192, 256), moves), corners[None])
    assert np.allclose(went, corners + moves, atol=1e-3)
    assert np.allclose(corner_maps((192, 256), np.zeros((1, 4, 2))), np.eye(3), atol=1e-12)


def test_perspective_moves_corners_by_its_share_of_half_a_side() -> None:
    found, _ = maps(
        Augmentation(flip=0, scale=0, rotate=0, half_body=0, perspective=0.2), Heatmap(), 500
    )
    corners = np.array([[[0, 0], [191, 0], [191, 255], [0, 255]]], np.float32)
    moves = np.abs(mapped(found, corners) - corners)
    assert moves[..., 0].max() == pytest.approx(19.2, abs=0.3) and moves[
        ..., 1
    ].max() == pytest.approx(25.6, abs=0.3)


def test_what_lies_behind_the_horizon_is_in_no_view() -> None:
    tilt = np.array([[[1, 0, 0], [0, 1, 0], [-0.01, 0, 1]]])  # horizon at x = 100
    points = np.array([[[0, 0], [50, 10], [99.9, 5], [100, 0], [150, 20]]], np.float32)
    went = mapped(tilt, points)[0]
    assert np.allclose(went[:2], [[0, 0], [100, 20]]) and np.isfinite(went).all()
    assert (went[2:] < -1000).all()


# --- half bodies -----------------------------------------------------------------------------


def test_names_tell_the_upper_body_from_the_lower() -> None:
    upper, lower = halves(COCO17)
    assert (np.flatnonzero(upper) == range(11)).all() and (
        np.flatnonzero(lower) == range(11, 17)
    ).all()
    upper, lower = halves(MPII16)  # HRNet's sets
    assert (np.flatnonzero(upper) == range(7, 16)).all() and (
        np.flatnonzero(lower) == range(7)
    ).all()
    upper, lower = halves(COCO133)
    assert upper.sum() == 11 and lower.sum() == 12
    assert not any(part.any() for part in halves(HAND21))


def half_boxes(people: People, skeleton: Skeleton, least: int = 8) -> np.ndarray:
    """(N, 4) region of the image that each view shows, without the padding."""
    augment = Augmentation(flip=0, scale=0, rotate=0, half_body=1, half_body_joints=least)
    codec = Heatmap(padding=1.0)
    views = augment.views(codec, SIZE, people, skeleton, generator(5))
    back = np.linalg.inv(views.matrices)
    low, high = back @ [0, 0, 1], back @ [*codec.input_size, 1]
    return np.concatenate([low[:, :2], high[:, :2]], 1)


def standing(count: int) -> People:
    """Copies of a person whose upper joints lie above y = 200 and lower ones below."""
    points = np.zeros((count, 17, 2))
    points[:, :, 0] = 300 + 20 * np.cos(np.arange(17))
    points[:, :11, 1] = np.linspace(100, 190, 11)
    points[:, 11:, 1] = np.linspace(210, 300, 6)
    return People.of(keypoints=points)


def test_half_bodies_are_1_2_boxes_about_the_mean_of_a_half() -> None:
    people = standing(20_000)
    shown = half_boxes(people, COCO17)
    middle, height = (shown[:, 1] + shown[:, 3]) / 2, shown[:, 3] - shown[:, 1]
    upper = np.isclose(middle, 145, atol=1e-3)
    assert np.isclose(middle[~upper], 255, atol=1e-3).all()
    assert upper.mean() == pytest.approx(0.6915, abs=0.01)
    assert np.allclose(height, 1.2 * 90, atol=1e-2)
    mean_x = people.keypoints[0, :11, 0].mean()
    assert np.allclose(((shown[:, 0] + shown[:, 2]) / 2)[upper], mean_x, atol=1e-3)


def test_few_joints_or_names_that_do_not_tell_leave_the_box_alone() -> None:
    people = standing(50)
    scores = np.ones((50, 17))
    scores[:, 8:] = 0
    few = People.of(people.boxes, None, people.keypoints, scores)
    off = OFF.views(Heatmap(), SIZE, few, COCO17, generator()).matrices
    full = Augmentation(flip=0, scale=0, rotate=0, half_body=1)
    assert (full.views(Heatmap(), SIZE, few, COCO17, generator()).matrices == off).all()
    seven = Augmentation(flip=0, scale=0, rotate=0, half_body=1, half_body_joints=7)
    assert not np.allclose(seven.views(Heatmap(), SIZE, few, COCO17, generator()).matrices, off)
    hands = crowd(9, 21)
    off = OFF.views(Heatmap(), SIZE, hands, HAND21, generator()).matrices
    assert (full.views(Heatmap(), SIZE, hands, HAND21, generator()).matrices == off).all()


def test_a_person_with_lower_joints_only_is_shown_by_these() -> None:
    scores = np.zeros((40, 17))
    scores[:, 11:] = 1
    people = standing(40)
    shown = half_boxes(People.of(people.boxes, None, people.keypoints, scores), COCO17, 4)
    assert np.allclose((shown[:, 1] + shown[:, 3]) / 2, 255, atol=1e-3)


# --- one view for all -------------------------------------------------------------------------


def test_people_outside_of_the_view_are_dropped_and_boxes_cut() -> None:
    points = np.array(
        [[[-90.0, -80], [-50, -60]], [[100, 100], [150, 300]], [[300, 200], [900, 210]]]
    )
    people = People.of(keypoints=points, ids=[1, 2, 3])
    skeleton = Skeleton("two", ("left_hand", "right_hand"))
    views = OFF.views(YoloPose(input_size=(640, 640)), (640, 640), people, skeleton, generator())
    seen = views.people(people)
    assert seen.ids.tolist() == [2, 3]
    assert seen.boxes[1].tolist() == [300, 200, 639, 210]
    assert seen.keypoints[1, 1].tolist() == [900, 210]  # codecs give it no weight
    unlabelled = People.of([[0, 0, 50, 50], [700, 0, 800, 40]])
    assert len(views.people(unlabelled)) == 1


# --- properties -------------------------------------------------------------------------------

ANY = st.builds(
    Augmentation,
    flip=st.floats(0, 1),
    scale=st.floats(0, 0.5),
    rotate=st.floats(0, 90),
    shift=st.floats(0, 0.3),
    half_body=st.floats(0, 1),
    half_body_joints=st.integers(0, 10),
    perspective=st.floats(0, 0.49),
    colour=st.floats(0, 1),
    erase=st.floats(0, 1),
    hide=st.floats(0, 1),
    hide_share=st.floats(0, 1),
    pgpg=st.sampled_from(["", "alphapose"]),
    scale_draw=st.sampled_from(["normal", "uniform"]),
)


@settings(max_examples=60, deadline=None)
@given(ANY, st.integers(0, 4), st.integers(0, 30), st.integers(0, 99), st.booleans())
def test_any_settings_people_and_joints(
    augment: Augmentation, count: int, joints: int, seed: int, whole: bool
) -> None:
    skeleton = Skeleton("any", tuple(f"left_{i}" for i in range(joints)))
    points = generator(seed).uniform(-200, 900, (count, joints, 2))
    boxes = generator(seed).uniform(-100, 700, (count, 4))
    boxes[:, 2:] = boxes[:, :2] + np.abs(boxes[:, 2:])
    people = People.of(boxes, keypoints=points)
    codec: Codec = YoloPose(input_size=(64, 64)) if whole else Heatmap(input_size=(48, 64))
    views = augment.views(codec, SIZE, people, skeleton, generator(seed))
    assert views.matrices.shape == (1 if whole else count, 3, 3)
    assert np.isfinite(views.matrices).all()
    seen = views.people(people)
    assert len(seen) <= count if whole else len(seen) == count
    assert seen.keypoints.shape[1:] == (joints, 2) or not len(seen)
    image = np.full((480, 640, 3), 90, np.uint8)
    for i in range(len(views)):
        assert views.image(image, i).shape == (*views.size[::-1], 3)
    again = augment.views(codec, SIZE, people, skeleton, generator(seed))
    assert (again.matrices == views.matrices).all() and (again.flipped == views.flipped).all()


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 3))
def test_the_mirror_of_the_mirror_is_the_view(seed: int, count: int) -> None:
    people = crowd(count, seed=seed)
    augment = Augmentation(flip=1, scale=0, rotate=0, half_body=0)
    codec = Heatmap(padding=1.0)
    first = augment.views(codec, SIZE, people, COCO17, generator(seed))
    mirror = Views(
        np.repeat(mirror_of(192)[None], count, 0), first.size, first.flipped, first.mirror
    )
    twice = mirror.people(first.people(people))
    once = OFF.views(codec, SIZE, people, COCO17, generator(seed)).people(people)
    assert np.allclose(twice.keypoints, once.keypoints, atol=1e-3)
    assert np.allclose(twice.boxes, once.boxes, atol=1e-3)


def test_nobody_in_nobody_out() -> None:
    views = ALL.views(Heatmap(), SIZE, People.empty(COCO17), COCO17, generator())
    assert len(views) == 0 and len(views.people(People.empty(COCO17))) == 0
    whole = ALL.views(YoloPose(), SIZE, People.empty(COCO17), COCO17, generator())
    assert len(whole) == 1 and len(whole.people(People.empty(COCO17))) == 0


def test_views_are_of_as_many_people() -> None:
    views = OFF.views(Heatmap(), SIZE, crowd(3), COCO17, generator())
    with pytest.raises(ValueError, match="one person per view: 3 views, but 2 people"):
        views.people(crowd(2))


def test_one_option_does_not_change_what_another_draws() -> None:
    plain = Augmentation(flip=0.5, scale=0.3, rotate=0, half_body=0)
    more = Augmentation(flip=0.5, scale=0.3, rotate=0, half_body=0, shift=0.2)
    a, b = (aug.views(Heatmap(), SIZE, crowd(40), COCO17, generator(2)) for aug in (plain, more))
    assert (a.flipped == b.flipped).all()
    assert np.allclose(a.matrices[:, :2, :2], b.matrices[:, :2, :2])


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("flip", 1.5),
        ("scale", -0.1),
        ("scale", 1),
        ("rotate", float("nan")),
        ("perspective", 0.5),
        ("scale_draw", "even"),
        ("colour", -1),
        ("erase", 2),
        ("hide", -0.1),
        ("hide_share", 1.5),
        ("drop_from", -1),
        ("pgpg_from", -1),
    ],
)
def test_numbers_that_cannot_be_are_refused(field: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"augment.{field}="):
        Augmentation(**{field: value})  # type: ignore[arg-type]
    with pytest.raises(UsageError, match=r"augment\.scale=0\.5; it must be below scale_middle"):
        Augmentation(scale=0.5, scale_middle=0.4)


# --- pixels -----------------------------------------------------------------------------------


def test_pixels_stay_where_nothing_is_on_and_the_input_always_does() -> None:
    view = generator().integers(0, 256, (64, 48, 3), np.uint8)
    before = view.copy()
    assert Augmentation().pixels(view, generator()) is view
    for augment in (Augmentation(colour=0.4), Augmentation(erase=1), Augmentation(hide=1)):
        changed = augment.pixels(view, generator())
        assert changed.shape == view.shape and changed.dtype == np.uint8
        assert (view == before).all() and (changed != view).any()
        assert (changed == augment.pixels(view, generator())).all()


def test_colour_changes_brightness_contrast_and_saturation_by_its_strength() -> None:
    grey = np.full((8, 8, 3), 100, np.uint8)
    augment = Augmentation(colour=0.3)
    levels = np.array([augment.pixels(grey, generator(i))[0, 0] for i in range(2000)], float)
    assert np.ptp(levels, axis=1).max() <= 1  # grey stays grey
    # of one level, contrast keeps the mean: brightness alone
    assert levels.min() == pytest.approx(70, abs=1.5) and levels.max() == pytest.approx(
        130, abs=1.5
    )
    two = np.full((8, 8, 3), 60, np.uint8)
    two[:4] = 140
    spans = [np.ptp(augment.pixels(two, generator(i)).astype(int)) for i in range(500)]
    assert min(spans) < 50 and max(spans) > 110  # 80 x 0.49 ... 80 x 1.69
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0], red[..., 1:] = 150, 50
    pure = [np.ptp(augment.pixels(red, generator(i))[0, 0].astype(int)) for i in range(500)]
    assert min(pure) < 60 and max(pure) > 160


def test_holes_come_at_the_stated_rate_and_are_ellipses_in_a_tenth_to_a_fifth_of_the_width() -> (
    None
):
    view = np.full((256, 192, 3), 200, np.uint8)
    augment = Augmentation(erase=0.3)
    holes = [(augment.pixels(view, generator(i)) == 0).all(2) for i in range(2000)]
    assert np.mean([h.any() for h in holes]) == pytest.approx(0.3, abs=0.03)
    for hole in holes:
        rows, columns = np.nonzero(hole)
        if (
            len(rows)
            and rows.min() > 0
            and rows.max() < 255
            and columns.min() > 0
            and columns.max() < 191
        ):
            across, down = np.ptp(columns) / 2, np.ptp(rows) / 2
            assert 0.09 * 192 < across < 0.21 * 192 and 0.09 * 192 < down < 0.21 * 192
            assert hole.sum() == pytest.approx(np.pi * across * down, rel=0.12)


@pytest.mark.parametrize("share", [0.5, 0.2])
def test_squares_are_hidden_at_the_stated_rate(share: float) -> None:
    view = np.full((250, 190, 3), 200, np.uint8)  # no multiple of any square
    augment = Augmentation(hide=0.8, hide_share=share)
    sides = []
    for i in range(600):
        black = (augment.pixels(view, generator(i)) == 0).all(2)
        fits = [s for s in (44, 32, 16) if (black == tiled(black[::s, ::s], s)).all()]
        sides.append(fits[0] if black.any() else 0)
        assert fits
        if black.any():
            assert black[:: fits[0], :: fits[0]].mean() == pytest.approx(share, abs=0.3)
    shares = [np.mean(np.array(sides) == side) for side in (0, 16, 32, 44)]
    assert shares == pytest.approx([0.2 + 0.8 / 4, *[0.8 / 4] * 3], abs=0.06)


def tiled(squares: np.ndarray, side: int) -> np.ndarray:
    return squares.repeat(side, 0).repeat(side, 1)[:250, :190]


def test_hiding_leaves_the_draws_of_colours_and_holes_alone() -> None:
    view = generator().integers(1, 256, (256, 192, 3), np.uint8)
    plain, more = Augmentation(colour=0.4, erase=1), Augmentation(colour=0.4, erase=1, hide=1)
    for i in range(20):
        before, after = (a.pixels(view, generator(i)) for a in (plain, more))
        kept = (after != 0).any(2)
        assert (after[kept] == before[kept]).all() and kept.any()


def test_information_is_dropped_from_an_epoch_on() -> None:
    augment = Augmentation(erase=0.4, hide=1, drop_from=3, colour=0.1)
    early, late = augment.at(2), augment.at(3)
    assert (early.erase, early.hide, early.colour) == (0, 0, 0.1) and late == augment
    assert Augmentation(erase=0.4).at(0).erase == 0.4
    both = replace(augment, pgpg="alphapose", pgpg_from=1)
    assert [(a.pgpg, a.hide) for a in map(both.at, range(4))] == [
        ("", 0),
        ("alphapose", 0),
        ("alphapose", 0),
        ("alphapose", 1),
    ]
    assert not Augmentation().repaints and Augmentation(hide=0.1).repaints


def test_no_marker_moves_when_colours_and_holes_change() -> None:
    view = np.full((64, 48, 3), 60, np.uint8)
    view[20:23, 30:33] = 220
    changed = Augmentation(colour=0.3).pixels(view, generator(1)).astype(int)
    bright = changed.sum(2) > (changed.sum(2).max() + changed.sum(2).min()) / 2
    assert (np.argwhere(bright).mean(0) == [21, 31]).all()
