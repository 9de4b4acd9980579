"""Damaged images in a folder with good ones: each has its row, good ones the same as without."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .bounded import Bounded, Outcome
from .kinds import damaged

__all__ = ["damaged_folder", "rows_of"]


def damaged_folder(rng: random.Random, good: Sequence[Path], folder: Path, count: int) -> None:
    """Write `count` damaged copies of the images into a folder, and each good one once."""
    folder.mkdir()
    for number in range(count):
        file = good[number % len(good)]
        made = damaged(rng, file.read_bytes(), "picture")
        (folder / f"{number:04d}-{file.name}").write_bytes(made)
    for file in good:
        shutil.copyfile(file, folder / f"good-{file.name}")


def rows_of(run: Bounded, source: Path, out: Path) -> tuple[Outcome, dict[str, dict[str, Any]]]:
    """Run `predict` on a folder; return what came of it, and the rows by the images' names.

    A row is without its number in the sequence and the time that it took, which depend on others.
    """
    outcome = run(
        "predict",
        source,
        "-o",
        out,
        "-d",
        "whole-image",
        "--save",
        "jsonl",
        "--progress",
        "none",
        cwd=source.parent,
    )
    lines = (out / "poses.jsonl").read_text(encoding="utf-8").splitlines()[1:]
    rows = {Path(row["source"]).name: row for row in map(json.loads, lines)}
    assert len(rows) == len(lines), "two rows of one image"
    for row in rows.values():
        del row["frame"], row["time"]
    return outcome, rows
