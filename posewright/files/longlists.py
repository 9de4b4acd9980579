"""JSON lists of many objects with one long list of numbers each, read several times as fast.

The long lists are cut out of the text and parsed together by numpy; the rest is small.  Every
number is the one that the json module reads, to the last bit; anything unusual is left to it.
"""

from __future__ import annotations

import json
import re
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["split_lists"]

_EXACT = 1 << 53  # up to here whole numbers are exact in float64
_DECIMALS = 22  # up to here powers of ten are
_PER_CHUNK = 1000  # lists parsed together, so that they stay in the processor's cache


def split_lists(text: bytes, field: str) -> tuple[list[Any], NDArray[np.float64]] | None:
    """Read a JSON list of objects whose `field` is a list of equally many plain decimal numbers.

    Return the objects, with 0 in place of the lists, and the lists as (objects, length).  None for
    any other text, valid or not, which the json module must read.
    """
    parts = re.split(rb'"' + field.encode() + rb'"\s*:\s*\[([^\]]*)\]', text)
    lists = parts[1::2]
    lengths = {part.count(b",") for part in lists}
    if len(lengths) != 1:
        return None
    key = b'"' + field.encode() + b'":0'
    try:
        objects = json.loads(key.join(parts[::2]))
    except (ValueError, RecursionError):
        return None
    if not isinstance(objects, list) or len(objects) != len(lists):
        return None
    # One list to each object and none elsewhere, so the order is that of the objects.
    if not all(isinstance(o, dict) and o.get(field) == 0 for o in objects):
        return None
    chunks = [_numbers(lists[i : i + _PER_CHUNK]) for i in range(0, len(lists), _PER_CHUNK)]
    known = [chunk for chunk in chunks if chunk is not None]
    if len(known) < len(chunks):
        return None
    return objects, np.concatenate(known).reshape(len(lists), lengths.pop() + 1)


def _numbers(lists: list[bytes]) -> NDArray[np.float64] | None:
    """Parse -?digits[.digits] with commas between; None for anything else.

    A decimal is its digits as a whole number over a power of ten.  Where both are exact, so is the
    rounding of the quotient (Clinger, "How to read floating point numbers accurately", 1990).
    """
    text = (b",".join(lists) + b",").replace(b", ", b",")
    if text.translate(None, b"0123456789.,-"):
        return None
    letters = np.frombuffer(text, np.uint8)
    ends = np.flatnonzero(letters == ord(","))
    starts = np.concatenate([[0], ends[:-1] + 1])
    negative = letters[starts] == ord("-")
    first = starts + negative
    decimals = _decimals(np.flatnonzero(letters == ord(".")), first, ends)
    if decimals is None or text.count(b"-") != negative.sum():
        return None
    zeros = first[letters[first] == ord("0")]
    if (letters[zeros + 1] >= ord("0")).any():  # 012 is no number of JSON
        return None
    whole = np.fromstring(text.translate(None, b".")[:-1], np.int64, sep=",")
    if np.abs(whole).max(initial=0) > _EXACT or decimals.max(initial=0) > _DECIMALS:
        return None
    return np.asarray(whole / (10.0 ** np.arange(_DECIMALS + 1))[decimals])


def _decimals(
    dots: NDArray[np.int64], starts: NDArray[np.int64], ends: NDArray[np.int64]
) -> NDArray[np.int64] | None:
    """Return how many digits follow each number's dot; None where a number is not one."""
    if (starts >= ends).any():
        return None
    rows = np.arange(len(ends)) if len(dots) == len(ends) else np.searchsorted(ends, dots)
    first, last = starts[rows], ends[rows]
    # Each dot lies between digits of its own number.  Where there are as many dots as numbers, one
    # with two dots would shift a later dot out of its number.
    if (dots <= first).any() or (dots + 1 >= last).any() or (rows[1:] == rows[:-1]).any():
        return None
    decimals = np.zeros(len(ends), np.int64)
    decimals[rows] = last - dots - 1
    return decimals
