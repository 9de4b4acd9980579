"""What an image file holds besides its first image, and damage that OpenCV does not report."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from typing import IO, Any

from numpy.typing import NDArray

from posewright.sources import tiff
from posewright.sources.depth import Values
from posewright.sources.scans import MOST_SCANS, MOST_SEGMENTS, too_few_bits, too_many_scans
from posewright.sources.verify import jpeg_damaged

__all__ = [
    "HIGHEST_RATIO",
    "cut_short",
    "damage",
    "more",
    "not_the_picture",
    "raw_format",
    "values",
]

_MAGIC = {
    b"FUJIFILMCCD-RAW": "RAF",
    b"IIRO": "ORF",
    b"IIRS": "ORF",
    b"MMOR": "ORF",
    b"IIU\0": "RW2",
    b"FOVb": "X3F",
    b"\0MRM": "MRW",
}
HIGHEST_RATIO = 1100  # deflate cannot pack tighter than 1 : 1032
_PNG_SAMPLES = {2: 3, 4: 2, 6: 4}  # by the kind of its colours; 1 for others
_TOO_SHORT = (
    "the {} has too little data for the pixels that it declares; download or copy the file again"
)
# Grey of libjpeg is 128, and darker where it is in each ink of CMYK; what is beside it blends in.
_GREY_WITHIN, _DARKEST_GREY, _LIGHTEST_GREY = 8, 32, 224
_ANIMATED = 0x02  # flag of a WebP's header


def raw_format(head: bytes) -> str:
    """Detect a raw photo other than a TIFF by its first 16 bytes; "" for anything else."""
    if head[4:12] == b"ftypcrx ":
        return "CR3"
    if head[6:14] == b"HEAPCCDR":
        return "CRW"
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "")


def not_the_picture(name: str, file: IO[bytes]) -> str:
    """Say why the first image of a file of format `name` is not its main image, or ""."""
    return tiff.not_the_picture(file) if name == "TIFF" else ""


def values(name: str, data: bytes) -> Values:
    """Return how values are stored that OpenCV would cut down to 8 bits."""
    if name == "PNG":
        if data[24:25] != b"\x10":
            return Values()
        # Values with fewer significant bits have them on top (PNG 3, 11.3.2.8).
        return Values(16, 16 if any(kind == b"sBIT" for kind, _, _ in _png_chunks(data)) else 0)
    return tiff.values(BytesIO(data)) if name == "TIFF" else Values()


def damage(name: str, data: bytes) -> str:
    """Say in one line what is wrong with a file that OpenCV would read anyway, or ""."""
    check = _DAMAGE.get(name)
    try:
        return "" if check is None else check(data)
    except struct.error:
        return f"the {name} header is truncated; download or copy the file again"


def _damaged_tiff(data: bytes) -> str:
    return tiff.damage(BytesIO(data))


def cut_short(name: str, data: bytes, image: NDArray[Any]) -> str:
    """Say in one line that a file holds fewer pixels than were decoded from it, or "".

    Of a JPEG libjpeg fills what is not there with grey, and tells nobody but the terminal.  Where
    the last pixels (H, W, 3) are grey, as in one good photo of hundreds, FFmpeg reads it again.
    """
    if name != "JPEG":
        return ""
    last = image[-1, -8:]
    low, high = int(last.min()), int(last.max())
    grey = high - low <= _GREY_WITHIN and _DARKEST_GREY < low and high < _LIGHTEST_GREY
    return _TOO_SHORT.format("JPEG") if grey and jpeg_damaged(data) else ""


def _damaged_jpeg(data: bytes) -> str:
    if too_few_bits(data):
        return _TOO_SHORT.format("JPEG")
    if not too_many_scans(data):
        return ""
    return f"the JPEG has more than {MOST_SCANS} scans or {MOST_SEGMENTS} segments; save it again"


def _short_png(data: bytes) -> str:
    """Compare the pixels that a PNG declares with what its data can unpack to (PNG 3, 11.2.1)."""
    width, height, depth, kind = struct.unpack_from(">IIBB", data, 16)
    size = width * height * depth * _PNG_SAMPLES.get(kind, 1) // 8
    packed = sum(length for chunk, _, length in _png_chunks(data) if chunk == b"IDAT")
    return _TOO_SHORT.format("PNG") if size > HIGHEST_RATIO * packed else ""


def _short_bmp(data: bytes) -> str:
    """Compare the pixels that a BMP declares with what is there, if they are not packed."""
    (length,) = struct.unpack_from("<I", data, 14)
    form = "<HHxxH" if length == 12 else "<iixxHI"
    width, height, bits, *packing = struct.unpack_from(form, data, 18)
    plain = not packing or packing[0] in (0, 3)  # 3: with masks for the colours
    runs = bool(packing) and packing[0] in (1, 2)
    pixels = abs(width * height)
    short = plain and pixels * bits // 8 > len(data)
    # two bytes are at most 255 pixels of a run, or skip pixels, which a whole file may do
    short |= runs and pixels * 2 > 255 * len(data) and not _runs_end(data, bits)
    return _TOO_SHORT.format("BMP") if short else ""


def _runs_end(data: bytes, bits: int) -> bool:
    """Tell whether the runs of a BMP come to the mark of their end (of 4 or 8 bits a pixel)."""
    (at,) = struct.unpack_from("<I", data, 10)
    while at + 2 <= len(data):
        count, value = data[at], data[at + 1]
        at += 2
        if count == 0 and value == 1:
            return True
        if count == 0 and value == 2:  # a move
            at += 2
        elif count == 0 and value > 2:  # so many pixels one by one, padded to two bytes
            size = (value * bits + 7) // 8
            at += size + size % 2
    return False


def more(name: str, data: bytes) -> str:
    """Say in one line what a file holds besides its first image, or ""."""
    if name == "TIFF":
        count, kind = tiff.more_pages(BytesIO(data)), "page(s)"
    elif name == "WebP":
        count, kind = _frames(data) - 1, "frame(s) of an animation"
    elif name == "PNG":
        count, kind = _apng(data) - 1, "frame(s) of an animation"
    else:
        return ""
    return f"only the first image was read; {count} further {kind} skipped" if count > 0 else ""


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yield kind, start and length of each chunk of a PNG."""
    at = 8
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        yield kind, at + 8, length
        at += 12 + length


def _chunks(data: bytes) -> list[tuple[bytes, int, int]]:
    """Return kind, start and length of each chunk of a RIFF file (RFC 9649, section 2.3)."""
    found, at = [], 12
    while at + 8 <= len(data):
        kind, length = struct.unpack_from("<4sI", data, at)
        found.append((kind, at + 8, length))
        at += 8 + length + length % 2
    return found


def _cut_webp(data: bytes) -> str:
    """Compare the lengths that a WebP declares with what is there."""
    (declared,) = struct.unpack_from("<I", data, 4)
    inside = data[: 8 + declared]
    chunks = _chunks(inside)
    last = max((start + length for _, start, length in chunks), default=0)
    if 8 + declared > len(data) + 1 or last > len(inside):
        return "the WebP is shorter than it declares; download or copy the file again"
    return ""


def _frames(data: bytes) -> int:
    """Return how many frames a WebP has."""
    if data[12:16] != b"VP8X" or not data[20] & _ANIMATED:
        return 1
    return sum(kind == b"ANMF" for kind, _, _ in _chunks(data))


def _apng(data: bytes) -> int:
    """Return how many frames a PNG declares before its pixels."""
    for kind, start, _ in _png_chunks(data):
        if kind == b"acTL" and start + 4 <= len(data):
            return int(struct.unpack_from(">I", data, start)[0])
        if kind == b"IDAT":
            break
    return 1


_DAMAGE: dict[str, Callable[[bytes], str]] = {
    "JPEG": _damaged_jpeg,
    "PNG": _short_png,
    "WebP": _cut_webp,
    "TIFF": _damaged_tiff,
    "BMP": _short_bmp,
}
