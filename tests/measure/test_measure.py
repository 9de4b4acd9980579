"""posewright measure: a walker of known angles, and the numbers of Sports2D."""

from __future__ import annotations

import csv
import json
import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.cli import main
from posewright.skeletons import HALPE26
from tests.conftest import SHARED
from tests.helpers.results import people, result, write
from tests.helpers.walker import RATE, mirrored, save, walker

Array = NDArray[np.float64]
MOVEMENT = Path(os.environ.get("POSEWRIGHT_TEST_DATA", SHARED / "data")).parent / "movement"
CLOSE = 5e-4  # degrees: results hold float32


def measure(*words: object) -> int:
    return main(["measure", *map(str, words)])


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def series(folder: Path, person: int = 1) -> dict[str, Array]:
    """Return the values of a person by quantity, NaN where a cell is empty."""
    found: dict[str, list[float]] = defaultdict(list)
    for row in table(folder / "measures.csv"):
        if int(row["person"]) == person:
            found[row["quantity"]].append(float(row["value"] or "nan"))
    return {name: np.array(values) for name, values in found.items()}


def rows(folder: Path, person: int = 1) -> dict[str, dict[str, str]]:
    found = table(folder / "summary.csv")
    return {row["quantity"]: row for row in found if int(row["person"]) == person}


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Array]]:
    """What is measured of a walker (1) and of the mirrored one (7), and the true angles."""
    folder = tmp_path_factory.mktemp("walk")
    points, truth = walker()
    saved = save(folder, {1: points, 7: mirrored(points)})
    assert measure(saved, "-o", folder / "out") == 0
    return folder / "out", truth


@pytest.mark.parametrize("person", [1, 7])
def test_the_angles_are_the_true_ones_to_both_sides(
    walked: tuple[Path, dict[str, Array]], person: int
) -> None:
    folder, truth = walked
    found = series(folder, person)
    assert len(truth) == 21
    for name, values in truth.items():
        assert np.abs(found[name] - values).max() < CLOSE, name
    facts = {row["person"]: row for row in table(folder / "people.csv")}[str(person)]
    assert (facts["facing"], facts["facing_by"]) == ("right" if person == 1 else "left", "feet")
    assert float(facts["rate_hz"]) == pytest.approx(RATE)


def test_velocities_and_accelerations_are_those_of_the_true_angles(
    walked: tuple[Path, dict[str, Array]],
) -> None:
    found, truth = series(walked[0]), walked[1]
    phase = 2 * np.pi * 0.8 * np.arange(120) / RATE
    turning = 2 * np.pi * 0.8
    velocity = -20 * turning * np.sin(phase)
    inner = slice(2, -2)
    differences = found["right_hip_angle_velocity"] - velocity
    assert np.abs(differences[inner]).max() < 0.2  # of 100: differences of 0.02 s cut the corner
    acceleration = -20 * turning**2 * np.cos(phase)
    assert np.abs(found["right_hip_angle_acceleration"] - acceleration)[inner].max() < 4  # of 505
    assert np.ptp(truth["right_hip_angle"]) > 39


def test_lengths_and_symmetry(walked: tuple[Path, dict[str, Array]]) -> None:
    found = rows(walked[0])
    for name, length in {"thigh": 100, "shank": 95, "foot": 55, "forearm": 65}.items():
        row = found[f"left_{name}_length"]
        assert float(row["mean"]) == pytest.approx(length, abs=1e-3) and row["unit"] == "px"
        assert abs(float(row["symmetry_percent"])) < 1e-3
    hip = found["right_hip_angle"]
    assert [float(hip[key]) for key in ("min", "max", "range")] == pytest.approx(
        [-10, 30, 40], 0.01
    )
    assert found["nose_x"]["symmetry_percent"] == ""


def test_a_stiff_side_is_told(tmp_path: Path) -> None:
    points, truth = walker()
    knee = truth["left_knee_angle"]
    stiff = points.copy()
    places = [HALPE26[f"left_{name}"] for name in ("knee", "ankle", "hip")]
    stiff[:, places[1]] = stiff[:, places[0]] * 2 - stiff[:, places[2]]  # straight
    assert measure(save(tmp_path, {1: stiff}), "-o", tmp_path / "out") == 0
    found = rows(tmp_path / "out")
    assert np.ptp(knee) > 40 and float(found["left_knee_angle"]["range"]) < 1e-3
    assert float(found["right_knee_angle"]["symmetry_percent"]) == pytest.approx(200, abs=0.01)
    length = float(found["right_shank_length"]["symmetry_percent"])
    assert length == pytest.approx(200 * (95 - 100) / 195, abs=0.01)


def test_the_wide_table_is_the_long_one(walked: tuple[Path, dict[str, Array]]) -> None:
    wide = [row for row in table(walked[0] / "measures-wide.csv") if row["person"] == "7"]
    found = series(walked[0], 7)
    assert len(wide) == 120 and [int(row["frame"]) for row in wide] == list(range(120))
    for name, column in {
        "right_knee_angle": "right_knee_angle_deg",
        "right_knee_angle_velocity": "right_knee_angle_velocity_deg_per_s",
        "left_ankle_acceleration": "left_ankle_acceleration_px_per_s2",
    }.items():
        assert [float(row[column]) for row in wide] == found[name].tolist()
    assert float(wide[5]["time_s"]) == pytest.approx(0.1)


def test_sports2d_has_the_same_numbers(tmp_path: Path) -> None:
    if not MOVEMENT.is_dir():
        pytest.skip(f"no movement data at {MOVEMENT}; set POSEWRIGHT_TEST_DATA")
    points = np.load(MOVEMENT / "walker.npz")["points"]  # in the order of HALPE26
    assert measure(save(tmp_path, {1: points}), "-o", tmp_path / "out") == 0
    found = series(tmp_path / "out")
    theirs = table(MOVEMENT / "walker_sports2d_angles_raw.csv")
    compared = 0
    for column in [name for name in theirs[0] if name not in ("frame", "time")]:
        word = column.replace(" ", "_")
        name = f"{word}_angle" if f"{word}_angle" in found else f"{word}_direction"
        values = np.array([float(row[column]) for row in theirs])
        assert len(values) == 100
        if column in ("pelvis", "shoulders"):  # both hips are one point: there is no line
            assert np.isnan(found[name]).all()
            continue
        compared += 1
        turned = (found[name] - values + 180) % 360 - 180
        assert np.abs(turned).max() < CLOSE, name
    assert compared == 22


def test_a_filtered_run_is_near_sports2d_and_nearer_to_the_truth(tmp_path: Path) -> None:
    """Away from the ends: its filtered angles lie on a floor of -0.13 degrees, which is level."""
    if not MOVEMENT.is_dir():
        pytest.skip(f"no movement data at {MOVEMENT}; set POSEWRIGHT_TEST_DATA")
    with np.load(MOVEMENT / "walker.npz") as file:
        saved = save(tmp_path, {1: file["points"]})
    words = ["--height", 1.7, "--filter", "butterworth:10"]  # at 50 Hz as 6 at their 30
    assert measure(saved, "-o", tmp_path / "out", *words) == 0
    found = series(tmp_path / "out")
    run = table(MOVEMENT / "walker_sports2d_full_run_angles.csv")
    raw = table(MOVEMENT / "walker_sports2d_angles_raw.csv")
    for name, column in {
        "right_knee_angle": "right knee",
        "left_hip_angle": "left hip",
        "right_thigh_direction": "right thigh",
        "trunk_direction": "trunk",
    }.items():
        theirs, true = (np.array([float(row[column]) for row in rows]) for rows in (run, raw))
        assert np.abs(found[name] - theirs)[10:90].max() < 0.2, name
        assert np.abs(found[name] - true)[10:90].max() < 0.1, name


def test_somebody_who_turns_is_noted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points = walker()[0]
    points[70:] = mirrored(points)[70:]
    assert measure(save(tmp_path, {1: points}), "-o", tmp_path / "out") == 0
    assert "person 1 faces right in only 58% of the frames" in capsys.readouterr().err
    assert measure(tmp_path / "poses.jsonl", "-o", tmp_path / "cut", "--frames", "0:70") == 0
    assert "note" not in capsys.readouterr().err


def test_isb_counts_the_knee_the_other_way(
    walked: tuple[Path, dict[str, Array]], tmp_path: Path
) -> None:
    points, truth = walker()
    saved = save(tmp_path, {1: points})
    assert measure(saved, "-o", tmp_path / "out", "--convention", "isb") == 0
    found = series(tmp_path / "out")
    assert np.abs(found["left_knee_angle"] + truth["left_knee_angle"]).max() < CLOSE
    assert np.abs(found["left_hip_angle"] - truth["left_hip_angle"]).max() < CLOSE


def test_the_side_is_found_without_feet_and_can_be_given(tmp_path: Path) -> None:
    points, truth = walker()
    scores = np.ones((120, 26))
    scores[:, [HALPE26[name] for name in HALPE26.joints if "toe" in name or "heel" in name]] = 0.1
    still = mirrored(points) - mirrored(points)[:, [HALPE26["mid_hip"]]] + [400, 300]
    saved = save(tmp_path, {1: mirrored(points), 2: still}, scores)
    assert measure(saved, "-o", tmp_path / "out") == 0
    told = {row["person"]: row for row in table(tmp_path / "out" / "people.csv")}
    assert (told["1"]["facing"], told["1"]["facing_by"]) == ("left", "way")
    assert (told["2"]["facing"], told["2"]["facing_by"]) == ("left", "nose")
    found = series(tmp_path / "out", 2)
    assert np.abs(found["right_knee_angle"] - truth["right_knee_angle"]).max() < CLOSE
    assert np.isnan(found["right_ankle_angle"]).all()
    assert measure(saved, "-o", tmp_path / "given", "--facing", "right", "--person", 2) == 0
    found = series(tmp_path / "given", 2)
    assert np.abs(found["right_knee_angle"] + truth["right_knee_angle"]).max() < CLOSE
    assert series(tmp_path / "given", 1) == {}


def test_json_and_ranges(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    saved = save(tmp_path, {4: walker()[0]})
    words = ["--frames", "10:21", "--json", "--min-joint-score", "0.5"]
    assert measure(saved, "-o", tmp_path / "out", *words) == 0
    told: dict[str, Any] = json.loads(capsys.readouterr().out)
    (one,) = told["people"]
    assert (one["person"], one["first_frame"], one["last_frame"]) == (4, 10, 20)
    assert any(row["quantity"] == "left_hip_angle" for row in one["summary"])
    assert Path(told["files"][0]).name == "measures.csv"
    assert measure(saved, "-o", tmp_path / "none", "--min-joint-score", "1") == 0
    assert measure(saved, "-o", tmp_path / "out") == 4  # it holds something
    assert "--overwrite" in capsys.readouterr().err
    assert measure(saved, "-o", tmp_path / "out", "--overwrite") == 0
    assert len(series(tmp_path / "out", 4)["left_hip_angle"]) == 120


def test_one_person_needs_no_identity(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    alone = [result(people(1, seed, tracked=False), frame=seed) for seed in range(3)]
    saved = write("jsonl", tmp_path / "a", alone)[0]
    assert measure(saved, "-o", tmp_path / "out") == 0
    assert "person 1: frames 0 to 2" in capsys.readouterr().out
    two = [result(people(2, tracked=False))]
    saved = write("jsonl", tmp_path / "b", two)[0]
    assert measure(saved, "-o", tmp_path / "two") == 2
    assert "run posewright track" in capsys.readouterr().err
    assert measure(saved, "-o", tmp_path / "two", "--save", "cvs") == 2
    assert "did you mean 'csv'" in capsys.readouterr().err


def test_results_without_times_have_a_rate(tmp_path: Path) -> None:
    alone = [result(people(1, 0, tracked=False), "a.jpg", n, time=0.0) for n in range(4)]
    saved = write("coco", tmp_path / "a", alone)
    assert saved  # COCO results have no times
    assert measure(saved[0], "-o", tmp_path / "out", "--fps", 10) == 0
    assert table(tmp_path / "out" / "people.csv")[0]["rate_hz"] == "10"


def test_who_leaves_is_missing_in_between(tmp_path: Path) -> None:
    points, truth = walker()
    scores = np.ones((120, 26))
    scores[40:45] = 0.0
    saved = save(tmp_path, {1: points}, scores)
    assert measure(saved, "-o", tmp_path / "out") == 0
    found = series(tmp_path / "out")["right_knee_angle"]
    assert np.flatnonzero(np.isnan(found)).tolist() == [40, 41, 42, 43, 44]
    assert np.nanmax(np.abs(found - truth["right_knee_angle"])) < CLOSE
    row = rows(tmp_path / "out")["right_knee_angle"]
    assert (row["frames"], row["missing"]) == ("115", "5")


@pytest.mark.parametrize("person", [3])
def test_nobody_is_an_error(
    tmp_path: Path, person: int, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = save(tmp_path, {1: walker(5)[0]})
    assert measure(saved, "-o", tmp_path / "out", "--person", person) == 3
    assert "no person 3 to measure" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
