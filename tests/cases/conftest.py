"""The inputs that once failed: a folder of cases beside the test data, copied to where we write.

Each test prints one line: PASS or FAIL, the name of the case, and what came of it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest


@dataclass
class Done:
    """What a command left: its exit code and what it printed."""

    code: int
    out: str
    err: str


@dataclass
class Case:
    """A writable copy of one case; commands run inside it."""

    folder: Path
    data: Path
    details: list[str] = field(default_factory=list)

    @property
    def picture(self) -> Path:
        """An image with people."""
        return self.data / "coco" / "images" / "000000000785.jpg"

    def posewright(self, *words: str | Path, **env: str) -> Done:
        """Run the command line in a process of its own."""
        return self.run("-m", "posewright", *words, **env)

    def start(self, *words: str | Path) -> subprocess.Popen[str]:
        """Start the command line and go on."""
        argv = [sys.executable, "-m", "posewright", *map(str, words)]
        return subprocess.Popen(
            argv, cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )

    def run(self, *words: str | Path, **env: str) -> Done:
        """Run Python in a process of its own; it may take two minutes."""
        done = subprocess.run(
            [sys.executable, *map(str, words)],
            cwd=self.folder,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            encoding="utf-8",
            errors="replace",
            timeout=120,
        )
        assert done.returncode != 1 and "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, done.stderr)

    def rows(self, name: str | Path) -> list[dict[str, Any]]:
        """Return the frames of a poses.jsonl."""
        lines = (self.folder / name).read_text("utf-8").splitlines()
        return [row for row in map(json.loads, lines) if "format" not in row]

    def say(self, text: str) -> None:
        """Add to the line that the case prints."""
        self.details.append(text)


@pytest.fixture
def case(
    request: pytest.FixtureRequest, data_dir: Path, tmp_path: Path
) -> Generator[Callable[[str], Case]]:
    """A function that copies a case, such as "labels/labelled-twice", and returns it."""
    cases = data_dir.parent / "cases"
    if not cases.is_dir():
        pytest.skip(f"no cases at {cases}")
    opened: list[Case] = []

    def open_case(name: str) -> Case:
        kind = tmp_path / "cases" / name.partition("/")[0]
        kind.mkdir(parents=True)
        (tmp_path / "data").symlink_to(data_dir.resolve())
        for base in (cases / kind.name).glob("*.py"):  # what the cases' makers share
            shutil.copy(base, kind / base.name)
        folder = kind / name.partition("/")[2]
        folder.mkdir()
        for file in (cases / name).iterdir():  # contents only: the originals may be read-only
            shutil.copyfile(file, folder / file.name)
        opened.append(Case(folder, data_dir))
        request.node.user_properties.append(("case", name))
        return opened[-1]

    yield open_case
    for found in opened:
        request.node.user_properties.append(("detail", "; ".join(found.details)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Make the line of a case when all of it is over; tests/conftest.py prints it."""
    report = yield
    if report.when == "call" and report.failed and call.excinfo is not None:
        fault = str(call.excinfo.value).partition("\n")[0]
        item.user_properties.append(("fault", fault))
    properties = dict(item.user_properties)
    if report.when == "teardown" and "case" in properties:
        if "fault" in properties:
            line = f"FAIL {properties['case']}: {properties['fault']}"
            report.user_properties.append(("said", line))
        elif properties.get("detail"):
            line = f"PASS {properties['case']}: {properties['detail']}"
            report.user_properties.append(("said", line))
    return report
