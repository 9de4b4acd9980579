"""The fields of protobuf messages, which ONNX files consist of, without the onnx package.

Files are read piece by piece: most of a network's file are weights, which need no memory of their
own to be skipped or searched.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Part", "field", "message_of", "unpacked"]

_SMALL = 1 << 16  # bytes of a message that is read at once
_PIECE = 1 << 20  # bytes of a piece of a larger one; they fit into a core's cache
_KEY = 20  # bytes of the longest key with a length


@dataclass(frozen=True)
class Part:
    """Bytes of a file: a message, a text or numbers.

    read: start and size in bytes -> what is there, shorter where the file ends.
    """

    read: Callable[[int, int], memoryview]
    start: int
    size: int

    @property
    def data(self) -> memoryview:
        """All bytes."""
        return self.read(self.start, self.size)

    def pieces(self) -> Iterator[memoryview]:
        """Yield the bytes in pieces whose length is a multiple of 16, but for the last."""
        for at in range(0, self.size, _PIECE):
            yield self.read(self.start + at, min(_PIECE, self.size - at))

    def fields(self) -> Iterator[tuple[int, int | Part]]:
        """Yield number and value of each field of a message: a number, or bytes.

        IndexError: the message ends within a field's key.
        """
        read, at = self.read, self.start
        if self.size <= _SMALL:
            read, at = _slices(self.data), 0
        end = at + self.size
        while at < end:
            head = read(at, min(_KEY, end - at))
            key, used = _varint(head, 0)
            number, wire = key >> 3, key & 7
            if wire in (0, 2):
                size, used = _varint(head, used)
                if wire == 0:
                    yield number, size
                    at += used
                    continue
            else:
                size = {1: 8, 5: 4}.get(wire, end - at)
            at += used
            yield number, Part(read, at, min(size, end - at))
            at += size

    def first(self, number: int) -> int | Part | None:
        """Return the value of the first field of that number; None where there is none."""
        return next((value for key, value in self.fields() if key == number), None)


@contextmanager
def message_of(path: Path) -> Iterator[Part]:
    """Open a file as one message; OSError: it cannot be read."""
    with open(path, "rb") as file:

        def read(start: int, size: int) -> memoryview:
            file.seek(start)
            return memoryview(file.read(size))

        yield Part(read, 0, path.stat().st_size)


def field(number: int, value: int | bytes | memoryview) -> bytes:
    """Return a field of a message: a number, or bytes with their length."""
    if isinstance(value, int):
        return _packed(number << 3) + _packed(value)
    return _packed(number << 3 | 2) + _packed(len(value)) + bytes(value)


def unpacked(data: memoryview) -> Iterator[int]:
    """Yield the numbers that are packed into one field."""
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _packed(value: int) -> bytes:
    parts = []
    while value > 127:
        parts.append(value & 127 | 128)
        value >>= 7
    return bytes([*parts, value])


def _slices(data: memoryview) -> Callable[[int, int], memoryview]:
    return lambda start, size: data[start : start + size]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value, at = value | (byte & 127) << shift, at + 1
        if byte < 128:
            return value, at
        shift += 7
