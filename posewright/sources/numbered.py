"""Numbered images: "frames/img_%04d.jpg" stands for img_0000.jpg, img_0001.jpg and so on."""

from __future__ import annotations

import os
import re
from itertools import pairwise

from posewright.errors import SourceError, counted
from posewright.files.marks import drawn_among
from posewright.sources.images import file_load
from posewright.sources.loads import Load
from posewright.sources.order import PICTURES, UNREAD

__all__ = ["is_numbered", "numbered_files", "numbered_loads"]

_PLACE = re.compile(r"%%|%0?([0-9]{0,2})d")  # as printf and FFmpeg have it; %% is one "%"
_LONGEST = 18  # digits of a number that an integer of 64 bits holds


def is_numbered(name: str) -> bool:
    """Tell whether a name is a pattern of numbered images; an existing file or a glob is none."""
    folder, base = os.path.split(name)
    if all(place[0] == "%%" for place in _PLACE.finditer(base)) or os.path.lexists(name):
        return False
    return not any(mark in base for mark in "*?[") and os.path.isdir(folder or ".")


def numbered_files(pattern: str) -> list[tuple[int, str]]:
    """Return (number, path) of the images that a pattern stands for, in order of the numbers.

    SourceError without a match, and for a pattern with two numbers.
    """
    folder, base = os.path.split(pattern)
    # what the names match that printf would write, with the number as group 1
    text, at, places = "", 0, 0
    for place in _PLACE.finditer(base):
        text += re.escape(base[at : place.start()])
        at, places = place.end(), places + (place[0] != "%%")
        text += "%" if place[0] == "%%" else _digits(int(place[1] or 1))
    if places > 1:
        raise SourceError(f"{pattern} has {places} numbers; a sequence needs exactly one")
    form = re.compile(text + re.escape(base[at:]), re.DOTALL)
    try:
        names = os.listdir(folder or ".")
    except OSError as error:
        raise SourceError(f"cannot read the folder of {pattern}: {error.strerror}") from error
    matches = ((form.fullmatch(name), os.path.join(folder, name)) for name in names)
    found = sorted((int(match[1]), path) for match, path in matches if match and _is_picture(path))
    if not found:
        raise SourceError(
            f"no image matches {pattern}; check the name and how many digits its numbers have"
        )
    return found


def numbered_loads(pattern: str, max_pixels: int, notes: list[str]) -> list[Load]:
    """Return how to read the images; each has the number in its name.

    notes: a line for missing numbers, and one for what posewright drew.
    """
    found = numbered_files(pattern)
    drawn = set(drawn_among([path for _, path in found]))
    kept = [(number, path) for number, path in found if path not in drawn]
    if not kept:
        raise SourceError(f"{pattern} matches only images that posewright drew; give the originals")
    if drawn:
        notes.append(f"{pattern}: {counted(len(drawn), 'image')} skipped, drawn by posewright")
    notes += _gaps(pattern, [number for number, _ in kept])
    return [file_load(path, max_pixels, number) for number, path in kept]


def _digits(width: int) -> str:
    """Return the numbers of at least `width` digits, filled up with zeros to so many."""
    if width >= _LONGEST:
        return f"(0{{{width - _LONGEST}}}[0-9]{{{_LONGEST}}})"
    width = max(width, 1)
    return f"([0-9]{{{width}}}|[1-9][0-9]{{{width},{_LONGEST - 1}}})"


def _is_picture(path: str) -> bool:
    return os.path.splitext(path)[1].lower() in PICTURES | UNREAD and not os.path.isdir(path)


def _gaps(pattern: str, numbers: list[int]) -> list[str]:
    """Return a line about the numbers that are not there between the first and the last."""
    first, last = numbers[0], numbers[-1]
    missing = last - first + 1 - len(numbers)
    if not missing:
        return []
    gap = next(n + 1 for n, after in pairwise(numbers) if after > n + 1)
    count = counted(missing, "number is", "numbers are")
    return [f"{pattern}: {count} missing between {first} and {last}, the first of them {gap}"]
