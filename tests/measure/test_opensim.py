"""TRC, MOT and STO of posewright measure, read back by a reader that shares nothing with it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.cli import main
from posewright.measure.clip import Person
from posewright.measure.opensim import trc
from posewright.skeletons import COCO17, HALPE26
from tests.helpers.walker import FLOOR, save, walker

Array = NDArray[np.float64]


def read_trc(path: Path) -> tuple[dict[str, str], Array, dict[str, Array]]:
    """Return the header, the times and the markers (T, 3); strict about what OpenSim refuses."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].split("\t") == ["PathFileType", "4", "(X/Y/Z)", path.name]
    header = dict(zip(lines[1].split("\t"), lines[2].split("\t"), strict=True))
    names = lines[3].rstrip("\t").split("\t")
    assert names[:2] == ["Frame#", "Time"]
    markers = names[2::3]
    assert len(markers) == int(header["NumMarkers"]) and all(markers)
    axes = [f"{axis}{n}" for n in range(1, len(markers) + 1) for axis in "XYZ"]
    assert lines[4].split("\t") == ["", "", *axes]
    cells = [line.split("\t") for line in lines[5:]]
    assert len(cells) == int(header["NumFrames"])
    assert {len(row) for row in cells} == {2 + 3 * len(markers)}
    table = np.array([[float(cell) for cell in row] for row in cells])  # no cell may be empty
    assert (np.diff(table[:, 1]) > 0).all()
    points = table[:, 2:].reshape(len(table), -1, 3)
    return header, table[:, 1], {name: points[:, k] for k, name in enumerate(markers)}


def read_table(path: Path) -> tuple[dict[str, str], dict[str, Array]]:
    """Return the header and the columns of a MOT or STO file."""
    head, _, body = path.read_text(encoding="utf-8").partition("\nendheader\n")
    header = dict(line.split("=") for line in head.splitlines() if "=" in line)
    names, *rows = [line.split("\t") for line in body.splitlines()]
    assert names[0] == "time" and len(set(names)) == len(names)
    assert len(rows) == int(header["nRows"]) and len(names) == int(header["nColumns"])
    table = np.array([[float(cell) for cell in row] for row in rows])
    assert np.isfinite(table).all()  # Storage drops rows that are not
    return header, dict(zip(names, table.T, strict=True))


def measured(folder: Path, *words: str) -> Path:
    scores = np.ones((120, 26))
    scores[60:64, HALPE26["left_knee"]] = 0
    scores[:3, HALPE26["right_wrist"]] = 0
    saved = save(folder, {5: walker()[0]}, scores)
    out = folder / "out"
    assert main(["measure", str(saved), "-o", str(out), "--save", "trc,mot,sto", *words]) == 0
    assert not (out / "measures.csv").exists()
    return out


def test_trc_in_metres(tmp_path: Path) -> None:
    out = measured(tmp_path, "--distance", "0,0,250,0=1")
    header, times, markers = read_trc(out / "person-5.trc")
    assert header["Units"] == "m" and header["DataRate"] == header["CameraRate"] == "50"
    assert np.abs(times - np.arange(120) / 50).max() < 1e-6
    points = walker()[0]
    expected = np.stack([points[..., 0], FLOOR - points[..., 1], points[..., 0] * 0], -1) / 250
    for name in ("right_big_toe", "mid_hip", "nose"):
        assert np.abs(markers[name] - expected[:, HALPE26[name]]).max() < 1e-5
    gone = np.isnan(markers["left_knee"])
    assert np.flatnonzero(gone.all(1)).tolist() == [60, 61, 62, 63] and gone.sum() == 12


def test_trc_in_pixels_has_y_down(tmp_path: Path) -> None:
    header, _, markers = read_trc(measured(tmp_path) / "person-5.trc")
    assert header["Units"] == "px" and set(markers) == set(HALPE26.joints)
    points = walker()[0][:, HALPE26["right_heel"]]
    assert np.abs(markers["right_heel"][:, :2] - points).max() < 1e-3


def test_trc_adds_the_middles_that_a_skeleton_lacks(tmp_path: Path) -> None:
    points = np.random.default_rng(0).uniform(0, 100, (4, 17, 2))
    frames = np.arange(4) + 7
    path = tmp_path / "a.trc"
    path.write_bytes(trc(Person(1, frames, frames / 29.97, points, COCO17), "a.trc"))
    header, _, markers = read_trc(path)
    assert header["DataRate"] == "29.97" and header["OrigDataStartFrame"] == "7"
    hips = (points[:, COCO17["left_hip"]] + points[:, COCO17["right_hip"]]) / 2
    assert np.abs(markers["mid_hip"][:, :2] - hips).max() < 1e-6 and "neck" in markers


def test_mot_holds_angles_without_gaps(tmp_path: Path) -> None:
    header, columns = read_table(measured(tmp_path) / "person-5.mot")
    truth = walker()[1]
    assert header["inDegrees"] == "yes" and columns["time"][1] == 0.02
    for name, values in truth.items():
        known = np.r_[0:60, 64:120] if "left" in name else np.arange(3, 120)
        assert np.abs(columns[name] - values)[known].max() < 1e-3, name
    knee = columns["left_knee_angle"]
    line = np.interp(np.arange(60, 64), [59, 64], truth["left_knee_angle"][[59, 64]])
    assert np.abs(knee[60:64] - line).max() < 1e-3
    assert np.ptp(columns["right_elbow_angle"][:4]) < 1e-9  # the first known one stands before
    assert not {name for name in columns if name.endswith("velocity")}
    assert "pelvis_direction" not in columns  # both hips are one point


def test_sto_holds_everything_with_units(tmp_path: Path) -> None:
    out = measured(tmp_path, "--height", "1.7")
    _, columns = read_table(out / "person-5.sto")
    assert {"right_hip_angle_deg", "right_hip_angle_velocity_deg_per_s"} < columns.keys()
    assert {"mid_hip_speed_m_per_s", "trunk_length_m"} < columns.keys()
    assert math.isclose(columns["trunk_length_m"].std(), 0, abs_tol=1e-5)


def test_another_run_replaces_them(tmp_path: Path) -> None:
    out = measured(tmp_path)
    (out / "person-77.mot").write_text("of an earlier run")
    (out / "notes.txt").write_text("mine")
    saved = str(tmp_path / "poses.jsonl")
    assert main(["measure", saved, "-o", str(out), "--overwrite"]) == 0
    found = {path.name for path in out.iterdir()}
    assert "notes.txt" in found and not {n for n in found if n.startswith("person-")}
    assert "measures.csv" in found


@pytest.mark.parametrize("form", ["trc", "mot", "sto"])
def test_somebody_seen_once(form: str, tmp_path: Path) -> None:
    saved = save(tmp_path, {1: walker(1)[0]})
    assert main(["measure", str(saved), "-o", str(tmp_path / "out"), "--save", form]) == 0
    path = tmp_path / "out" / f"person-1.{form}"
    if form == "trc":
        assert len(read_trc(path)[1]) == 1
    else:
        assert len(read_table(path)[1]["time"]) == 1
