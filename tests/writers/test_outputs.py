"""What a run leaves: all that is good, whatever fails; and what it never takes from others."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
import pytest

from posewright.errors import OutputError
from posewright.files.lock import LOCK
from posewright.readers import read_results
from posewright.results import Result
from posewright.writers import WriterOptions
from posewright.writers.encoders import Film
from posewright.writers.outputs import Outputs, Summary
from tests.helpers.results import opened, read_json, result


def left(out: Path) -> list[str]:
    return sorted(path.name for path in out.iterdir())


# --- one writer that fails -----------------------------------------------------------------------


@pytest.mark.parametrize("where", ["add", "finish"])
def test_a_failing_encoder_takes_no_other_file_down(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Film, *_: object) -> Path:
        self.abort()
        raise OutputError("the encoder gave up")

    monkeypatch.setattr(Film, where, fail)
    with opened(tmp_path, "video,csv,jsonl") as outputs:
        for frame in range(3):
            outputs.write(result(frame=frame))
    assert outputs.summary.errors == ["the encoder gave up"] and outputs.summary.exit_code == 4
    assert left(tmp_path) == ["poses.csv", "poses.jsonl"]
    assert len(list(read_results(tmp_path / "poses.jsonl"))) == 3


def test_every_file_is_finished_where_an_error_ends_the_run(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(tmp_path, "jsonl,coco,images") as outputs:
        outputs.write(result(source="7.jpg"))
        raise ZeroDivisionError
    assert left(tmp_path) == ["coco-results.json", "images", "poses.jsonl"]
    assert read_json(tmp_path / "coco-results.json")[0]["image_id"] == 7


def test_every_file_is_finished_where_finishing_one_breaks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outputs = opened(tmp_path, "csv,openpose,jsonl")
    outputs.write(result())
    monkeypatch.setattr(outputs.writers[1], "close", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError), outputs:
        pass
    assert left(tmp_path) == ["poses.csv", "poses.jsonl"]


def test_a_second_interrupt_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "out", "jsonl,video") as outputs:
        outputs.write(result())
        raise KeyboardInterrupt
    assert not (tmp_path / "out").exists()


def test_an_interrupt_while_a_film_is_finished_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(self: Film) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Film, "finish", interrupt)
    with pytest.raises(KeyboardInterrupt), opened(tmp_path / "out", "video") as outputs:
        outputs.write(result())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("there", ["", "a", "a/b", "a/b/c"])
def test_a_run_without_a_frame_leaves_no_new_folder(there: str, tmp_path: Path) -> None:
    (tmp_path / there).mkdir(parents=True, exist_ok=True)
    with opened(tmp_path / "a" / "b" / "c", "jsonl,images"):
        pass
    found = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")]
    assert sorted(found) == [name for name in ("a", "a/b", "a/b/c") if there.startswith(name)]


@pytest.mark.parametrize(
    "place",
    ["writers.outputs.create_writer", "writers.outputs.find", "files.lock.masked"],
)
@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupt_at_the_start_leaves_no_lock(
    place: str, error: type[BaseException], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(f"posewright.{place}", interrupt)
    with pytest.raises(error):
        opened(tmp_path / "out")
    assert not (tmp_path / "out").exists()
    monkeypatch.undo()
    with opened(tmp_path / "out") as outputs:
        outputs.write(result())
    assert left(tmp_path / "out") == ["poses.jsonl"]


def test_pictures_too_wide_for_jpeg_are_drawn_too(tmp_path: Path) -> None:
    wide = result(source="wide.jpg", image=np.zeros((2, 70_000, 3), np.uint8), size=(70_000, 2))
    with opened(tmp_path, "images") as outputs:
        outputs.write(result(source="p.jpg"))
        outputs.write(wide)
    assert left(tmp_path / "images") == ["p.jpg", "wide.png"]
    assert cv2.imread(str(tmp_path / "images" / "wide.png")).shape == (2, 70_000, 3)


def test_a_video_that_cannot_be_encoded_takes_no_other_down(tmp_path: Path) -> None:
    wide = np.zeros((2, 17_000, 3), np.uint8)  # H.264 ends at 16,384
    outputs = Outputs.open(
        ["video", "jsonl"], tmp_path, WriterOptions(video_codecs=("libx264",)), Summary()
    )
    with outputs:
        for frame in range(2):
            outputs.write(result(source="a.mp4", frame=frame))
        for frame in range(2):
            outputs.write(result(source="b.mp4", frame=frame, image=wide, size=(17_000, 2)))
        outputs.write(result(source="c.mp4"))
    assert left(tmp_path) == ["a.mp4", "c.mp4", "poses.jsonl"]
    [error] = outputs.summary.errors
    assert error.startswith("b.mp4: no video codec opens for 17000 x 2")
    assert outputs.summary.exit_code == 4 and len(outputs.summary.files) == 3


@pytest.mark.parametrize("save", ["video", "video,jsonl"])
def test_films_that_are_finished_are_named_where_a_later_one_fails(
    save: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Film, *_: object) -> None:
        self.abort()
        raise OutputError("the disk is full")

    told = []
    outputs = opened(tmp_path, save)
    for name in ("a.mp4", "b.mp4"):
        outputs.write(result(source=name))
    monkeypatch.setattr(Film, "add", fail)
    try:
        with outputs:
            outputs.write(result(source="c.mp4"))
    except OutputError as error:
        told = str(error).split("; complete: ")
    assert (save == "video") == (told == ["the disk is full", ", ".join(outputs.summary.files)])
    assert {"a.mp4", "b.mp4"} <= {Path(file).name for file in outputs.summary.files}
    assert outputs.summary.errors == ["the disk is full"]


def test_a_picture_named_like_a_frame_of_a_video(tmp_path: Path) -> None:
    with opened(tmp_path, "images") as outputs:
        outputs.write(result(source="walk.mp4", frame=12))
        outputs.write(result(source="walk_000012.jpg"))
    assert left(tmp_path / "images") == ["walk_000012.jpg", "walk_000012_2.jpg"]


def deny(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


@pytest.mark.parametrize("save", ["jsonl,csv", "openpose,parquet", "video,images", "alphapose-cmu"])
def test_a_folder_that_becomes_read_only_is_told_and_unlocked(
    save: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(OutputError, match="writing to the folder is not permitted") as caught:
        with opened(tmp_path, save) as outputs:
            outputs.write(result())
            for function in ("unlink", "rename", "replace", "link", "mkdir", "rmdir"):
                monkeypatch.setattr(os, function, deny)
    monkeypatch.undo()
    assert len(outputs.summary.errors) == len(save.split(","))
    for part in tmp_path.glob("*.part-*"):  # the one message names all that was kept
        assert str(part) in str(caught.value)
    assert LOCK in left(tmp_path)
    with opened(tmp_path, save, overwrite=True) as again:  # nobody holds the lock
        again.write(result())
    assert LOCK not in left(tmp_path) and again.summary.errors == []


@pytest.mark.parametrize("method", ["write", "close", "abort"])
def test_an_error_of_the_system_takes_no_other_file_down(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(tmp_path, "csv,openpose,jsonl") as outputs:
        monkeypatch.setattr(outputs.writers[1], method, deny)
        if method == "abort":
            monkeypatch.setattr(outputs.writers[1], "write", deny)
        for frame in range(2):
            outputs.write(result(frame=frame))
    [error] = outputs.summary.errors
    assert error.startswith(f"cannot write {tmp_path}: writing to the folder is not permitted")
    assert [name for name in left(tmp_path) if "part" not in name] == ["poses.csv", "poses.jsonl"]


# --- two runs, one folder ------------------------------------------------------------------------


def test_a_second_run_into_the_folder_stops(tmp_path: Path) -> None:
    with opened(tmp_path, "jsonl") as first:
        first.write(result())
        with pytest.raises(OutputError, match=f"another run is.*process {os.getpid()},"):
            opened(tmp_path, "csv")
        with pytest.raises(OutputError, match="another run"):  # nor does --overwrite help
            opened(tmp_path, "jsonl", overwrite=True)
    assert left(tmp_path) == ["poses.jsonl"]
    assert len(list(read_results(tmp_path / "poses.jsonl"))) == 1
    with opened(tmp_path, "csv") as second:  # the lock went with the first run
        second.write(result())


@pytest.mark.parametrize("name", ["jsonl", "images", "video", "parquet"])
def test_what_appears_meanwhile_is_not_replaced(name: str, tmp_path: Path) -> None:
    final = {"jsonl": "poses.jsonl", "images": "images", "video": "clip.mp4"}
    path = tmp_path / final.get(name, "poses.parquet")
    with pytest.raises(OutputError, match="appeared while this run was writing"):
        with opened(tmp_path, name) as outputs:
            outputs.write(result())
            if name == "images":
                path.mkdir()
            (path / "mine.txt" if name == "images" else path).write_text("mine")
    mine = path / "mine.txt" if name == "images" else path
    assert mine.read_text() == "mine"
    [part] = [p for p in tmp_path.iterdir() if ".part-" in p.name]  # complete, and named
    assert str(part) in outputs.summary.errors[0]
    if name == "jsonl":
        assert len(list(read_results(part))) == 1


# --- results that cannot get their name ----------------------------------------------------------

FOLDERS = [("images", "images"), ("openpose", "openpose"), ("alphapose-cmu", "sep-json")]


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another disk where there is one, else on the same."""
    shared = Path("/dev/shm")
    with TemporaryDirectory(dir=shared if shared.is_dir() else tmp_path) as folder:
        yield Path(folder)


@pytest.mark.parametrize(("name", "folder"), FOLDERS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_folder_may_lie_on_another_disk(
    name: str, folder: str, overwrite: bool, tmp_path: Path, elsewhere: Path
) -> None:
    (tmp_path / folder).symlink_to(elsewhere)
    if overwrite:
        (elsewhere / "mine.txt").write_text("mine")
    options = WriterOptions(overwrite=overwrite, separate=True)
    with Outputs.open([name], tmp_path, options, Summary()) as outputs:
        for frame in range(3):
            outputs.write(result(frame=frame))
        assert not [path for path in left(tmp_path) if "part" in path and folder in path]
    assert outputs.summary.errors == [] and (tmp_path / folder).is_symlink()
    assert len(left(elsewhere)) == 3 + overwrite


def test_an_abandoned_part_on_another_disk_is_named_and_kept(
    tmp_path: Path, elsewhere: Path
) -> None:
    (tmp_path / "images").symlink_to(elsewhere)
    (elsewhere / "images.part-0123abcd").mkdir()
    with opened(tmp_path, "images,jsonl", overwrite=True) as outputs:
        outputs.write(result())
    assert [note for note in outputs.summary.notes if "part-0123abcd" in note]
    assert len(left(elsewhere)) == 2
    with pytest.raises(OutputError, match="already exists"):
        opened(tmp_path, "images")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("jsonl", "poses.jsonl"),
        ("csv", "poses.csv"),
        ("video", "clip.mp4"),
        *FOLDERS,
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_a_complete_result_is_kept_where_it_cannot_be_renamed(
    name: str, path: str, overwrite: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "the disk does not answer")

    options = WriterOptions(overwrite=overwrite, separate=True)
    with pytest.raises(OutputError) as caught:
        with Outputs.open([name], tmp_path, options, Summary()) as outputs:
            outputs.write(result())
            for function in ("replace", "rename", "link"):
                monkeypatch.setattr(os, function, refuse)
    monkeypatch.undo()
    stem, _, suffix = path.partition(".")
    [part] = tmp_path.glob(f"{stem}.part-*{suffix}")
    assert f"kept in {part}" in str(caught.value)
    assert part.stat().st_size > 0 and (part.is_file() or len(left(part)) == 1)
    assert not (tmp_path / LOCK).exists()


@pytest.mark.parametrize("overwrite", [False, True])
@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("jsonl", "poses.jsonl"),
        ("parquet", "poses.parquet"),
        *FOLDERS[:2],
    ],
)
def test_a_folder_and_a_file_never_replace_one_another(
    name: str, path: str, overwrite: bool, tmp_path: Path
) -> None:
    if "." in path:
        (tmp_path / path).mkdir()
    else:
        (tmp_path / path).write_text("mine")
    with pytest.raises(OutputError, match=r"is not a (file|folder), and this run would create one"):
        opened(tmp_path, f"{name},csv", overwrite)
    assert left(tmp_path) == [path]


def test_what_has_its_name_is_listed_where_another_file_of_its_format_fails(tmp_path: Path) -> None:
    options = WriterOptions(separate=True)
    with Outputs.open(["alphapose-cmu", "csv"], tmp_path, options, Summary()) as outputs:
        outputs.write(result())
        (tmp_path / "sep-json").write_text("mine")
    names = [Path(file).name for file in outputs.summary.files]
    assert sorted(names) == ["alphapose-results.json", "poses.csv"]
    [error] = outputs.summary.errors
    assert "sep-json appeared while this run was writing" in error


# --- what a killed run leaves --------------------------------------------------------------------

KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from tests.helpers.results import opened, result
outputs = opened(Path(sys.argv[1]), "jsonl,csv,images")
for frame in range(5):
    outputs.write(result(frame=frame))
os.kill(os.getpid(), 9)
"""


@pytest.fixture
def killed(tmp_path: Path) -> Path:
    """The folder of a run that was killed after five frames."""
    folder = str(Path(__file__).parents[2])
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path), folder])
    assert done.returncode == -9
    return tmp_path


def part(folder: Path, pattern: str) -> Path:
    [path] = folder.glob(pattern)
    return path


def rows(path: Path) -> list[Result]:
    return list(read_results(path))


def test_a_killed_run_leaves_every_row(killed: Path) -> None:
    assert [r.frame for r in rows(part(killed, "poses.part-*.jsonl"))] == [0, 1, 2, 3, 4]
    lines = part(killed, "poses.part-*.csv").read_text().splitlines()
    assert len(lines) == 1 + 5 * 2 * 17
    assert len(list(part(killed, "images.part-*").iterdir())) == 5


def test_leftovers_are_named_and_kept_until_overwritten(killed: Path) -> None:
    before = left(killed)
    with pytest.raises(OutputError, match=r"killed run.* poses\.part-.*jsonl.*--overwrite"):
        opened(killed, "jsonl")
    assert left(killed) == [name for name in before if name != LOCK]
    with opened(killed, "coco") as other:  # results of another kind
        other.write(result())
    notes = [note for note in other.summary.notes if "was left by a killed run" in note]
    assert len(notes) == 3
    (killed / "poses.part-mine.jsonl").write_text("mine")
    with opened(killed, "jsonl,images", overwrite=True) as again:
        again.write(result())
    parts = [name for name in left(killed) if ".part-" in name]
    assert [name.rpartition(".")[2] for name in parts] == ["csv", "jsonl"]
    assert "poses.part-mine.jsonl" in parts


# --- stale files ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mine", "content"),
    [
        ("images", "images/mine.jpg", cv2.imencode(".jpg", np.zeros((9, 9, 3), np.uint8))[1]),
        ("images", "images/mine.png", cv2.imencode(".png", np.zeros((9, 9, 3), np.uint8))[1]),
        ("openpose", "openpose/labels_keypoints.json", b'{"people": []}'),
    ],
)
@pytest.mark.parametrize("source", ["walk.mp4", "walk.png"])
def test_stale_files_go_and_the_users_own_stay(
    name: str, mine: str, content: bytes, source: str, tmp_path: Path
) -> None:
    with opened(tmp_path, name) as first:
        for frame in range(4):
            first.write(result(source=f"{frame}.png" if ".png" in source else source, frame=frame))
    (tmp_path / mine).write_bytes(bytes(content))
    with opened(tmp_path, name, overwrite=True) as second:
        second.write(result(source="new.jpg"))
    assert len(left(tmp_path / name)) == 2 and (tmp_path / mine).read_bytes() == bytes(content)
