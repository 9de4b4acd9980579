"""MATLAB files of version 5 to 7 (MAT-file level 5): numbers, text, cells and structs.

Data only: objects, functions and sparse matrices are refused.  Layout: MathWorks, "MAT-File
Format", chapter 1.
"""

from __future__ import annotations

import math
import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.errors import SourceError, near
from posewright.files.contents import open_regular

__all__ = ["read_mat"]

_HEADER = 128  # bytes
_MATRIX, _COMPRESSED = 14, 15

# Types of stored numbers, and the types that arrays of a class have in memory.
_STORED = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
    16: "u1",
    17: "u2",
    18: "u4",
}
_CLASSES = {
    6: "f8",
    7: "f4",
    8: "i1",
    9: "u1",
    10: "i2",
    11: "u2",
    12: "i4",
    13: "u4",
    14: "i8",
    15: "u8",
}
_CELL, _STRUCT, _CHAR = 1, 2, 4
_TEXT = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}
_TAGS = {order: struct.Struct(f"{order}I") for order in "<>"}
_DEEPEST = 30  # structs in structs
# MPII's file of 12 MB is the largest published one; each of its two million numbers is a matrix.
_LARGEST = 64 << 20  # bytes of a file
UNPACKED = 256 << 20  # bytes of all its variables
MEMORY = 512 << 20  # bytes that the values may take
_VALUE = 192  # bytes of memory that a value takes beside its content

_TOO_LARGE = "it holds more than {} MB, too much for annotations"
_USUAL = 40  # bytes before the content of a variable of two axes without a name

Array = NDArray[Any]
_Head = tuple[int, tuple[int, ...], str]  # class, shape, name


def read_mat(path: str | Path) -> dict[str, Any]:
    """Return the variables of a file by name.

    Numbers are arrays in MATLAB's shape (at least two axes), text is str, a cell array is an object
    array, a struct array is an object array of dicts.  SourceError for a file that is cut off,
    broken, of another version (7.3 is HDF5), holds something else or unpacks to more than 256 MB.
    """
    path = Path(path)
    try:
        with open_regular(path) as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}{near(path)}") from error
    try:
        return _variables(data)
    except (struct.error, zlib.error, ValueError, IndexError, KeyError, UnicodeError) as error:
        raise SourceError(
            f"{path} is not a MATLAB file that can be read ({error}); save it again with -v7"
        ) from error


def _variables(data: bytes) -> dict[str, Any]:
    if len(data) > _LARGEST:
        raise ValueError(_TOO_LARGE.format(_LARGEST >> 20))
    marks = {b"IM": "<", b"MI": ">"}
    if len(data) < _HEADER or data[126:128] not in marks or b"\x89HDF" in data[:520]:
        raise ValueError("no MAT-file header of level 5")
    order = marks[data[126:128]]
    found: dict[str, Any] = {}
    heads: dict[bytes, _Head] = {}
    memory, unpacked = _Memory(), 0
    at = _HEADER
    while at + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, at)
        body = data[at + 8 : at + 8 + size]
        if len(body) < size:
            raise ValueError("the file is cut off")
        at += 8 + size
        if kind == _COMPRESSED:  # the only kind that is not padded, but for the variable in it
            body = _unpack(body, UNPACKED - unpacked)
            unpacked += len(body)
            kind, size = struct.unpack_from(f"{order}II", body)
            body = body[8 : 8 + size]
        else:
            at = -(-at // 8) * 8
        if kind == _MATRIX:
            name, value = _Reader(body, order, heads, memory).matrix(0)
            found[name] = value
    return found


def _unpack(body: bytes, most: int) -> bytes:
    """Decompress up to `most` bytes."""
    unpacker = zlib.decompressobj()
    data = unpacker.decompress(body, max(most, 1))
    if unpacker.eof:
        return data
    if len(data) >= most:
        raise ValueError(_TOO_LARGE.format(UNPACKED >> 20))
    raise ValueError("a variable is cut off")


class _Memory:
    """Counts what the values of a file take, before they take it."""

    def __init__(self) -> None:
        self._left = MEMORY

    def take(self, values: int, content: int = 0) -> None:
        """Count values and the bytes of their content; a ValueError where they are too many."""
        self._left -= values * _VALUE + content
        if self._left < 0:
            raise ValueError(f"its values would take more than {MEMORY >> 20} MB of memory")


class _Reader:
    """Reads elements one after the other from the bytes of a variable."""

    def __init__(self, data: bytes, order: str, heads: dict[bytes, _Head], memory: _Memory) -> None:
        self._data, self._order, self._at = data, order, 0
        self._tag = _TAGS[order]
        self._memory = memory
        self._heads = heads  # of the file so far: a struct array repeats a few a thousand times

    def matrix(self, depth: int) -> tuple[str, Any]:
        """Read the inside of a matrix element: its name and its value."""
        if depth > _DEEPEST:
            raise ValueError(f"structs are nested deeper than {_DEEPEST}")
        self._memory.take(1)
        if not self._data:
            return "", np.zeros((0, 0))
        kind, shape, name = self._head()
        count = math.prod(shape)
        if count > (UNPACKED if kind in _CLASSES else len(self._data)) or min(shape) < 0:
            raise ValueError(f"an array of shape {shape}")
        if kind in _CLASSES:
            self._memory.take(0, count * np.dtype(_CLASSES[kind]).itemsize)
            return name, self._numbers().astype(_CLASSES[kind]).reshape(shape, order="F")
        if kind == _CHAR:
            return name, self._text(shape)
        if kind == _CELL:
            return name, _filled(shape, [self._inner(depth) for _ in range(count)])
        if kind == _STRUCT:
            width = int(self._numbers()[0])
            names = self._numbers().tobytes()
            fields = [
                names[i : i + width].partition(b"\0")[0].decode("ascii")
                for i in range(0, len(names), width)
            ]
            self._memory.take(count * (len(fields) + 1))
            return name, _filled(
                shape, [{f: self._inner(depth) for f in fields} for _ in range(count)]
            )
        raise ValueError(f"class {kind} of {name!r} is none of numbers, text, cell and struct")

    def _head(self) -> _Head:
        """Read class, shape and name."""
        start = self._data[:_USUAL]
        if start in self._heads:
            self._at = _USUAL
            return self._heads[start]
        (flags,) = self._tag.unpack_from(self._element()[1])
        sizes = self._element()[1]
        shape = struct.unpack(f"{self._order}{len(sizes) // 4}i", sizes)
        name = self._element()[1].decode("ascii")
        if flags & 0x800 or len(shape) < 2:
            raise ValueError(f"{name!r} is complex or has no shape")
        if self._at == _USUAL:
            self._heads[start] = flags & 0xFF, shape, name
        return flags & 0xFF, shape, name

    def _text(self, shape: tuple[int, ...]) -> str:
        """Read text; rows of a table of letters are lines."""
        kind, body = self._element()
        encoding = _TEXT[kind]
        if encoding in ("utf-16", "utf-32"):
            encoding += "-le" if self._order == "<" else "-be"
        text = body.decode(encoding)
        if shape[0] < 2:
            return text
        self._memory.take(0, len(text) * 64)  # a list of letters and an array of them
        return "\n".join(map("".join, np.array(list(text)).reshape(shape, order="F").tolist()))

    def _inner(self, depth: int) -> Any:
        kind, body = self._element()
        if kind != _MATRIX:
            raise ValueError(f"type {kind} where a matrix was expected")
        return _Reader(body, self._order, self._heads, self._memory).matrix(depth + 1)[1]

    def _numbers(self) -> Array:
        kind, body = self._element()
        return np.frombuffer(body, self._order + _STORED[kind])

    def _element(self) -> tuple[int, bytes]:
        """Read one element: type and content; one of up to 4 bytes has them in its tag."""
        (tag,) = self._tag.unpack_from(self._data, self._at)
        kind, size, start = tag & 0xFFFF, tag >> 16, self._at + 4
        if size == 0:
            kind = tag
            (size,) = self._tag.unpack_from(self._data, self._at + 4)
            start += 4
        body = self._data[start : start + size]
        if len(body) < size or (start == self._at + 4 and size > 4):
            raise ValueError("an element is cut off")
        self._at = start + (size if start > self._at + 4 else 4)
        self._at = -(-self._at // 8) * 8
        return kind, body


def _filled(shape: tuple[int, ...], values: list[Any]) -> Array:
    array = np.empty(len(values), object)
    array[:] = values
    return array.reshape(shape, order="F")
