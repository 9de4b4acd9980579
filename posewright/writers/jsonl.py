"""JSONL: one line per frame, lossless; `readers.read_results` reads it back equal.

The first line is a header: {"format": "posewright-results", "version": 1, "skeleton": {...}}; the
skeleton is null where there were no frames.  A run with a second skeleton has a second header
before the frames that it applies to.  A frame's line: source, sequence (the video or folder), frame
(in the sequence), time (s), size [w, h] (px), status, message, speed {stage: ms}, people [{id (-1 =
none), box [x1, y1, x2, y2], box_score, keypoints [[x, y, score], ...]}].
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from posewright.files.values import dumps, plain
from posewright.people import triples
from posewright.results import Result
from posewright.skeletons import Skeleton
from posewright.writers import WriterOptions
from posewright.writers.names import sequence_of
from posewright.writers.text import TextWriter

__all__ = ["FORMAT", "VERSION", "LinesForm", "create"]

FORMAT = "posewright-results"
VERSION = 1


def create(_: str, folder: Path, options: WriterOptions) -> TextWriter:
    """Return the writer of `poses.jsonl`."""
    return TextWriter(folder / "poses.jsonl", LinesForm(), options.overwrite)


class LinesForm:
    """Lines as described at the top of this file."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._skeleton: Skeleton | None = None

    def begin(self) -> str:
        return ""

    def add(self, result: Result) -> str:
        header = "" if result.skeleton == self._skeleton else _header(result.skeleton)
        self._skeleton = result.skeleton
        return header + dumps(_line(result)) + "\n"

    def end(self) -> str:
        return "" if self._skeleton is not None else _header(None)


def _header(skeleton: Skeleton | None) -> str:
    joints = None if skeleton is None else skeleton.to_dict()
    return dumps({"format": FORMAT, "version": VERSION, "skeleton": joints}) + "\n"


def _line(result: Result) -> dict[str, Any]:
    columns = (
        result.people.ids.tolist(),
        plain(result.people.boxes),
        plain(result.people.box_scores),
        plain(triples(result.people)),
    )
    keys = ("id", "box", "box_score", "keypoints")
    return {
        "source": result.source,
        "sequence": sequence_of(result),
        "frame": result.frame,
        "time": float(result.time),
        "size": list(result.size),
        "status": result.status,
        "message": result.message,
        "speed": {},  # two runs over the same input are equal to the byte
        "people": [dict(zip(keys, row, strict=True)) for row in zip(*columns, strict=True)],
    }
