"""Where the pictures of an annotation file lie, and how large they are."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath

from posewright.files.paths import on_disk

__all__ = ["header_size", "header_sizes", "picture_finder", "pictures_in"]

_PROBES = 30  # names that are looked for before a folder is chosen
_UP = 3  # levels above the annotation file that are searched


def picture_finder(
    labels: Path, names: Sequence[str], images: Path | None = None
) -> Callable[[str], Path]:
    """Return the function from a name in `labels` to its picture's path.

    The folder is the one of `images`, the folders near `labels` and their usual children that holds
    most of the first names, whole or without their leading folders.  A path that leads nowhere is
    returned all the same: whoever opens it says that it is missing.
    """
    probes = [_parts(name) for name in names[:_PROBES]]
    roots = [images] if images is not None else list(_near(labels))
    depth = max((len(p) for p in probes), default=1)
    best = (0, roots[0], 0)
    for root in roots:
        for drop in range(depth):
            found = sum(_under(root, parts, drop).is_file() for parts in probes)
            if found > best[0]:
                best = (found, root, drop)
    _, root, drop = best
    return lambda name: _under(root, _parts(name), drop)


def _parts(name: str) -> tuple[str, ...]:
    """Return the folders and the name of a path written on any system."""
    return PurePosixPath(name.replace("\\", "/")).parts or (name,)


def _under(root: Path, parts: tuple[str, ...], drop: int) -> Path:
    return on_disk(root.joinpath(*parts[min(drop, len(parts) - 1) :]))


def _near(labels: Path) -> Iterable[Path]:
    """Yield the folders in which the pictures of such a file usually lie."""
    folder = labels if labels.is_dir() else labels.parent
    words = labels.stem.replace(".", "_").split("_")
    for up in [folder, *list(folder.absolute().parents)[:_UP]]:
        yield up
        yield up / "images"
        for word in words:
            if word:
                yield up / word
                yield up / "images" / word


def header_size(path: Path) -> tuple[int, int]:
    """Return (width, height) px of the upright picture, as it is decoded; 0, 0 where that fails.

    From the file's header: its size and its EXIF orientation.
    """
    return header_sizes(path)[0]


def header_sizes(path: Path) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (width, height) px of the upright picture, and of its pixels as they are stored."""
    from posewright.sources.guard import BadPicture, shown_sizes

    try:
        if not os.path.isfile(path):  # a pipe would be waited for
            return (0, 0), (0, 0)
        with open(path, "rb") as file:
            return shown_sizes(file)
    except (OSError, BadPicture, ValueError):
        return (0, 0), (0, 0)


def pictures_in(folder: Path) -> list[Path]:
    """Return all pictures under a folder, sorted by path."""
    from posewright.sources.order import PICTURES

    found = [
        Path(root, name)
        for root, _, names in os.walk(folder)
        for name in names
        if Path(name).suffix.lower() in PICTURES
    ]
    return sorted(found)
