"""The fields of a codec in a file: checked types and valid ranges."""

from __future__ import annotations

from dataclasses import fields
from typing import Any, get_type_hints

from posewright.files.fields import typed

__all__ = ["MOST_PIXELS", "stated_fields"]

MOST_PIXELS = 2_400_000  # of a view: 1536 x 1536, or 2048 x 1152; more takes gigabytes
_SHARE = (0.0, 1.0)
# Wide enough for every published network.  Without them a number in a file decides how much memory
# a view takes, or divides by zero.
_RANGES: dict[str, tuple[float, float]] = {
    "alike": (0, 10_000),
    "anchors": (1e-3, 1e5),
    "background": _SHARE,
    "bins": (2, 1000),
    "centre_sigma": (1e-3, 1000),
    "factor": (1e-4, 10),
    "fill": (0, 255),
    "input_size": (1, 4096),
    "integrals": (1, 10_000),
    "iou": _SHARE,
    "joints": (1, 1000),
    "kernel": (1, 999),
    "max_people": (1, 10_000),
    "near": (0, 1000),
    "nearness": (1e-3, 1000),
    "padding": (0.1, 10),
    "person": (0, 10_000),
    "radius": (0, 10_000),
    "sigma": (1e-3, 1000),
    "slots": (1, 10_000),
    "smoothing": _SHARE,
    "split": (1e-2, 8),
    "stride": (1, 256),
    "strides": (1, 1024),
    "threshold": _SHARE,
}


def stated_fields(codec: type[Any], data: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of a codec's class from their plain form, lists as tuples.

    ValueError: an unknown field, a value of another type, or one out of range.
    """
    known = [field.name for field in fields(codec)]
    unknown = sorted(set(data) - set(known))
    if unknown:
        raise ValueError(f"no field {ascii(unknown)[:80]}; it has {sorted(known)}")
    hints = get_type_hints(codec)
    found = {}
    for name, value in data.items():
        try:
            found[name] = _in_range(name, typed(value, hints[name]))
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from None
    return found


def _in_range(name: str, value: Any) -> Any:
    for number in value if isinstance(value, tuple) else (value,):
        plain = isinstance(number, (int, float)) and not isinstance(number, bool)
        if name in _RANGES and plain:
            low, high = _RANGES[name]
            if not low <= number <= high:
                raise ValueError(f"{number:g} is not between {low:g} and {high:g}")
    if value == ():
        raise ValueError("an empty list")
    if name == "input_size" and value[0] * value[1] > MOST_PIXELS:
        raise ValueError(f"{value[0]} x {value[1]} are more than {MOST_PIXELS:,} pixels")
    return value
