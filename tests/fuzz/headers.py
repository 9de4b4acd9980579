"""Damage to the headers of images, field by field, where checksums and lengths stay right."""

from __future__ import annotations

import random
import struct
import zlib
from collections.abc import Callable, Iterator

from .damage import ODD_NUMBERS, damaged_bytes, damaged_words

__all__ = ["damaged_picture"]


def damaged_picture(rng: random.Random, data: bytes) -> bytes:
    """Return an image with fields of its header damaged; of other formats any numbers."""
    for magic, damage in _FORMATS.items():
        if data.startswith(magic):
            return damage(rng, data)
    return damaged_words(rng, data)


def _odd(rng: random.Random, size: int) -> int:
    number = rng.choice((*ODD_NUMBERS, rng.randrange(1 << 16), 60_000))
    return number % (1 << 8 * size)


def _png(rng: random.Random, data: bytes) -> bytes:
    """Change the content of a chunk, its name or its place; its checksum is that of what it holds.

    The header is chosen most often: 13 bytes decide how much room the pixels take.
    """
    chunks = list(_chunks(data))
    at = 0 if rng.random() < 0.5 else rng.randrange(len(chunks))
    kind, body = chunks[at]
    if at == 0:
        sizes = [_odd(rng, 4) if rng.random() < 0.4 else n for n in struct.unpack(">II", body[:8])]
        kinds = [_odd(rng, 1) if rng.random() < 0.3 else n for n in body[8:]]
        chunks[0] = (kind, struct.pack(">II", *sizes) + bytes(kinds))
    elif rng.random() < 0.3:
        chunks[at] = (rng.choice((b"PLTE", b"tRNS", b"acTL", b"eXIf", b"IDAT", b"IHDR")), body)
    elif rng.random() < 0.5:
        chunks[at] = (kind, damaged_bytes(rng, body))
    else:
        chunks.insert(rng.randrange(len(chunks) + 1), chunks[at])
    packed = (
        struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b)) for k, b in chunks
    )
    return data[:8] + b"".join(packed)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        yield data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        at += 12 + length


def _jpeg(rng: random.Random, data: bytes) -> bytes:
    """Change a segment before the pixels: its marker, its length, or a field of what it holds."""
    made, places, at = bytearray(data), [], 2
    while data[at] == 0xFF and data[at + 1] != 0xDA:
        places.append(at)
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    frames = [p for p in places if 0xC0 <= data[p + 1] <= 0xC2]
    at = rng.choice(frames if rng.random() < 0.6 else [*places, at])
    act = rng.randrange(4)
    if act == 0:  # the height and width of a frame, the first numbers of another segment
        made[at + 5 : at + 9] = struct.pack(">HH", _odd(rng, 2), _odd(rng, 2))
    elif act == 1:  # its precision, components, sampling, tables
        made[at + rng.choice((4, 9, 10, 11, 12, 13, 14))] = _odd(rng, 1)
    elif act == 2:
        made[at + 2 : at + 4] = struct.pack(">H", _odd(rng, 2))
    else:
        made[at + 1] = rng.choice((0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xD9, 0xDA, 0xDD, 0xE1))
    return bytes(made)


def _bmp(rng: random.Random, data: bytes) -> bytes:
    """Change the length of the header, sizes, bits, compression, colours, where pixels begin."""
    made = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        at, size = rng.choice(
            (
                (2, 4),
                (10, 4),
                (14, 4),
                (18, 4),
                (22, 4),
                (26, 2),
                (28, 2),
                (30, 4),
                (34, 4),
                (46, 4),
            )
        )
        made[at : at + size] = _odd(rng, size).to_bytes(size, "little")
    return bytes(made)


def _webp(rng: random.Random, data: bytes) -> bytes:
    """Put a canvas before the pixels (VP8X), or change the lengths and sizes that are stated."""
    made = bytearray(data)
    if rng.random() < 0.4:
        sizes = b"".join(_odd(rng, 3).to_bytes(3, "little") for _ in range(2))
        flags = bytes([_odd(rng, 1), 0, 0, 0])
        made[12:12] = b"VP8X" + struct.pack("<I", 10) + flags + sizes
        made[4:8] = struct.pack("<I", len(made) - 8)
        return bytes(made)
    at, size = rng.choice(((4, 4), (16, 4), (20, 2), (23, 3), (26, 2), (28, 2)))
    made[at : at + size] = _odd(rng, size).to_bytes(size, "little")
    return bytes(made)


def _tiff(rng: random.Random, data: bytes) -> bytes:
    """Change one to three entries of the first directory: tag, type, count or value."""
    made = bytearray(data)
    (start,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, start)
    for _ in range(rng.randint(1, 3)):
        entry = start + 2 + 12 * rng.randrange(count)
        act = rng.randrange(6)
        if act == 0:
            made[entry : entry + 2] = struct.pack(
                "<H",
                rng.choice(
                    (
                        256,
                        257,
                        258,
                        259,
                        262,
                        273,
                        274,
                        277,
                        278,
                        279,
                        284,
                        317,
                        320,
                        322,
                        323,
                        324,
                        325,
                        330,
                        338,
                        339,
                        347,
                        700,
                        _odd(rng, 2),
                    )
                ),
            )
        elif act == 1:
            made[entry + 2 : entry + 4] = struct.pack("<H", rng.choice((*range(19), 999)))
        elif act == 2:
            made[entry + 4 : entry + 8] = struct.pack("<I", _odd(rng, 4))
        else:
            made[entry + 8 : entry + 12] = struct.pack("<I", _odd(rng, 4))
    return bytes(made)


_FORMATS: dict[bytes, Callable[[random.Random, bytes], bytes]] = {
    b"\x89PNG": _png,
    b"\xff\xd8": _jpeg,
    b"BM": _bmp,
    b"RIFF": _webp,
    b"II*\0": _tiff,
}
