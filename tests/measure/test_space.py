"""Pixels to metres, and the floor, of posewright measure."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.cli import main
from posewright.measure.clip import Person
from posewright.measure.space import floor_of, pixels_of
from posewright.skeletons import COCO17, HALPE26, HAND21
from tests.helpers.walker import FLOOR, RATE, save, walker

Array = NDArray[np.float64]
# what is seen of the walker, and what is added for what is not in the plane
HEIGHT = 1.063 * (np.hypot(12, 10) + 95 + 100 + 140 + 1.008 * 55)


def person(points: Array, identity: int = 1) -> Person:
    frames = np.arange(len(points))
    return Person(identity, frames, frames / RATE, points, HALPE26)


def tilted(points: Array, degrees: float) -> Array:
    """The image of a camera turned so that the floor rises to the right."""
    turn = np.radians(degrees)
    c, s = np.cos(turn), np.sin(turn)
    return np.asarray((points - [640, 360]) @ np.array([[c, -s], [s, c]]) + [640, 360])


def wide(folder: Path) -> list[dict[str, str]]:
    with (folder / "measures-wide.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def column(folder: Path, name: str) -> Array:
    return np.array([float(row[name] or "nan") for row in wide(folder)])


def test_the_height_is_that_of_the_segments() -> None:
    assert pixels_of(person(walker()[0])) == pytest.approx(HEIGHT, rel=1e-6)
    lying = walker()[0]
    lying[:60, [HALPE26["left_knee"], HALPE26["right_knee"]]] = np.nan
    assert pixels_of(person(lying)) == pytest.approx(HEIGHT, rel=1e-6)


def test_the_height_without_heels_and_head_top() -> None:
    points = walker()[0][:, HALPE26.mapping(COCO17)]
    frames = np.arange(120)
    body = Person(1, frames, frames / RATE, points, COCO17)
    expected = 1.063 * (95 + 100 + 140 + 1.5 * np.hypot(30, 12)) / (1 - 0.039)
    assert pixels_of(body) == pytest.approx(expected, rel=1e-6)
    hand = Person(1, frames, frames / RATE, np.ones((120, 21, 2)), HAND21)
    assert np.isnan(pixels_of(hand)) and floor_of([hand]) is None


@pytest.mark.parametrize("degrees", [-4.0, 0.0, 3.0])
@pytest.mark.parametrize("noise", [0.0, 2.0])
def test_the_floor_is_found(degrees: float, noise: float) -> None:
    points = tilted(walker()[0], degrees)
    points = points + np.random.default_rng(3).normal(0, noise, points.shape)
    floor = floor_of([person(points)])
    assert floor is not None and floor.by == "feet"
    assert abs(floor.degrees - degrees) < (0.2 if noise else 1e-6)
    turn = np.radians(degrees)  # the floor passes (640, 360) at the walker's depth below
    expected = 360 + (FLOOR - 360) / np.cos(turn) + 640 * np.tan(turn)
    assert abs(floor.y - expected) < (3 if noise else 1e-6)


def test_somebody_who_stands_has_a_level_floor() -> None:
    points = walker()[0][:1].repeat(50, 0)
    floor = floor_of([person(points)])
    assert floor is not None and (floor.degrees, floor.by) == (0, "feet, level")
    flying = person(points + np.arange(50)[:, None, None] * 30.0)
    assert floor_of([flying]) is None


@pytest.mark.parametrize(
    "words", [["--height", "1.7"], ["--height", "1=1.7"], ["--distance", "0,0,0,100=0.4"]]
)
def test_metres(words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = walker()[0]
    saved = save(tmp_path, {1: tilted(points, 2.0)})
    assert main(["measure", str(saved), "-o", str(tmp_path / "out"), *words]) == 0
    scale = 1.7 / HEIGHT if "--height" in words else 0.004
    out = tmp_path / "out"
    assert np.abs(column(out, "right_thigh_length_m") - 100 * scale).max() < 1e-5
    height = (FLOOR - points[:, HALPE26["mid_hip"], 1]) * scale
    assert np.abs(column(out, "mid_hip_y_m") - height).max() < 1e-4
    steps = np.diff(points[:, HALPE26["mid_hip"], 0]) * scale
    assert np.abs(np.diff(column(out, "mid_hip_x_m")) - steps).max() < 1e-4
    assert "floor_by feet" in capsys.readouterr().out


def test_directions_are_relative_to_the_floor(tmp_path: Path) -> None:
    points, truth = walker()
    saved = save(tmp_path, {1: tilted(points, 5.0)})
    for words, turned in ([], 5.0), (["--floor", "auto"], 0.0), (["--floor", "5,0"], 0.0):
        out = tmp_path / f"out{len(words)}{turned}{words[-1:]}"
        assert main(["measure", str(saved), "-o", str(out), *words]) == 0
        for name in ("right_thigh_direction", "trunk_direction"):
            assert np.abs(column(out, f"{name}_deg") - turned - truth[name]).max() < 1e-3
        knee = column(out, "right_knee_angle_deg")
        assert np.abs(knee - truth["right_knee_angle"]).max() < 1e-3


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--height tall", "--height takes metres from 0.2 to 3"),
        ("--height 170", "--height takes metres from 0.2 to 3"),
        ("--height 9=1.7", "--height names person 9, who is not among those measured"),
        ("--distance 1,2,3=4", "--distance takes two points in pixels"),
        ("--distance 1,2,1,2=4", "--distance takes two points in pixels"),
        ("--floor 80,2", "--floor takes auto, or degrees below 45"),
        ("--height 1.7 --distance 0,0,1,1=1", "not allowed with"),
    ],
)
def test_what_gives_no_space(
    words: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = save(tmp_path, {1: walker(30)[0]})
    try:
        code = main(["measure", str(saved), "-o", str(tmp_path / "out"), *words.split()])
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code == 2 and told in capsys.readouterr().err


def test_a_height_without_legs_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scores = np.ones((30, 26))
    scores[:, [HALPE26["left_ankle"], HALPE26["right_ankle"]]] = 0
    saved = save(tmp_path, {1: walker(30)[0]}, scores)
    assert main(["measure", str(saved), "-o", str(tmp_path / "out"), "--height", "1.7"]) == 2
    assert "give --distance" in capsys.readouterr().err
