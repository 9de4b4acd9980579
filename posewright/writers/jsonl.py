"""JSONL: a line per frame, lossless; `readers.read_results` reads it back equal.

The first line is the header of the schema, each further one the row of a frame.  A run with another
skeleton has another header before the frames that it applies to.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posewright.files.values import dumps
from posewright.results import Result
from posewright.schema.rows import header, row
from posewright.skeletons import Skeleton
from posewright.writers import WriterOptions
from posewright.writers.text import TextWriter

__all__ = ["LinesForm", "create"]


def create(_: str, folder: Path, options: WriterOptions) -> TextWriter:
    """Return the writer of `poses.jsonl`."""
    return TextWriter(folder / "poses.jsonl", LinesForm(), options.overwrite)


class LinesForm:
    """Lines as described at the top of this file."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._now: tuple[Skeleton, Mapping[str, Any]] | None = None

    def begin(self) -> str:
        return ""

    def add(self, result: Result) -> str:
        now = (result.skeleton, result.run)
        first = "" if now == self._now else dumps(header(*now)) + "\n"
        self._now = now
        return first + dumps(row(result)) + "\n"

    def end(self) -> str:
        return "" if self._now is not None else dumps(header(None, {})) + "\n"
