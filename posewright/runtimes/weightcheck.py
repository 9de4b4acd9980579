"""Whether the weights of an ONNX file hold NaN, without the package that reads such files.

Runtimes may turn NaN into numbers, as OpenVINO does where it clamps.  A network with such weights
has no output at all, so that what a runtime makes of it must not be taken for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["has_nan", "without_numbers"]

# fields of onnx.proto3: the way to the tensors of a graph, and their types and values
_INITIALIZER, _CONSTANT = (7, 5), (7, 1, 5, 5)
_TYPE, _FLOATS, _RAW, _DOUBLES = 2, 4, 9, 10
_DTYPES = {1: "<f4", 10: "<f2", 11: "<f8"}


def has_nan(path: Path) -> bool:
    """Tell whether a floating tensor in the file holds NaN; one that is no ONNX file holds none."""
    data = memoryview(path.read_bytes())
    try:
        return any(
            _nan_in(tensor) for way in (_INITIALIZER, _CONSTANT) for tensor in _messages(data, way)
        )
    except IndexError:  # a truncated message, which the runtime refuses
        return False


def without_numbers(arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the arrays with NaN in place of every floating value."""
    return [np.full_like(a, np.nan) if a.dtype.kind == "f" else a for a in arrays]


def _nan_in(tensor: memoryview) -> bool:
    kind, values = 0, list[tuple[int, memoryview]]()
    for number, value in _fields(tensor):
        if number == _TYPE and isinstance(value, int):
            kind = value
        elif number in (_FLOATS, _RAW, _DOUBLES) and not isinstance(value, int):
            values.append((number, value))
    for number, value in values:
        dtype = _DTYPES.get({_FLOATS: 1, _DOUBLES: 11}.get(number, kind), "")
        if dtype and len(value) % np.dtype(dtype).itemsize == 0:
            if np.isnan(np.frombuffer(value, dtype)).any():
                return True
    return False


def _messages(data: memoryview, way: Sequence[int]) -> Iterator[memoryview]:
    """Yield the messages that lie at the end of a way of field numbers."""
    for number, value in _fields(data):
        if number == way[0] and not isinstance(value, int):
            if len(way) == 1:
                yield value
            else:
                yield from _messages(value, way[1:])


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """Yield number and value of each field of a protobuf message: a number, or bytes."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        size, at = _varint(data, at) if wire == 2 else ({1: 8, 5: 4}.get(wire, len(data)), at)
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
        shift += 7
