"""The command line, called in this process."""

from __future__ import annotations

import filecmp
import json
from pathlib import Path

from posewright.cli import main

__all__ = ["lines", "predict", "run", "same_bytes"]


def run(*args: object) -> int:
    try:
        return main([str(a) for a in args])
    except SystemExit as stop:
        return int(stop.code or 0)


def predict(out: Path, *args: object) -> int:
    return run("predict", *args, "-o", out, "--progress", "none")


def lines(out: Path) -> list[dict]:
    """The frames of poses.jsonl."""
    return [json.loads(line) for line in (out / "poses.jsonl").read_text().splitlines()[1:]]


def same_bytes(a: Path, b: Path) -> bool:
    """Whether two files are equal.

    For files of megabytes: where their contents are compared in an `assert`, pytest describes the
    difference, which takes hours.
    """
    return filecmp.cmp(a, b, shallow=False)
