"""Detect NaN in the weights of an ONNX file, without the onnx package.

Runtimes may turn NaN into numbers, as OpenVINO does where it clamps.  The outputs of such a network
are meaningless, whatever numbers a runtime returns.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.runtimes.protobuf import Part, message_of

__all__ = ["has_nan", "searching", "without_numbers"]

# onnx.proto3: of each message the fields that lead to numbers, and what lies in them
_PARTS = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {
        2: "floats",
        7: "floats",
        5: "tensor",
        10: "tensor",
        6: "graph",
        11: "graph",
        22: "sparse",
        23: "sparse",
    },
    "sparse": {1: "tensor"},
}
_TYPE, _FLOATS, _INTEGERS, _RAW, _DOUBLES, _BESIDE = 2, 4, 5, 9, 10, 13  # fields of a tensor
_FLOAT, _DOUBLE, _HALF, _BFLOAT = 1, 11, 10, 16  # types of a tensor
_DTYPES = {_FLOAT: "<f4", _HALF: "<f2", _DOUBLE: "<f8", 14: "<f4", 15: "<f8"}  # of complex: halves
_NAN_BYTES = {  # of floats in 8 bits: E4M3FN, E4M3FNUZ, E5M2, E5M2FNUZ, E8M0
    17: (0x7F, 0xFF),
    18: (0x80,),
    19: (0x7D, 0x7E, 0x7F, 0xFD, 0xFE, 0xFF),
    20: (0x80,),
    24: (0xFF,),
}


def has_nan(path: Path) -> bool:
    """Tell whether a floating number in the file, or in those beside it, is NaN.

    Tensors and attributes count, those of branches, loops and functions too.  A file that is not an
    ONNX file holds none.
    """
    try:
        with message_of(path) as model:
            return _nan_in(model, "model", path.parent)
    except (IndexError, ValueError):  # a truncated message, which the runtime refuses
        return False


@contextmanager
def searching(path: Path) -> Iterator[Callable[[], bool]]:
    """Search a file in a thread while a runtime opens it; call what is given for the answer."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(has_nan, path).result


def without_numbers(arrays: Sequence[NDArray[Any]]) -> list[NDArray[Any]]:
    """Return the arrays with NaN in place of every floating value."""
    return [np.full_like(a, np.nan) if a.dtype.kind == "f" else a for a in arrays]


def _nan_in(part: Part, kind: str, folder: Path) -> bool:
    """Tell whether NaN is in a message of that kind; folder: of files beside."""
    if kind == "floats":
        return _nan_in_pieces(part, _FLOAT)
    if kind == "tensor":
        return _nan_in_tensor(part, folder)
    parts = _PARTS[kind]
    return any(
        number in parts and not isinstance(value, int) and _nan_in(value, parts[number], folder)
        for number, value in part.fields()
    )


def _nan_in_tensor(tensor: Part, folder: Path) -> bool:
    fields = list(tensor.fields())
    kind = next((v for n, v in fields if n == _TYPE and isinstance(v, int)), 0)
    beside: dict[str, str] = {}
    for number, value in fields:
        if isinstance(value, int):
            if number == _INTEGERS and _is_nan(value.to_bytes(10, "little")[:2], kind):
                return True
        elif number == _BESIDE:
            key, text = (
                str(bytes(v.data), "utf-8") for _, v in value.fields() if not isinstance(v, int)
            )
            beside[key] = text
        elif number == _INTEGERS:
            if _is_nan(_low_bytes(value.data, kind), kind):
                return True
        elif number in (_FLOATS, _DOUBLES, _RAW):
            if _nan_in_pieces(value, {_FLOATS: _FLOAT, _DOUBLES: _DOUBLE}.get(number, kind)):
                return True
    return "location" in beside and _is_nan(_read(beside, folder), kind)


def _nan_in_pieces(part: Part, kind: int) -> bool:
    return any(_is_nan(piece, kind) for piece in part.pieces())


def _is_nan(data: bytes | memoryview | NDArray[np.uint8], kind: int) -> bool:
    """Tell whether NaN is among the numbers of that type, little-endian."""
    if kind in _NAN_BYTES:
        return bool(np.isin(np.frombuffer(data, np.uint8), _NAN_BYTES[kind]).any())
    dtype = np.dtype("<u2" if kind == _BFLOAT else _DTYPES.get(kind, "V"))
    if not dtype.itemsize or len(data) % dtype.itemsize:
        return False
    values = np.frombuffer(data, dtype)
    if kind == _BFLOAT:  # all bits of the exponent, and one of the fraction
        return bool(((values & 0x7FFF) > 0x7F80).any())
    return bool(np.isnan(values).any())


def _low_bytes(data: memoryview, kind: int) -> bytes:
    """Return numbers of 8 or 16 bits that are packed as varints."""
    packed = np.frombuffer(data, np.uint8).astype(np.uint32)
    ends = np.flatnonzero(packed < 128)
    starts = np.concatenate([[0], ends[:-1] + 1])[: len(ends)]
    numbers = np.zeros(len(ends), np.uint32)
    for i in range(3):  # seven bits each
        inside = starts + i <= ends
        numbers[inside] |= (packed[starts[inside] + i] & 127) << (7 * i)
    return numbers.astype("u1" if kind in _NAN_BYTES else "<u2").tobytes()


def _read(beside: dict[str, str], folder: Path) -> NDArray[np.uint8]:
    """Return the numbers that lie in another file; none where they are not there.

    The runtime refuses that, unless its graph takes no such numbers.
    """
    name = PurePath(beside["location"])
    none = np.zeros(0, np.uint8)
    if name.is_absolute() or ".." in name.parts or not os.path.isfile(folder / name):
        return none
    count, offset = int(beside.get("length", -1)), int(beside.get("offset", 0))
    if count < -1 or offset < 0 or offset + max(count, 0) > os.path.getsize(folder / name):
        return none
    return np.fromfile(folder / name, np.uint8, count, offset=offset)
