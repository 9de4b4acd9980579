"""The order in which images are read: a folder is a sequence, one is read after the other."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import PurePath
from typing import Any

__all__ = ["PICTURES", "UNREAD", "folder_of", "gathered", "natural", "together"]

PICTURES = frozenset(".jpg .jpeg .jpe .jfif .png .webp .tif .tiff .bmp .dib".split())
UNREAD = frozenset(".heic .heif .avif".split())  # images too: reported, not passed over
Chunks = list[tuple[int, str]]


def folder_of(name: str) -> str:
    """Return the sequence that an image belongs to."""
    return str(PurePath(name).parent)


def gathered(sources: Iterable[Any]) -> list[Any]:
    """Put images of a folder that are named one by one into one list, one source.

    So the images that a shell expands "walk/*.jpg" to are a sequence, as the folder is, at the
    place of the first of them.  Lists of paths are put in the order of `together`.
    """
    found: list[list[Any]] = []
    by_folder: dict[str, list[Any]] = {}
    for source in sources:
        folder = _picture_folder(source)
        if folder is not None and folder in by_folder:
            by_folder[folder].append(source)
            continue
        found.append([together(source)])
        if folder is not None:
            by_folder[folder] = found[-1]
    return [same if len(same) > 1 else same[0] for same in found]


def together(source: Any) -> Any:
    """Return a list of paths with the images of each folder one after the other.

    The folders keep the order of their first images, and the images that of the list.  Any
    other source is returned as it is.
    """
    paths = (str, os.PathLike)
    if not isinstance(source, (list, tuple)) or not all(isinstance(p, paths) for p in source):
        return source
    by_folder: defaultdict[str, list[Any]] = defaultdict(list)
    for item in source:
        path = os.fsdecode(item)
        by_folder[path if os.path.isdir(path) else folder_of(path)].append(item)
    return [item for same in by_folder.values() for item in same]


def _picture_folder(source: Any) -> str | None:
    """Return the folder of an image that is there; None for any other source."""
    if not isinstance(source, (str, os.PathLike)):
        return None
    path = os.fsdecode(source)
    known = PurePath(path).suffix.lower() in PICTURES | UNREAD
    return folder_of(path) if known and os.path.isfile(path) else None


def natural(path: str) -> tuple[list[Chunks], list[str], Chunks, str]:
    """Sort key that puts 2.jpg before 10.jpg; digits are compared by their number's size.

    The files of a folder stay together, before those of the folders in it, also where another
    folder's name differs from its own in letter case or zeros alone ("cam1" and "cam01").
    """

    def chunk(text: str) -> tuple[int, str]:
        digits = text.lstrip("0")
        return (len(digits), digits) if text[:1].isdigit() else (0, text.casefold())

    parts = re.split(r"[/\\]", path)
    *folders, name = ([chunk(text) for text in re.split(r"([0-9]+)", part)] for part in parts)
    return folders, parts[:-1], name, parts[-1]
