"""Jobs, each the command line of its verb in a process of its own, behind a fence."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from posewright.machine import NO_MODULES_HERE
from posewright.serve.jobs import Jobs
from posewright.serve.kinds import KINDS, Asked, command
from posewright.serve.places import size_of
from posewright.serve.settings import Settings
from posewright.weights import parted
from posewright.weights.folders import cache_folder

__all__ = ["Running", "Workers"]

LINES, LINE_BYTES, RESULT_BYTES, LOG_BYTES = 500, 4000, 1 << 20, 1 << 20
SWEEP_S, MEASURE_S, PARK_S = 600.0, 2.0, 15.0
_LOG = logging.getLogger("posewright.serve")
_EPOCH = re.compile(r"epoch (\d{1,9}(?:\.\d{1,9})?)/(\d{1,9})\b", re.ASCII)
# the package lists its verbs before it runs one, of which runpy would warn in every log
QUIET = ("-W", "ignore::RuntimeWarning:runpy")
FULL = "the results filled the space that the server gives; delete jobs, or ask its owner"


@dataclass
class Running:
    """What a job in progress says: a number that grows, the last progress and its last lines."""

    version: int = 0
    progress: dict[str, Any] = field(default_factory=dict)
    lines: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=LINES))
    last: str = ""
    logged: int = 0

    def hear(self, line: str) -> None:
        """Take a line of the process: progress as JSON, or anything else for the log."""
        told = _progress(line)
        self.version += 1
        if told is not None:
            self.progress = told
            return
        if epoch := _EPOCH.match(line):  # as a training writes it
            self.progress = {"done": float(epoch[1]), "total": int(epoch[2])}
        self.last = line
        self.lines.append((self.version, line))


class Workers:
    """Threads that take a job each; `close` stops the jobs, which go on at the next start."""

    def __init__(self, jobs: Jobs, settings: Settings) -> None:
        self._jobs, self._data, self._keep = jobs, settings.data, settings.keep
        self._limit = int(settings.quota_gb * 1e9)
        library = [settings.library] if settings.library else []
        self._readable = [str(path.absolute()) for path in (*library, cache_folder())]
        self.running: dict[str, Running] = {}
        self._closed = threading.Event()
        work = [self._work] * settings.workers
        self._threads = [
            threading.Thread(target=each, daemon=True) for each in (self._sweep, *work)
        ]

    def start(self) -> None:
        """Start the threads."""
        for thread in self._threads:
            thread.start()

    @property
    def closing(self) -> bool:
        """Whether the server ends."""
        return self._closed.is_set()

    def stop(self) -> None:
        """Begin to park the jobs; may be called by the handler of a signal."""
        self._closed.set()

    def close(self) -> None:
        """Park the jobs and end the threads."""
        self.stop()
        with self._jobs.waiting:
            self._jobs.waiting.notify_all()
        for thread in self._threads:
            thread.join()

    def _sweep(self) -> None:
        while True:
            self._jobs.sweep(self._keep)
            if self._closed.wait(SWEEP_S):
                return

    def _work(self) -> None:
        while not self._closed.is_set():
            row = self._jobs.claim()
            if row is None:
                with self._jobs.waiting:
                    self._jobs.waiting.wait(1.0)
                continue
            try:
                self._run(row)
            except Exception:  # the thread must live for the other jobs
                _LOG.exception("job %s failed", row["id"])
                self._jobs.end(row["id"], "failed", None, "the server failed; its log says where")

    def _run(self, row: Mapping[str, Any]) -> None:
        job, asked = row["id"], Asked(**json.loads(row["asked"]))
        folder = self._jobs.folder(job)
        words = _words(asked, folder)
        for name in ("tmp", "out"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        heard = self.running[job] = Running()
        try:
            with open(folder / "result.json", "wb") as result:
                process = self._start(words, asked, folder, result)
                listener = threading.Thread(target=_listen, args=(process, heard, folder))
                listener.start()
                with process:
                    stopped = self._wait(job, process)
                    listener.join()
            self._ended(job, asked, folder, process.returncode, heard, stopped)
        finally:
            del self.running[job]

    def _start(
        self, words: Sequence[str], asked: Asked, folder: Path, out: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        """Start the verb; the pipe of its standard input closes when this process ends.

        out: takes what it prints as JSON.  A verb that prints lines for people is heard instead.
        """
        plain = "--json" not in words
        names = ",".join(asked.networks.values()).replace("\n", ",").split(",")
        border = [str(folder), *self._readable, *(parted(name)[1] for name in names), "--"]
        alike = {**os.environ, **NO_MODULES_HERE, "POSEWRIGHT_OFFLINE": "1"}
        alike |= {"TMPDIR": str(folder / "tmp"), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.Popen(
            [sys.executable, *QUIET, "-m", "posewright.cli.fenced", *border, *words],
            cwd=folder / "tmp",
            env=alike,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE if plain else out,
            stderr=subprocess.STDOUT if plain else subprocess.PIPE,
        )

    def _wait(self, job: str, process: subprocess.Popen[bytes]) -> str:
        """Wait for the end, or stop the process; return why, "" where it ended itself."""
        measured = time.monotonic()
        while process.poll() is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(0.1)
                break
            if self._closed.is_set():
                return _stopped(process, "parked")
            if self._jobs.status(job) != "running":
                process.kill()
                process.wait()
                return "cancelled"
            if time.monotonic() - measured > MEASURE_S:
                measured = time.monotonic()
                if size_of(self._data) > self._limit:
                    return _stopped(process, FULL)
        return ""

    def _ended(
        self, job: str, asked: Asked, folder: Path, code: int, heard: Running, stopped: str
    ) -> None:
        shutil.rmtree(folder / "tmp", ignore_errors=True)
        if stopped == "parked" and code not in (0, 3):
            self._jobs.park(job)
            return
        if stopped == FULL:
            self._jobs.end(job, "failed", code, FULL)
            return
        result = _result(folder / "result.json", folder)
        done = code == 0 or (code == 3 and _found(asked, result))
        error = "" if code == 0 else _hidden(heard.last.removeprefix("posewright: "), folder)
        if not done and not error:
            error = _first_bad(result) or f"the process ended with {code}"
        told = None if result is None else json.dumps(result)
        self._jobs.end(job, "done" if done else "failed", code, error, told)
        if not self._jobs.status(job):  # deleted meanwhile, and written to after that
            self._jobs.delete(job)


def _words(asked: Asked, folder: Path) -> list[str]:
    """Return the command, which goes on where the verb can; else it begins anew."""
    out = folder / "out"
    words = command(asked, out)
    if not KINDS[asked.kind].resumes:
        shutil.rmtree(out, ignore_errors=True)
    elif asked.kind == "predict" and out.is_dir() and any(out.iterdir()):
        words.append("--resume")
    elif asked.kind == "train" and words[1].startswith("--resume"):
        return words
    elif asked.kind == "train":
        shutil.rmtree(out, ignore_errors=True)
    return words


def _stopped(process: subprocess.Popen[bytes], why: str) -> str:
    """Ask a process to end; end it where it does not."""
    process.terminate()
    try:
        process.wait(PARK_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    return why


def _listen(process: subprocess.Popen[bytes], heard: Running, folder: Path) -> None:
    """Read what a process says until it ends; only so much is kept, and no path of the server."""
    said = process.stderr or process.stdout
    assert said is not None
    with open(folder / "log", "a", encoding="utf-8") as out, said:
        while line := said.readline(LINE_BYTES):
            text = _hidden(line.decode("utf-8", "replace").strip(), folder)
            if text:
                heard.hear(text)
            if out.tell() < LOG_BYTES:
                out.write(f"{text}\n")


def _progress(line: str) -> dict[str, Any] | None:
    """Return the progress that a line is, as `--progress json` writes it."""
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    keys = ("done", "total", "people", "seconds")
    return {key: found.get(key) for key in keys} if "done" in found else None


def _result(path: Path, folder: Path) -> Any:
    """Return what a verb printed as JSON, without the server's paths; None for anything else."""
    try:
        if not 0 < path.stat().st_size <= RESULT_BYTES:
            return None
        return json.loads(_hidden(path.read_text("utf-8", "replace"), folder))
    except (FileNotFoundError, ValueError):  # the first where the job was deleted meanwhile
        return None


def _first_bad(result: Any) -> str:
    """Return what was wrong with the first input that was left out, "" where none was."""
    bad = result.get("bad") if isinstance(result, dict) else None
    return str(bad[0][1]) if bad else ""


def _found(asked: Asked, result: Any) -> bool:
    """Whether a run that left something out has results all the same."""
    return isinstance(result, dict) and bool(result.get("frames", 1))


def _hidden(text: str, folder: Path) -> str:
    """Return a text with names in place of paths of the server."""
    for inner in ("out", "in"):
        text = text.replace(f"{folder / inner}{os.sep}", "")
    return text.replace(f"{folder}{os.sep}", "").replace(str(folder.parent.parent), "data")
