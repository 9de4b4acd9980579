"""Which way up an image is stored: the EXIF orientation of JPEG, PNG, WebP and TIFF files.

Pixels, sizes and with them all labels follow this one reading of the tag (EXIF 2.32, 4.6.4): 1 is
upright, 2 to 4 are mirrored or upside down, 5 to 8 exchange width and height besides.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from posewright.sources import tiff

__all__ = ["SIDEWAYS", "orientation_of", "turned", "upright_size"]

SIDEWAYS = 5  # the first of the four orientations that exchange width and height
_TAG = 274
_MOST_PARTS = 10_000  # segments of a JPEG, chunks of a WebP
_MOST_CHUNKS = 1_000_000  # of a PNG
_LONGEST = 1 << 20  # bytes of EXIF data; a JPEG segment has 64 kB at most
_PREFIX = b"Exif\0\0"


def orientation_of(file: IO[bytes], form: str) -> int:
    """Return 1 to 8; 1 where the file states none or an invalid one.

    form: what `posewright.sources.guard.picture_format` returns.
    """
    find = _FINDERS.get(form)
    try:
        data = find(file) if find is not None else None
        value = 1 if data is None else tiff.first(data).number(_TAG, 1)
    except (struct.error, OverflowError, EOFError, ValueError):  # damage: the pixels may be whole
        return 1
    return value if 1 <= value <= 8 else 1


def upright_size(size: tuple[int, int], orientation: int) -> tuple[int, int]:
    """Return (width, height) px of the upright image from those of the stored one."""
    return size[::-1] if orientation >= SIDEWAYS else size


def turned(image: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(H, W, 3) as stored -> the upright image."""
    if orientation >= SIDEWAYS:
        image = np.asarray(cv2.transpose(image), np.uint8)
    flip = _FLIPS.get(orientation)
    return image if flip is None else np.asarray(cv2.flip(image, flip), np.uint8)


# OpenCV's code of the flip that follows the transposition, if any: 1 mirrors left and right, 0 top
# and bottom, -1 both.
_FLIPS = {2: 1, 3: -1, 4: 0, 6: 1, 7: -1, 8: 0}


def _jpeg(file: IO[bytes]) -> IO[bytes] | None:
    """Return the first EXIF segment before the pixels (EXIF 2.32, 4.7.2)."""
    file.seek(2)
    for _ in range(_MOST_PARTS):
        fill, marker = struct.unpack("BB", file.read(2))
        if fill != 0xFF or marker in (0xD9, 0xDA):
            return None
        if marker == 0xFF:
            file.seek(-1, 1)
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        (length,) = struct.unpack(">H", file.read(2))
        start = file.tell()
        if marker == 0xE1 and file.read(len(_PREFIX)) == _PREFIX:
            return _block(file, length - 2 - len(_PREFIX))
        file.seek(start + max(length - 2, 0))
    return None


def _png(file: IO[bytes]) -> IO[bytes] | None:
    """Return the eXIf chunk, before or after the pixels (PNG 3rd edition, 11.3.3.5)."""
    file.seek(8)
    for _ in range(_MOST_CHUNKS):
        length, kind = struct.unpack(">I4s", file.read(8))
        if kind == b"eXIf":
            return _block(file, length)
        if kind == b"IEND":
            return None
        file.seek(length + 4, 1)
    return None


def _webp(file: IO[bytes]) -> IO[bytes] | None:
    """Return the EXIF chunk of an extended file (RFC 9649, 2.7.1.5)."""
    file.seek(12)
    for _ in range(_MOST_PARTS):
        kind, length = struct.unpack("<4sI", file.read(8))
        if kind == b"EXIF":
            return _block(file, length)
        file.seek(length + length % 2, 1)
    return None


def _tiff(file: IO[bytes]) -> IO[bytes]:
    file.seek(0)
    return file


def _block(file: IO[bytes], length: int) -> IO[bytes]:
    """Return the next bytes, which are a TIFF file of tags; some writers keep JPEG's prefix."""
    data = file.read(max(0, min(length, _LONGEST)))
    return io.BytesIO(data.removeprefix(_PREFIX))


_FINDERS: dict[str, Callable[[IO[bytes]], IO[bytes] | None]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "TIFF": _tiff,
}
