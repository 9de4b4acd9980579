"""Nothing is sent and nothing is written but what was asked for: every verb, seen by strace.

The telemetry of onnxruntime is native code, which Python's audit hooks do not see.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from posewright.cli import VERBS, build_parser
from posewright.telemetry import loading_openvino
from tests.helpers.commands import COMMANDS, RUN, make_inputs
from tests.helpers.strace import need_strace, traced

# processes that verbs may start: a trainer a device, the one whose memory `compare` measures, and
# the one that reads a foreign checkpoint
CHILDREN = (
    "-m posewright train ",
    "-m posewright.compare.cost ",
    "-m posewright.checkpoints.apart ",
)
LEFT = re.compile(r"torchinductor_\w+")  # an empty folder, which torch makes when it trains


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    return make_inputs(tmp_path_factory.mktemp("inputs"))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with an empty home, working folder and folder for temporary files."""
    for name in ("home", "cwd", "tmp", "out", "cache"):
        (tmp_path / name).mkdir()
    return tmp_path


def environment(place: Path) -> dict[str, str]:
    """The environment of a user who has just logged in."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH")}
    folders = {"HOME": "home", "TMPDIR": "tmp", "POSEWRIGHT_HOME": "cache"}
    return {
        **kept,
        **{name: str(place / folder) for name, folder in folders.items()},
        "PYTHONDONTWRITEBYTECODE": "1",
        "OMP_NUM_THREADS": "1",
    }


def is_child(call: str) -> bool:
    """Whether an execve starts this Python with one of CHILDREN."""
    file, _, words = call.partition(", [")
    said = " ".join(re.findall(r'"((?:[^"\\]|\\.)*)"', words.partition("], ")[0])) + " "
    starts = tuple(f"{sys.executable} {child}" for child in CHILDREN)
    return file == f'"{sys.executable}"' and said.startswith(starts)


def watched(place: Path, inputs: Path, code: str, *args: str) -> tuple[str, list[str]]:
    """Run Python code under strace; return what it prints, and what it must not have done."""
    need_strace()
    done, wrong = traced(
        [sys.executable, "-c", code, *args],
        place / "strace.log",
        environment(place),
        place / "cwd",
        writable=[*(place / name for name in ("tmp", "out", "cache")), inputs / "into"],
        programs=is_child,
    )
    print(done.stderr)  # pytest shows it where the test fails
    return done.stdout, wrong


def actions(verb: str) -> set[str]:
    """The actions of a verb; none for most."""
    parsers = [a for a in build_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    inner = parsers[0].choices[verb]._actions
    return {c for a in inner if isinstance(a, argparse._SubParsersAction) for c in a.choices}


def test_the_table_of_commands_is_whole() -> None:
    assert set(COMMANDS) == set(VERBS)
    for verb, commands in COMMANDS.items():
        words = {word for command in commands for word in command.words.split()}
        assert actions(verb) <= words, verb


@pytest.mark.slow
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_sends_nothing_and_writes_what_was_asked_for(
    verb: str, place: Path, inputs: Path
) -> None:
    commands = [command.args(inputs, place / "out") for command in COMMANDS[verb]]
    said, wrong = watched(place, inputs, RUN, json.dumps(commands), str(inputs / "clip.mp4"))
    assert not wrong
    codes = [code for code, _ in json.loads(said.splitlines()[-1])]
    assert codes == [command.code for command in COMMANDS[verb]], said
    assert not [p.name for p in (place / "tmp").iterdir() if not LEFT.fullmatch(p.name)]
    assert not [p for p in (place / "tmp").rglob("*") if p.is_file()]


PREDICT = """
import sys
from posewright.cli import main
main(["predict", sys.argv[1], "-o", sys.argv[2], "--save", "jsonl"])
"""
SOCKET = "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect({})"
# what is done -> what the checker must name
CONTROLS = {
    "onnxruntime's telemetry left on": ("import onnxruntime" + PREDICT, "/home/.cache/Microsoft"),
    "openvino's telemetry left on": ("import openvino" + PREDICT, "/home/intel/openvino_ga_cid"),
    "another machine": (SOCKET.format(("192.0.2.1", 443)), "192.0.2.1"),
    "a resolver on this machine": (SOCKET.format(("127.0.0.1", 53)), "htons(53)"),
    "a program": ("import subprocess, sys; subprocess.run([sys.executable, '-m', 'this'])", "this"),
    "a file at home": ("from pathlib import Path; (Path.home() / 'x').write_text('')", "home/x"),
    "a folder here": ("import os; os.mkdir('runs')", "runs"),
    "a link": ("import os; os.symlink('a', 'elsewhere')", "elsewhere"),
}


@pytest.mark.parametrize("name", CONTROLS)
def test_the_checker_finds(name: str, place: Path, inputs: Path) -> None:
    code, expected = CONTROLS[name]
    _, wrong = watched(place, inputs, code, str(inputs / "people.jpg"), str(place / "out" / "x"))
    assert any(expected in line for line in wrong), wrong


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_pose_leaves_the_home_empty(runtime: str, place: Path) -> None:
    code = f"import posewright; posewright.Pose(runtime={runtime!r})"
    subprocess.run([sys.executable, "-c", code], check=True, env=environment(place))
    assert not list((place / "home").rglob("*"))


def test_the_variable_reaches_children_and_overrides(place: Path) -> None:
    code = "import posewright, subprocess; subprocess.run(['printenv', 'ORT_DISABLE_TELEMETRY'])"
    for given in ({}, {"ORT_DISABLE_TELEMETRY": "0"}):
        env = {**environment(place), **given}
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=env)
        assert done.stdout.strip() == "1"


def test_onnxruntime_that_was_loaded_before_is_told(place: Path) -> None:
    code = (
        "import onnxruntime\n"
        "onnxruntime.disable_telemetry_events = lambda: print('told')\n"
        "import posewright; posewright.Pose(runtime='onnxruntime')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(place)
    )
    assert done.stdout.strip() == "told", done.stderr


class Reporter:
    """Stands for the module openvino_telemetry, whose `Telemetry` returns the one object."""

    consent = True

    def Telemetry(self) -> Reporter:
        return self


def test_openvino_that_was_loaded_before_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    reporter = Reporter()
    monkeypatch.setitem(sys.modules, "openvino_telemetry", reporter)  # type: ignore[arg-type]
    with loading_openvino():
        with pytest.raises(ImportError):
            import openvino_telemetry  # noqa: F401
    assert sys.modules["openvino_telemetry"] is reporter and not reporter.consent


def test_openvino_s_reporter_stays_importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    with loading_openvino():
        with pytest.raises(ImportError):
            import openvino_telemetry  # noqa: F401
    assert "openvino_telemetry" not in sys.modules


@pytest.mark.parametrize("loaded", [False, True])
def test_openvino_is_loaded_inside_a_load_and_by_several_threads(
    loaded: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "openvino_telemetry", raising=False)
    reporter = Reporter()
    if loaded:
        monkeypatch.setitem(sys.modules, "openvino_telemetry", reporter)  # type: ignore[arg-type]
    with loading_openvino():
        with loading_openvino():
            pass
        with pytest.raises(ImportError):
            import openvino_telemetry  # noqa: F401
    inside = [threading.Event(), threading.Event()]

    def load(number: int, wait: float) -> None:
        with loading_openvino():
            inside[number].set()
            inside[1 - number].wait(wait)

    first = threading.Thread(target=load, args=(0, 0.2))
    first.start()
    inside[0].wait()
    second = threading.Thread(target=load, args=(1, 0.2))
    second.start()
    first.join()
    second.join()
    assert sys.modules.get("openvino_telemetry") is (reporter if loaded else None)
    assert ("openvino_telemetry" in sys.modules) == loaded


def test_int8_reports_nothing(place: Path) -> None:
    pytest.importorskip("nncf")
    code = (
        "import posewright.export.export\n"
        "from posewright.telemetry import loading_openvino\n"
        "with loading_openvino():\n"
        "    import nncf\n"
        "from nncf.telemetry import telemetry\n"
        "print(type(telemetry).__name__)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment(place)
    )
    assert done.stdout.strip() == "MagicMock", done.stderr
    assert not list((place / "home").rglob("*"))
