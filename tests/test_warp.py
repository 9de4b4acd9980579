"""Warp: points and pixels agree, both ways; crops and letterboxes as published."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.people import People
from posewright.warp import Warp

SIZE = (192, 256)
numbers = st.floats(-500, 1500, width=32)
quick = settings(max_examples=40, deadline=None)
boxes = st.builds(
    lambda x, y, w, h: np.array([x, y, x + w, y + h]),
    st.floats(0, 400),
    st.floats(0, 300),
    st.floats(20, 400),
    st.floats(20, 400),
)


def picture(height: int = 300, width: int = 400, seed: int = 0) -> np.ndarray:
    """A smooth random image."""
    small = np.random.default_rng(seed).integers(0, 256, (height // 20, width // 20, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC)


def turned(angle: float, scale: float, shift: tuple[float, float]) -> Warp:
    c, s = scale * np.cos(angle), scale * np.sin(angle)
    return Warp(np.array([[c, -s, shift[0]], [s, c, shift[1]]]), SIZE)


@given(st.floats(-4, 4), st.floats(0.05, 20), st.tuples(numbers, numbers), numbers, numbers)
@quick
def test_points_go_there_and_back(
    angle: float, scale: float, shift: tuple[float, float], x: float, y: float
) -> None:
    warp = turned(angle, scale, shift)
    back = warp.inverse().points(warp.points([[x, y]]))
    np.testing.assert_allclose(back, [[x, y]], atol=2e-3 / min(scale, 1))
    np.testing.assert_allclose(warp.inverse().inverse().matrix, warp.matrix, atol=1e-6)


@given(boxes)
@quick
def test_people_go_there_and_back(box: np.ndarray) -> None:
    xy = np.random.default_rng(0).uniform(box[:2], box[2:], (1, 17, 2))
    people = People.of([box], [0.5], xy, np.full((1, 17), 0.25), [7])
    for unbiased in (False, True):
        warp = Warp.crop(box, SIZE, unbiased=unbiased)
        there = warp.people(people)
        assert (there.keypoints >= 0).all() and (there.keypoints <= np.array(SIZE)).all()
        back = warp.inverse().people(there)
        np.testing.assert_allclose(back.keypoints, people.keypoints, atol=2e-3)
        np.testing.assert_allclose(back.boxes, people.boxes, atol=2e-3)
        assert (back.ids[0], back.box_scores[0], back.scores[0, 0]) == (7, 0.5, 0.25)


@given(boxes, st.floats(1, 2))
@quick
def test_crop_contains_the_padded_box_in_its_middle(box: np.ndarray, padding: float) -> None:
    x1, y1, x2, y2 = Warp.crop(box, SIZE, padding).people(People.of([box])).boxes[0]
    assert x1 + x2 == pytest.approx(SIZE[0], abs=0.01)
    assert y1 + y2 == pytest.approx(SIZE[1], abs=0.01)
    assert max((x2 - x1) / SIZE[0], (y2 - y1) / SIZE[1]) == pytest.approx(1 / padding, rel=1e-4)


def test_crop_is_simple_baselines_three_point_transform() -> None:
    box, padding = np.array([100.0, 40, 220, 300]), 1.25
    width = max(120, 260 * 0.75) * padding
    source = np.array([[160, 170], [160, 170 - width / 2], [160 - width / 2, 170 - width / 2]])
    target = np.array([[96, 128], [96, 32], [0, 32]])
    published = cv2.getAffineTransform(source.astype(np.float32), target.astype(np.float32))
    np.testing.assert_allclose(Warp.crop(box, SIZE, padding).matrix, published, atol=1e-4)


def test_unbiased_crop_of_the_whole_image_is_the_image() -> None:
    image = picture(256, 192)
    warp = Warp.crop([0, 0, 191, 255], SIZE, 1.0, unbiased=True)
    # 191 wide and 255 high are not quite 3 to 4: the box grows by a quarter of a pixel
    np.testing.assert_allclose(warp.points([[95.5, 127.5]]), [[95.5, 127.5]], atol=1e-4)
    assert np.abs(warp.image(image).astype(int) - image).mean() < 1


@given(boxes)
@quick
def test_crop_of_the_mirror_image_is_the_mirrored_crop(box: np.ndarray) -> None:
    image = picture()
    width = image.shape[1]
    mirrored = np.array([width - 1 - box[2], box[1], width - 1 - box[0], box[3]])
    view = Warp.crop(box, SIZE, unbiased=True)
    other = Warp.crop(mirrored, SIZE, unbiased=True)
    a = view.points([[50, 60]]) * [-1, 1] + [SIZE[0] - 1, 0]
    np.testing.assert_allclose(a, other.points([[width - 1 - 50, 60]]), atol=0.01)
    difference = (
        view.image(image).astype(int) - other.image(np.ascontiguousarray(image[:, ::-1]))[:, ::-1]
    )
    assert np.abs(difference).mean() < 1.5


@given(st.floats(-0.5, 0.5), st.floats(0.5, 2), st.integers(60, 340), st.integers(60, 240))
@quick
def test_pixels_agree_with_points(angle: float, scale: float, x: int, y: int) -> None:
    image = np.zeros((300, 400, 3), np.uint8)
    image[y - 4 : y + 5, x - 4 : x + 5] = 255  # a marker centred on pixel (x, y)
    middle = turned(angle, scale, (0, 0)).points([x, y])
    warp = turned(angle, scale, (90 - middle[0], 120 - middle[1]))
    view = warp.image(image)[..., 0].astype(float)
    rows, columns = np.mgrid[: SIZE[1], : SIZE[0]]
    found = np.array([(columns * view).sum(), (rows * view).sum()]) / view.sum()
    np.testing.assert_allclose(found, warp.points([x, y]), atol=0.1)


@given(st.integers(20, 900), st.integers(20, 900))
@quick
def test_letterbox_fits_and_keeps_the_aspect(width: int, height: int) -> None:
    warp = Warp.letterbox((width, height), (320, 256))
    corners = warp.points([[-0.5, -0.5], [width - 0.5, height - 0.5]])
    np.testing.assert_allclose(corners[0], [-0.5, -0.5], atol=1e-4)
    used = corners[1] + 0.5
    assert (used <= [320.01, 256.01]).all() and (np.abs(used - [320, 256]) < 0.01).any()
    assert used[0] / used[1] == pytest.approx(width / height, rel=1e-4)


@pytest.mark.parametrize("size", [(400, 300), (800, 600), (600, 450), (200, 150)])
def test_letterbox_agrees_with_resize(size: tuple[int, int]) -> None:
    image = picture()
    view = Warp.letterbox((400, 300), size).image(image)
    inner = np.s_[2:-2, 2:-2]  # at the border resize repeats pixels, the view has the fill
    expected = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    assert np.abs(view[inner].astype(int) - expected[inner]).max() <= 4
    assert np.abs(view[inner].astype(int) - expected[inner]).mean() < 0.6


def test_letterbox_fills_what_is_left() -> None:
    image = np.full((100, 200, 3), 255, np.uint8)
    view = Warp.letterbox((200, 100), (100, 100), fill=9).image(image)
    assert (view[:48] == 255).all() and (view[52:] == 9).all()


@given(
    st.floats(-4, 4),
    st.sampled_from([0.1, 0.3, 0.5, 1.3, 9]),
    st.tuples(st.integers(-300, 500), st.integers(-300, 500)),
)
@quick
def test_image_is_the_affine_view_whatever_part_of_the_image_it_shows(
    angle: float, scale: float, shift: tuple[int, int]
) -> None:
    image = picture(900, 1200)
    warp = turned(angle, scale, shift)
    whole = cv2.warpAffine(image, warp.matrix, SIZE, flags=cv2.INTER_LINEAR)
    out = np.full_like(whole, 77)
    view = warp.image(image, out=out)
    difference = np.abs(view.astype(int) - whole)
    # OpenCV 4 rounds positions to 1/32 pixel, so that a shifted origin can move them by one step
    assert difference.max() <= 8 and difference.mean() < 0.05
    np.testing.assert_array_equal(out, view)


@pytest.mark.parametrize("box", [[50, 50, 250, 280], [0, 0, 1900, 1900]], ids=["near", "far"])
def test_image_writes_in_place(box: list[int]) -> None:
    image = picture(2000, 2000)
    warp = Warp.crop(box, SIZE)
    batch = np.full((3, 256, 192, 3), 77, np.uint8)
    warp.image(image, out=batch[1])
    np.testing.assert_array_equal(batch[1], warp.image(image))
    assert (batch[[0, 2]] == 77).all()


@pytest.mark.parametrize(
    "out",
    [
        np.zeros((192, 256, 3), np.uint8),
        np.zeros((256, 192, 3), np.float32),
        np.zeros((3, 256, 192), np.uint8).transpose(1, 2, 0),
    ],
)
def test_out_that_cannot_be_written_is_refused(out: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"out must be a contiguous \(256, 192, 3\) uint8 array"):
        Warp.crop([50, 50, 250, 280], SIZE).image(picture(), out=out)


def test_outside_of_the_image_is_fill() -> None:
    view = Warp.crop([-900, -900, -800, -700], SIZE, fill=5).image(picture())
    assert view.shape == (256, 192, 3) and (view == 5).all()


@pytest.mark.parametrize("box", [[10, 10, 10, 10], [10, 10, 10, 90], [5, 40, 90, 40]])
def test_a_box_without_area_still_has_a_view(box: list[float]) -> None:
    for unbiased in (False, True):
        warp = Warp.crop(box, SIZE, unbiased=unbiased)
        assert np.isfinite(warp.matrix).all() and np.isfinite(warp.inverse().matrix).all()
        assert warp.image(picture()).shape == (256, 192, 3)


def test_nobody_stays_nobody() -> None:
    warp = Warp.crop([0, 0, 100, 200], SIZE)
    for nobody in (People.empty(17), People.empty()):
        there = warp.people(nobody)
        assert len(there) == 0 and there.keypoints.shape == nobody.keypoints.shape
    assert warp.points(np.zeros((0, 17, 2))).shape == (0, 17, 2)


def test_a_turned_box_is_the_box_round_its_corners() -> None:
    quarter = Warp(np.array([[0.0, -1, 100], [1, 0, 0]]), SIZE)
    turned_people = quarter.people(People.of([[10, 20, 30, 60]]))
    np.testing.assert_allclose(turned_people.boxes, [[40, 10, 80, 30]])


def test_points_keep_their_leading_axes() -> None:
    shape = (2, 3, 5, 2)
    points = Warp.crop([0, 0, 10, 10], SIZE).points(np.zeros(shape))
    assert points.shape == shape and points.dtype == np.float32
