"""Read MindSpore's .ckpt: a protobuf message with one named tensor per value."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from posewright.checkpoints.pickles import BFLOAT16, Array, flat_array
from posewright.errors import ModelError

__all__ = ["read_mindspore"]

# field numbers of mindspore's checkpoint.proto
_VALUE, _TAG, _TENSOR, _DIMS, _TYPE, _CONTENT = 1, 1, 2, 1, 2, 3
_DTYPES: dict[str, np.dtype[Any]] = {
    "Float32": np.dtype("<f4"),
    "Float16": np.dtype("<f2"),
    "Float64": np.dtype("<f8"),
    "BFloat16": BFLOAT16,
    "Int64": np.dtype("<i8"),
    "Int32": np.dtype("<i4"),
    "Int16": np.dtype("<i2"),
    "Int8": np.dtype("i1"),
    "UInt8": np.dtype("u1"),
    "Bool": np.dtype("?"),
}
_DIMENSIONS = 64  # torch has no tensor of more
Field = tuple[int, int | bytes]


def read_mindspore(data: bytes) -> dict[str, Array]:
    """Return the tensors of a MindSpore checkpoint by name.

    Large tensors come in several values of one name, which are joined.  ModelError: damaged,
    encrypted or not such a file.
    """
    parts: dict[str, tuple[tuple[int, ...], str, list[bytes]]] = {}
    for number, value in _fields(data):
        if not isinstance(value, bytes):
            raise ModelError("not a MindSpore checkpoint, or a damaged one")
        if number != _VALUE:
            continue
        fields = dict(_fields(value))
        tag, tensor = fields.get(_TAG), fields.get(_TENSOR)
        if not isinstance(tag, bytes) or not isinstance(tensor, bytes):
            raise ModelError("not a MindSpore checkpoint, or an encrypted one")
        name = tag.decode("utf-8", "replace")
        dims, kind, content = _tensor(tensor)
        parts.setdefault(name, (dims, kind, []))[2].append(content)
    return {name: _joined(name, *part) for name, part in parts.items()}


def _tensor(data: bytes) -> tuple[tuple[int, ...], str, bytes]:
    dims: list[int] = []
    kind, content = "", b""
    for number, value in _fields(data):
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else list(_varints(value))
        elif number == _TYPE and isinstance(value, bytes):
            kind = value.decode("ascii", "replace")
        elif number == _CONTENT and isinstance(value, bytes):
            content = value
    return tuple(dims), kind, content


def _joined(name: str, dims: tuple[int, ...], kind: str, contents: list[bytes]) -> Array:
    if kind not in _DTYPES:
        raise ModelError(f"tensor {name!r} is of unknown type {kind!r}")
    if len(dims) > _DIMENSIONS:
        raise ModelError(f"tensor {name!r} has {len(dims)} dimensions; get the file again")
    data, dtype = b"".join(contents), _DTYPES[kind]
    count = 1
    for n in dims:
        count *= n
    if len(data) != count * dtype.itemsize:
        raise ModelError(f"a truncated checkpoint: tensor {name!r} is incomplete; get it again")
    return flat_array(data, dtype).reshape(dims)


def _fields(data: bytes) -> Iterator[Field]:
    """Yield (number, value) of a protobuf message; sub-messages and text are bytes."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if number == 0:  # as of zeros, which would be millions of fields
            raise ModelError("not a MindSpore checkpoint, or a damaged one")
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if wire == 2:
            length, at = _varint(data, at)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise ModelError("not a MindSpore checkpoint, or a damaged one")
        if at + length > len(data):
            raise ModelError("a truncated checkpoint; get it again")
        yield number, data[at : at + length]
        at += length


def _varints(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(data):
            raise ModelError("a truncated checkpoint; get it again")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
    raise ModelError("not a MindSpore checkpoint, or a damaged one")
