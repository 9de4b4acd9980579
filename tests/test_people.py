"""People, Frame and Result: shapes, selection, validation, nobody."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from posewright.people import Frame, People
from posewright.results import Result
from posewright.skeletons import COCO17

ARRAYS = ("boxes", "box_scores", "keypoints", "scores", "ids")
COUNTS = st.integers(0, 6)
quick = settings(max_examples=30, deadline=None)


def crowd(count: int, joints: int = 17, seed: int = 0) -> People:
    rng = np.random.default_rng(seed)
    return People.of(
        rng.random((count, 4)),
        rng.random(count),
        rng.random((count, joints, 2)),
        rng.random((count, joints)),
        np.arange(count),
    )


def assert_same(a: People, b: People) -> None:
    for name in ARRAYS:
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name))
        assert getattr(a, name).dtype == getattr(b, name).dtype


@given(COUNTS, st.integers(0, 20))
@quick
def test_shapes_and_types(count: int, joints: int) -> None:
    people = crowd(count, joints)
    assert len(people) == count == len(list(people))
    assert people.boxes.shape == (count, 4) and people.keypoints.shape == (count, joints, 2)
    assert {getattr(people, n).dtype.name for n in ARRAYS[:4]} == {"float32"}
    assert people.ids.dtype == np.int64
    assert people.pose_scores.shape == (count,) and np.isfinite(people.pose_scores).all()


@given(COUNTS, st.data())
@quick
def test_every_index_gives_people(count: int, data: st.DataObject) -> None:
    people = crowd(count)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)), bool)
    numbers = np.flatnonzero(mask)
    for index in (mask, numbers, numbers.tolist(), tuple(numbers.tolist())):
        assert_same(people[index], crowd(count)[numbers])
        np.testing.assert_array_equal(people[index].ids, numbers)
    assert_same(people[::-1][::-1], people)
    assert_same(people[1:3], people[np.arange(count)[1:3]])


@pytest.mark.parametrize("index", [1, -1, np.int64(1), np.int32(-1)])
def test_an_int_gives_one_person(index: int) -> None:
    one = crowd(2)[index]
    assert len(one) == 1 and one.ids[0] == 1


def test_a_number_that_nobody_has_is_an_index_error() -> None:
    with pytest.raises(IndexError):
        crowd(2)[2]
    with pytest.raises(IndexError):
        People.empty(17)[0]


@given(st.lists(COUNTS, min_size=1, max_size=4))
@quick
def test_concat_undoes_cutting(counts: list[int]) -> None:
    parts = [crowd(n, seed=i) for i, n in enumerate(counts)]
    whole = People.concat(parts)
    assert len(whole) == sum(counts)
    starts = np.cumsum([0, *counts])
    for part, a, b in zip(parts, starts[:-1], starts[1:], strict=True):
        assert_same(whole[a:b], part)


def test_nobody_everywhere() -> None:
    for nobody in (
        People.empty(17),
        People.empty(COCO17),
        crowd(3)[:0],
        crowd(3)[[]],
        crowd(3)[np.zeros(3, bool)],
        People.concat([People.empty(17)] * 2),
    ):
        assert len(nobody) == 0 and list(nobody) == []
        assert_same(nobody, People.empty(17))
        assert nobody.pose_scores.shape == (0,)
    assert People.empty().keypoints.shape == (0, 0, 2)
    assert_same(People.concat([People.empty(17), crowd(2)]), crowd(2))
    assert_same(People.of(), People.empty())
    assert_same(People.of(boxes=[]), People.empty())
    assert_same(People.of(keypoints=np.zeros((0, 17, 2))), People.empty(17))


def test_boxes_alone_have_no_joints() -> None:
    people = People.of([[0, 0, 10, 20], [5, 5, 6, 6]])
    assert people.keypoints.shape == (2, 0, 2) and people.scores.shape == (2, 0)
    np.testing.assert_array_equal(people.pose_scores, [0, 0])
    np.testing.assert_array_equal(people.box_scores, [1, 1])
    np.testing.assert_array_equal(people.ids, [-1, -1])


def test_key_points_alone_have_their_extent() -> None:
    people = People.of(keypoints=[[[3, 4], [1, 9]]])
    np.testing.assert_array_equal(people.boxes, [[1, 4, 3, 9]])
    np.testing.assert_array_equal(people.scores, [[1, 1]])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", ARRAYS[:4])
def test_numbers_that_are_not_finite_are_refused_by_name(name: str, bad: float) -> None:
    array = getattr(crowd(2), name).copy()
    array.flat[-1] = bad
    with pytest.raises(ValueError, match=rf"People\.{name} holds"):
        crowd(2).replace(**{name: array})


@pytest.mark.parametrize("name", ["boxes", "box_scores", "scores", "ids"])
def test_wrong_shapes_are_refused_by_name(name: str) -> None:
    with pytest.raises(ValueError, match=rf"People\.{name} must have shape"):
        crowd(2).replace(**{name: getattr(crowd(3), name)})


def test_people_are_frozen() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        crowd(1).ids = np.zeros(1)  # type: ignore[misc]
    before = crowd(2)
    assert before.replace(ids=np.array([7, 8])).ids[0] == 7 and before.ids[0] == 0


def test_frame_size_is_width_then_height() -> None:
    assert Frame(np.zeros((480, 640, 3), np.uint8)).size == (640, 480)


@pytest.mark.parametrize(
    "image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 4), np.uint8), np.zeros((4, 4, 3))]
)
def test_a_frame_is_rgb_bytes(image: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"must be \(H, W, 3\) uint8 RGB"):
        Frame(image)


def test_a_failed_frame_says_why() -> None:
    frame = Frame.failed("a.jpg", "truncated", index=3)
    assert (frame.status, frame.message, frame.index) == ("decode_error", "truncated", 3)
    assert frame.size == (0, 0)


def test_result_shows_its_people() -> None:
    people = crowd(3)
    result = Result(people, COCO17, (640, 480), "a.jpg")
    assert len(result) == 3
    for name in ARRAYS:
        assert getattr(result, name) is getattr(people, name)
    np.testing.assert_array_equal(result.visible, people.scores >= 0.3)
    assert len(result.replace(people=People.empty(17)).visible) == 0


def test_a_result_without_a_picture_cannot_be_plotted() -> None:
    with pytest.raises(ValueError, match="keep_images=True"):
        Result(People.empty(17), COCO17, (640, 480)).plot()


def test_sides_are_width_and_height() -> None:
    people = People.of([[10, 20, 40, 100], [0, 0, 5, 1]])
    assert people.sides.tolist() == [[30, 80], [5, 1]]
    assert people[:0].sides.shape == (0, 2)


def test_arrays_have_one_order_in_memory() -> None:
    """Which decides how sums are rounded: saved people have the scores of those that were found."""
    rng = np.random.default_rng(0)
    turned = np.asfortranarray(rng.random((5, 133), np.float32))
    people = People.of(keypoints=np.ones((5, 133, 2)), scores=turned)
    again = People.of(keypoints=np.ones((5, 133, 2)), scores=turned.copy("C"))
    assert people.scores.flags.c_contiguous and turned.flags.f_contiguous
    assert people.pose_scores.tobytes() == again.pose_scores.tobytes()
