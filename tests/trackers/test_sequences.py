"""A sequence is one source or one folder: its numbers, its times, and identities that end there."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
from PIL import Image

from posewright.cli import main
from posewright.errors import OutputError, SourceError
from posewright.people import Frame, People
from posewright.predict import predict_to, track_to
from posewright.readers import read_results
from posewright.results import Result
from posewright.skeletons import COCO17
from posewright.smoothing import create_smoother, smoothed
from posewright.sources import gathered, open_source, together
from posewright.sources.order import natural
from posewright.sources.planning import sequences
from posewright.writers import WriterOptions, create_writer
from tests.helpers.sequences import Network, saved, somebody

PICTURE = cv2.imencode(".jpg", np.full((48, 64, 3), 90, np.uint8))[1].tobytes()


def albums(tmp_path: Path, counts: dict[str, int]) -> Path:
    """Make a folder of folders, with as many images as said in each."""
    for folder, count in counts.items():
        (tmp_path / "seqs" / folder).mkdir(parents=True)
        for i in range(count):
            (tmp_path / "seqs" / folder / f"cam{i + 8}.jpg").write_bytes(PICTURE)
    return tmp_path / "seqs"


def run(sources: Any, out: Path, **options: Any) -> list[dict[str, Any]]:
    """Predict; return the rows of poses.csv, one for each person."""
    save = ["csv", *options.pop("save", ())]
    predict_to(Network(), sources, out, save=save, **options)  # type: ignore[arg-type]
    return people_of(out / "poses.csv")


def people_of(table: Path) -> list[dict[str, Any]]:
    rows = csv.DictReader(table.read_text().splitlines())
    return [row for row in rows if row["joint"] == "nose"]


# --- sources -------------------------------------------------------------------------------------


def zipped(folder: Path) -> Path:
    path = folder.with_suffix(".zip")
    with ZipFile(path, "w") as archive:
        for file in folder.rglob("*.jpg"):
            archive.write(file, file.relative_to(folder))
    return path


def listed(folder: Path) -> Path:
    files = sorted(folder.rglob("*.jpg"), key=lambda f: (f.parent, int(f.stem[3:])))
    path = folder / "list.txt"
    path.write_text("".join(f"{file.relative_to(folder)}\n" for file in files))
    return path


@pytest.mark.parametrize("kind", ["folder", "glob", "zip", "list", "paths"])
def test_the_pictures_of_each_folder_are_numbered_and_timed(tmp_path: Path, kind: str) -> None:
    folder = albums(tmp_path, {"s1": 3, "s10": 1, "s2": 2})
    files = [folder / s / f"cam{i}.jpg" for s, n in (("s1", 3), ("s2", 2)) for i in range(8, 8 + n)]
    spec: Any = {
        "folder": folder,
        "glob": f"{folder}/**/*.jpg",
        "zip": zipped(folder),
        "list": listed(folder),
        "paths": files,
    }[kind]
    with open_source(spec, fps=25) as source:
        assert source.fps == 25
        found = [(Path(f.sequence).name, f.index, f.time) for f in source]
    s1 = [("s1", 0, 0), ("s1", 1, 0.04), ("s1", 2, 0.08)]
    s2, s10 = [("s2", 0, 0), ("s2", 1, 0.04)], [("s10", 0, 0)]
    assert found == {"list": s1 + s10 + s2, "paths": s1 + s2}.get(kind, s1 + s2 + s10)


def test_a_video_is_a_sequence_and_keeps_its_own_times(short_clip: Path) -> None:
    with open_source(short_clip, fps=100) as source:
        frames = list(source)
    assert {f.sequence for f in frames} == {str(short_clip)}
    assert [f.time for f in frames] == pytest.approx([i / 10 for i in range(4)])


@pytest.fixture
def short_clip(tmp_path: Path) -> Path:
    writer = create_writer("video", tmp_path, options=WriterOptions(fps=10))
    image = np.full((48, 64, 3), 90, np.uint8)
    for i in range(4):
        writer.write(Result(somebody(), COCO17, (64, 48), "clip.avi", i, i / 10, image=image))
    return writer.close()[0]


def test_pictures_named_one_by_one_are_a_source_for_each_folder(tmp_path: Path) -> None:
    folder = albums(tmp_path, {"s1": 2, "s2": 2})
    one, two = ([folder / s / f"cam{i}.jpg" for i in (8, 9)] for s in ("s1", "s2"))
    assert gathered([*one, *two]) == [one, two]
    assert gathered([one[0], 3, two[0], one[1], two[1]]) == [one, 3, two]
    assert gathered([*one, folder, two[0], "no.jpg", 3]) == [one, folder, two[0], "no.jpg", 3]


@pytest.mark.parametrize("rate", [0, -5, float("nan"), 1001, 1e-9])
def test_a_rate_that_is_none(tmp_path: Path, rate: float, capsys: pytest.CaptureFixture) -> None:
    folder = albums(tmp_path, {"s1": 1})
    assert main(["predict", str(folder), "-o", str(tmp_path / "out"), "--fps", str(rate)]) == 2
    assert "fps must lie between 1e-06 and 1000, not" in capsys.readouterr().err


# --- predict -------------------------------------------------------------------------------------


def ids_by_folder(rows: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for row in rows:
        found.setdefault(Path(row["source"]).parent.name, set()).add(row["id"])
    return found


@pytest.mark.parametrize("tracker", ["oks", "bytetrack", "ocsort", "poseflow"])
def test_identities_end_with_their_folder(tmp_path: Path, tracker: str) -> None:
    folder = albums(tmp_path, {"s1": 5, "s2": 5})
    whole = ids_by_folder(run([folder], tmp_path / "a", tracker=tracker))
    apart = ids_by_folder(run([folder / "s1", folder / "s2"], tmp_path / "b", tracker=tracker))
    files = sorted(folder.rglob("*.jpg"), key=lambda f: (f.parent, int(f.stem[3:])))
    named = ids_by_folder(run(files, tmp_path / "c", tracker=tracker))
    assert whole == apart == named
    assert not (whole["s1"] - {"-1"}) & (whole["s2"] - {"-1"}) and len(whole["s2"] - {"-1"}) == 1


@pytest.mark.parametrize("kind", ["list", "paths", "nested"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_folders_that_alternate_are_read_one_after_the_other(
    tmp_path: Path, kind: str, overwrite: bool
) -> None:
    folder = albums(tmp_path, {"cam2": 3, "cam1": 3})
    files = [folder / cam / f"cam{i}.jpg" for i in range(8, 11) for cam in ("cam2", "cam1")]
    (folder / "list.txt").write_text("".join(f"{file.relative_to(folder)}\n" for file in files))
    sources: Any = {"list": [folder / "list.txt"], "paths": files, "nested": [files]}[kind]
    rows = run(
        sources,
        tmp_path / "out",
        tracker="oks",
        fps=10.0,
        save=["video"],
        writing=WriterOptions(overwrite=overwrite),
    )
    assert [Path(row["source"]).parent.name for row in rows] == ["cam2"] * 3 + ["cam1"] * 3
    assert [row["id"] for row in rows] == ["1"] * 3 + ["2"] * 3
    for name in ("cam1", "cam2"):
        with open_source(tmp_path / "out" / f"{name}.mp4") as source:
            assert [f.time for f in source] == pytest.approx([0, 0.1, 0.2])


def test_folders_whose_names_differ_in_case_or_zeros_stay_apart(tmp_path: Path) -> None:
    folder = albums(tmp_path, {"cam1": 2, "cam01": 2})
    for spec in (folder, zipped(folder), f"{folder}/**/*.jpg"):
        with open_source(spec) as source:
            assert [Path(f.sequence).name for f in source] == ["cam01"] * 2 + ["cam1"] * 2
    names = ["Cam/1.jpg", "cam/1.jpg", "Cam/2.jpg", "cam/2.jpg"]
    assert sorted(names, key=natural) == ["Cam/1.jpg", "Cam/2.jpg", "cam/1.jpg", "cam/2.jpg"]


def test_a_tracker_meets_a_list_folder_by_folder(tmp_path: Path) -> None:
    paths = ["b/1.jpg", "a/1.jpg", Path("b/0.jpg"), "a/0.jpg"]
    assert together(paths) == ["b/1.jpg", Path("b/0.jpg"), "a/1.jpg", "a/0.jpg"]
    assert together(["a/1.jpg", 3, "b/1.jpg"]) == ["a/1.jpg", 3, "b/1.jpg"]


def test_the_detector_runs_on_the_first_frame_of_every_folder(tmp_path: Path) -> None:
    folder = albums(tmp_path, {"s1": 4, "s2": 4})
    network = Network()
    with network.stream(folder, tracker="oks", det_every=3, keep_images=False) as results:
        ids = [int(result.ids[0]) for result in results]
    assert network.asked == [("s1", 0), ("s1", 3), ("s2", 0), ("s2", 3)]
    assert ids == [1] * 4 + [2] * 4


def test_smoothing_and_gaps_end_with_their_sequence() -> None:
    def result(sequence: str, i: int, x: float) -> Result:
        return Result(somebody(x, 1), COCO17, (640, 480), "p.jpg", i, i / 30, sequence=sequence)

    a = [result("a", i, 100) for i in range(6)]
    b = [result("b", i, 400) for i in range(6)]
    for method in ("one-euro", "kalman", "butterworth", "savgol"):
        together = list(smoothed([*a, *b], create_smoother(method, gap=0.2)))
        alone = [r for part in (a, b) for r in smoothed(part, create_smoother(method, gap=0.2))]
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one.keypoints, other.keypoints)
            assert one.sequence == other.sequence
    away = a[0].replace(people=People.empty(COCO17))
    filled = list(
        smoothed([a[0], away.replace(sequence="b", frame=1), b[2]], create_smoother(gap=1))
    )
    assert [len(r) for r in filled] == [1, 0, 1]


def test_drawn_folders_have_the_rate_of_their_pictures(tmp_path: Path) -> None:
    folder = albums(tmp_path, {"take.1": 3, "take.2": 2})
    run([folder], tmp_path / "out", save=["video"], fps=5)
    for name, count in (("take.1", 3), ("take.2", 2)):
        with open_source(tmp_path / "out" / f"{name}.mp4") as source:
            assert [f.time for f in source] == pytest.approx([i / 5 for i in range(count)])


@pytest.mark.parametrize("kind", ["array", "arrays", "generator", "frames", "images"])
@pytest.mark.parametrize("fps", [None, 5.0])
def test_arrays_follow_one_another_without_a_note(
    tmp_path: Path, kind: str, fps: float | None
) -> None:
    pixels = np.full((4, 48, 64, 3), 90, np.uint8)
    source: Any = {
        "array": pixels,
        "arrays": list(pixels),
        "generator": (row for row in pixels),
        "frames": [Frame(row, name="mine") for row in pixels],
        "images": [Image.fromarray(row) for row in pixels],
    }[kind]
    options = {} if fps is None else {"fps": fps}
    summary = predict_to(
        Network(),
        [source],
        tmp_path,
        save=["video"],
        color="rgb",  # type: ignore[arg-type]
        writing=WriterOptions(**options),
        **options,  # type: ignore[arg-type]
    )
    assert [note for note in summary.notes if "frames follow" in note] == []
    with open_source(summary.files[0]) as film:
        assert [f.time for f in film] == pytest.approx([i / (fps or 25) for i in range(4)])


@pytest.mark.parametrize("kind", ["videos", "folder", "glob", "list", "zip", "paths", "nested"])
def test_a_video_that_is_there_is_told_before_anything_is_drawn(
    tmp_path: Path, kind: str, short_clip: Path
) -> None:
    folder = albums(tmp_path, {"take.1": 2, "u/take.2": 1, "v/take.2": 1})
    files = sorted(map(str, folder.rglob("*.jpg")))
    clips = [tmp_path / name for name in ("a.avi", "b.avi")]
    for clip in clips:
        clip.write_bytes(short_clip.read_bytes().replace(b"drawn by", b"taken by"))
    source: dict[str, list[Any]] = {
        "videos": clips,
        "folder": [folder],
        "glob": [f"{folder}/**/*.jpg"],
        "paths": files,
        "zip": [zipped(folder)],
        "list": [folder / "all.txt"],
        "nested": [files],
    }
    (folder / "all.txt").write_text("\n".join(files))
    run(source[kind], tmp_path / "free", save=["video"])
    films = sorted(path.name for path in (tmp_path / "free").glob("*.mp4"))
    assert films == (
        ["a.mp4", "b.mp4"] if kind == "videos" else ["take.1.mp4", "take.2.mp4", "v_take.2.mp4"]
    )
    for film in films:
        out = tmp_path / film.removesuffix(".mp4")
        out.mkdir()
        (out / film).write_text("mine")
        with pytest.raises(
            OutputError, match=f"{film} already exists; replace it with --overwrite"
        ):
            run(source[kind], out, save=["video"])
        assert [path.name for path in out.iterdir()] == [film]
        (out / film).rename(out / film.replace(".mp4", ".avi"))
        run(source[kind], out, save=["video"])


def test_a_camera_or_stream_has_a_name_before_it_is_read() -> None:
    assert sequences("rtsp://me:secret@host/live") == [("rtsp://***@host/live", False)]
    assert sequences(0) == sequences("camera:00") == [("camera:0", False)]
    assert sequences(np.zeros((4, 4, 3), np.uint8)) == sequences("no.mp4") == []


# --- files ---------------------------------------------------------------------------------------


def pose2sim_frame(name: str) -> int:
    """The frame that pose2sim reads from a file's name: the last number in it."""
    return int(re.split(r"(\d+)", name)[-2])


CAMERAS = [("cam1_001", "cam1_002", "cam1_010"), ("c", "b2", "a1_v2")]


def openpose_files(tmp_path: Path, names: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Return the sources in the order of the run, and the files that it makes, unsorted."""
    folder = tmp_path / "cam1"
    folder.mkdir()
    for name in names:
        (folder / f"{name}.jpg").write_bytes(PICTURE)
    rows = run([folder], tmp_path / "out", save=["openpose"])
    assert [int(row["frame"]) for row in rows] == [0, 1, 2]
    files = [file.name for file in (tmp_path / "out" / "openpose").iterdir()]
    return [row["source"] for row in rows], files


def sources_of(tmp_path: Path, files: list[str]) -> list[str]:
    texts = [(tmp_path / "out" / "openpose" / file).read_text() for file in files]
    return [json.loads(text)["source"] for text in texts]


@pytest.mark.parametrize("names", CAMERAS)
def test_the_last_number_of_an_openpose_file_is_its_frame(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    sources, files = openpose_files(tmp_path, names)
    files.sort(key=pose2sim_frame)
    assert [pose2sim_frame(file) for file in files] == [0, 1, 2]
    assert sources_of(tmp_path, files) == sources


@pytest.mark.parametrize("names", CAMERAS)
def test_pose2sim_sorts_the_files_by_their_frames(tmp_path: Path, names: tuple[str, ...]) -> None:
    common = pytest.importorskip("Pose2Sim.common", reason="Pose2Sim is not installed")
    sources, files = openpose_files(tmp_path, names)
    assert sources_of(tmp_path, common.sort_stringlist_by_last_number(files)) == sources


FORMATS = {
    "jsonl": "poses.jsonl",
    "coco": "coco-results.json",
    "alphapose": "alphapose-results.json",
    "openpose": "openpose",
    "alphapose-cmu": "alphapose-results.json",
    "alphapose-open": "alphapose-results.json",
}
SOURCES = {
    "videos": ["u/walk.mp4", "v/walk.mp4", "v/run.mp4"],
    "folders": ["s1/img%d.jpg", "s2/img%d.jpg", "t/s2/img%d.jpg"],
    "nameless": ["s1/p%dx.jpg", "s2/p%dy.jpg", "s3/q%dz.jpg"],
}


@pytest.mark.parametrize("kind", SOURCES)
@pytest.mark.parametrize("form", FORMATS)
def test_track_tells_sequences_apart(tmp_path: Path, form: str, kind: str) -> None:
    path = saved(tmp_path, form, SOURCES[kind])
    summary = track_to(path, tmp_path / "out", save=["csv"], fps=25, smooth="savgol")
    assert summary.ids == 3 and summary.people == 9
    rows = people_of(tmp_path / "out" / "poses.csv")
    assert [row["id"] for row in rows] == ["1"] * 3 + ["2"] * 3 + ["3"] * 3
    for row in rows:
        assert float(row["time"]) == pytest.approx(int(row["frame"]) / 25) or (
            form == "jsonl" and kind == "videos"  # which have their own times
        )


def test_person_is_chosen_in_every_folder(tmp_path: Path) -> None:
    path = saved(tmp_path, "coco", SOURCES["folders"])
    summary = track_to(path, tmp_path / "out", save=["csv"], person="longest")
    assert summary.people == 9 and summary.ids == 3


def test_names_whose_numbers_do_not_grow_are_one_sequence(tmp_path: Path) -> None:
    flat = [float(v) for x, y in somebody().keypoints[0] for v in (x, y, 0.9)]
    entry = {"category_id": 1, "keypoints": flat, "score": 2.9, "box": [100, 100, 60, 120]}
    names = ["take1_cam2.jpg", "take2_cam2.jpg", "take3_cam2.jpg"]
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{**entry, "image_id": name} for name in names]))
    assert [r.frame for r in read_results(path)] == [0, 1, 2]
    assert track_to(path, tmp_path / "out").ids == 1


def test_poses_of_earlier_versions_have_sequences(tmp_path: Path) -> None:
    path = saved(tmp_path, "jsonl", SOURCES["folders"])
    text = re.sub(r'"sequence":"[^"]*",', "", path.read_text())
    assert "sequence" not in text
    path.write_text(text)
    assert list(dict.fromkeys(r.sequence for r in read_results(path))) == ["s1", "s2", "t/s2"]
    assert track_to(path, tmp_path / "out").ids == 3


def test_files_of_openpose_itself_are_one_sequence(tmp_path: Path) -> None:
    flat = [float(v) for x, y in somebody().keypoints[0] for v in (x, y, 0.9)]
    for name in ("cam_9", "cam_10", "cam_11"):
        page = {"version": 1.3, "people": [{"person_id": [-1], "pose_keypoints_2d": flat}]}
        (tmp_path / f"{name}_keypoints.json").write_text(json.dumps(page))
    assert [(r.sequence, r.frame) for r in read_results(tmp_path)] == [
        ("cam", i) for i in (9, 10, 11)
    ]
    assert track_to(tmp_path, tmp_path / "out").ids == 1


@pytest.mark.parametrize("form", ["alphapose-cmu", "alphapose-open"])
def test_the_other_flavours_of_alphapose_are_read(tmp_path: Path, form: str) -> None:
    writer = create_writer(form, tmp_path)
    for i, who in enumerate((somebody(), People.empty(COCO17), somebody(300))):
        writer.write(Result(who, COCO17, (640, 480), "clip.mp4", i))
    [path] = writer.close()
    first, last = read_results(path)
    assert (first.frame, last.frame) == (0, 2) and first.skeleton.name == "coco18"
    np.testing.assert_allclose(first.keypoints[0, 0], somebody().keypoints[0, 0], rtol=1e-5)
    assert last.people.pose_scores[0] == pytest.approx(0.9, abs=1e-6)
    for content in ({"a.jpg": {"bodies": [{"joints": ["x"]}]}}, {"a.jpg": {"bodies": [5]}}):
        path.write_text(json.dumps(content))
        with pytest.raises(SourceError, match="1 of 1 entries"):
            list(read_results(path))
    for other in ({"a.jpg": {"faces": []}}, {"a.jpg": 5}, {}):
        path.write_text(json.dumps(other))
        with pytest.raises(SourceError, match="not a list of people"):
            list(read_results(path))
