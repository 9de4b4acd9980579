"""Names of files: from the name of a source, legal everywhere."""

from __future__ import annotations

import hashlib
import re
from pathlib import PurePath

from posewright.sources.order import PICTURES, UNREAD
from posewright.sources.skipped import RAW

__all__ = ["file_name", "integer_in", "is_picture", "safe", "stem"]

# Others than those that are read are names of frames that a program made itself.
_PICTURES = PICTURES | UNREAD | RAW | frozenset(".ppm .pgm .pnm .jp2".split())
_ILLEGAL = re.compile(r'[<>:"/\\|?*\x00-\x1f]')  # on Windows, where results are copied to
_LONGEST = 200  # bytes; file systems take 255 with what the writers add


def is_picture(source: str) -> bool:
    """Tell whether a name is that of an image, i.e. one frame, and not of a video or a stream."""
    return "://" not in source and PurePath(source).suffix.lower() in _PICTURES


def file_name(source: str) -> str:
    """Return the last part of a path or address with "/" or "\\"; "frame" where there is none."""
    if "://" in source:
        source = re.split(r"[?#]", source)[0]
    return re.split(r"[/\\]", source.rstrip("/\\"))[-1] or "frame"


def stem(source: str) -> str:
    """Return the last part of a path or address without its suffix."""
    return PurePath(file_name(source)).stem or "frame"


def integer_in(source: str) -> int | None:
    """Return the last run of digits in the stem, COCO's image id: 785 of 000000000785.jpg."""
    digits = re.findall(r"\d+", stem(source), re.ASCII)
    return int(digits[-1][-18:]) if digits else None


def safe(name: str) -> str:
    """Return a legal file name of at most 200 bytes; a longer one is cut and gets a hash."""
    legal = _ILLEGAL.sub("_", name).rstrip(". ") or "frame"
    raw = legal.encode("utf-8", "surrogateescape")
    if len(raw) <= _LONGEST:
        return legal
    digest = hashlib.sha256(raw).hexdigest()[:8]
    return raw[: _LONGEST - 9].decode("utf-8", "ignore") + "-" + digest
