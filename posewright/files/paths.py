"""Match image names in a file with paths on the disk, by the longest common tail."""

from __future__ import annotations

import os
import re
import time
import unicodedata
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path, PurePath

__all__ = ["PathIndex", "normal", "on_disk"]

_UNSURE = 2_000_000_000  # ns: FAT tells the time of a change to two seconds


def normal(name: str) -> str:
    """Return a name in normal form C of Unicode, in which equal names compare equal."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def on_disk(path: Path) -> Path:
    """Return a path as the disk spells it, where only the Unicode normal form differs.

    A path that does not exist is returned unchanged.
    """
    if str(path).isascii() or os.path.lexists(path):
        return path
    parent = on_disk(path.parent)
    return parent / _spellings(parent).get(normal(path.name), path.name)


def _spellings(folder: Path) -> Mapping[str, str]:
    """Return the names in a folder by their normal form; none where it cannot be read.

    A listing is used again while the folder's time is the same, which tells nothing of a change
    just now.
    """
    try:
        changed = folder.stat().st_mtime_ns
        sure = time.time_ns() - changed > _UNSURE
        return _known(folder, changed) if sure else _listed(folder)
    except OSError:
        return {}


def _listed(folder: Path) -> Mapping[str, str]:
    return {normal(name): name for name in os.listdir(folder)}


@lru_cache(maxsize=64)
def _known(folder: Path, changed: int) -> Mapping[str, str]:
    return _listed(folder)


def _parts(path: str, suffix: bool = True) -> list[str]:
    """Return folders and name of a path with "/" or "\\", the last one first."""
    parts = [part for part in re.split(r"[/\\]", normal(path))[::-1] if part not in ("", ".")]
    return parts if suffix or not parts else [PurePath(parts[0]).stem, *parts[1:]]


class PathIndex:
    """Finds the names that mean the same image as a path.

    names: as a file of annotations or results has them, with or without folders.  suffix: ".jpg"
    and its like are a part of a name.
    """

    def __init__(self, names: Iterable[str], suffix: bool = True) -> None:
        self._suffix = suffix
        self._by_last: dict[str, list[tuple[list[str], str]]] = {}
        for name in dict.fromkeys(names):
            parts = _parts(name, suffix)
            if parts:
                self._by_last.setdefault(parts[0], []).append((parts, name))

    def find(self, path: str) -> list[str]:
        """Return the names that fit best: one, several that fit equally well, or none.

        The file names must be equal.  Of several, those with the most folders in common with the
        path, counted from its end, fit best; then one that no folder contradicts.
        """
        candidates = self._by_last.get(next(iter(_parts(path, self._suffix)), ""), [])
        if len(candidates) < 2:
            return [name for _, name in candidates]
        wanted = _parts(os.path.abspath(path), self._suffix)
        fits = [_fit(parts, wanted) for parts, _ in candidates]
        return [name for (_, name), fit in zip(candidates, fits, strict=True) if fit == max(fits)]


def _fit(parts: list[str], wanted: list[str]) -> tuple[int, bool]:
    """Return how many parts agree from the end, and whether all of them do."""
    same = next(
        (i for i, (a, b) in enumerate(zip(parts, wanted, strict=False)) if a != b),
        min(len(parts), len(wanted)),
    )
    return same, same == len(parts)
