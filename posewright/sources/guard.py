"""Guarded decoding of one image: its size is read from the header before a pixel is decoded.

A few hundred kilobytes can declare an image of several gigabytes, so nothing reaches OpenCV before
its width and height are known and allowed.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable
from typing import IO

import cv2
import numpy as np
from numpy.typing import NDArray

from posewright.files.stderr import quiet
from posewright.sources import inside, tiff
from posewright.sources.depth import Depths, eight_bits
from posewright.sources.foreign import HEAD, foreign_format
from posewright.sources.orientation import orientation_of, turned, upright_size

__all__ = ["BadPicture", "allowed", "decode", "picture_format", "picture_size", "shown_sizes"]

MOST_SEGMENTS = 10_000  # of a JPEG before its size
MOST_CHUNKS = 1_000_000  # of a PNG
SPARE_BYTES = 64 << 20  # room for metadata: colour profiles, thumbnails, a film at the end
DARKEST = 1 << 6  # of 8 bits, below which 16 bits hold values of at most 14
FIRST_BYTES = 1 << 20  # of an image file that are read at once; most have no more

Size = tuple[int, int]


class BadPicture(ValueError):
    """An image that cannot be read; one line says why, without the file name."""


def picture_format(head: bytes) -> str | None:
    """Detect the format from a file's first 16 bytes; None for all but the five supported ones."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "TIFF"
    return "BMP" if head.startswith(b"BM") else None


def picture_size(file: IO[bytes]) -> Size:
    """Return the (width, height) px in an image's header; BadPicture if it declares none.

    As the pixels are stored: `decode` turns them.  Of a tiled TIFF at least the size of a tile,
    because a whole one is decoded at a time.
    """
    file.seek(0)
    head = file.read(HEAD)
    name = picture_format(head)
    if name is None and (raw := inside.raw_format(head)):
        raise BadPicture(f"it is a raw photo ({raw}); convert it to JPEG or TIFF first")
    if name is None:
        if told := foreign_format(head):
            raise BadPicture(told)
        what = "it is empty" if not head else "its content is not JPEG, PNG, WebP, TIFF or BMP"
        raise BadPicture(f"{what}; convert or remove it")
    try:
        size = _PARSERS[name](file)
    except (struct.error, OverflowError, EOFError) as error:
        raise BadPicture(
            f"the {name} header is truncated; download or copy the file again"
        ) from error
    if min(size) < 1:
        raise BadPicture(f"the {name} header declares {size[0]} x {size[1]} pixels; it is damaged")
    return size


def shown_sizes(file: IO[bytes]) -> tuple[Size, Size]:
    """Return (width, height) px of what `decode` returns, and of the pixels as they are stored.

    BadPicture where the header declares none.
    """
    size = picture_size(file)
    file.seek(0)
    name = picture_format(file.read(16)) or ""
    if name == "TIFF":
        size = _first_page(file).size
    return upright_size(size, orientation_of(file, name)), size


def allowed(size: Size, max_pixels: int) -> None:
    """Raise BadPicture where an image or video of `size` is over the limit."""
    width, height = size
    if width * height > max_pixels:
        raise BadPicture(
            f"it declares {width} x {height} pixels, more than the limit of {max_pixels}; raise "
            f"the limit with --max-pixels (max_pixels=) if you trust it"
        )


def decode(
    file: IO[bytes], max_pixels: int, sequence: str = "", depths: Depths | None = None
) -> tuple[NDArray[np.uint8], str]:
    """Return the (H, W, 3) RGB pixels of an open image file; BadPicture says why it has none.

    Also one line about what else the file holds, "" for nothing.  Grey, 16-bit, palette and
    CMYK images are converted, an alpha channel is dropped, of several pages the first is taken.
    The image is turned as its EXIF orientation says.  depths: the used bits of 16, as learned from
    earlier images of its `sequence`.
    """
    name, data = _checked(file, max_pixels)
    image = _pixels(name, data, sequence, Depths() if depths is None else depths)
    shown, _ = shown_sizes(io.BytesIO(data))
    if sorted(shown) != sorted(image.shape[:2]):  # another reading than that of the limit
        raise BadPicture(
            f"the {name} declares {shown[0]} x {shown[1]} pixels but holds {image.shape[1]} x "
            f"{image.shape[0]}; save it again"
        )
    return image, inside.more(name, data)


def _checked(file: IO[bytes], max_pixels: int) -> tuple[str, bytes]:
    """Return the format and the content of a file that may be decoded; BadPicture for others."""
    size = picture_size(file)
    allowed(size, max_pixels)
    file.seek(0)
    name = picture_format(file.read(16)) or ""
    if reason := inside.not_the_picture(name, file):
        raise BadPicture(reason)
    room = 8 * size[0] * size[1] + SPARE_BYTES  # 16-bit RGBA without compression
    file.seek(0)
    data = file.read(FIRST_BYTES)  # asking for all that may be there would allocate it each time
    if len(data) == FIRST_BYTES:
        data += file.read(room + 1 - len(data))
    if len(data) > room:
        raise BadPicture(f"it is over {room} bytes for {size[0]} x {size[1]} pixels; it is damaged")
    if name == "PNG":
        _check_chunks(data)
    if reason := inside.damage(name, data):
        raise BadPicture(reason)
    return name, data


def _pixels(name: str, data: bytes, sequence: str, depths: Depths) -> NDArray[np.uint8]:
    """Decode the first image of a file -> (H, W, 3) RGB."""
    values = inside.values(name, data)
    # In OpenCV 5 more than 8 bits come out wrong in the order RGB, and from planes.
    deep = values.bits > 0 and not values.planes
    way = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH if deep else cv2.IMREAD_COLOR_RGB
    try:
        with quiet():
            image = cv2.imdecode(np.frombuffer(data, np.uint8), way | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise BadPicture(f"OpenCV cannot decode this {name}: {error.err}") from error
    if image is None:
        raise BadPicture(
            f"the {name} is damaged, truncated or of an unsupported kind; save it again"
        )
    if image.dtype == np.uint16:  # OpenCV moves 10, 12 and 14 packed bits up to 16
        full = np.asarray(image, np.uint16)
        bits = depths.of(sequence, full, values.least) if values.bits == 16 else 16
        found = np.ascontiguousarray(eight_bits(full, bits)[..., ::-1])
        found = ~found if values.negative else found
    else:
        found = np.asarray(image, np.uint8)
        if values.planes and found.max() < DARKEST:
            raise BadPicture(
                f"its {values.bits}-bit planes use fewer bits, which OpenCV truncates; "
                "save it with interleaved channels (PlanarConfiguration 1)"
            )
    if reason := inside.cut_short(name, data, found):
        raise BadPicture(reason)
    # OpenCV turns a TIFF whatever it is told; all others are turned here.
    return found if name == "TIFF" else turned(found, orientation_of(io.BytesIO(data), name))


def _take(file: IO[bytes], form: str) -> tuple[int, ...]:
    """Read and unpack the next bytes; struct.error where the file ends before."""
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _jpeg(file: IO[bytes]) -> Size:
    """Walk the marker segments to the start of frame (ITU T.81, B.1.1 and B.2.2)."""
    file.seek(2)
    for _ in range(MOST_SEGMENTS):
        fill, marker = _take(file, "BB")
        if fill != 0xFF:
            break
        if marker == 0xFF:  # a fill byte: the next one is the marker's first or second
            file.seek(-1, 1)
            continue
        if marker == 0x01 or 0xD0 <= marker <= 0xD7:
            continue
        if marker in (0x00, 0xD9, 0xDA):  # pixels, or the end, before any size
            break
        (length,) = _take(file, ">H")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _take(file, ">xHH")
            return width, height
        file.seek(max(length - 2, 0), 1)
    raise BadPicture("the JPEG header declares no size; the file is damaged")


def _png(file: IO[bytes]) -> Size:
    file.seek(8)
    _, kind, width, height = struct.unpack(">I4sII", file.read(16))
    if kind != b"IHDR":
        raise BadPicture("the PNG does not begin with its header; the file is damaged")
    return width, height


def _check_chunks(data: bytes) -> None:
    """Raise BadPicture where a PNG's chunk reaches beyond the file, or none holds pixels.

    OpenCV 5 makes room for whatever length a chunk declares, 4 GB and 6 s for a file of 139 bytes,
    and reads on behind the end in search of pixels.
    """
    at, pixels = 8, False
    for _ in range(MOST_CHUNKS):
        if at + 12 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"IEND" and pixels:
            return
        if kind == b"IEND":
            break
        pixels |= kind == b"IDAT"
        at += 12 + length
    raise BadPicture("the PNG is truncated or damaged; save it again")


def _webp(file: IO[bytes]) -> Size:
    """Read the first chunk: canvas (VP8X), lossless (VP8L) or lossy (RFC 9649, RFC 6386 9.1)."""
    file.seek(12)
    kind, chunk = struct.unpack("4s4x10s", file.read(18))
    if kind == b"VP8X":
        low_w, high_w, low_h, high_h = struct.unpack("<4xHBHB", chunk)
        return 1 + low_w + (high_w << 16), 1 + low_h + (high_h << 16)
    if kind == b"VP8L" and chunk[0] == 0x2F:
        (bits,) = struct.unpack("<xI5x", chunk)
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and chunk[3:6] == b"\x9d\x01\x2a":
        width, height = struct.unpack("<6xHH", chunk)
        return width & 0x3FFF, height & 0x3FFF
    raise BadPicture("the WebP header declares no size; the file is damaged")


def _bmp(file: IO[bytes]) -> Size:
    file.seek(14)
    (length,) = _take(file, "<I")
    width, height = _take(file, "<HH" if length == 12 else "<ii")
    return width, abs(height)  # a negative height: rows run from the top


def _tiff(file: IO[bytes]) -> Size:
    page = _first_page(file)
    (width, height), tile = page.size, page.tile
    return max(width, tile[0]), max(height, tile[1])


def _first_page(file: IO[bytes]) -> tiff.Directory:
    """Return the first page of a TIFF; BadPicture where it states no size."""
    try:
        page = tiff.first(file)
    except ValueError as error:
        raise BadPicture(f"the TIFF header {error}; the file is damaged") from error
    if min(page.size) < 1:
        raise BadPicture("the TIFF header declares no size; the file is damaged")
    return page


_PARSERS: dict[str, Callable[[IO[bytes]], Size]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WebP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
}
