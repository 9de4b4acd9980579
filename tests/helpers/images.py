"""Images of any kind, written into a folder."""

from __future__ import annotations

import io
import struct
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from posewright.people import Frame
from posewright.sources import open_source
from posewright.sources.planning import plan

__all__ = [
    "BLUE",
    "FORMS",
    "RED",
    "encoded",
    "frames",
    "only",
    "picture",
    "planned",
    "put",
    "scene",
    "tiff",
]

RED = (220, 20, 30)
BLUE = (20, 40, 230)
FORMS = ["JPEG", "PNG", "WEBP", "TIFF", "BMP"]


def scene(width: int = 60, height: int = 40) -> NDArray[np.uint8]:
    y, x = np.mgrid[:height, :width]
    return np.stack([3 * x, 5 * y, x + y], 2).astype(np.uint8)


def put(path: Path, data: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def frames(spec: Any, **options: Any) -> list[Frame]:
    with open_source(spec, **options) as source:
        return list(source)


def only(spec: Any, **options: Any) -> Frame:
    [frame] = frames(spec, **options)
    return frame


def tiff(pages: list[tuple[NDArray[Any], dict[int, int]]], big_endian: bool = False) -> bytes:
    """Make an uncompressed TIFF; each page has its image and further tags of one number.

    The number of tag 330 is the page (counted from 1) that goes inside, not into the chain.
    """
    order = ">" if big_endian else "<"
    body = bytearray(struct.pack(f"{order}2sHI", b"MM" if big_endian else b"II", 42, 0))
    places: list[int] = []
    inside = {tags[330] - 1 for _, tags in pages if 330 in tags}
    for image, tags in reversed(pages):  # those inside come before those that point to them
        samples = 1 if image.ndim == 2 else 3
        data = image.astype(image.dtype.newbyteorder(order)).tobytes()
        bits_at = len(body)
        body += struct.pack(f"{order}4H", *[8 * image.itemsize] * 4)
        at = len(body)
        body += data + bytes(len(data) % 2)
        fields = {
            254: 0,
            256: image.shape[1],
            257: image.shape[0],
            258: bits_at,
            259: 1,
            262: 2 if samples == 3 else 1,
            273: at,
            277: samples,
            278: image.shape[0],
            279: len(data),
        } | tags
        if samples == 1 and 258 not in tags:
            fields[258] = 8 * image.itemsize
        if 330 in fields:
            fields[330] = places[len(pages) - fields[330]]
        places.append(len(body))
        body += struct.pack(f"{order}H", len(fields))
        for tag, value in sorted(fields.items()):
            short = tag == 258 and samples == 3
            kind, count = (3, 3) if short else (4, 1)
            body += struct.pack(f"{order}HHII", tag, kind, count, value)
        body += bytes(4)
    starts = [start for i, start in enumerate(places[::-1]) if i not in inside]
    struct.pack_into(f"{order}I", body, 4, starts[0])
    for start, following in pairwise(starts):
        (count,) = struct.unpack_from(f"{order}H", body, start)
        struct.pack_into(f"{order}I", body, start + 2 + 12 * count, following)
    return bytes(body)


def planned(*sources: Any) -> tuple[list[Any], list[str]]:
    found = plan(list(sources), lambda source: open_source(source, retry_s=0.0))
    return found.sources, found.notes


def picture(width: int = 60, height: int = 40) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: left half red, right half blue."""
    image = np.empty((height, width, 3), np.uint8)
    image[:, : width // 2] = RED
    image[:, width // 2 :] = BLUE
    return image


def encoded(form: str, image: NDArray[np.uint8] | Image.Image | None = None, **options) -> bytes:
    made = picture() if image is None else image
    made = made if isinstance(made, Image.Image) else Image.fromarray(made)
    file = io.BytesIO()
    made.save(file, form, **options)
    return file.getvalue()
