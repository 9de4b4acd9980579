"""Ranges on the command line: the same frames, numbers and times as without, and fewer of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.errors import SourceError, UsageError
from posewright.predict import Progress, predict_to, track_to
from posewright.readers import read_results
from posewright.results import Result
from posewright.skeletons import COCO17
from posewright.sources import open_source
from posewright.trackers import trackers
from posewright.writers import create_writer
from tests.helpers.runs import lines, predict, run
from tests.helpers.sequences import Network, somebody
from tests.helpers.videos import numbered, write_video

Row = dict[str, Any]
COUNTING = ("appearance", "poseflow-original")  # needs images; counts the frames that it is given


def put(folder: Path, count: int) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), numbered(64, 48, number))
    return folder


def film(path: Path, count: int = 30) -> Path:
    write_video(path, count=count, size=(128, 32), draw=numbered, between=2)
    return path


def done(sources: Any, out: Path, **options: Any) -> list[Row]:
    """Predict without a network; return the lines of poses.jsonl."""
    predict_to(Network(), sources, out, **options)  # type: ignore[arg-type]
    return [{**line, "speed": {}} for line in lines(out)]


def said(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [x for x in capsys.readouterr().err.splitlines() if not x.startswith("note:")]


# --- predict -------------------------------------------------------------------------------------


@pytest.mark.parametrize("track", [None, "oks"])
def test_results_are_those_of_the_whole_run(tmp_path: Path, track: str | None) -> None:
    sources = [film(tmp_path / "a.mp4"), film(tmp_path / "b.mkv", 20)]
    every = done(sources, tmp_path / "all", tracker=track)
    names = [str(source) for source in sources]
    parts = [[row for row in every if row["source"] == name] for name in names]
    assert [len(part) for part in parts] == [30, 20]
    reports: list[Progress] = []
    spec: dict[str, Any] = {"tracker": track, "frames": "4:25", "stride": 3}
    found = done(sources, tmp_path / "some", progress=reports.append, **spec)
    assert [without_ids(row) for row in found] == [
        without_ids(row) for part in parts for row in part[4:25:3]
    ]
    assert [(r.source, r.done, r.total) for r in reports] == [
        *((names[0], n, 7) for n in range(1, 8)),
        *((names[1], n, 6) for n in range(1, 7)),
    ]
    times = done(sources, tmp_path / "times", tracker=track, time_range="00:00.35..0:1.5")
    assert [without_ids(row) for row in times] == [
        without_ids(row) for part in parts for row in part[4:15]
    ]
    ids = {person["id"] for row in found for person in row["people"]}
    assert ids == ({-1} if track is None else {1, 2})


def without_ids(row: Row) -> Row:
    return {**row, "people": [{**person, "id": 0} for person in row["people"]]}


def test_images_that_are_named_one_by_one_are_counted_in_their_folder(tmp_path: Path) -> None:
    folder = put(tmp_path / "in", 12)
    files = [folder / f"{number}.png" for number in range(12)]
    found = done(files, tmp_path / "out", frames="3:9", stride=2, fps=10)
    assert [(Path(r["source"]).name, r["frame"], r["time"]) for r in found] == [
        *(("3.png", 3, 0.3), ("5.png", 5, 0.5), ("7.png", 7, 0.7)),
    ]


@pytest.mark.parametrize("form", ["mp4", "folder"])
def test_a_drawn_video_keeps_the_times_of_its_frames(tmp_path: Path, form: str) -> None:
    source = film(tmp_path / "a.mp4") if form == "mp4" else put(tmp_path / "a", 30)
    spec = {} if form == "mp4" else {"fps": 10}
    out = tmp_path / "out"
    predict_to(Network(), [source], out, save=["video"], frames="5:", stride=5, **spec)  # type: ignore[arg-type]
    with open_source(out / "a.mp4") as drawn:
        assert [f.time for f in drawn] == pytest.approx([0, 0.5, 1, 1.5, 2])


def test_the_command_line_chooses_frames(tmp_path: Path, people_jpg: Path) -> None:
    path = film(tmp_path / "a.mp4", 12)
    options = ("--frames", "2:11", "--stride", 4, "--save", "jsonl")
    assert predict(tmp_path / "out", path, *options) == 0
    assert [(row["frame"], row["time"]) for row in lines(tmp_path / "out")] == [
        *((2, 0.2), (6, 0.6), (10, 1.0)),
    ]
    timed = ("--time-range", "0.45..0:00.75", "--save", "jsonl")
    assert predict(tmp_path / "timed", path, *timed) == 0
    assert [row["frame"] for row in lines(tmp_path / "timed")] == [5, 6, 7]
    folder = put(tmp_path / "in", 4)
    images = ("--fps", 10, "--time-range", "0.2:", "--stride", 1, "--save", "jsonl,video")
    assert predict(tmp_path / "images", folder, *images) == 0
    assert [(r["frame"], r["time"]) for r in lines(tmp_path / "images")] == [(2, 0.2), (3, 0.3)]


def test_a_source_without_a_frame_in_the_range_is_a_bad_input(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    short, long = film(tmp_path / "short.mp4", 5), film(tmp_path / "long.mp4", 9)
    out = tmp_path / "out"
    assert predict(out, short, long, "--frames", "6:8", "--save", "jsonl") == 3
    (line,) = said(capsys)
    told = "no frame is in frames 6:8; frames 0 to 4 were read, to 0.40 s"
    assert line == f"posewright: {short}: {told}"
    assert [(Path(row["source"]).name, row["frame"]) for row in lines(out)] == [
        *(("long.mp4", 6), ("long.mp4", 7)),
    ]
    assert predict(tmp_path / "none", short, "--frames", "6:8", "--save", "jsonl") == 3
    assert len(said(capsys)) == 1 and not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--frames", "7:7"), "frames 7:7 hold nothing"),
        (("--frames=-3:7",), "frames must be A:B"),
        (("--frames", "40"), "frames must be A:B"),
        (("--time-range", "5:2"), "the time range 5:2 holds nothing"),
        (("--time-range", "1:2:3"), "the time range must be A:B"),
        (("--stride", 0), "stride must be a whole number of at least 1, not 0"),
        (("--time-range", "1:2"), "holds images, which have no times for a time range"),
    ],
)
def test_a_wrong_range_is_told_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[Any, ...], told: str
) -> None:
    source = put(tmp_path / "in", 3)
    assert predict(tmp_path / "out", source, *options) == 2
    (line,) = said(capsys)
    assert told in line and not (tmp_path / "out").exists()


def test_a_range_holds_in_python(tmp_path: Path) -> None:
    from posewright import Pose

    path = film(tmp_path / "a.mp4", 12)
    pose = Pose(detector="whole-image", threads=1)
    assert [r.frame for r in pose.predict(path, frames=(2, 9), stride=3)] == [2, 5, 8]
    with pose.stream(path, time_range=(0.3, 0.6), tracker="oks") as stream:
        assert [r.frame for r in stream] == [3, 4, 5] and stream.source.total == 3
    with pytest.raises(SourceError, match="no frame is in frames 50:"):
        pose.predict(path, frames="50:")
    summary = pose.predict_to(path, tmp_path / "out", frames=slice(10, None))
    assert summary.frames == 2


# --- track ---------------------------------------------------------------------------------------


def rows(folder: Path, frames: list[tuple[str, int, float, bool]]) -> Path:
    """Write poses of somebody, by sequence, number, time and whether he is there."""
    writer = create_writer("jsonl", folder)
    for sequence, number, time, there in frames:
        people = somebody(100 + 4 * np.sin(40 * time), 1)
        people = people if there else people[:0]
        name = f"{sequence}.mp4"
        writer.write(Result(people, COCO17, (640, 480), name, number, time, sequence=name))
    return writer.close()[0]


def tracked(path: Path, out: Path, **options: Any) -> list[Result]:
    track_to(path, out, **options)
    return list(read_results(out / "poses.jsonl"))


def test_track_keeps_the_rows_of_a_range(tmp_path: Path) -> None:
    counts = {"a": 30, "b": 4, "c": 20}
    frames = [(s, n, n / 10, True) for s, count in counts.items() for n in range(count)]
    path = rows(tmp_path, frames)
    found = tracked(path, tmp_path / "one", frames="5:25", stride=4, time_range=(0.9, None))
    assert [(r.source, r.frame, r.time) for r in found] == [
        (f"{s}.mp4", n, n / 10) for s, stop in (("a", 25), ("c", 20)) for n in range(9, stop, 4)
    ]
    assert [int(r.ids[0]) for r in found] == [1] * 4 + [2] * 3
    options = ("--frames", "5:25", "--stride", 4, "--time-range", "0.9:", "--person", "longest")
    assert run("track", path, "-o", tmp_path / "two", *options) == 0
    again = list(read_results(tmp_path / "two" / "poses.jsonl"))
    assert [(r.source, r.frame, len(r)) for r in again] == [(r.source, r.frame, 1) for r in found]


def test_track_tells_a_range_without_a_row(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = rows(tmp_path, [("a", n, n / 10, True) for n in range(5)])
    for person in ((), ("--person", "longest")):
        assert run("track", path, "-o", tmp_path / "out", "--frames", "9:", *person) == 3
        (line,) = said(capsys)
        told = "no frame is in frames 9:; frames 0 to 4 were read, to 0.40 s"
        assert line == f"posewright: {path}: {told}" and not (tmp_path / "out").exists()
    with pytest.raises(UsageError, match="stride must be"):
        track_to(path, tmp_path / "out", stride=0)


@pytest.mark.parametrize("name", [n for n in trackers() if n not in COUNTING])
@pytest.mark.parametrize("stride", [1, 5])
@pytest.mark.parametrize(("away", "ids"), [(0.7, {1}), (1.4, {1, 2})])
@pytest.mark.parametrize("timed", [True, False])
def test_trackers_wait_as_many_seconds_with_every_stride(
    tmp_path: Path, name: str, stride: int, away: float, ids: set[int], timed: bool
) -> None:
    """A person who is away for 0.7 s is known again, after 1.4 s is not."""
    there = [not 2 < n / 30 <= 2 + away for n in range(125)]
    writer = create_writer("jsonl" if timed else "openpose", tmp_path)
    for number in range(125):
        people = somebody(100, -1)
        people = people if there[number] else people[:0]
        time = number / 30 if timed else 0.0
        writer.write(Result(people, COCO17, (640, 480), "a.mp4", number, time, sequence="a.mp4"))
    (path, *_) = writer.close()
    path = path if timed else tmp_path / "openpose"
    found = tracked(path, tmp_path / "out", tracker=name, stride=stride, fps=30)
    assert {int(i) for r in found for i in r.ids if i >= 0} == ids


@pytest.mark.parametrize(
    "smooth", ["one-euro", "kalman:cutoff=2", "kalman:2,lag=1", "butterworth:2", "savgol"]
)
def test_smoothing_takes_the_rate_that_is_left(tmp_path: Path, smooth: str) -> None:
    """Every fourth frame of a video at 30 a second is a video at 7.5."""
    every = rows(tmp_path / "every", [("a", n, n / 30, True) for n in range(120)])
    fourth = rows(tmp_path / "fourth", [("a", n, n / 7.5, True) for n in range(30)])
    options: dict[str, Any] = {"tracker": "none", "smooth": smooth}
    some = tracked(every, tmp_path / "some", fps=30, stride=4, **options)
    slow = tracked(fourth, tmp_path / "slow", fps=7.5, **options)
    plain = list(read_results(fourth))
    a, b, c = (np.stack([r.keypoints[0] for r in found]) for found in (some, slow, plain))
    assert np.abs(a - b).max() < 0.01 and np.abs(a - c).max() > 0.1


# --- bench ---------------------------------------------------------------------------------------


def test_bench_measures_chosen_frames(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = film(tmp_path / "a.mp4", 40)
    for options, count in (
        (("--count", 4), 4),
        (("--frames", "10:18"), 3),
        (("--stride", 5), 3),
        (("--frames", "10:", "--stride", 2, "--count", 9), 9),
    ):
        assert run("bench", path, "--json", *options) == 0
        assert json.loads(capsys.readouterr().out)["frames"] == count
    assert run("bench", path, "--frames", "40") == 2
    (line,) = said(capsys)
    assert "--frames 40 is now --count 40" in line
    assert run("bench", path, "--stride", "8") == 3
    assert "fewer than 6 frames" in said(capsys)[0]
