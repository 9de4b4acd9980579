"""The mark in drawn images and videos: a comment that distinguishes them from the originals.

JPEG: a comment segment (ITU-T T.81, B.2.4.5) after the JFIF header.  PNG: a tEXt chunk (PNG
specification, 11.3.3.3) after the header.  Both stand in the first bytes of a file.  MP4 and AVI:
the metadata "comment", in AVI the chunk ICMT of a list INFO (RIFF specification).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable

from posewright.files.leftovers import final_name

__all__ = ["MARK", "drawn_among", "is_drawn", "mark_avi", "marked"]

MARK = "drawn by posewright"
_HEAD = 128  # bytes: a PNG's signature and header take 33, a JPEG's 20
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = len(_PNG) + 25
_JPEG = b"\xff\xd8"
_SEGMENT = b"\xff\xfe" + struct.pack(">H", 2 + len(MARK)) + MARK.encode()
_TEXT = b"tEXtComment\0" + MARK.encode()
_CHUNK = struct.pack(">I", len(_TEXT) - 4) + _TEXT + struct.pack(">I", zlib.crc32(_TEXT))


def marked(data: bytes) -> bytes:
    """Return a JPEG or PNG file with the mark added."""
    if data.startswith(_PNG):
        return data[:_PNG_HEADER] + _CHUNK + data[_PNG_HEADER:]
    place = 2  # behind the JFIF header, which comes first where there is one
    if data[2:4] == b"\xff\xe0":
        place += 2 + struct.unpack(">H", data[4:6])[0]
    return data[:place] + _SEGMENT + data[place:]


def mark_avi(path: str | os.PathLike[str]) -> None:
    """Write the mark into an AVI file, over the padding before its images; OSError if it fails.

    A file without padding stays unchanged.
    """
    text = MARK.encode() + b"\0" * (2 - len(MARK) % 2)
    info = b"INFOICMT" + struct.pack("<I", len(text)) + text
    with open(path, "r+b") as file:
        head, at = file.read(1 << 16), 12
        while True:
            kind, size = head[at : at + 4], head[at + 4 : at + 8].ljust(4, b"\0")
            length = struct.unpack("<I", size)[0]
            if kind in (b"JUNK", b""):
                break
            at += 8 + length + length % 2
        left = length - 8 - len(info)  # of the filling, behind the list and a header of its own
        if left >= 0:
            file.seek(at)
            file.write(b"LIST" + struct.pack("<I", len(info)) + info)
            file.write(b"JUNK" + struct.pack("<I", left))


def is_drawn(path: str | os.PathLike[str]) -> bool:
    """Tell whether an image has the mark; False for a file that cannot be read."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            head = file.read(_HEAD)
        kinds = ((_JPEG, _SEGMENT), (_PNG, _CHUNK))
        return any(head.startswith(start) and mark in head for start, mark in kinds)
    except (OSError, ValueError):
        return False


def drawn_among(paths: Iterable[str]) -> list[str]:
    """Return those of the images that have the mark and lie where a run writes them.

    That is a folder "images"; files elsewhere are not opened.
    """
    known: dict[str, bool] = {}
    found = []
    for path in paths:
        folder = os.path.dirname(path)
        if folder not in known:
            name = os.path.basename(os.path.abspath(folder))
            known[folder] = "images" in (name, final_name(name))
        if known[folder] and is_drawn(path):
            found.append(path)
    return found
