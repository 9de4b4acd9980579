"""Values of a file, checked against the type and the range of each field."""

from __future__ import annotations

import json
import types
from typing import Any, Literal, Union, get_args, get_origin

__all__ = ["LARGEST", "MOST_TENSORS", "parsed", "text_of", "typed"]

MOST_TENSORS = 20_000  # of a file; the largest networks have some 3,000
LARGEST = 1e6  # of any number that describes a network; views have at most thousands of pixels


def parsed(text: str | bytes) -> dict[str, Any]:
    """Return the object in a JSON text; ValueError for anything else, deep nesting and NaN too."""
    try:
        data = json.loads(text, parse_constant=_refused)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(data, dict):
        raise ValueError("it is not a JSON object")
    return data


def _refused(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def text_of(value: Any, most: int = 10_000) -> str:
    """Return a text; ValueError for another type or more than `most` characters.

    A lone surrogate is refused too, unless it stands for a byte of a file's name, as in Python.
    """
    if not isinstance(value, str):
        raise ValueError(f"{_shown(value)} is not a text")
    if len(value) > most:
        raise ValueError(f"a text of {len(value)} characters")
    value.encode("utf-8", "surrogateescape")  # UnicodeEncodeError is a ValueError
    return value


def typed(value: Any, hint: Any) -> Any:
    """Return a JSON value as the type of its field, lists as tuples; ValueError if it differs.

    Numbers are finite and at most `LARGEST`; a whole number stands for a float as well.
    """
    kind, inside = get_origin(hint), get_args(hint)
    if kind in (Union, types.UnionType):
        return _any_of(value, inside)
    if kind is Literal:
        if isinstance(value, str) and value in inside:
            return value
    elif kind is tuple:
        return _items(value, inside)
    elif hint is type(None):
        if value is None:
            return None
    elif hint is str:
        return text_of(value)
    elif hint is bool or isinstance(value, bool):
        if hint is bool and isinstance(value, bool):
            return value
    elif isinstance(value, int if hint is int else (int, float)):
        if abs(value) <= LARGEST:  # which NaN is not
            return value
    raise ValueError(f"{_shown(value)} is invalid")


def _any_of(value: Any, hints: tuple[Any, ...]) -> Any:
    for hint in hints:
        try:
            return typed(value, hint)
        except ValueError:
            continue
    raise ValueError(f"{_shown(value)} is invalid")


def _items(value: Any, hints: tuple[Any, ...]) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{_shown(value)} is not a list")
    if len(hints) == 2 and hints[1] is Ellipsis:
        hints = (hints[0],) * len(value)
    if len(value) != len(hints):
        raise ValueError(f"{len(value)} values, not {len(hints)}")
    return tuple(typed(item, hint) for item, hint in zip(value, hints, strict=True))


def _shown(value: Any) -> str:
    return ascii(value)[:40]
