"""Gaps, outliers and the filter of posewright measure."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.cli import main
from posewright.measure.clip import Person
from posewright.measure.mending import Mending, hampel, mended
from posewright.skeletons import COCO17, HALPE26
from posewright.smoothing import parse_smoothing
from tests.conftest import SHARED
from tests.helpers.walker import save, walker

Array = NDArray[np.float64]
MOVEMENT = Path(os.environ.get("POSEWRIGHT_TEST_DATA", SHARED / "data")).parent / "movement"


def person(points: Array, rate: float = 50.0) -> Person:
    frames = np.arange(len(points))
    return Person(3, frames, frames / rate, points, COCO17)


def still(count: int = 40) -> Array:
    """A person who moves evenly, all joints alike: (T, 17, 2)."""
    return np.stack([np.arange(count, dtype=float), np.full(count, 7.0)], -1)[:, None].repeat(17, 1)


def table(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_short_gaps_are_filled_and_long_ones_named() -> None:
    points = still()
    knee = COCO17["left_knee"]
    points[10:13, knee] = points[20:30, knee] = points[:2, knee] = np.nan
    found, faults = mended(person(points), Mending(gap=0.1))
    told = [(f.joint, f.kind, f.start, f.end, f.done) for f in faults]
    assert told == [
        ("left_knee", "gap", 0, 2, "open"),
        ("left_knee", "gap", 10, 13, "filled"),
        ("left_knee", "gap", 20, 30, "open"),
    ]
    assert np.abs(found.points[10:13] - still()[10:13]).max() < 1e-9
    assert np.flatnonzero(np.isnan(found.points[:, knee, 0])).tolist() == [0, 1, *range(20, 30)]
    kept, faults = mended(person(points), Mending())
    assert {f.done for f in faults} == {"open"} and np.isnan(kept.points[10:13, knee]).all()
    assert np.isnan(points[10:13, knee]).all()  # the given array is not changed


@pytest.mark.parametrize("outliers", ["flag", "mend", "keep"])
def test_outliers(outliers: str) -> None:
    points = still() + np.random.default_rng(0).normal(0, 0.01, (40, 17, 2))
    points[15, 4] += [60, -5]
    found, faults = mended(person(points), Mending(outliers=outliers))  # type: ignore[arg-type]
    mine = [f for f in faults if f.joint == COCO17.joints[4] and f.start <= 15 < f.end]
    assert [f.done for f in mine] == {"flag": ["kept"], "mend": ["mended"], "keep": []}[outliers]
    error = np.abs(found.points[15, 4] - still()[15, 4]).max()
    assert error < 2 if outliers == "mend" else error > 50


def test_hampel_is_that_of_the_reference() -> None:
    if not MOVEMENT.is_dir():
        pytest.skip(f"no movement data at {MOVEMENT}; set POSEWRIGHT_TEST_DATA")
    rows = table(MOVEMENT / "filters_reference.csv")
    noisy, theirs = (np.array([float(r[name]) for r in rows]) for name in ("noisy", "hampel_7_2"))
    wrong, medians = hampel(noisy, 3)
    assert np.flatnonzero(wrong).tolist() == [20, 55, 91, 93]
    assert np.abs(np.where(wrong, medians, noisy) - theirs).max() < 1e-9


def test_what_never_changes_has_no_outliers() -> None:
    values = np.full(20, 3.0)
    values[10] = 9.0  # the median distance is 0
    assert not hampel(values, 3)[0].any()
    assert not hampel(values[:5], 3)[0].any()


def test_a_filter_works_between_gaps() -> None:
    count = 120
    noise = np.random.default_rng(1).normal(0, 2, (count, 17, 2))
    points = still(count) + noise
    points[60:80] = np.nan
    smooth = Mending(filter=parse_smoothing("butterworth:4"))
    found, _ = mended(person(points), smooth)
    assert (np.isnan(found.points) == np.isnan(points)).all()
    error = np.nanstd(found.points - still(count))
    assert error < 0.6 * np.nanstd(noise)
    alone, _ = mended(person(points[:60]), smooth)  # what comes later changes nothing
    assert np.abs(alone.points - found.points[:60]).max() < 1e-9


def test_the_command_mends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    points, truth = walker()
    rough = points + np.random.default_rng(2).normal(0, 1.5, points.shape)
    scores = np.ones((120, 26))
    scores[50:53, HALPE26["left_knee"]] = 0
    saved = save(tmp_path, {1: rough}, scores)
    errors = []
    for words in ([], ["--filter", "butterworth:5", "--outliers", "mend"]):
        out = tmp_path / f"out{len(words)}"
        assert main(["measure", str(saved), "-o", str(out), *words]) == 0
        wide = table(out / "measures-wide.csv")
        knee = np.array([float(row["left_knee_angle_deg"] or "nan") for row in wide])
        assert int(np.isnan(knee).sum()) == (0 if words else 3)
        errors.append(np.nanstd((knee - truth["left_knee_angle"])[20:-20]))
        gaps = [row for row in table(out / "gaps.csv") if row["kind"] == "gap"]
        assert [(row["joint"], row["first_frame"], row["last_frame"]) for row in gaps] == [
            ("left_knee", "50", "52")
        ]
        assert gaps[0]["done"] == ("filled" if words else "open")
    assert errors[1] < 0.6 * errors[0]
    assert "see gaps.csv" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("--filter kalman", "--filter takes butterworth or savgol, not kalman"),
        ("--filter butterworth:30", "a cutoff of 30 Hz needs more than 60 frames a second"),
        ("--gap 11", "--gap must lie between 0 and 10 seconds"),
    ],
)
def test_what_cannot_be_mended(
    words: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved = save(tmp_path, {1: walker(30)[0]})
    assert main(["measure", str(saved), "-o", str(tmp_path / "out"), *words.split()]) == 2
    assert told in capsys.readouterr().err
