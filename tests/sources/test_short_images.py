"""Images that declare more pixels than their data hold, and good ones that look like them."""

from __future__ import annotations

import resource
import struct
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from posewright.people import Frame
from tests.helpers.images import encoded, only, put, scene

TOO_SHORT = "has too little data for the pixels that it declares"
CODINGS: dict[str, dict[str, Any]] = {
    "baseline": {},
    "optimised": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_blocks": 3},
    "4:4:4": {"subsampling": 0},
    "4:2:2": {"subsampling": 1},
}


def stating(data: bytes, width: int, height: int) -> bytes:
    """A JPEG with another size in its header."""
    at = next(data.index(mark) for mark in (b"\xff\xc0", b"\xff\xc2") if mark in data)
    return data[: at + 5] + struct.pack(">HH", height, width) + data[at + 9 :]


def photo(width: int = 256, height: int = 192) -> Image.Image:
    noise = np.random.default_rng(5).integers(0, 60, (height, width, 3))
    return Image.fromarray((scene(width, height) // 2 + noise).astype(np.uint8))


def read(path: Path, data: bytes) -> Frame:
    return only(put(path, data))


@pytest.mark.parametrize("how", CODINGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_that_states_a_larger_size(tmp_path: Path, mode: str, how: str) -> None:
    if (mode, how) == ("CMYK", "4:2:2"):
        pytest.skip("FFmpeg cannot read CMYK with fewer values of some inks, so nobody tells")
    image = photo().convert(mode)
    good = encoded("JPEG", image, quality=90, **CODINGS[how])
    assert read(tmp_path / "good.jpg", good).size == (256, 192)
    for width, height in ((256, 224), (256, 384), (288, 192), (512, 192), (9999, 9999)):
        frame = read(tmp_path / "a.jpg", stating(good, width, height))
        assert frame.status == "decode_error" and TOO_SHORT in frame.message, (width, height)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_a_jpeg_that_ends_early_but_with_its_mark(tmp_path: Path, share: float) -> None:
    data = encoded("JPEG", photo(), quality=90)
    cut = data[: int(len(data) * share)] + b"\xff\xd9"
    assert TOO_SHORT in read(tmp_path / "a.jpg", cut).message


def test_no_memory_is_taken_for_what_is_not_there(tmp_path: Path) -> None:
    paths = [put(tmp_path / "a.jpg", stating(encoded("JPEG", photo()), 9999, 9999))]
    paths.append(put(tmp_path / "b.jpg", stating(encoded("JPEG", progressive=True), 9999, 9999)))
    paths.append(put(tmp_path / "c.bmp", runs([(255, 7)] * 400, 9000, 9000)))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    assert [TOO_SHORT in only(path).message for path in paths] == [True] * 3
    assert time.process_time() - start < 0.5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16_000  # kB


@pytest.mark.parametrize("how", CODINGS)
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_grey_image_is_read(tmp_path: Path, mode: str, how: str) -> None:
    """Of the colour that libjpeg fills with, in as few bytes as there can be."""
    for size in ((1, 1), (7, 5), (8, 8), (17, 33), (640, 480)):
        for value in (100, 128, 255):
            image = Image.new("RGB", size, (value,) * 3).convert(mode)
            frame = read(tmp_path / "a.jpg", encoded("JPEG", image, **CODINGS[how]))
            assert frame.status == "ok" and frame.size == size, (size, value, frame.message)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_large_white_image_is_read(tmp_path: Path, progressive: bool) -> None:
    """A block takes just above two bits of it, or one."""
    image = Image.new("RGB", (4000, 3000), "white")
    data = encoded("JPEG", image, optimize=True, progressive=progressive)
    assert len(data) < 80_000 and read(tmp_path / "a.jpg", data).size == (4000, 3000)


@pytest.mark.parametrize(
    "put_in", [b"\0", b"\0" * 1000, b"\xff" * 5, b"\xff\0\xff\0", b"\xff\xfe\0\x08hello!"]
)
def test_what_harms_no_pixel_is_no_damage(tmp_path: Path, put_in: bytes) -> None:
    data = encoded("JPEG", Image.new("RGB", (64, 48), (128,) * 3))
    assert read(tmp_path / "a.jpg", data[:-2] + put_in + data[-2:]).status == "ok"
    assert read(tmp_path / "b.jpg", data + put_in).status == "ok"


# --- BMP with runs --------------------------------------------------------------------------------


def runs(pairs: list[tuple[int, int]], width: int, height: int, bits: int = 8) -> bytes:
    """A BMP of runs: (count, colour), or a mark: (0, 0) next line, (0, 1) end."""
    body = b"".join(map(bytes, pairs))
    palette = b"".join(bytes([n, n, n, 0]) for n in range(1 << bits))
    start = 14 + 40 + len(palette)
    head = struct.pack("<2sIHHI", b"BM", start + len(body), 0, 0, start)
    kind = {8: 1, 4: 2}[bits]
    info = struct.pack("<IiiHHIIiiII", 40, width, height, 1, bits, kind, len(body), 0, 0, 0, 0)
    return head + info + palette + body


@pytest.mark.parametrize("bits", [4, 8])
def test_a_bmp_whose_runs_end_early(tmp_path: Path, bits: int) -> None:
    for pairs in ([(255, 7)] * 40, [(0, 0)] * 500, [(0, 3), (1, 2), (3, 0)] * 30, []):
        frame = read(tmp_path / "a.bmp", runs(pairs, 9000, 9000, bits))
        assert frame.status == "decode_error" and TOO_SHORT in frame.message


def test_a_bmp_of_long_runs_is_read(tmp_path: Path) -> None:
    lines = [pair for _ in range(600) for pair in ([(255, 200)] * 3 + [(35, 90), (0, 0)])]
    frame = read(tmp_path / "a.bmp", runs([*lines, (0, 1)], 800, 600))
    assert frame.status == "ok" and frame.image is not None
    assert (frame.image[:, :765] == 200).all() and (frame.image[:, 765:] == 90).all()
    # lines that are left out have the first colour
    frame = read(tmp_path / "b.bmp", runs([(255, 200), (0, 0), (0, 1)], 800, 600))
    assert frame.status == "ok" and frame.size == (800, 600)
