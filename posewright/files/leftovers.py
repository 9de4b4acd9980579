"""Temporary files of results, and how to find the result that each belongs to."""

from __future__ import annotations

import re
import secrets
import shutil
from pathlib import Path

__all__ = ["final_name", "find", "part_name", "part_place", "remove"]

_PART = re.compile(r"(.+)\.part-[0-9a-f]{8}(\.[A-Za-z0-9]+)?")


def part_name(final: str) -> str:
    """Return a new temporary name: "poses.part-1a2b3c4d.jsonl" of "poses.jsonl".

    The suffix stays last: readers and encoders choose the format by it.
    """
    path = Path(final)
    return f"{path.stem}.part-{secrets.token_hex(4)}{path.suffix}"


def part_place(folder: Path) -> Path:
    """Return the path of a folder's temporary folder: beside it, where it can be renamed.

    Inside it where it is a link or on another disk, as nothing beside it can be moved there.
    """
    try:
        disks = {folder.stat().st_dev, folder.parent.stat().st_dev}
        return (
            folder if folder.is_dir() and (folder.is_symlink() or len(disks) > 1) else folder.parent
        )
    except OSError:  # it is not there
        return folder.parent


def final_name(part: str) -> str | None:
    """Return the final name of a temporary file; None for any other file."""
    match = _PART.fullmatch(part)
    return None if match is None else match[1] + (match[2] or "")


def find(folder: Path) -> list[Path]:
    """Return the temporary files and folders in a folder, sorted."""
    try:
        return sorted(path for path in folder.iterdir() if final_name(path.name))
    except FileNotFoundError:
        return []


def remove(path: Path) -> None:
    """Remove a temporary file or folder; an OSError says why it cannot be removed."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
