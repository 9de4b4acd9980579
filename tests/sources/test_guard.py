"""Images that lie: bombs, cut and senseless headers, damage anywhere."""

from __future__ import annotations

import os
import random
import resource
import struct
import time
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image

from tests.helpers.images import FORMS, encoded, frames, only, picture


def png_bomb(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    zeros = zlib.compressobj()
    pixels = b"".join(zeros.compress(bytes(1 << 20)) for _ in range(100)) + zeros.flush()
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    )


def bombs() -> Iterator[tuple[str, bytes, str]]:
    yield "png", png_bomb(30_000, 30_000), "30000 x 30000"
    jpeg = bytearray(encoded("JPEG"))
    at = jpeg.index(b"\xff\xc0") + 5
    jpeg[at : at + 4] = struct.pack(">HH", 65_500, 65_500)
    yield "jpeg", bytes(jpeg), "65500 x 65500"
    webp = bytearray(encoded("WEBP"))
    at = webp.index(b"\x9d\x01\x2a") + 3
    webp[at : at + 4] = struct.pack("<HH", 16_000, 16_001)
    yield "webp", bytes(webp), "16000 x 16001"
    lossless = bytearray(encoded("WEBP", lossless=True))
    at = lossless.index(b"VP8L") + 9
    lossless[at : at + 4] = struct.pack("<I", 15_999 | 15_998 << 14)
    yield "webp lossless", bytes(lossless), "16000 x 15999"
    canvas = struct.pack("<4sI4s4sI4x", b"RIFF", 22, b"WEBP", b"VP8X", 10)
    canvas += bytes([0xFF, 0xFF, 0, 0xFF, 0xFF, 1])
    yield "webp canvas", canvas, "65536 x 131072"
    for order, sign in (("<", b"II"), (">", b"MM")):
        size = struct.pack(order + "HHI", 256, 4, 1) + struct.pack(order + "I", 40_000)
        size += struct.pack(order + "HHI", 257, 3, 1) + struct.pack(order + "H2x", 50_000)
        head = sign + struct.pack(order + "HIH", 42, 8, 2)
        yield f"tiff {sign!r}", head + size + bytes(4), "40000 x 50000"
    big = struct.pack("<2sHHHQQ", b"II", 43, 8, 0, 16, 2)
    big += struct.pack("<HHQQ", 256, 16, 1, 1 << 40) + struct.pack("<HHQQ", 257, 4, 1, 2)
    yield "bigtiff", big, f"{1 << 40} x 2"
    tiled = struct.pack("<2sHIH", b"II", 42, 8, 4)
    for tag, value in ((256, 10), (257, 10), (322, 60_000), (323, 50_000)):
        tiled += struct.pack("<HHII", tag, 4, 1, value)
    yield "tiff tiles", tiled, "60000 x 50000"
    head = struct.pack("<2sIIIIiiHHIIiiII", b"BM", 0, 0, 54, 40, 30_000, -30_000, 1, 24, *[0] * 6)
    yield "bmp", head, "30000 x 30000"
    yield "bmp os2", struct.pack("<2sIIIIHHHH", b"BM", 0, 0, 26, 12, 60_000, 60_000, 1, 24), "60000"


@pytest.mark.parametrize(("data", "size"), [b[1:] for b in bombs()], ids=[b[0] for b in bombs()])
def test_bombs_are_refused_before_decoding(tmp_path: Path, data: bytes, size: str) -> None:
    (tmp_path / "bomb").write_bytes(data)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w") as archive:
        archive.writestr("bomb.png", data)
    for name in ("bomb", "bomb.zip"):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        spent = []
        for _ in range(3):
            start = time.process_time()
            frame = only(tmp_path / name)
            spent.append(time.process_time() - start)
        assert min(spent) < 0.02
        assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000  # kB
        assert frame.status == "decode_error" and frame.image.size == 0
        assert size in frame.message and "100000000" in frame.message
        assert "--max-pixels" in frame.message and "\n" not in frame.message


def test_max_pixels_is_the_largest_that_passes(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded("PNG"))
    assert only(tmp_path / "a.png", max_pixels=2400).status == "ok"
    assert only(tmp_path / "a.png", max_pixels=2399).status == "decode_error"
    assert only(Image.fromarray(picture()), max_pixels=2399).status == "decode_error"


def test_a_file_much_larger_than_its_picture_is_not_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG"))
    os.truncate(path, 4 << 30)  # sparse
    start = time.process_time()
    assert "damaged" in only(path).message
    assert time.process_time() - start < 0.5  # 4 GiB take seconds


@pytest.mark.parametrize("spoilt", [33, 37], ids=["length of the pixels", "no pixels"])
def test_a_png_that_would_make_opencv_take_gigabytes(tmp_path: Path, spoilt: int) -> None:
    data = bytearray(encoded("PNG"))
    data[spoilt] = 0xFF
    (tmp_path / "a.png").write_bytes(data)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    assert "PNG is truncated" in only(tmp_path / "a.png").message
    assert time.process_time() - start < 0.2
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8_000  # kB


@pytest.mark.parametrize("form", FORMS)
def test_cut_headers_are_decode_errors(tmp_path: Path, form: str) -> None:
    data = encoded(form)
    for length in (*range(40), len(data) // 2):
        (tmp_path / "a.jpg").write_bytes(data[:length])
        frame = only(tmp_path / "a.jpg")
        assert frame.status == "decode_error" and frame.message


@pytest.mark.parametrize(
    "data",
    [
        b"\xff\xd8" + b"\xff" * 50_000,
        b"\xff\xd8" + b"\xff\xe0\0\x02" * 50_000,
        b"\xff\xd8\xff\xda\0\x02",
        b"\xff\xd8\xff\x00\0\x02" * 9,
        b"\x89PNG\r\n\x1a\n" + b"\0" * 30,
        b"RIFF\0\0\0\0WEBPJUNK" + b"\0" * 30,
        b"II*\0\x08\0\0\0\xff\xff" + b"\0" * 900_000,
        b"II+\0\x08\0\0\0" + b"\xff" * 30,
        b"II*\0\xff\xff\xff\xff",
        b"BM" + b"\0" * 60,
    ],
)
def test_senseless_headers_are_quick_decode_errors(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.png").write_bytes(data)
    start = time.process_time()
    assert only(tmp_path / "a.png").status == "decode_error"
    assert time.process_time() - start < 0.5


def test_mutated_pictures_are_pictures_or_decode_errors(tmp_path: Path) -> None:
    chance = random.Random(3)
    kinds = [encoded(form) for form in FORMS]
    kinds += [encoded("WEBP", lossless=True), encoded("JPEG", progressive=True)]
    paths = []
    for number in range(350):
        data = bytearray(kinds[number % len(kinds)])
        for _ in range(chance.choice((1, 1, 3, 20))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.4:
            del data[chance.randrange(len(data)) :]
        paths.append(tmp_path / f"{number}.png")
        paths[-1].write_bytes(data)
    found = frames(tmp_path, max_pixels=1_000_000)
    assert [f.name for f in found] == [str(p) for p in paths]
    assert {f.status for f in found} == {"ok", "decode_error"}
    assert all(f.message and "\n" not in f.message for f in found if f.status != "ok")
