"""Checked values of files that others wrote."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import SourceError, near
from posewright.people import Floats, extent

__all__ = ["BROKEN", "corners", "finite", "image_id", "load", "natural", "reach"]

BROKEN = (KeyError, TypeError, ValueError, IndexError, AttributeError, OverflowError)


def load(path: Path) -> Any:
    """Parse a JSON file; a SourceError in one line for anything else."""
    try:
        return json.loads(path.read_bytes())
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


def reach(points: Floats) -> Floats:
    """(K, 3) -> the box round the joints with a score, or round all of them."""
    seen = points[points[:, 2] > 0]
    return np.asarray(extent((seen if len(seen) else points)[None, :, :2])[0], np.float32)


def image_id(image: int | str) -> int | str:
    """Return "785" as 785 and anything else as it is."""
    return int(image) if isinstance(image, int) or image.isdecimal() else image


def natural(name: int | str) -> tuple[tuple[int, int, str], ...]:
    """Return a key that sorts numbers inside names by their value, however long."""
    parts = [part for part in re.split(r"(\d+)", str(name)) if part]
    digits = [part.lstrip("0") if part.isdecimal() else None for part in parts]
    return tuple(
        (1, 0, part) if number is None else (0, len(number), number)
        for part, number in zip(parts, digits, strict=True)
    )
