"""float32 arrays in safetensors files without the package: 8 bytes of length, JSON, numbers."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posewright.files.fields import MOST_TENSORS, parsed, text_of
from posewright.files.part import PartFile
from posewright.people import Floats

__all__ = ["header_of", "read_arrays", "write_arrays"]

_HEADER = 16 << 20  # bytes; those of the largest networks have half a million


def header_of(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Return the metadata, and what the header says of each array.

    OSError: it cannot be read.  ValueError: it is no safetensors file.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if not 0 < size <= min(_HEADER, os.fstat(file.fileno()).st_size - 8):
            raise ValueError(f"a header of {size} bytes")
        header = parsed(file.read(size))
    told = header.pop("__metadata__", {})
    if not isinstance(told, dict) or len(header) > MOST_TENSORS:
        raise ValueError(f"invalid metadata, or more than {MOST_TENSORS} arrays")
    return {text_of(key): text_of(told[key], _HEADER) for key in told}, header


def read_arrays(path: Path, names: Iterable[str]) -> dict[str, Floats]:
    """Return some arrays of a file; errors as `header_of`, KeyError: it has no such array."""
    header = header_of(path)[1]
    with path.open("rb") as file:
        start = 8 + int.from_bytes(file.read(8), "little")
        found = {}
        for name in names:
            first, last = (int(place) for place in header[name]["data_offsets"])
            shape = tuple(int(side) for side in header[name]["shape"])
            count = int(np.prod(shape))
            if header[name]["dtype"] != "F32" or min(shape, default=0) < 0 or first < 0:
                raise ValueError(f"{name} is not an array of float32")
            file.seek(start + first)
            content = file.read(4 * count) if last - first == 4 * count else b""
            if len(content) != 4 * count:
                raise ValueError(f"{name} is not complete")
            found[name] = np.frombuffer(content, "<f4").reshape(shape).astype(np.float32)
    return found


def write_arrays(
    path: Path, arrays: Mapping[str, Floats], metadata: Mapping[str, str], overwrite: bool = False
) -> Path:
    """Write a file; OutputError where that fails, nothing half done."""
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    place = 0
    for name, array in arrays.items():
        header[name] = {
            "dtype": "F32",
            "shape": array.shape,
            "data_offsets": (place, place + 4 * array.size),
        }
        place += 4 * array.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # arrays begin at a multiple of 8
    part = PartFile(path, overwrite)
    part.write(len(text).to_bytes(8, "little") + text)
    for array in arrays.values():
        part.write(np.ascontiguousarray(array, "<f4").tobytes())
    return part.finish()
