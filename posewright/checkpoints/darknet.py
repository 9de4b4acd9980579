"""Read Darknet's .weights: a header and the numbers of all layers one after the other."""

from __future__ import annotations

import struct

import numpy as np

from posewright.errors import ModelError
from posewright.people import Floats

__all__ = ["NUMBERS", "read_darknet"]

NUMBERS = "darknet"  # the one name of what a file holds, which has neither names nor shapes


def read_darknet(data: bytes) -> dict[str, Floats]:
    """Return all numbers as one float32 array under the name `NUMBERS`.

    Header: int32 major, minor, revision, and the count of training pictures, uint64 from version
    0.2 on, uint32 before.  ModelError: not such a file, or a truncated one.
    """
    if len(data) < 20:
        raise ModelError("a truncated .weights file; get it again")
    major, minor, _ = struct.unpack_from("<3i", data)
    if not (0 <= major < 1000 and 0 <= minor < 1000):
        raise ModelError("not a .weights file of Darknet: its header has no version")
    header = 20 if major * 10 + minor >= 2 else 16
    if (len(data) - header) % 4:
        raise ModelError("a truncated .weights file: a number is incomplete; get it again")
    return {NUMBERS: np.frombuffer(data, "<f4", offset=header).astype(np.float32)}
