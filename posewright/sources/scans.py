"""The scans of a JPEG: each is decoded at full size, however few bytes it has."""

from __future__ import annotations

import re
import struct

__all__ = ["MOST_SCANS", "MOST_SEGMENTS", "too_few_bits", "too_many_scans"]

MOST_SCANS = 100  # progressive files have about ten; 2000 of them take a minute
MOST_SEGMENTS = 10_000
# Fewest bits of a block of 8 x 8 values, by the start of the frame: a Huffman code has at least one
# bit, and a block one code for its mean and, unless progressive, one for the end of the rest.
# Arithmetic coding has no such bound.
_FEWEST_BITS = {0xC0: 2, 0xC1: 2, 0xC2: 1}
_END, _START_OF_SCAN, _WITHOUT_LENGTH = 0xD9, 0xDA, 0x01
# Behind the header of a scan come its values, in which 0xFF stands before 0x00 or a restart only.
_MARKER = re.compile(rb"\xff([^\x00\xff\xd0-\xd7])", re.DOTALL)


def too_many_scans(data: bytes) -> bool:
    """Tell whether a JPEG has more than `MOST_SCANS` scans (ITU T.81, B.1.1 and B.2.3).

    So has, for us, one with more than `MOST_SEGMENTS` segments.
    """
    scans, at = 0, 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None or found[1][0] == _END:
            return False
        marker, at = found[1][0], found.end()
        if marker != _WITHOUT_LENGTH:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
        scans += marker == _START_OF_SCAN
        if scans > MOST_SCANS:
            return True
    return True


def too_few_bits(data: bytes) -> bool:
    """Tell whether a JPEG is shorter than its header's size takes at least (ITU T.81, B.2.2, F.1).

    The decoder makes room for all pixels, and fills with grey what is not there.
    """
    at = 2
    for _ in range(MOST_SEGMENTS):
        found = _MARKER.search(data, at)
        if found is None or found[1][0] in (_END, _START_OF_SCAN):
            return False
        marker, at = found[1][0], found.end()
        if marker in _FEWEST_BITS:
            return 8 * len(data) < _FEWEST_BITS[marker] * _blocks(data[at : at + 8 + 3 * 4])
        if marker != _WITHOUT_LENGTH:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
    return False


def _blocks(frame: bytes) -> int:
    """Return how many whole blocks a frame has at least; struct.error where it is cut."""
    height, width, count = struct.unpack_from(">HHB", frame, 3)
    factors = [struct.unpack_from("B", frame, 9 + 3 * part)[0] for part in range(min(count, 4))]
    sides = [(max(factor >> 4, 1), max(factor & 15, 1)) for factor in factors]
    most = max(x for x, _ in sides), max(y for _, y in sides)
    return sum(width * x // most[0] // 8 * (height * y // most[1] // 8) for x, y in sides)
