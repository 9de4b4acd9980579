"""Checked values of files from other tools."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from posewright.errors import SourceError, UsageError, counted, near
from posewright.files.contents import contents
from posewright.people import Floats, extent
from posewright.skeletons import Skeleton, get_skeleton, list_skeletons

__all__ = [
    "AREA_OF_BOX",
    "BROKEN",
    "corners",
    "crowding",
    "dumps",
    "finite",
    "identity",
    "image_id",
    "load",
    "natural",
    "number_id",
    "plain",
    "reach",
    "skeleton_of",
    "switch",
    "turned_extent",
    "why",
]


AREA_OF_BOX = 0.53  # a person's share of their box, where no area is labelled (CrowdPose)
BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)
_USUAL = {14: "crowdpose14", 17: "coco17"}  # of joint counts that several skeletons share
_WHOLE = re.compile(r"[+-]?\d{1,4000}(\.0*)?")  # Python converts no longer ones
_HALVES = re.compile(rb"\\u[dD][89a-fA-F]|\xed[\xa0-\xbf]")  # of UTF-16 in JSON, alone or in pairs
_HALF = re.compile("[\ud800-\udc7f\udd00-\udfff]")
_OFF, _ON = {"", "0", "0.0", "false", "no", "none", "null"}, {"1", "1.0", "true", "yes"}


def load(path: Path) -> Any:
    """Parse a JSON file; a SourceError in one line for anything else."""
    try:
        content = contents(path)
        if not content:
            raise SourceError(f"{path} is empty (0 bytes): nothing was written to it")
        parsed = json.loads(content)
        return _encodable(parsed) if _HALVES.search(content) or 0 in content[:4] else parsed
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}{near(path)}") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path} is not valid JSON ({error}); write it again") from error


def _encodable(value: Any) -> Any:
    """Return parsed JSON with \ufffd in place of what no name of a file and no text can hold.

    Half a pair of UTF-16 stays where it stands for a byte of a file's name that is not UTF-8.
    """
    if isinstance(value, str):
        return _HALF.sub("\ufffd", value)
    if isinstance(value, list):
        return [_encodable(inner) for inner in value]
    if isinstance(value, dict):
        return {_HALF.sub("\ufffd", key): _encodable(inner) for key, inner in value.items()}
    return value


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
        raise ValueError(f"invalid bounding box of size {width:g} x {height:g}")
    return np.array([x, y, x + width, y + height], np.float32)


def turned_extent(
    x: float, y: float, width: float, height: float, degrees: float, round: bool = False
) -> Floats:
    """Return x1, y1, x2, y2 round a rectangle, or ellipse, about x, y that is turned by an angle.

    Sides may be negative, as of a box that was drawn from its lower right corner.
    """
    cos, sin = (abs(v) for v in (np.cos(np.radians(degrees)), np.sin(np.radians(degrees))))
    a, b = abs(width) / 2, abs(height) / 2
    half = (
        [np.hypot(a * cos, b * sin), np.hypot(a * sin, b * cos)]
        if round
        else [a * cos + b * sin, a * sin + b * cos]
    )
    return finite([x - half[0], y - half[1], x + half[0], y + half[1]])


def crowding(value: Any) -> float | None:
    """Return CrowdPose's crowdIndex; None for anything but a finite number."""
    try:
        number = float(value)
    except BROKEN:
        return None
    return number if np.isfinite(number) else None


def reach(points: Floats) -> Floats:
    """(K, 3) -> the bounding box of the joints with a score, or of all joints."""
    seen = points[points[:, 2] > 0]
    return np.asarray(extent((seen if len(seen) else points)[None, :, :2])[0], np.float32)


def image_id(value: Any) -> int | str:
    """Return an id as an integer where it is a whole number: of 785, 785.0, "785" and "000785".

    Any other text is kept as it is.  ValueError: null, true or false, a fraction, or not a number.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str):
        return int(value.partition(".")[0]) if _WHOLE.fullmatch(value) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"{value!r} is not an id")


def number_id(value: Any) -> int:
    """Return an id as `image_id` does where it is an integer of 64 bits; -1 for anything else."""
    try:
        number = image_id(value)
    except ValueError:
        return -1
    return number if isinstance(number, int) and -(1 << 63) <= number < 1 << 63 else -1


def identity(value: Any) -> int:
    """Return a track id; -1 for a negative one and for anything that is not a number."""
    return max(number_id(value), -1)


def switch(value: Any) -> bool:
    """Return a flag that files write as 0, 1, true, "0", "1", "true" or null (which is no).

    ValueError for what is neither.
    """
    if value is None or (isinstance(value, (bool, int, float)) and value in (0, 1)):
        return bool(value)
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


def skeleton_of(path: Path, counts: set[int], given: Skeleton | None) -> Skeleton:
    """Return the given skeleton, or the usual one for people of so many joints."""
    if len(counts) > 1:
        raise SourceError(f"{path} mixes people of {sorted(counts)} joints; write it again")
    [count] = counts
    if given is not None and len(given) != count:
        raise UsageError(
            f"{path} has people of {counted(count, 'joint')}, not the {len(given)} of "
            f"{given.name!r}; name another skeleton"
        )
    fitting = [name for name in list_skeletons() if len(get_skeleton(name)) == count]
    if given is None and not fitting:
        raise SourceError(
            f"{path} has people of {counted(count, 'joint')}; no known skeleton has that many; "
            "give the poses.jsonl or poses.parquet of the run, which name their joints"
        )
    return given or get_skeleton(_USUAL.get(count, fitting[0]))


def why(error: Exception) -> str:
    """Return what an error of BROKEN says of a file: our own words, or Python's with their type."""
    return str(error) if type(error) is ValueError else repr(error)[:200]


def dumps(value: Any) -> str:
    """Return compact JSON in ASCII; a ValueError rather than NaN."""
    return json.dumps(value, allow_nan=False, separators=(",", ":"))


def plain(array: ArrayLike) -> Any:
    """Return lists of the shortest decimals that read back as the same float32."""
    return np.asarray(array, np.float32).astype("U32").astype(np.float64).tolist()
