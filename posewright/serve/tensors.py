"""Tensors of the Open Inference Protocol, version 2: as raw bytes behind the JSON, or in it.

https://github.com/kserve/open-inference-protocol, with Triton's binary tensor data extension:
little endian, row-major; an element of BYTES is a uint32 length and that many bytes.
"""

from __future__ import annotations

import json
import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.serve.problems import Problem

__all__ = ["answer", "images_of", "inflated", "parted"]

_DTYPES = {"FP32": "<f4", "INT64": "<i8", "INT32": "<i4"}
_WINDOWS = {"gzip": 31, "deflate": 15}


def inflated(body: bytes, encoding: str, limit: int) -> bytes:
    """Return a body as it was before compression; a Problem where that is over the limit."""
    if encoding in ("", "identity"):
        return body
    if encoding not in _WINDOWS:
        raise Problem(415, f"Content-Encoding {encoding[:100]} is not known; use gzip or deflate")
    packed = zlib.decompressobj(_WINDOWS[encoding])
    try:
        data = packed.decompress(body, limit + 1)
    except zlib.error as error:
        raise Problem(400, f"the body is not {encoding} ({error})") from error
    if len(data) > limit:
        raise Problem(413, f"the body is larger than {limit / 1e6:g} MB when it is unpacked")
    if not packed.eof or packed.unused_data:
        raise Problem(400, f"the body is not whole {encoding}")
    return data


def parted(
    body: bytes, stated: str
) -> tuple[dict[str, Any], list[tuple[dict[str, Any], memoryview | None]]]:
    """Return the head of a request, and each of its inputs with its raw bytes, None for JSON.

    stated: the header Inference-Header-Content-Length, "" where the body is JSON alone.  A Problem
    where lengths do not fit.
    """
    size = _length(stated, len(body)) if stated else len(body)
    try:
        head = json.loads(body[:size])
        inputs = [(each, dict(each.get("parameters") or {})) for each in head["inputs"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Problem(400, "the request is not JSON with the list inputs") from error
    rest, found = memoryview(body)[size:], []
    for each, more in inputs:
        if "shared_memory_region" in more:
            raise Problem(400, "shared memory is not offered; send the data")
        raw = None
        if "binary_data_size" in more:
            length = _length(more["binary_data_size"], len(rest))
            raw, rest = rest[:length], rest[length:]
        found.append((each, raw))
    if len(rest):
        raise Problem(400, "more binary data came than binary_data_size states")
    return head, found


def _length(stated: Any, most: int) -> int:
    text = str(stated)
    if isinstance(stated, bool) or not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Problem(400, f"{text[:50]} is not a length in bytes")
    if int(text) > most:
        raise Problem(400, f"{text} bytes are stated, {most} came")
    return int(text)


def images_of(tensor: Mapping[str, Any], raw: memoryview | None) -> list[bytes] | NDArray[np.uint8]:
    """Return the encoded images of a BYTES tensor (B,), or the pixels of UINT8 (B, H, W, 3) RGB."""
    shape = tensor.get("shape")
    whole = isinstance(shape, list) and all(type(n) is int and 0 <= n < 1 << 31 for n in shape)
    if not isinstance(shape, list) or not whole or len(shape) > 8:
        raise Problem(400, "a shape is a list of whole numbers")
    kind, data = tensor.get("datatype"), tensor.get("data")
    if kind == "BYTES" and len(shape) == 1:
        return _elements(shape[0], raw, data)
    if kind == "UINT8" and len(shape) == 4 and shape[3] == 3:
        return _pixels(shape, raw, data)
    raise Problem(400, "the input is BYTES of shape [B], or UINT8 of shape [B, H, W, 3]")


def _elements(count: int, raw: memoryview | None, data: Any) -> list[bytes]:
    if raw is None:
        if (
            not isinstance(data, list)
            or len(data) != count
            or not all(isinstance(d, str) for d in data)
        ):
            raise Problem(400, f"the data of the input is not {count} texts")
        return [text.encode("utf-8", "surrogateescape") for text in data]
    found, at = [], 0
    while at < len(raw):
        if at + 4 > len(raw):
            raise Problem(400, "the binary data of the input ends in a length")
        (length,) = struct.unpack_from("<I", raw, at)
        at += 4 + length
        if at > len(raw):
            raise Problem(400, "an element of the input is longer than its binary data")
        found.append(bytes(raw[at - length : at]))
    if len(found) != count:
        raise Problem(400, f"the shape says {count} elements, {len(found)} came")
    return found


def _pixels(shape: Sequence[int], raw: memoryview | None, data: Any) -> NDArray[np.uint8]:
    count = math.prod(shape)
    if raw is not None:
        if len(raw) != count:
            raise Problem(400, f"the shape says {count} bytes, {len(raw)} came")
        return np.frombuffer(raw, np.uint8).reshape(shape)
    if not isinstance(data, list) or len(data) != count:
        raise Problem(400, f"the data of the input is not a flat list of {count} numbers")
    if not all(type(value) is int and 0 <= value < 256 for value in data):
        raise Problem(400, "the data of a UINT8 input are whole numbers from 0 to 255")
    return np.array(data, np.uint8).reshape(shape)


def answer(
    head: Mapping[str, Any], arrays: Mapping[str, tuple[str, Any]], model: str
) -> tuple[bytes, int | None]:
    """Return the body of an answer, and the bytes of JSON in it, None where that is all.

    arrays: datatype and array by name, a list of bytes for BYTES.  A Problem for outputs that do
    not exist.
    """
    chosen = _chosen(head, arrays)
    outputs, blob = [], b""
    for name, binary in chosen:
        kind, array = arrays[name]
        shape = [len(array)] if kind == "BYTES" else list(array.shape)
        told: dict[str, Any] = {"name": name, "datatype": kind, "shape": shape}
        if binary:
            raw = _raw(kind, array)
            blob += raw
            told["parameters"] = {"binary_data_size": len(raw)}
        else:
            told["data"] = _listed(kind, array)
        outputs.append(told)
    whole = {"model_name": model, "model_version": "1", "outputs": outputs}
    if head.get("id"):
        whole["id"] = str(head["id"])[:1000]
    text = json.dumps(whole, allow_nan=False).encode()
    return text + blob, len(text) if any(binary for _, binary in chosen) else None


def _chosen(head: Mapping[str, Any], arrays: Mapping[str, Any]) -> list[tuple[str, bool]]:
    """Return the outputs that a request wants, each with whether it wants raw bytes."""
    more, wanted = head.get("parameters") or {}, head.get("outputs")
    if not isinstance(more, dict) or not isinstance(wanted, (list, type(None))):
        raise Problem(400, "parameters is an object and outputs a list")
    if not wanted:
        return [(name, more.get("binary_data_output") is True) for name in arrays]
    found = []
    for each in wanted:
        name = each.get("name") if isinstance(each, dict) else None
        own = (each.get("parameters") or {}) if isinstance(each, dict) else {}
        if not isinstance(name, str) or name not in arrays or not isinstance(own, dict):
            raise Problem(400, f"no output {str(name)[:100]!r}; there are {', '.join(arrays)}")
        if "classification" in own or "shared_memory_region" in own:
            raise Problem(400, "classification and shared memory are not offered")
        found.append((name, own.get("binary_data", more.get("binary_data_output")) is True))
    return found


def _raw(kind: str, array: Any) -> bytes:
    if kind == "BYTES":
        return b"".join(struct.pack("<I", len(each)) + each for each in array)
    data: bytes = np.ascontiguousarray(array, _DTYPES[kind]).tobytes()
    return data


def _listed(kind: str, array: Any) -> list[Any]:
    if kind == "BYTES":
        return [each.decode("utf-8", "replace") for each in array]
    found: list[Any] = array.ravel().tolist()
    return found
