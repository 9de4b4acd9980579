"""TF.js graph models: a JSON file that lists weights, and the files that hold them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.errors import ModelError
from posewright.files.contents import contents

__all__ = ["read_tfjs"]

Manifest = list[dict[str, Any]]


def read_tfjs(path: Path) -> dict[str, NDArray[Any]]:
    """Return the weights of a graph by name, as the graph lays them out, floating ones as float32.

    path: the JSON file, beside those that it names.  ModelError: not such a file, weights of
    another length than is listed, or quantised to integers.
    """
    try:
        manifest: Manifest = json.loads(contents(path))["weightsManifest"]
        found = {}
        for group in manifest:
            data = b"".join(_beside(path, name).read_bytes() for name in group["paths"])
            found.update(_weights(data, group["weights"]))
    except (
        AttributeError,
        KeyError,
        TypeError,
        ValueError,
        OverflowError,
        OSError,
        RecursionError,
    ) as error:
        raise ModelError(
            f"{path}: not a TF.js graph model with its weights beside it: {error!r}"
        ) from error
    return found


def _beside(path: Path, name: str) -> Path:
    """Return a file of the same folder; a ValueError where there is none of that name."""
    if Path(name).name != name or not path.with_name(name).is_file():
        raise ValueError(f"no weights {name!r} beside the JSON file")
    return path.with_name(name)


def _weights(data: bytes, entries: Manifest) -> dict[str, NDArray[Any]]:
    found, position = {}, 0
    for entry in entries:
        stored = np.dtype(entry.get("quantization", entry)["dtype"]).newbyteorder("<")
        if "quantization" in entry and stored.kind != "f":
            raise ValueError(f"{entry['name']} is quantised to {stored}; only float16 can be read")
        shape = tuple(int(side) for side in entry["shape"])
        if any(side < 0 for side in shape):
            raise ValueError(f"{entry['name']} has shape {shape}")
        count = int(np.prod(shape, dtype=np.int64))
        array = np.frombuffer(data, stored, count, position) if count else np.zeros(0, stored)
        position += array.nbytes
        kind = np.float32 if array.dtype.kind == "f" else array.dtype.newbyteorder("=")
        found[str(entry["name"])] = array.reshape(shape).astype(kind)
    if position != len(data):
        raise ValueError(f"{len(data)} bytes of weights, {position} are listed")
    return found
