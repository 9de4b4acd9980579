"""Checked values of files that others wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import SourceError, near
from posewright.people import Floats, extent

__all__ = [
    "BROKEN", "corners", "crowding", "finite", "image_id", "load", "natural", "number_id", "reach",
    "switch",
]  # fmt: skip

BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
_WHOLE = re.compile(r"[+-]?\d{1,4000}(\.0*)?")  # Python converts no longer ones
_OFF, _ON = {"", "0", "0.0", "false", "no", "none", "null"}, {"1", "1.0", "true", "yes"}


def load(path: Path) -> Any:
    """Parse a JSON file; a SourceError in one line for anything else."""
    try:
        content = path.read_bytes()
        if not content:
            raise SourceError(f"{path} is empty (0 bytes): nothing was written to it")
        return json.loads(content)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}{near(path)}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not valid JSON ({error}); write it again") from error


def finite(value: Any) -> Floats:
    """Return float32; a ValueError for NaN or infinity."""
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinity, refused below
        array: Floats = np.array(value, np.float32)
    if not np.isfinite(array).all():
        raise ValueError("NaN or infinity")
    return array


def corners(box: Any) -> Floats:
    """Return x1, y1, x2, y2 of left, top, width, height."""
    x, y, width, height = finite(box)
    if width < 0 or height < 0:
        raise ValueError(f"a box of size {width:g} x {height:g}")
    return np.array([x, y, x + width, y + height], np.float32)


def crowding(value: Any) -> float | None:
    """Return CrowdPose's crowdIndex; None for null, text and whatever else is no finite number."""
    try:
        number = float(value)
    except BROKEN:
        return None
    return number if np.isfinite(number) else None


def reach(points: Floats) -> Floats:
    """(K, 3) -> the box round the joints with a score, or round all of them."""
    seen = points[points[:, 2] > 0]
    return np.asarray(extent((seen if len(seen) else points)[None, :, :2])[0], np.float32)


def image_id(value: Any) -> int | str:
    """Return an id as an integer where it is a whole number: of 785, 785.0, "785" and "000785".

    Any other text is kept as it is.  ValueError: null, true or false, a fraction, or no number.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return int(value.partition(".")[0]) if _WHOLE.fullmatch(value) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"{value!r} is no id")


def number_id(value: Any) -> int:
    """Return an id as `image_id` does where it is an integer of 64 bits; -1 for anything else."""
    try:
        number = image_id(value)
    except ValueError:
        return -1
    return number if isinstance(number, int) and -(1 << 63) <= number < 1 << 63 else -1


def switch(value: Any) -> bool:
    """Return a yes or no that files write as 0, 1, true, "0", "1", "true" or null (which is no).

    ValueError for what is neither.
    """
    if value is None or (isinstance(value, (bool, int, float)) and value == value):
        return bool(value)  # NaN is neither
    word = str(value).strip().lower()
    if word in _OFF or word in _ON:
        return word in _ON
    raise ValueError(f"{str(value)[:40]!r} is neither 0 nor 1")


def natural(name: int | str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts numbers inside names by their value, however long."""
    parts = [part for part in re.split(r"(\d+)", str(name)) if part]
    digits = [part.lstrip("0") if part.isdecimal() else None for part in parts]
    return tuple(
        (1, 0, part) if number is None else (0, len(number), number)
        for part, number in zip(parts, digits, strict=True)
    )
