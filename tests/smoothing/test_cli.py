"""The options of predict and track that smooth, fill and choose: each has an effect."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from posewright.cli import main
from posewright.errors import UsageError
from posewright.people import People
from posewright.predict import predict_to, track_to
from posewright.results import Result
from posewright.skeletons import COCO17
from posewright.smoothing.gaps import FILLED
from posewright.smoothing.person import choose
from posewright.writers import create_writer
from posewright.writers.outputs import Summary
from tests.helpers.people import POSE


def run(*args: object) -> int:
    try:
        return main([str(a) for a in args])
    except SystemExit as stop:
        return int(stop.code or 0)


def lines(out: Path) -> list[dict]:
    return [json.loads(line) for line in (out / "poses.jsonl").read_text().splitlines()[1:]]


def noses(out: Path) -> np.ndarray:
    """(T, 2) px of the first person's nose."""
    return np.array([f["people"][0]["keypoints"][0][:2] for f in lines(out) if f["people"]])


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Poses of 60 frames: 1 walks near the middle, 2 is small and away in 20-22, 3 is large."""
    folder = tmp_path_factory.mktemp("saved")
    writer = create_writer("jsonl", folder)
    rng = np.random.default_rng(0)
    for i in range(60):
        there = [(1, 320 + i, 1.0), (2, 100, 0.5), (3, 540, 1.6)]
        there = [p for p in there if not (p[0] == 2 and i in (20, 21, 22)) and (p[0] < 3 or i > 30)]
        points = np.stack([POSE * size + (x, 240) for _, x, size in there])
        points = points + rng.normal(0, 2, points.shape)
        ids = [-1 for _ in there]
        people = People.of(keypoints=points, scores=np.full(points.shape[:2], 0.9), ids=ids)
        writer.write(Result(people, COCO17, (640, 480), "clip.mp4", i, i / 30))
    writer.close()
    return folder / "poses.jsonl"


def track(saved: Path, out: Path, *options: object) -> int:
    return run("track", saved, "-o", out, *options)


@pytest.mark.parametrize("name", ["coco-results.json", "alphapose-results.json"])
def test_results_without_frames_are_told(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / name).write_text("[]", encoding="utf-8")
    assert track(tmp_path / name, tmp_path / "out") == 0
    assert "holds no frame to keep; nothing was written" in capsys.readouterr().err


@pytest.mark.parametrize("method", ["one-euro", "kalman", "butterworth", "savgol"])
def test_track_smooths(method: str, saved: Path, tmp_path: Path) -> None:
    assert track(saved, tmp_path / "raw") == 0
    assert track(saved, tmp_path / "smooth", "--smooth", method, "--gap", "0") == 0
    raw, smooth = lines(tmp_path / "raw"), lines(tmp_path / "smooth")
    for a, b in zip(raw, smooth, strict=True):
        assert [p["id"] for p in a["people"]] == [p["id"] for p in b["people"]]
    trembling = [np.diff(noses(tmp_path / d), 2, axis=0).std() for d in ("raw", "smooth")]
    assert trembling[1] < 0.5 * trembling[0]


def test_gap_fills_who_was_away(saved: Path, tmp_path: Path) -> None:
    counts = {}
    for gap in ("0", "0.05", "0.2"):
        assert track(saved, tmp_path / gap, "--gap", gap) == 0
        counts[gap] = [len(f["people"]) for f in lines(tmp_path / gap)]
    assert counts["0"] == counts["0.05"] == [2] * 20 + [1] * 3 + [2] * 8 + [3] * 29
    assert counts["0.2"] == [2] * 31 + [3] * 29
    filled = lines(tmp_path / "0.2")[21]["people"][1]
    assert {score for _, _, score in filled["keypoints"]} == {FILLED}
    assert track(saved, tmp_path / "usual", "--smooth", "one-euro") == 0
    assert [len(f["people"]) for f in lines(tmp_path / "usual")] == counts["0.2"]


@pytest.mark.parametrize(
    ("who", "person"), [("longest", 1), ("largest", 3), ("central", 1), ("2", 2)]
)
def test_person_keeps_one(who: str, person: int, saved: Path, tmp_path: Path) -> None:
    assert track(saved, tmp_path, "--person", who) == 0
    frames = lines(tmp_path)
    assert len(frames) == 60 and {p["id"] for f in frames for p in f["people"]} == {person}


def test_person_without_sizes_and_without_people(saved: Path, tmp_path: Path) -> None:
    assert track(saved, tmp_path, "--save", "coco") == 0
    assert track(tmp_path / "coco-results.json", tmp_path / "a", "--person", "central") == 2
    assert track(tmp_path / "coco-results.json", tmp_path / "b", "--person", "longest") == 0
    empty = [Result(People.empty(COCO17), COCO17, (64, 48))]
    assert choose(empty, "longest") == choose(empty, "5") == choose([], "central") == -1


def test_trackers_by_name_or_none(
    saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert track(saved, tmp_path / "a", "--tracker", "none") == 0
    assert {p["id"] for f in lines(tmp_path / "a") for p in f["people"]} == {-1}
    assert track(saved, tmp_path / "b", "--tracker", "oks") == 0
    again = tmp_path / "b" / "poses.jsonl"
    assert track(again, tmp_path / "c", "--tracker", "none", "--person", "2") == 0
    assert {p["id"] for f in lines(tmp_path / "c") for p in f["people"]} == {2}
    capsys.readouterr()
    assert track(saved, tmp_path / "d", "--tracker", "osk") == 2
    assert "'oks'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "options",
    [
        ("--smooth", "buterworth"),
        ("--gap", "-1"),
        ("--gap", "60"),
        ("--person", "tallest"),
        ("--person", "99"),
        ("--smooth", "savgol:8"),
    ],
)
def test_mistakes_are_usage_and_write_nothing(
    options: tuple[str, str], saved: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert track(saved, tmp_path / "out", *options) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert not list(tmp_path.rglob("*.jsonl*"))


def test_every_sequence_of_a_file_has_its_own_person(saved: Path, tmp_path: Path) -> None:
    text = saved.read_text()
    frames = text.splitlines(keepends=True)[1:]
    both = tmp_path / "both.jsonl"
    both.write_text(text + "".join(frames[:20]))  # numbers start again
    assert track(both, tmp_path / "out", "--person", "largest", "--smooth", "butterworth") == 0
    ids = [
        {p["id"] for f in part for p in f["people"]}
        for part in (lines(tmp_path / "out")[:60], lines(tmp_path / "out")[60:])
    ]
    assert ids[0] == {3} and len(ids[1]) == 1 and not ids[0] & ids[1]


class Walker:
    """Stands in for Pose: noisy people without a network."""

    skeleton = COCO17
    embed = None
    detector = None
    detector_note = ""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.tracker: object = None

    def stream(self, source: str, *, tracker: object, **options: object) -> WalkerStream:
        self.tracker = tracker
        return WalkerStream(self.kind, tracker)


class WalkerStream:
    """Twelve results, as of a video or a live stream."""

    def __init__(self, kind: str, tracker: object) -> None:
        self.source = type("Opened", (), {"fps": 30.0, "kind": kind, "name": "x", "total": None})()
        self._tracker = tracker

    def __enter__(self) -> WalkerStream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __iter__(self) -> Iterator[Result]:
        rng = np.random.default_rng(0)
        for i in range(12):
            points = POSE[None] + np.array([300 + i, 200]) + rng.normal(0, 2, (1, 17, 2))
            people = People.of(keypoints=points, scores=np.full((1, 17), 0.9), ids=[1])
            yield Result(people, COCO17, (640, 480), "x", i, i / 30)


def predicted(out: Path, kind: str = "video", **options: object) -> np.ndarray:
    walker = Walker(kind)
    summary = predict_to(walker, ["x"], out, tracker="oks", **options)  # type: ignore[arg-type]
    assert summary.frames == 12 and walker.tracker is not None
    return noses(out)


def test_predict_smooths_files_and_live_sources(tmp_path: Path) -> None:
    raw = predicted(tmp_path / "raw")
    for method in ("one-euro", "kalman", "butterworth", "savgol"):
        found = predicted(tmp_path / method, smooth=method)
        assert len(found) == 12 and 0.5 < np.abs(found - raw).max() < 20
    live = predicted(tmp_path / "live", "stream", smooth="kalman")
    np.testing.assert_allclose(live, noses(tmp_path / "kalman"), atol=1e-3)


def test_predict_says_what_to_do_instead(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="posewright track"):
        predicted(tmp_path / "a", "stream", smooth="butterworth")
    with pytest.raises(UsageError, match="without images and video"):
        predicted(tmp_path / "b", smooth="savgol", save=("jsonl", "video"))
    with pytest.raises(UsageError, match="--track"):
        predict_to(Walker("video"), ["x"], tmp_path / "c", smooth="one-euro")  # type: ignore
    assert not list(tmp_path.rglob("*.jsonl*"))


def test_predict_stopped_early_keeps_what_was_held(tmp_path: Path) -> None:
    asked = iter([False] * 5 + [True])
    summary = predict_to(
        Walker("video"),
        ["x"],
        tmp_path,
        tracker="oks",
        smooth="butterworth",
        stopped=lambda: next(asked),
    )  # type: ignore[arg-type]
    assert summary.interrupted and summary.frames == 6 and len(noses(tmp_path)) == 6


def test_options_of_predict_reach_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    seen: dict[str, object] = {}

    def fake(pose: object, sources: object, out: Path, **options: object) -> Summary:
        seen.update(options)
        return Summary()

    monkeypatch.setattr("posewright.predict.predict_to", fake)
    monkeypatch.setattr("posewright.cli.predict.load_pose", lambda args, reid: Walker("video"))
    options = ["--tracker", "oks", "--smooth", "butterworth:4", "--gap", "0.5"]
    assert run("predict", "clip.mp4", "-o", tmp_path, *options) == 0
    assert (seen["tracker"], seen["gap"], seen["save"]) == ("oks", 0.5, ["jsonl"])
    assert seen["smooth"].settings["cutoff"] == 4  # type: ignore[attr-defined]
    assert run("predict", "clip.mp4", "-o", tmp_path, "--track", "--smooth", "one-euro") == 0
    assert (seen["tracker"], seen["gap"], seen["save"]) == ("oks", None, ["jsonl", "video"])


def test_track_to_takes_the_same_in_python(saved: Path, tmp_path: Path) -> None:
    summary = track_to(saved, tmp_path, smooth="savgol", gap=0.2, person="longest")
    assert summary.ids == 1 and summary.frames == summary.people == 60
