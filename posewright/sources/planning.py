"""What a run decides before it opens anything: which of its sources it can and should read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any
from zipfile import BadZipFile

import numpy as np

from posewright.errors import SourceError, UsageError
from posewright.files.marks import MARK, drawn_among, is_drawn
from posewright.sources.address import is_address, is_stream, without_secrets
from posewright.sources.base import Source
from posewright.sources.decoding import open_container
from posewright.sources.images import (
    folder_files,
    glob_files,
    kind_of,
    list_files,
    zip_files,
)
from posewright.sources.numbered import is_numbered, numbered_files
from posewright.sources.order import PICTURES, UNREAD, folder_of
from posewright.sources.ranges import no_times
from posewright.sources.skipped import RAW

__all__ = [
    "Plan",
    "check_times",
    "is_on_disk",
    "picture_files",
    "plan",
    "sequences",
    "shown",
]

_CAMERA = re.compile(r"(?:camera:)?([0-9]{1,4})")
ENDLESS = ("rtsp", "rtsps", "rtmp", "udp")


@dataclass(frozen=True)
class Plan:
    """The sources to read, in order, and a line for each that is skipped."""

    sources: list[Any]
    notes: list[str]


def plan(sources: Sequence[Any], opening: Callable[[Any], Source]) -> Plan:
    """Skip duplicates, and images that posewright drew where there are other sources.

    opening: opens an address, to learn whether its end is known.  UsageError for an address that is
    not a source, and where a live source, which has no end, stands before another one; SourceError
    where nothing is left.
    """
    for spec in sources:
        if isinstance(spec, str) and not _CAMERA.fullmatch(spec):
            is_stream(spec)
    for place, spec in enumerate(sources[:-1]):
        if _is_live(spec, opening):
            raise UsageError(
                f"{shown(spec)} is live and has no end, so {shown(sources[place + 1])} would never "
                "be read; start a run for each live source, and name it last"
            )
    kept: list[Any] = []
    notes: list[str] = []
    seen: dict[str, str] = {}
    for spec in sources:
        path = _path(spec)
        real = None if path is None else os.path.realpath(path)
        if path is not None and _is_drawn(path):
            notes.append(f"{path} was drawn by posewright and is skipped; give the original")
        elif real is not None and real in seen:
            notes.append(f"{path} is the same as {seen[real]} and is read once")
        else:
            kept.append(spec)
            if real is not None and path is not None:
                seen[real] = path
    if sources and not kept:
        raise SourceError(notes[0])
    return Plan(kept, notes)


def shown(spec: Any) -> str:
    """Return a source in printable form: an address without its password."""
    if isinstance(spec, (str, os.PathLike)):
        return without_secrets(os.fsdecode(spec))
    return f"camera {spec}" if isinstance(spec, (int, np.integer)) else type(spec).__name__


def picture_files(spec: Any) -> list[str]:
    """Return the files that a path stands for, except those that `plan` or a folder skips.

    An empty list for a source that is not a path; its errors are raised when it is opened.
    """
    if isinstance(spec, (list, tuple)):
        return [file for item in spec for file in picture_files(item)]
    if not isinstance(spec, (str, os.PathLike)):
        return []
    name = os.fsdecode(spec)
    try:
        if os.path.isdir(name):
            found = folder_files(name, [])
        elif is_numbered(name):
            found = [file for _, file in numbered_files(name)]
        elif not os.path.lexists(name):
            found = glob_files(name, []) if any(mark in name for mark in "*?[") else []
        else:
            found = [name]
            if PurePath(name).suffix.lower() == ".txt":
                found += list_files(name)
    except (SourceError, OSError, ValueError):
        return []
    drawn = set(drawn_among(found))
    return [file for file in found if file not in drawn]


def sequences(spec: Any) -> list[tuple[str, bool]]:
    """Return the sequences that a source holds as far as its name tells, in order.

    Each with whether it consists of images.  Nothing for what cannot be read, and for arrays.
    """
    if isinstance(spec, (list, tuple)):
        return list(dict.fromkeys(found for item in spec for found in sequences(item)))
    path = _path(spec)
    if path is None and isinstance(spec, (str, int, np.integer)):
        camera = _CAMERA.fullmatch(str(spec))
        if camera or is_address(str(spec)):
            return [(f"camera:{int(camera[1])}" if camera else shown(spec), False)]
    files = picture_files(spec) if path is None or os.path.isdir(path) else _inside_file(path)
    if files is None:
        return [(str(path), False)]
    return list(dict.fromkeys((folder_of(file), True) for file in files))


def check_times(sources: Sequence[Any]) -> None:
    """Raise a UsageError for a source of images, which have no times without a frame rate."""
    for spec in sources:
        if any(still for _, still in sequences(spec)):
            raise no_times(shown(spec))


def _inside_file(path: str) -> list[str] | None:
    """Return the images that a file is, names or packs; None for a video."""
    suffix = PurePath(path).suffix.lower()
    try:
        kind, _ = kind_of(path)
        if kind == "zip":
            return zip_files(path)
        if kind == "text" and suffix == ".txt":
            return [file for file in picture_files(path) if file != path]
    except (OSError, ValueError, BadZipFile):
        return []
    return [path] if kind in ("picture", "raw") or suffix in PICTURES | UNREAD | RAW else None


def is_on_disk(spec: Any) -> bool:
    """Tell a path, a pattern or a list of them: what can be read again, and from its start."""
    if isinstance(spec, (list, tuple)):
        return all(map(is_on_disk, spec))
    if not isinstance(spec, (str, os.PathLike)):
        return False
    name = os.fsdecode(spec)
    camera = _CAMERA.fullmatch(name)
    return not is_address(name) and not (camera and not os.path.lexists(name))


def _path(spec: Any) -> str | None:
    """Return the path of an existing file or folder; None for any other source."""
    if not isinstance(spec, (str, os.PathLike)):
        return None
    path = os.fsdecode(spec)
    return path if os.path.exists(path) else None


def _is_live(spec: Any, opening: Callable[[Any], Source]) -> bool:
    """Tell a camera or stream; an address of the web may also be a video, so it is opened."""
    if isinstance(spec, (int, np.integer)) and not isinstance(spec, bool):
        return True
    if not isinstance(spec, (str, os.PathLike)) or os.path.exists(spec):
        return False
    spec = os.fsdecode(spec)
    if re.fullmatch(r"(?:camera:)?[0-9]{1,4}", spec):
        return True
    scheme = spec.partition("://")[0].lower() if "://" in spec else ""
    if scheme in ENDLESS:
        return True
    if scheme not in ("http", "https"):
        return False
    try:
        with opening(spec) as source:
            return source.kind == "stream"
    except SourceError:  # told when its turn comes
        return False


def _is_drawn(path: str) -> bool:
    """Tell an image or a video that posewright drew; a pipe would be waited for."""
    if not os.path.isfile(path):
        return False
    if PurePath(path).suffix.lower() not in (".mp4", ".avi"):
        return is_drawn(path)
    try:
        container, _ = open_container("file:" + os.path.abspath(path), path, "file", 1 << 31)
    except SourceError:
        return False
    with container:
        return container.metadata.get("comment") == MARK
