"""Steps, cadence and angles of the user's own."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.cli import main
from posewright.measure.clip import Person
from posewright.measure.steps import cadence, events_of
from posewright.skeletons import COCO17, HALPE26, HAND21, Skeleton
from tests.helpers.walker import RATE, STRIDES, mirrored, save, walker

Array = NDArray[np.float64]


def person(points: Array, skeleton: Skeleton = HALPE26) -> Person:
    frames = np.arange(len(points))
    return Person(1, frames, frames / RATE, points, skeleton)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_steps_of_a_walker() -> None:
    points = walker(400)[0]
    events = events_of(person(points), "right")
    contacts = [event for event in events if event.kind == "contact"]
    assert [event.side for event in contacts] == ["right", "left"] * 6 + ["right"]
    heel, hip = points[:, HALPE26["right_heel"], 0], points[:, HALPE26["mid_hip"], 0]
    turns = [
        r for r in range(1, 399) if (heel - hip)[r - 1] < (heel - hip)[r] > (heel - hip)[r + 1]
    ]
    assert [event.row for event in contacts if event.side == "right"] == turns
    assert all(abs(event.step_time - 0.5 / STRIDES) < 0.03 for event in contacts[1:])
    row = contacts[4].row
    apart = abs(heel[row] - points[row, HALPE26["left_heel"], 0])
    assert contacts[4].step_length == pytest.approx(apart)
    assert cadence(events) == pytest.approx(120 * STRIDES, abs=0.3)
    off = [event for event in events if event.kind == "off"]
    assert len(off) == 13 and np.isnan(off[3].step_time)


def test_the_other_way_and_without_feet() -> None:
    points = walker(400)[0]
    rows = [(e.side, e.kind, e.row) for e in events_of(person(points), "right")]
    left = events_of(person(mirrored(points)), "left")
    assert [(e.side, e.kind, e.row) for e in left] == rows
    body = person(points[:, HALPE26.mapping(COCO17)], COCO17)
    assert cadence(events_of(body, "right")) == pytest.approx(120 * STRIDES, abs=1)


def test_no_steps() -> None:
    points = walker(100)[0]
    still = points[:1].repeat(100, 0) + np.random.default_rng(0).normal(0, 1, points.shape)
    assert events_of(person(still), "right") == [] and np.isnan(cadence([]))
    assert events_of(person(np.zeros((5, 21, 2)), HAND21), "right") == []
    assert events_of(person(points * np.nan), "right") == []


def test_a_pause_and_two_feet_at_once_are_no_steps() -> None:
    points = walker(400)[0]
    stop = np.concatenate([points[:112], points[112:113].repeat(150, 0), points[112:]])
    times = [e.step_time for e in events_of(person(stop), "right") if e.kind == "contact"]
    assert np.isfinite(times).sum() == 11 and np.nanmax(times) < 0.7  # 12 without the stop
    hop = points.copy()
    names = [name for name in HALPE26.joints if name.startswith("right_")]
    for name in names:  # both feet do the same
        hop[:, HALPE26[name.replace("right", "left")]] = hop[:, HALPE26[name]]
    contacts = [e for e in events_of(person(hop), "right") if e.kind == "contact"]
    assert len(contacts) == 14
    assert not [e for e in contacts if e.step_time < 0.2]


def test_a_gap_is_no_step() -> None:
    points = walker(400)[0]
    whole = events_of(person(points), "right")
    points[150:200] = np.nan
    events = events_of(person(points), "right")
    assert not [e for e in events if 150 <= e.row < 200]
    assert {e.row for e in events if e.row < 130} == {e.row for e in whole if e.row < 130}


def test_the_command_writes_steps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = save(tmp_path, {4: walker(200)[0]})
    words = ["--distance", "0,0,0,100=0.4"]
    assert main(["measure", str(saved), "-o", str(tmp_path / "out"), *words]) == 0
    assert "6 steps, 9" in capsys.readouterr().out
    (facts,) = table(tmp_path / "out" / "people.csv")
    assert facts["steps"] == "6" and abs(float(facts["cadence_per_min"]) - 96) < 1
    steps = table(tmp_path / "out" / "steps.csv")
    assert {row["unit"] for row in steps} == {"m"} and {row["person"] for row in steps} == {"4"}
    lengths = [float(row["step_length"]) for row in steps if row["step_length"]]
    assert len(lengths) == 6 and all(0.3 < length < 0.9 for length in lengths)


@pytest.mark.parametrize("facing", ["right", "left"])
def test_own_angles(facing: str, tmp_path: Path) -> None:
    points, truth = walker()
    saved = save(tmp_path, {1: points if facing == "right" else mirrored(points)})
    words = ["--angle", "bend=right_hip,right_knee,right_ankle"]
    words += ["--angle", "swing=right_hip-right_knee,right_knee-right_ankle"]
    assert main(["measure", str(saved), "-o", str(tmp_path / "out"), *words]) == 0
    wide = table(tmp_path / "out" / "measures-wide.csv")
    bend, swing = (
        np.array([float(row[f"{name}_angle_deg"]) for row in wide]) for name in ("bend", "swing")
    )
    assert np.abs(bend - (180 - truth["right_knee_angle"])).max() < 1e-3
    assert np.abs(swing + truth["right_knee_angle"]).max() < 1e-3
    assert "bend_angle_velocity_deg_per_s" in wide[0]


@pytest.mark.parametrize(
    ("angle", "told"),
    [
        ("bend", "--angle takes NAME and three joints or two segments"),
        ("bend=a,b", "--angle takes NAME and three joints or two segments"),
        ("bend=right_hip,right_nee,right_ankle", "no joint 'right_nee'; did you mean 'right_knee'"),
        ("right_knee=right_hip,right_knee,nose", "--angle right_knee has a name that is taken"),
    ],
)
def test_angles_that_there_are_not(
    angle: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = save(tmp_path, {1: walker(3)[0]})
    assert main(["measure", str(saved), "-o", str(tmp_path / "out"), "--angle", angle]) == 2
    assert told in capsys.readouterr().err
