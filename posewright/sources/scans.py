"""The scans of a JPEG: each is decoded at full size, however few bytes it has."""

from __future__ import annotations

import re

__all__ = ["MOST_SCANS", "MOST_SEGMENTS", "too_many_scans"]

MOST_SCANS = 100  # progressive files have about ten; 2000 of them take a minute
MOST_SEGMENTS = 10_000
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
