"""Which of the pictures that a file names is the one of a path: by the longest matching tail."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable

__all__ = ["PathIndex", "normal"]


def normal(name: str) -> str:
    """Return a name in the one form of Unicode in which equal names are equal (NFC)."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def _parts(path: str) -> list[str]:
    """Return folders and name of a path with "/" or "\\", the last one first."""
    return [part for part in re.split(r"[/\\]", normal(path))[::-1] if part not in ("", ".")]


class PathIndex:
    """Finds the names that mean the same picture as a path.

    names: as a file of labels or results has them, with or without folders.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._by_last: dict[str, list[tuple[list[str], str]]] = {}
        for name in dict.fromkeys(names):
            parts = _parts(name)
            if parts:
                self._by_last.setdefault(parts[0], []).append((parts, name))

    def find(self, path: str) -> list[str]:
        """Return the names that fit best: one, several that fit equally well, or none.

        The file names must be equal.  Of several the one counts that has the most folders in common
        with the path, counted from its end; then one that is not contradicted by a folder.
        """
        candidates = self._by_last.get(next(iter(_parts(path)), ""), [])
        if len(candidates) < 2:
            return [name for _, name in candidates]
        wanted = _parts(os.path.abspath(path))
        fits = [_fit(parts, wanted) for parts, _ in candidates]
        return [name for (_, name), fit in zip(candidates, fits, strict=True) if fit == max(fits)]


def _fit(parts: list[str], wanted: list[str]) -> tuple[int, bool]:
    """Return how many parts agree from the end, and whether all of them do."""
    same = next(
        (i for i, (a, b) in enumerate(zip(parts, wanted, strict=False)) if a != b),
        min(len(parts), len(wanted)),
    )
    return same, same == len(parts)
