"""The mark in drawn pictures: a comment that tells them from the pictures that they were drawn on.

JPEG: a comment segment (ITU-T T.81, B.2.4.5) after the JFIF header.  PNG: a tEXt chunk (PNG
specification, 11.3.3.3) after the header.  Both stand in the first bytes of a file.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable

from posewright.files.leftovers import final_name

__all__ = ["MARK", "drawn_among", "is_drawn", "marked"]

MARK = "drawn by posewright"
_HEAD = 128  # bytes: a PNG's signature and header take 33, a JPEG's 20
_PNG = b"\x89PNG\r\n\x1a\n"
_PNG_HEADER = len(_PNG) + 25


def marked(data: bytes) -> bytes:
    """Return a JPEG or PNG file with the mark in it."""
    text = MARK.encode()
    if data.startswith(_PNG):
        body = b"tEXtComment\0" + text
        chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        return data[:_PNG_HEADER] + chunk + data[_PNG_HEADER:]
    place = 2  # behind the JFIF header, which comes first where there is one
    if data[2:4] == b"\xff\xe0":
        place += 2 + struct.unpack(">H", data[4:6])[0]
    return data[:place] + b"\xff\xfe" + struct.pack(">H", 2 + len(text)) + text + data[place:]


def is_drawn(path: str | os.PathLike[str]) -> bool:
    """Tell a picture that bears the mark; False for what cannot be read."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return MARK.encode() in file.read(_HEAD)
    except (OSError, ValueError):
        return False


def drawn_among(paths: Iterable[str]) -> list[str]:
    """Return those of the pictures that bear the mark and lie where a run puts them.

    That is a folder "images": in others no file is opened.
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
