"""Files by names from outside: a name counts only if listing the folders gives it, link-free.

No part of a name is ever joined to a path before it was found in a listing, so "..", absolute names
and encodings of them are names of nothing.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from posewright.files.names import file_name, safe

__all__ = ["files_in", "find_in", "size_of", "stored_name"]

DEPTH, MOST = 8, 20_000  # folders below one another, and names of a listing


def find_in(root: Path, name: str) -> Path | None:
    """Return the file or folder that is called so below a folder; None where there is none."""
    parts = name.split("/")
    if len(parts) > DEPTH:
        return None
    path = root
    for part in parts:
        entry = _entries(path).get(part)
        if entry is None:
            return None
        path = path / entry.name
    return path


def _entries(folder: Path) -> dict[str, os.DirEntry[str]]:
    """Return the visible files and folders of a folder; links and devices are none."""
    try:
        with os.scandir(folder) as found:
            entries = [each for each in found if not each.name.startswith(".")]
            plain = [e for e in entries if e.is_dir(follow_symlinks=False) or _is_file(e)]
    except OSError:
        return {}
    return {each.name: each for each in sorted(plain, key=lambda each: each.name)}


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def files_in(root: Path, folders: bool = False, prefix: str = "") -> Iterator[tuple[str, int]]:
    """Yield the name below `root` and the bytes of each file; -1 of folders, if asked for."""
    if prefix.count("/") >= DEPTH:
        return
    for name, entry in _entries(root / prefix).items():
        below = f"{prefix}{name}"
        if not _is_file(entry):
            if folders:
                yield below, -1
            yield from files_in(root, folders, f"{below}/")
        else:
            with suppress(OSError):  # removed meanwhile
                yield below, entry.stat(follow_symlinks=False).st_size


def size_of(folder: Path) -> int:
    """Return the bytes of all files below a folder, hidden ones too; links count as nothing."""
    total = 0
    for where, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += os.lstat(os.path.join(where, name)).st_size
    return total


def stored_name(name: str, taken: set[str]) -> str:
    """Return a name for an upload: the last part of the client's, of letters, digits, and .-_

    Results are named after their source; signs that a pattern, a list or an option would give a
    meaning to are not kept.
    """
    plain = re.sub(r"[^\w.-]+", "_", safe(file_name(name))).lstrip(".-") or "upload"
    stem, dot, suffix = plain.rpartition(".")
    stem, suffix = (stem, dot + suffix.lower()) if dot else (plain, "")
    found, number = f"{stem}{suffix}", 1
    while found.lower() in taken:
        number += 1
        found = f"{stem}-{number}{suffix}"
    taken.add(found.lower())
    return found
