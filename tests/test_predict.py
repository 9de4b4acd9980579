"""predict_to goes on with a stopped run: the bytes of an undisturbed one, whatever stopped it."""

from __future__ import annotations

import errno
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.errors import OutputError, PosewrightError, UsageError
from posewright.files.lock import LOCK
from posewright.people import Frame, People
from posewright.predict import Progress, predict_to, track_to
from posewright.readers import read_results
from posewright.writers import WriterOptions
from posewright.writers.encoders import Film
from posewright.writers.journal import JOURNAL, Journal
from posewright.writers.outputs import Outputs, Summary
from tests.helpers.disks import enlarge, mounted
from tests.helpers.sequences import Network, saved, somebody
from tests.helpers.videos import write_video

ALL = ["coco", "alphapose", "openpose", "csv", "parquet", "jsonl", "images", "video"]
OPTIONS: dict[str, dict[str, Any]] = {
    "plain": {},
    "tracked": {"tracker": "oks", "det_every": 3},
    "smoothed": {"tracker": "bytetrack", "smooth": "kalman", "gap": 0.3},
}


class Walking(Network):
    """Finds somebody who walks; remembers the frames in which a network looked for them."""

    def __init__(self, fails_at: int = -1) -> None:
        self.fails_at = fails_at
        self.computed: list[tuple[str, int]] = []

    def found(self, frame: Frame) -> People:
        if frame.index == self.fails_at:
            raise PosewrightError("the network failed")
        self.computed.append((frame.sequence, frame.index))
        if frame.index == 4:
            return People.empty(self.skeleton)
        return somebody(20 + np.float32(1.1) * frame.index)


@pytest.fixture(scope="session")
def source(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A video of 20 frames, or a folder of 8 images, one of them broken."""
    folder = tmp_path_factory.mktemp("source")
    if request.param == "video":
        write_video(folder / "walk.mp4", count=20, size=(160, 240))
        return folder / "walk.mp4"
    for number in range(8):
        picture = np.full((240, 160, 3), 20 * number, np.uint8)
        cv2.imwrite(str(folder / f"{number}.jpg"), picture)
    (folder / "5.jpg").write_bytes(b"\xff\xd8\xff broken")
    return folder


both = pytest.mark.parametrize("source", ["video", "folder"], indirect=True)
video = pytest.mark.parametrize("source", ["video"], indirect=True)


def run(source: Path | list[Path], out: Path, pose: Any = None, **options: Any) -> Summary:
    options = {"save": ["jsonl"], **options}
    return predict_to(
        pose or Walking(), source if isinstance(source, list) else [source], out, **options
    )


def content(out: Path) -> dict[str, bytes]:
    files = (path for path in sorted(out.rglob("*")) if path.is_file())
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}


def killed_at(*counts: int, out: Path) -> Callable[[Progress], None]:
    """Copy the folder of a run at some frames: what SIGKILL would leave there."""

    def progress(now: Progress) -> None:
        if now.done in counts:
            copy = out.with_name(f"{out.name}-{now.done}")
            shutil.copytree(out, copy, ignore=shutil.ignore_patterns(LOCK))

    return progress


def stopping_at(count: int) -> Callable[[], int]:
    """Stop by SIGTERM after some frames."""
    answers: Iterator[int] = iter([0] * (count - 1))
    return lambda: next(answers, int(signal.SIGTERM))


# --- the same bytes ------------------------------------------------------------------------------


@both
@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS.keys())
def test_a_killed_run_goes_on_to_the_same_bytes(
    source: Path, options: dict[str, Any], tmp_path: Path
) -> None:
    whole = tmp_path / "out"
    counts = (1, 2, 7)
    undisturbed = Walking()
    run(source, whole, undisturbed, save=ALL, progress=killed_at(*counts, out=whole), **options)
    expected = content(whole)
    assert JOURNAL not in expected and len(expected) > 10
    for count in counts:
        out, pose = tmp_path / f"out-{count}", Walking()
        assert list(out.glob("poses.part-*.csv")) and (out / JOURNAL).is_file()
        summary = run(source, out, pose, save=ALL, resume=True, **options)
        assert summary.exit_code == (3 if source.is_dir() else 0)
        assert content(out) == expected
        assert min(index for _, index in pose.computed) == count  # no network ran before
        assert pose.asked == undisturbed.asked  # a file of boxes tells the same of all frames
        told = f"went on after {count} frame"
        assert any(told in note for note in summary.notes)


@both
def test_a_run_stopped_by_a_signal_goes_on_to_the_same_bytes(source: Path, tmp_path: Path) -> None:
    options = OPTIONS["smoothed"] | {"save": ALL}
    run(source, tmp_path / "whole", **options)
    out = tmp_path / "out"
    for count in (3, 6):
        summary = run(source, out, stopped=stopping_at(count), resume=count > 3, **options)
        assert summary.exit_code == 143 and (out / JOURNAL).is_file()
        assert len(list(read_results(out / "poses.jsonl"))) == count
        assert any("--resume goes on" in note for note in summary.notes)
    run(source, out, resume=True, **options)
    assert content(out) == content(tmp_path / "whole")


@video
def test_a_run_stopped_while_it_repeats_leaves_the_results(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path, stopped=stopping_at(9))
    before = content(tmp_path)
    assert run(source, tmp_path, stopped=stopping_at(4), resume=True).exit_code == 143
    assert content(tmp_path) == before


@pytest.mark.parametrize("broken", ["Film.add", "Film.finish"])
@video
def test_a_failed_writer_is_made_good(
    source: Path, broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: Film, *_: object) -> None:
        self.abort()
        raise OSError(errno.ENOSPC, "No space left on device")

    run(source, tmp_path / "whole", save=["csv", "video"])
    monkeypatch.setattr(f"posewright.writers.encoders.{broken}", fail)
    assert run(source, tmp_path / "out", save=["csv", "video"]).exit_code == 4
    monkeypatch.undo()
    pose = Walking()
    assert run(source, tmp_path / "out", pose, save=["csv", "video"], resume=True).exit_code == 0
    assert pose.computed == [] and content(tmp_path / "out") == content(tmp_path / "whole")


@video
def test_a_folder_that_is_a_link(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "whole", save=["images"])
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    for folder in (out, elsewhere):
        folder.mkdir()
    (out / "images").symlink_to(elsewhere)

    def die(now: Progress) -> None:
        if now.done == 5:
            left.extend([(out / JOURNAL).read_bytes(), *elsewhere.iterdir()])

    left: list[Any] = []
    run(source, out, save=["images"], progress=die)
    for path in elsewhere.iterdir():
        path.unlink()
    journal, part = left
    (out / JOURNAL).write_bytes(journal)  # as SIGKILL leaves it
    part.mkdir()
    assert run(source, out, save=["images"], resume=True).exit_code == 0
    part.rmdir()  # it is kept, as it may be of a run into another folder
    assert content(elsewhere) == content(tmp_path / "whole" / "images")


@video
def test_several_sources_go_on_within_the_second(source: Path, tmp_path: Path) -> None:
    other = Path(shutil.copy(source, tmp_path / "other.mp4"))
    options = OPTIONS["tracked"] | {"save": ["jsonl", "video"]}
    run([source, other], tmp_path / "whole", **options)
    out = tmp_path / "out"
    run([source, other], out, stopped=stopping_at(26), **options)  # it asks after each source, too
    pose = Walking()
    run([source, other], out, pose, resume=True, **options)
    assert pose.computed == [(str(other), index) for index in range(5, 20)]
    assert content(out) == content(tmp_path / "whole")


@video
def test_a_torn_or_damaged_record_is_computed_again(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "whole")
    run(source, tmp_path / "out", stopped=stopping_at(9))
    whole = (tmp_path / "out" / JOURNAL).read_bytes()
    lines = whole.splitlines(keepends=True)
    damaged = lines[6].replace(b"walk", b"walq")
    for number, (text, first) in enumerate(
        [
            (whole[:-1], 8),
            (whole[: -len(lines[-1]) // 2], 8),
            (whole + b"\0" * 4096, 9),
            (b"".join([*lines[:6], damaged, *lines[7:]]), 4),
            (lines[0] + lines[1], 0),
        ]
    ):
        out, pose = tmp_path / str(number), Walking()
        out.mkdir()
        (out / JOURNAL).write_bytes(text)
        run(source, out, pose, resume=True)
        assert pose.computed[0][1] == first
        assert content(out) == content(tmp_path / "whole")


@video
def test_a_journal_without_a_whole_first_line_holds_nothing(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "whole")
    for number, text in enumerate([b"", b'01234567 {"format": "pose', b"00000000 {}\n"]):
        out = tmp_path / str(number)
        out.mkdir()
        (out / JOURNAL).write_bytes(text)
        run(source, out, resume=bool(number))
        assert content(out) == content(tmp_path / "whole")


@video
def test_a_full_disk_of_the_journal_stops_no_run(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, asked = Journal._write, iter(range(100))

    def full(self: Journal, value: Any) -> None:
        if next(asked) > 6:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, value)

    run(source, tmp_path / "whole")
    monkeypatch.setattr(Journal, "_write", full)
    out = tmp_path / "out"
    summary = run(source, out, stopped=stopping_at(12))
    assert any("the disk is full" in note and "5 frames" in note for note in summary.notes)
    monkeypatch.undo()
    pose = Walking()
    run(source, out, pose, resume=True)
    assert pose.computed[0][1] == 5 and content(out) == content(tmp_path / "whole")


@both
@pytest.mark.parametrize("size", ["24k", "64k"])
def test_a_full_disk_is_made_good_once_there_is_room(
    source: Path, size: str, tmp_path: Path
) -> None:
    save = [name for name in ALL if name != "video"]
    run(source, tmp_path / "whole", save=save)
    with mounted(tmp_path / "disk", f"size={size}") as disk:
        try:
            summary = run(source, disk, save=save)
            assert summary.exit_code == 4
        except OutputError as error:
            assert "the disk is full" in str(error)
        assert (disk / JOURNAL).exists() and not list(disk.glob("*.part-*"))
        enlarge(disk, "50m")
        assert run(source, disk, save=save, resume=True).exit_code in (0, 3)
        assert content(disk) == content(tmp_path / "whole")


# --- what is refused, and what is told -----------------------------------------------------------


@pytest.fixture
def stopped(tmp_path: Path) -> tuple[Path, Path]:
    """A video, and the folder of a run over it that was stopped after five frames."""
    path, out = tmp_path / "walk.mp4", tmp_path / "out"
    write_video(path, size=(160, 240))
    run(path, out, stopped=stopping_at(5), save=["jsonl", "video"], tracker="oks")
    return path, out


CHANGES: dict[str, dict[str, Any]] = {
    r"--tracker \(tracker=\) was oks and is bytetrack": {"tracker": "bytetrack"},
    r"--tracker \(tracker=\) was oks and is not given": {"tracker": None},
    r"--det-every \(det_every=\) was not given and is 2": {"det_every": 2},
    r"--smooth \(smooth=\) was not given and is one-euro": {"smooth": "one-euro"},
    r"--save \(save=\) was jsonl,video and is jsonl": {"save": ["jsonl"]},
    r"--fps \(writing.fps=\) was 25.0 and is 10.0": {"writing": WriterOptions(fps=10.0)},
    r"--max-pixels \(max_pixels=\) was not given and is 10000000": {"max_pixels": 10_000_000},
}


@pytest.mark.parametrize("told", CHANGES)
def test_another_run_is_refused_by_what_differs(told: str, stopped: tuple[Path, Path]) -> None:
    source, out = stopped
    before = content(out)
    options = {"save": ["jsonl", "video"], "tracker": "oks", **CHANGES[told]}
    with pytest.raises(UsageError, match=f"another run: {told}; .*--resume.*--overwrite"):
        run(source, out, resume=True, **options)
    assert content(out) == before


@pytest.mark.parametrize("how", ["time", "size"])
def test_a_changed_input_is_refused(how: str, stopped: tuple[Path, Path]) -> None:
    source, out = stopped
    if how == "time":
        os.utime(source, (1, 1))
    else:
        write_video(source, count=21, size=(160, 240))
    with pytest.raises(UsageError, match=r"the content of .*walk\.mp4 was 1 file, .* and is"):
        run(source, out, resume=True, save=["jsonl", "video"], tracker="oks")


@pytest.mark.parametrize("how", ["changed", "added", "removed"])
@pytest.mark.parametrize("source", ["folder"], indirect=True)
def test_a_changed_image_of_a_folder_is_refused(source: Path, how: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(source, tmp_path / "walk"))
    run(folder, tmp_path / "out", stopped=stopping_at(5))
    if how == "added":
        shutil.copy(folder / "0.jpg", folder / "9.jpg")
    elif how == "removed":
        (folder / "7.jpg").unlink()
    else:
        os.utime(folder / "7.jpg", (1, 1))
    with pytest.raises(UsageError, match=r"the content of .*walk was 8 files, "):
        run(folder, tmp_path / "out", resume=True)


def test_another_machine_is_told_and_goes_on(
    stopped: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, out = stopped
    monkeypatch.setattr("posewright.pipeline.provenance.cpu_name", lambda: "Z80")
    summary = run(source, out, resume=True, save=["jsonl", "video"], tracker="oks")
    assert summary.exit_code == 0 and not (out / JOURNAL).exists()
    [note] = [note for note in summary.notes if "processor" in note]
    assert "is Z80" in note


def test_without_resume_a_stopped_run_is_kept(stopped: tuple[Path, Path]) -> None:
    source, out = stopped
    before = content(out)
    for save in (["jsonl"], ["csv"], ["video"]):
        with pytest.raises(OutputError, match=r"stopped or killed; .*--resume.*--overwrite"):
            run(source, out, save=save)
    with pytest.raises(OutputError, match=r"stopped or killed; .*--overwrite"):
        run([np.zeros((9, 9, 3), np.uint8)], out, color="rgb")  # type: ignore[list-item]
    assert content(out) == before
    run(source, out, save=["csv"], writing=WriterOptions(overwrite=True))
    assert set(content(out)) == {"poses.csv", "poses.jsonl", "walk.mp4"}


def test_overwriting_starts_again(stopped: tuple[Path, Path], tmp_path: Path) -> None:
    source, out = stopped
    pose = Walking()
    run(source, out, pose, save=["jsonl", "video"], writing=WriterOptions(overwrite=True))
    run(source, tmp_path / "whole", save=["jsonl", "video"])
    assert len(pose.computed) == 20 and content(out) == content(tmp_path / "whole")


def test_resume_and_overwrite_contradict(stopped: tuple[Path, Path]) -> None:
    with pytest.raises(UsageError, match="give one"):
        run(stopped[0], stopped[1], resume=True, writing=WriterOptions(overwrite=True))


@video
def test_a_file_that_is_not_of_the_stopped_run_is_kept(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path / "whole")
    run(source, tmp_path / "out", progress=killed_at(5, out=tmp_path / "out"))
    killed = tmp_path / "out-5"
    (killed / "poses.jsonl").write_text("mine")
    with pytest.raises(OutputError, match=r"poses\.jsonl is not a result of the stopped run"):
        run(source, killed, resume=True)
    assert (killed / "poses.jsonl").read_text() == "mine" and len(content(killed)) == 3
    (killed / "poses.jsonl").unlink()
    assert run(source, killed, resume=True).exit_code == 0
    assert content(killed) == content(tmp_path / "whole")


@video
def test_a_file_that_appeared_while_the_run_stopped_is_kept(source: Path, tmp_path: Path) -> None:
    def appear(now: Progress) -> None:
        (tmp_path / "poses.jsonl").write_text("mine")

    with pytest.raises(OutputError, match="appeared while this run was writing"):
        run(source, tmp_path, stopped=stopping_at(5), progress=appear)
    with pytest.raises(OutputError, match="is not a result of the stopped run"):
        run(source, tmp_path, resume=True)
    assert (tmp_path / "poses.jsonl").read_text() == "mine"


@pytest.mark.parametrize("when", ["first", "last"])
@both
def test_a_run_killed_while_its_results_get_their_names(
    source: Path, when: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, out, copy = Outputs._finish, tmp_path / "out", tmp_path / "copy"

    def finish_and_copy(self: Outputs, writer: Any) -> None:
        finish(self, writer)
        if writer is self.writers[0 if when == "first" else -1]:
            shutil.copytree(out, copy, ignore=shutil.ignore_patterns(LOCK))

    monkeypatch.setattr(Outputs, "_finish", finish_and_copy)
    run(source, out, save=ALL)
    monkeypatch.undo()
    assert len(content(copy).keys() & content(out).keys()) >= 1 and (copy / JOURNAL).exists()
    run(source, copy, save=ALL, resume=True)
    assert content(copy) == content(out)


@video
def test_nothing_to_resume(source: Path, tmp_path: Path) -> None:
    summary = run(source, tmp_path, resume=True)
    assert summary.exit_code == 0
    assert any("starts from its beginning" in note for note in summary.notes)


@both
@pytest.mark.parametrize("save", [["jsonl"], ["csv", "images"], ["coco", "openpose", "video"]])
def test_a_complete_run_has_nothing_to_resume(
    source: Path, save: list[str], tmp_path: Path
) -> None:
    run(source, tmp_path, save=save)
    before = content(tmp_path)
    pose = Walking()
    summary = run(source, tmp_path, pose, save=save, resume=True)
    assert (summary.exit_code, summary.files, pose.computed) == (0, [], [])
    assert "nothing is left to do" in summary.notes[-1] and content(tmp_path) == before
    with pytest.raises(OutputError, match="already exists"):  # of what else was asked for
        run(source, tmp_path, save=[*save, "parquet"], resume=True)
    assert content(tmp_path) == before


@video
def test_a_complete_run_of_others_is_refused(source: Path, tmp_path: Path) -> None:
    run(source, tmp_path, tracker="oks")
    before = content(tmp_path)
    with pytest.raises(UsageError, match="another run: tracker was oks and is None"):
        run(source, tmp_path, resume=True)
    other = Path(shutil.copy(source, source.with_name("other.mp4")))
    with pytest.raises(UsageError, match=r"another run, which began with .*walk\.mp4"):
        run(other, tmp_path, tracker="oks", resume=True)
    assert content(tmp_path) == before


@video
def test_parts_without_a_journal_are_not_resumed(source: Path, tmp_path: Path) -> None:
    part = tmp_path / "poses.part-0123abcd.jsonl"
    part.touch()
    with pytest.raises(OutputError, match=r"killed run.* poses\.part.*--overwrite") as caught:
        run(source, tmp_path, resume=True)
    assert "no journal by which --resume could go on" in str(caught.value) and part.exists()


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        ("camera:7", "camera:7"),
        ("rtsp://me:secret@host/a", "me"),
        (np.zeros((9, 9, 3), np.uint8), "ndarray"),
    ],
)
def test_what_cannot_be_read_again_is_refused(spec: Any, told: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read again") as caught:
        run([spec], tmp_path / "out", resume=True)
    assert "secret" not in str(caught.value) and not (tmp_path / "out").exists()
    assert told in str(caught.value) or told == "me"


def test_arrays_are_not_recorded(tmp_path: Path) -> None:
    arrays: Any = [np.zeros((240, 160, 3), np.uint8)] * 3
    run([arrays], tmp_path, color="rgb", stopped=stopping_at(2))
    assert list(content(tmp_path)) == ["poses.jsonl"]


def test_track_keeps_the_journal(stopped: tuple[Path, Path], tmp_path: Path) -> None:
    _, out = stopped
    poses = saved(tmp_path, "jsonl", ["walk.mp4"])
    summary = track_to(poses, out, save=["csv"])
    assert (out / JOURNAL).is_file() and (out / "poses.csv").is_file()
    assert any(JOURNAL in note and "is kept" in note for note in summary.notes)


@video
def test_a_second_interrupt_keeps_the_journal_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(now: Progress) -> None:
        if now.done == count:
            raise KeyboardInterrupt

    for count, left in ((1, [JOURNAL]), (8, [JOURNAL])):
        with pytest.raises(KeyboardInterrupt):
            run(source, tmp_path / "out", progress=interrupt, resume=count > 1)
        assert sorted(content(tmp_path / "out")) == left
    run(source, tmp_path / "out", resume=True)
    run(source, tmp_path / "whole")
    assert content(tmp_path / "out") == content(tmp_path / "whole")


@video
def test_an_error_of_a_network_keeps_the_journal(source: Path, tmp_path: Path) -> None:
    with pytest.raises(PosewrightError, match="the network failed"):
        run(source, tmp_path / "out", Walking(fails_at=7))
    pose = Walking()
    run(source, tmp_path / "out", pose, resume=True)
    run(source, tmp_path / "whole")
    assert pose.computed[0][1] == 7 and content(tmp_path / "out") == content(tmp_path / "whole")


def test_a_run_that_reads_nothing_leaves_nothing(tmp_path: Path) -> None:
    assert run(tmp_path / "no.mp4", tmp_path / "out").exit_code == 3
    assert not (tmp_path / "out").exists()
