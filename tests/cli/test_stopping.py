"""Signals end every verb with 128 and their number; predict and track finish their files first."""

from __future__ import annotations

import argparse
import io
import os
import pty
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from posewright import cli
from posewright.cli import VERBS, main
from posewright.cli.stopping import Stopped, noting
from posewright.predict import predict_to, track_to
from posewright.readers import read_results
from posewright.writers.outputs import Summary
from tests.helpers.sequences import Network, saved
from tests.helpers.servers import serve, shots

ASKED = [signal.SIGHUP, signal.SIGINT, signal.SIGUSR1, signal.SIGTERM]
CODES = {signal.SIGHUP: 129, signal.SIGINT: 130, signal.SIGUSR1: 138, signal.SIGTERM: 143}


@pytest.mark.parametrize("number", ASKED)
@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_ends_with_the_signals_number(
    verb: str,
    number: signal.Signals,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cleaned: list[str] = []

    def run(args: argparse.Namespace) -> int:
        try:
            os.kill(os.getpid(), number)
            time.sleep(60)
        finally:
            cleaned.append(verb)
        return 0

    before = [signal.getsignal(n) for n in ASKED]
    monkeypatch.setattr(VERBS[verb], "run", run)
    monkeypatch.setattr(cli, "parse", lambda argv: (argparse.Namespace(verb=verb), []))
    assert main([]) == CODES[number] and cleaned == [verb]
    assert capsys.readouterr().err == f"posewright: stopped by {number.name}\n"
    assert [signal.getsignal(n) for n in ASKED] == before


def test_help_lists_the_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    words = capsys.readouterr().out.split()
    assert {"129", "130", "138", "143"} <= set(words)


@pytest.mark.parametrize("number", ASKED)
def test_a_summary_has_the_signals_code(number: signal.Signals) -> None:
    assert Summary(interrupted=True, signal=number).exit_code == CODES[number]
    assert Summary(interrupted=True).exit_code == 130


def test_only_a_second_interrupt_stops_at_once() -> None:
    with noting() as stop:
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGHUP)  # as systemd has it
        os.kill(os.getpid(), signal.SIGTERM)
        assert stop() == signal.SIGTERM
        with pytest.raises(Stopped):
            os.kill(os.getpid(), signal.SIGINT)


# --- runs ----------------------------------------------------------------------------------------

RUN = """
import sys, time
import numpy as np
import posewright.cli.common, posewright.cli.predict
from posewright.cli import main
from posewright.people import People
from posewright.results import Result
from posewright.skeletons import COCO17

class Walker:
    skeleton, embed, detector, detector_note = COCO17, None, None, ""
    def stream(self, source, **options):
        return Endless()

class Endless:
    source = type("Opened", (), dict(fps=30.0, kind="video", name="x", total=None, notes=()))()
    def __enter__(self): return self
    def __exit__(self, *_): pass
    def __iter__(self):
        people = People.of(keypoints=np.ones((1, 17, 2)))
        image = np.zeros((32, 48, 3), np.uint8)
        for i in range(100_000):
            time.sleep(0.002)
            yield Result(people, COCO17, (48, 32), "x.mp4", i, i / 30, image=image)

posewright.cli.predict.load_pose = lambda *_: Walker()
sys.exit(main(sys.argv[1:]))
"""


def start(out: Path, *more: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", RUN, "predict", "x.mp4", "-o", str(out), *more]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **options)  # type: ignore


def wait_for(out: Path, pattern: str, size: int = 20_000) -> Path:
    """Wait until a file holds some rows."""
    for _ in range(6000):
        for path in out.glob(pattern):
            if path.stat().st_size > size:
                return path
        time.sleep(0.01)
    raise AssertionError(f"no {pattern} in {out}")


@pytest.mark.parametrize("number", ASKED)
def test_predict_finishes_its_files(number: signal.Signals, tmp_path: Path) -> None:
    process = start(tmp_path, "--save", "jsonl,csv,video", "--progress", "none")
    wait_for(tmp_path, "poses.part-*.jsonl")
    process.send_signal(number)
    _, err = process.communicate(timeout=120)
    assert process.returncode == CODES[number], err
    assert {path.name for path in tmp_path.iterdir()} == {"poses.jsonl", "poses.csv", "x.mp4"}
    frames = [r.frame for r in read_results(tmp_path / "poses.jsonl")]
    assert len(frames) > 10 and frames == list(range(len(frames)))
    assert len((tmp_path / "poses.csv").read_text().splitlines()) == 1 + 17 * len(frames)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_stream_that_is_away_does_not_hold_a_signal(
    number: signal.Signals, tmp_path: Path
) -> None:
    with serve(shots(5), None) as server, noting() as stop:
        timer = threading.Timer(1.0, lambda: os.kill(os.getpid(), number))
        timer.start()
        sources = [server.url]
        summary = predict_to(
            Network(),
            sources,
            tmp_path,
            stopped=stop,
            retry_s=60.0,  # type: ignore[arg-type]
        )
        timer.join()
    assert (summary.exit_code, summary.signal, summary.bad) == (CODES[number], number, [])
    assert summary.files == [str(tmp_path / "poses.jsonl")]
    assert len(list(read_results(tmp_path / "poses.jsonl"))) == summary.frames > 0


def test_a_source_without_frames_does_not_hold_a_signal(tmp_path: Path) -> None:
    sources = [str(tmp_path / f"no{i}.mp4") for i in range(5)]
    summary = predict_to(
        Network(),
        sources,
        tmp_path / "out",
        stopped=lambda: signal.SIGTERM,  # type: ignore[arg-type]
    )
    assert summary.exit_code == 143 and len(summary.bad) == 1


@pytest.mark.parametrize(("asks", "frames"), [(1, 0), (6, 0), (7, 1), (9, 3)])
def test_track_of_one_person_stops_in_either_pass(asks: int, frames: int, tmp_path: Path) -> None:
    path = saved(tmp_path, "jsonl", ["walk.mp4"])
    answers = iter([0] * (asks - 1) + [int(signal.SIGTERM)] * 9)
    out = tmp_path / "out"
    summary = track_to(path, out, person="longest", stopped=lambda: next(answers))
    assert summary.exit_code == 143 and summary.frames == frames
    assert out.exists() == bool(frames)


def test_track_finishes_its_files(tmp_path: Path) -> None:
    long = tmp_path / "in" / "poses.jsonl"
    process = start(long.parent, "--save", "jsonl", "--progress", "none")
    wait_for(long.parent, "poses.part-*.jsonl")
    process.terminate()
    process.communicate(timeout=120)
    header, *rows = long.read_text().splitlines(keepends=True)
    long.write_text(header + "".join(rows * 400))
    command = [sys.executable, "-m", "posewright", "track", str(long), "-o", str(tmp_path / "out")]
    track = subprocess.Popen([*command, "--save", "jsonl,coco"])
    wait_for(tmp_path / "out", "poses.part-*.jsonl")
    track.terminate()
    assert track.wait(timeout=120) == 143
    assert {p.name for p in (tmp_path / "out").iterdir()} == {"poses.jsonl", "coco-results.json"}
    assert 10 < len(list(read_results(tmp_path / "out" / "poses.jsonl"))) < 400 * len(rows)


def test_a_killed_run_leaves_what_was_flushed(tmp_path: Path) -> None:
    process = start(tmp_path, "--save", "jsonl,csv", "--progress", "none")
    part = wait_for(tmp_path, "poses.part-*.jsonl")
    rows = part.read_bytes().count(b"\n") - 1
    process.kill()
    process.communicate(timeout=120)
    assert [r.frame for r in read_results(part)][:rows] == list(range(rows))
    again = start(tmp_path, "--save", "jsonl", "--progress", "none")
    _, err = again.communicate(timeout=120)
    assert again.returncode == 4 and len(err.splitlines()) == 1
    assert "--resume" in err and "--overwrite" in err and part.exists()


def test_nohup_is_respected(tmp_path: Path) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    process = start(tmp_path, "--save", "jsonl", "--progress", "none", preexec_fn=ignore)
    wait_for(tmp_path, "poses.part-*.jsonl")
    process.send_signal(signal.SIGHUP)
    wait_for(tmp_path, "poses.part-*.jsonl", 2 * next(tmp_path.glob("*.jsonl")).stat().st_size)
    process.terminate()
    process.communicate(timeout=120)
    assert process.returncode == 143


def test_a_terminal_that_is_closed(tmp_path: Path) -> None:
    """Nothing can be printed any more, and the files are finished all the same."""
    master, slave = pty.openpty()
    command = [sys.executable, "-c", RUN, "predict", "x.mp4", "-o", str(tmp_path)]
    process = subprocess.Popen(
        [*command, "--save", "jsonl"],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: _own_terminal(0),
    )
    os.close(slave)
    wait_for(tmp_path, "poses.part-*.jsonl")
    os.close(master)
    assert process.wait(timeout=120) == 129
    assert len(list(read_results(tmp_path / "poses.jsonl"))) > 10


def _own_terminal(number: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(number, termios.TIOCSCTTY, 0)


# --- names that a console cannot print -----------------------------------------------------------


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "cp437"])
def test_names_become_escapes(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.TextIOWrapper(io.BytesIO(), encoding))
    out, missing = tmp_path / "выход", tmp_path / os.fsdecode("видео\udcff.jsonl")
    assert main(["track", str(missing), "-o", str(out)]) == 3
    sys.stderr.flush()
    assert b"\\u0432\\u0438\\u0434\\u0435\\u043e\\udcff.jsonl" in sys.stderr.buffer.getvalue()
    monkeypatch.setattr(VERBS["doctor"], "run", lambda args: print("видео") or 0)
    assert main(["doctor"]) == 0
    sys.stdout.flush()
    assert sys.stdout.buffer.getvalue().strip() == b"\\u0432\\u0438\\u0434\\u0435\\u043e"
