"""Run command lines one after the other in this process, and tell what came of each.

A line of JSON comes in on stdin, {"argv": [...], "cwd": "..."}, and a line goes out: the exit code,
what was printed, seconds, and the peak of memory in MB, in this process and in those it started,
and how far above what it had before.  The verb "(read)" calls a reader of `reading` alone.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import io
import json
import os
import resource
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from reading import READERS  # beside this file, which runs by itself

from posewright.cli import main
from posewright.errors import PosewrightError


def outcome(argv: list[str]) -> dict[str, Any]:
    """Return what a command line came to."""
    out, err = io.StringIO(), io.StringIO()
    if argv[0] == "(read)":
        _warm()
    started, spent, before = time.perf_counter(), _cpu_seconds(), _status("VmRSS:")
    _forget_peak()
    code: int | None = None
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = _read(*argv[1:]) if argv[0] == "(read)" else main(argv)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 1
        except BaseException:
            traceback.print_exc()
    cpu, wall = _cpu_seconds() - spent, time.perf_counter() - started
    others = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return {
        "code": code,
        "out": _spoken(out),
        "err": _spoken(err),
        "wall": wall,
        "cpu": cpu,
        "peak": max(_status("VmHWM:"), others),
        "grown": _status("VmHWM:") - before,
    }


@functools.cache
def _warm() -> None:
    """Import what takes long, so that no reader is charged for it."""
    names = ("cv2", "av", "torch", "safetensors.torch", "onnx", "yaml", "posewright.runtimes.onnx")
    for name in (*names, "posewright.runtimes.openvino"):
        importlib.import_module(name)


def _read(reader: str, file: str) -> int:
    """Return the exit code that a command line would have; an error is printed as it would be."""
    try:
        READERS[reader](Path(file))
    except PosewrightError as error:
        print(f"posewright: {error}", file=sys.stderr)
        return error.exit_code
    return 0


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


def _status(name: str) -> float:
    """Return what the kernel says of this process, in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(name):
            return int(line.split()[1]) / 1024
    return 0.0


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
