"""Angles of points and segments: their convention, what changes them, and what is missing."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.measure import angle, between, direction, unwrap, wrap

Array = NDArray[np.float64]
RIGHT, UP, LEFT, DOWN = (1.0, 0.0), (0.0, -1.0), (-1.0, 0.0), (0.0, 1.0)  # y is down
HERE = (0.0, 0.0)


@pytest.fixture
def points() -> Array:
    """Four points each of 50 frames and 3 people: (4, 50, 3, 2) px."""
    return np.random.default_rng(7).uniform(-500, 500, (4, 50, 3, 2))


def turned(points: Array, degrees: float) -> Array:
    """The points after a rotation about the origin, anticlockwise as seen on the screen."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    return points @ np.array([[c, -s], [s, c]])


def same(a: Array, b: Array) -> bool:
    """Whether angles agree to 1e-9 degrees, where -180 and 180 are one angle."""
    return bool(np.abs(wrap(a - b)).max() < 1e-9)


def test_directions_are_anticlockwise_from_the_right() -> None:
    assert [float(direction(HERE, to)) for to in (RIGHT, UP, LEFT, DOWN)] == [0, 90, -180, -90]


def test_a_signed_angle_is_the_anticlockwise_turn() -> None:
    assert float(angle(RIGHT, HERE, UP, signed=True)) == 90
    assert float(angle(UP, HERE, RIGHT, signed=True)) == -90
    assert float(angle(UP, HERE, RIGHT)) == 90
    assert float(angle(RIGHT, HERE, LEFT)) == 180 and float(angle(UP, HERE, UP)) == 0
    assert float(between(HERE, RIGHT, UP, HERE, signed=True)) == -90  # UP -> HERE points down


def test_axes_are_kept(points: Array) -> None:
    a, b, c, d = points
    assert angle(a, b, c).shape == between(a, b, c, d).shape == direction(a, b).shape == (50, 3)
    assert angle(a, b, c)[3, 1] == angle(a[3, 1], b[3, 1], c[3, 1])
    assert same(angle(HERE, b, c), angle(np.zeros_like(b), b, c))
    assert angle(*np.zeros((3, 0, 2))).shape == (0,)


def test_position_size_and_rotation_change_no_angle(points: Array) -> None:
    a, b, c, d = points
    for changed in (points + np.array([300, -40]), points * 3.7, turned(points, 77)):
        e, f, g, h = changed
        assert same(angle(a, b, c, signed=True), angle(e, f, g, signed=True))
        assert same(between(a, b, c, d, signed=True), between(e, f, g, h, signed=True))
    e, f, *_ = turned(points, 77)
    assert same(direction(e, f), direction(a, b) + 77)


def test_a_mirror_turns_the_sign_round_and_no_more(points: Array) -> None:
    a, b, c, d = points
    e, f, g, h = points * [-1, 1]
    assert same(angle(e, f, g, signed=True), -angle(a, b, c, signed=True))
    assert same(between(e, f, g, h, signed=True), -between(a, b, c, d, signed=True))
    assert same(angle(e, f, g), angle(a, b, c))
    assert same(direction(e, f), 180 - direction(a, b))


def test_angles_add_up(points: Array) -> None:
    a, b, c, d = points
    assert same(angle(a, b, c) + angle(b, c, a) + angle(c, a, b), np.full((50, 3), 180.0))
    assert same(between(a, b, c, d, signed=True), direction(c, d) - direction(a, b))
    assert same(angle(c, b, a, signed=True), -angle(a, b, c, signed=True))
    assert np.abs(angle(a, b, c) - np.abs(angle(a, b, c, signed=True))).max() == 0
    assert angle(a, b, c).min() >= 0 and angle(a, b, c, signed=True).min() < -100


@pytest.mark.parametrize("missing", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_missing_coordinate_is_an_unknown_angle(points: Array, missing: float, axis: int) -> None:
    for which in range(4):
        holed = points.copy()
        holed[which, 5, 1, axis] = missing
        for found in (between(*holed), between(*holed, signed=True)):
            assert np.argwhere(np.isnan(found)).tolist() == [[5, 1]]
        gone = [[5, 1]] if which < 3 else []
        assert np.argwhere(np.isnan(angle(*holed[:3]))).tolist() == gone
        gone = [[5, 1]] if which < 2 else []
        assert np.argwhere(np.isnan(direction(*holed[:2]))).tolist() == gone


def test_equal_points_have_no_angle() -> None:
    assert np.isnan([angle(HERE, HERE, UP), angle(UP, HERE, HERE), direction(UP, UP)]).all()
    assert np.isnan(between(HERE, UP, RIGHT, RIGHT)) and np.isnan(between(UP, UP, HERE, RIGHT))
    assert np.isnan(angle(HERE, HERE, UP, signed=True))


def test_wrapping() -> None:
    given = [0, 179, 180, -180, 181, 540, -541, -1e-20, 180 - 1e-14]
    found = wrap(given)
    assert found[:8].tolist() == [0, 179, -180, -180, -179, -180, 179, 0]
    assert ((found >= -180) & (found < 180)).all()
    assert wrap([89, 90, -91, 180], 180).tolist() == [89, -90, 89, 0]
    assert np.isnan(wrap([np.nan, np.inf, -np.inf])).all()
    line = wrap([-90 - 1e-15, 90 - 1e-15, 270], 180)
    assert ((line >= -90) & (line < 90)).all()


def test_unwrapping_undoes_wrapping() -> None:
    true = np.cumsum(np.random.default_rng(3).uniform(-170, 170, (200, 4)), 0)
    found = unwrap(wrap(true))
    assert np.abs((found - true) - (found - true)[0]).max() < 1e-9
    assert np.abs(unwrap(wrap(true.T), axis=1) - found.T).max() < 1e-9
    assert np.abs(unwrap(true) - true).max() < 1e-9  # what has no jumps stays


def test_gaps_stay_gaps_and_the_series_goes_on_behind_them() -> None:
    nan = np.nan
    found = unwrap([nan, 170, nan, nan, -175, -170, nan])
    assert np.isnan(found[[0, 2, 3, 6]]).all() and found[[1, 4, 5]].tolist() == [170, 185, 190]
    assert np.isnan(unwrap([nan, nan])).all() and unwrap([]).shape == (0,)
    two = unwrap(np.array([[170, nan], [nan, 10], [-170, 20]]))
    assert two[:, 0][[0, 2]].tolist() == [170, 190] and two[1:, 1].tolist() == [10, 20]


def test_a_joint_that_turns_far_is_not_a_line() -> None:
    assert unwrap([0, 100]).tolist() == [0, 100]
    assert unwrap([0, 100], period=180).tolist() == [0, -80]
