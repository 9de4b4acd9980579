"""--debug: the traceback, and a report that names no secret, no home and no content of a file."""

from __future__ import annotations

import argparse
import errno
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from posewright import __version__
from posewright.cli import VERBS, build_parser, doctor, main, train
from posewright.errors import OutputError, UsageError
from tests.helpers.images import encoded
from tests.helpers.runs import run

SECRETS = "rtsp://admin:pa55word@cam.example/live?token=t0ken99"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and a machine whose self-test takes no time."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("POSEWRIGHT_DEBUG", raising=False)
    monkeypatch.setattr(doctor, "_self_test", lambda: "ok, here, 0.1 s")
    return tmp_path


def fails(monkeypatch: pytest.MonkeyPatch, why: BaseException) -> None:
    """Let `posewright bench` raise an error."""

    def run(args: argparse.Namespace) -> int:
        local = "a local value"
        raise why if local else KeyError

    monkeypatch.setattr(VERBS["bench"], "run", run)


def written(here: Path) -> str:
    """The one report."""
    (path,) = here.iterdir()
    assert re.fullmatch(r"posewright-debug-bench-\d{8}-\d{6}-\d+\.txt", path.name)
    return path.read_text(encoding="utf-8")


def section(text: str, name: str) -> str:
    return text.split(f"[{name}]\n")[1].split("\n\n[")[0]


def test_every_verb_and_action_has_the_option() -> None:
    def check(parser: argparse.ArgumentParser) -> int:
        assert "--debug" in parser.format_help(), parser.prog
        inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        return 1 + sum(check(sub) for action in inner for sub in set(action.choices.values()))

    assert check(build_parser()) > len(VERBS) + 8


@pytest.mark.parametrize("words", [["--debug", "bench", "x.mp4"], ["bench", "x.mp4", "--debug"]])
def test_an_error_has_a_traceback_and_a_report(
    words: list[str],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails(monkeypatch, OutputError("the disk is full"))
    assert main(words) == 4
    err = capsys.readouterr().err.splitlines()
    assert (
        err[0] == "posewright: the disk is full" and err[1] == "Traceback (most recent call last):"
    )
    assert err[-2] == "OutputError: the disk is full"
    assert err[-1].startswith("posewright: debug report: posewright-debug-bench-")
    text = written(here)
    assert section(text, "Command") == "posewright " + " ".join(words)
    assert section(text, "End").startswith("exit code 4, 20")
    assert section(text, "Last lines on stderr") == "posewright: the disk is full"
    for line in (
        f"posewright {__version__}",
        "python",
        "onnxruntime",
        "embedded networks ok, here",
    ):
        assert re.search(re.sub(" ", r"\\s+", line), section(text, "posewright doctor")), line
    trace = section(text, "Traceback")
    assert f"{os.sep}cli{os.sep}__init__.py, line " in trace
    assert "    return VERBS[args.verb].run(args), None\n" in trace
    assert "a local value" not in text


def test_without_the_option_an_error_is_one_line(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(monkeypatch, UsageError("a fault"))
    assert main(["bench"]) == 2 and capsys.readouterr().err == "posewright: a fault\n"
    monkeypatch.setenv("POSEWRIGHT_DEBUG", "0")
    assert main(["bench"]) == 2 and not list(here.iterdir())
    monkeypatch.setenv("POSEWRIGHT_DEBUG", "1")
    assert main(["bench"]) == 2 and "UsageError: a fault" in written(here)


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_an_unexpected_error_is_one_line_and_asks_for_a_report(
    debug: list[str],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    fails(monkeypatch, KeyError("joints"))
    assert main(["bench", *debug]) == 1
    first, *more = capsys.readouterr().err.splitlines()
    assert re.match(
        r"posewright: unexpected KeyError at posewright.cli.__init__\.py:\d+: 'joints'; this is "
        r"probably a bug: .*attach the debug report to an issue$",
        first,
    )
    assert ("run it again with --debug" in first) == (not debug) == (not more)
    assert bool(list(here.iterdir())) == bool(debug)


def test_causes_come_first(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = UsageError("outer")
    error.__cause__ = ValueError("inner")
    fails(monkeypatch, error)
    assert main(["bench", "--debug"]) == 2
    trace = section(written(here), "Traceback")
    assert 0 < trace.index("ValueError: inner") < trace.index("UsageError: outer")


@pytest.mark.parametrize(
    "address",
    [
        SECRETS,
        "val=" + SECRETS,
        "http://u:pa55word@a/x.jpg,http://v:pa55word@b/y.jpg?key=t0ken99",
        "rtsp://admin:pa55word with a space and t0ken99@cam/live",
        "rtsp://admin:it's pa55word t0ken99@cam/live",
    ],
)
def test_no_secret_is_in_the_report(
    address: str, here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(monkeypatch, ValueError(f"cannot open {address}: refused"))
    assert main(["bench", address, "--debug"]) == 1
    text = written(here)
    assert "***" in section(text, "Command") and "***" in section(text, "Traceback")
    assert "***" in section(text, "Last lines on stderr")
    assert "pa55word" not in text and "t0ken99" not in text and "admin" not in text


def test_the_home_folder_is_shortened(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    home = here / "home" / "ada"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("USERPROFILE", str(home))
    fails(monkeypatch, ValueError(f"{home}/clip.mp4 and {home}: no such file; nor {home}-2"))
    assert main(["bench", f"{home}/clip.mp4", "--debug"]) == 1
    text = written(here)
    assert "posewright bench '~/clip.mp4' --debug" in text
    assert "~/clip.mp4 and ~: no such file; nor " in text
    assert text.count(str(home)) == text.count(f"{home}-2") > 0


def test_no_content_of_a_file_and_no_code_of_the_user_is_in_the_report(here: Path) -> None:
    """A network of the user's own that fails while it is made, on labels that hold a name."""
    (here / "net.py").write_text("private_recipe = 1\nprivate_recipe / 0  # private_code\n")
    (here / "labels.json").write_text('{"private_label": [')
    for words in (["models", "info", "net.py:net"], ["data", "check", "labels.json"]):
        assert run(*words, "--debug") in (2, 3, 4)
    reports = [path.read_text(encoding="utf-8") for path in here.glob("posewright-debug-*.txt")]
    assert len(reports) == 2 and not any("private" in text for text in reports)
    assert any("net.py, line 2, in <module>" in text for text in reports)


def test_a_run_that_ends_badly_without_an_exception_has_a_report(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def says(args: argparse.Namespace) -> int:
        print("10 %\r20 %\r30 %\nwarning: half of it", file=sys.stderr)
        return 3

    monkeypatch.setattr(VERBS["bench"], "run", says)
    assert main(["bench", "--debug"]) == 3
    text = written(here)
    assert section(text, "Last lines on stderr") == "30 %\nwarning: half of it"
    assert section(text, "Traceback") == "none: no exception was raised\n"


def test_only_the_last_lines_are_kept(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def says(args: argparse.Namespace) -> int:
        print("\n".join(f"line {i}" for i in range(5000)), file=sys.stderr)
        return 3

    monkeypatch.setattr(VERBS["bench"], "run", says)
    main(["bench", "--debug"])
    lines = section(written(here), "Last lines on stderr").splitlines()
    assert len(lines) == 40 and lines[-1] == "line 4999"


def succeeds(args: argparse.Namespace) -> int:
    return 0


def interrupted(args: argparse.Namespace) -> int:
    os.kill(os.getpid(), signal.SIGINT)
    return 4


def stopped(args: argparse.Namespace) -> int:
    return 130


def unheard(args: argparse.Namespace) -> int:
    raise BrokenPipeError


@pytest.mark.parametrize(
    ("verb", "code"), [(succeeds, 0), (interrupted, 130), (stopped, 130), (unheard, 4)]
)
def test_no_report_where_nothing_failed(
    verb: Callable[[argparse.Namespace], int],
    code: int,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(VERBS["bench"], "run", verb)
    monkeypatch.setattr(sys.stderr, "close", lambda: None)  # as for a pipe that nobody reads
    assert main(["bench", "--debug"]) == code and not list(here.iterdir())


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_the_processes_of_a_training_write_reports_too(
    debug: list[str], here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[dict[str, str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, env: started.append(env))
    monkeypatch.setattr(train, "_wait", lambda children: 0)
    assert main(["train", "labels", "-m", "hrnet_w32", "--devices", "2", *debug]) == 0
    assert len(started) == 2
    assert all(("POSEWRIGHT_DEBUG" in env) == bool(debug) for env in started)


def test_a_wrong_command_line_has_no_report(here: Path) -> None:
    assert run("bench", "--debug", "--fames", "3") == 2 and not list(here.iterdir())


def test_a_report_that_cannot_be_written_is_one_line(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fails(monkeypatch, UsageError("a fault"))
    gone = here / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main(["bench", "--debug"]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("posewright: no debug report: posewright-debug-bench-")
    assert last.endswith("; run the command elsewhere") and "No such file" in last
    assert not list(here.iterdir())


def test_a_machine_that_cannot_be_examined_does_not_hide_the_error(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> str:
        raise RuntimeError("no runtime")

    monkeypatch.setattr(doctor, "_self_test", broken)
    fails(monkeypatch, UsageError("a fault"))
    assert main(["bench", "--debug"]) == 2
    text = written(here)
    assert "doctor failed: RuntimeError: no runtime" in text and "UsageError: a fault" in text


def test_a_real_command(here: Path) -> None:
    """In a process of its own, with the real self-test; the file is readable by its owner."""
    words = ["track", "nowhere.jsonl", "--debug"]
    done = subprocess.run(
        [sys.executable, "-m", "posewright", *words], capture_output=True, text=True, cwd=here
    )
    assert done.returncode == 3 and "Traceback (most recent call last):" in done.stderr
    (path,) = here.iterdir()
    text = path.read_text(encoding="utf-8")
    assert "embedded networks        ok" in text and stat.S_IMODE(path.stat().st_mode) & 0o400
    assert "SourceError: " in text and "posewright: " in section(text, "Last lines on stderr")


def picture(here: Path) -> str:
    (here / "in").mkdir()
    (here / "in" / "a.jpg").write_bytes(encoded("JPEG"))
    return str(here / "in" / "a.jpg")


def failing(*_: object) -> None:
    raise OSError(errno.EIO, "a fault of the disk")


@pytest.mark.parametrize("debug", [[], ["--debug"]])
def test_the_traceback_of_a_writer_that_failed_while_others_went_on(
    debug: list[str],
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("posewright.files.part.PartFolder.add", failing)
    source = picture(here)
    assert run("predict", source, "-o", here / "out", "--save", "images,csv", *debug) == 4
    told = capsys.readouterr().err
    assert ("OSError: [Errno 5] a fault of the disk" in told) == bool(debug)
    assert ("posewright/writers/outputs.py, line" in told) == bool(debug)
    for report in here.glob("posewright-debug-*.txt"):
        assert "a fault of the disk" in section(report.read_text("utf-8"), "Traceback")


def test_the_traceback_of_a_source_that_failed_while_others_went_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "a.mp4").write_bytes(bytes(5000))
    source = picture(here)
    words = ["predict", "a.mp4", source, "-o", here / "out", "--save", "csv", "--debug"]
    assert run(*words) == 3
    told = capsys.readouterr().err
    assert "posewright/sources/decoding.py, line" in told and "InvalidDataError" in told
    assert run("predict", "gone.mp4", source, *words[3:], "--overwrite") == 3  # raised on purpose
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("count", [0, -3, 10**30])
def test_a_number_of_frames_that_cannot_be_measured(
    count: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("bench", "--count", count) == 2
    assert f"count={count} frames to measure (--count)" in capsys.readouterr().err
