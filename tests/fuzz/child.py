"""Run command lines one after the other in this process, and tell what came of each.

A line of JSON comes in on stdin, {"argv": [...], "cwd": "..."}, and a line goes out: the exit code,
what was printed, seconds, and the peak of memory in MB, in this process and in those it started.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from posewright.cli import main


def outcome(argv: list[str]) -> dict[str, Any]:
    """Return what a command line came to."""
    out, err = io.StringIO(), io.StringIO()
    started, spent = time.perf_counter(), _cpu_seconds()
    _forget_peak()
    code: int | None = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(argv)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
    return {
        "code": code, "out": _spoken(out), "err": _spoken(err),
        "wall": time.perf_counter() - started, "cpu": _cpu_seconds() - spent, "peak": _peak(),
    }  # fmt: skip


def _spoken(stream: io.StringIO) -> str:
    """Return what a console shows of it, which has no half characters."""
    return stream.getvalue().encode("utf-8", "backslashreplace").decode()


def _cpu_seconds() -> float:
    """Return the time that a machine with nothing else to do would have taken at most."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    others = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def _forget_peak() -> None:
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def _peak() -> float:
    """Return MB: the peak of this process since it was forgotten, or that of its children ever."""
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return max(int(line.split()[1]) / 1024, others)
    return others


def _read_here() -> None:
    """Read checkpoints in this process, which has its own limits and need not start each time."""
    from posewright.checkpoints import conversion
    from posewright.checkpoints.files import read_checkpoint

    conversion.read_apart = lambda source, *_: read_checkpoint(source)  # type: ignore[assignment]


def serve() -> None:
    """Answer until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what a library prints is no answer
    for line in sys.stdin:
        asked = json.loads(line)
        os.chdir(asked["cwd"])
        if asked["argv"][0] == "models":
            _read_here()
        answers.write(json.dumps(outcome(asked["argv"])) + "\n")
        answers.flush()


if __name__ == "__main__":
    serve()
