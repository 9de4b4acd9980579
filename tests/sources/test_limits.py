"""Small files that would take much memory or time: refused before a pixel is decoded."""

from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from posewright.sources.scans import MOST_SCANS, too_many_scans
from tests.helpers.images import only, put, scene, tiff


@pytest.fixture
def no_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(cv2, "imdecode", refuse)


def scans(count: int, form: bytes = b"\xff\xda") -> bytes:
    """Return a progressive JPEG whose last scan stands there `count` times more."""
    out = io.BytesIO()
    Image.fromarray(scene()).save(out, "JPEG", progressive=True, exif=b"Exif\0\0" + form * 500)
    data = out.getvalue()
    at = data.rindex(form)
    return data[:at] + data[at:-2] * count + data[at:]


def test_a_jpeg_of_many_scans_is_refused(tmp_path: Path, no_decoding: None) -> None:
    frame = only(put(tmp_path / "a.jpg", scans(MOST_SCANS)))
    assert frame.status == "decode_error" and "more than 100 scans" in frame.message
    strips = tiff([(scene(), {259: 7})])
    data = strips.replace(struct.pack("<HHII", 279, 4, 1, 7200), struct.pack("<HHII", 279, 4, 1, 9))
    jpeg = scans(2000)
    (at,) = struct.unpack_from("<I", data, data.index(struct.pack("<HHI", 273, 4, 1)) + 8)
    data = data.replace(
        struct.pack("<HHII", 273, 4, 1, at), struct.pack("<HHII", 273, 4, 1, len(data))
    )
    data = data.replace(
        struct.pack("<HHII", 279, 4, 1, 9), struct.pack("<HHII", 279, 4, 1, len(jpeg))
    )
    assert "strip 0" in only(put(tmp_path / "a.tif", data + jpeg)).message


def test_the_scans_are_counted_where_other_bytes_look_like_them() -> None:
    assert not too_many_scans(b"\xff\xd8" + b"\xff" * 3_000_000 + b"\0")  # in one pass
    assert too_many_scans(b"\xff\xd8" + b"\xff\xe0\0\x02" * 20_000)  # not looked through to the end
    assert not too_many_scans(b"\xff\xd8" + b"\xff\xe0\0\x02" * 9_000)
    thumbnail = b"\xff\xda" * 1000
    assert not too_many_scans(b"\xff\xd8\xff\xe1" + struct.pack(">H", 2002) + thumbnail)
    one = b"\xff\xda\0\x02ab\xff\0\xff\xd3cd\xff\xff"  # stuffing, a restart, fill bytes
    assert not too_many_scans(b"\xff\xd8" + one * 100) and too_many_scans(b"\xff\xd8" + one * 101)
    assert not too_many_scans(b"\xff\xd8" + one * 100 + b"\xff\xd9" + one)  # behind its end


def test_a_jpeg_of_some_scans_is_read(tmp_path: Path) -> None:
    frame = only(put(tmp_path / "a.jpg", scans(50)))  # 500 marks in its EXIF data do not count
    assert frame.status == "ok" and frame.size == (60, 40)


def directory(*entries: tuple[int, int, int, int]) -> bytes:
    """Return a TIFF of these tags, types, counts and values."""
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    return struct.pack("<2sHIH", b"II", 42, 8, len(entries)) + packed + bytes(200)


SMALL = (
    (258, 3, 1, 8),
    (259, 3, 1, 1),
    (262, 3, 1, 1),
    (273, 4, 1, 8),
    (278, 4, 1, 9),
    (279, 4, 1, 81),
)


@pytest.mark.parametrize(
    "size",
    [
        ((256, 4, 1, 9000), (257, 4, 1, 9), (256, 4, 1, 9)),  # libtiff takes the first
        ((256, 9, 1, 9000), (256, 4, 1, 9), (257, 4, 1, 9)),  # also of signed numbers
        ((256, 4, 1, 9), (257, 4, 2, 8)),
        ((256, 4, 1, 9), (257, 4, 1, 9), (322, 8, 1, 9000), (323, 8, 1, 9000)),
    ],
    ids=["twice", "twice, signed", "two numbers", "signed tiles"],
)
def test_a_tiff_whose_size_can_be_read_in_two_ways(
    tmp_path: Path, no_decoding: None, size: tuple
) -> None:
    frame = only(put(tmp_path / "a.tif", directory(*size, *SMALL)))
    assert frame.status == "decode_error" and "states its size twice" in frame.message


@pytest.mark.parametrize("compression", [1, 5, 32773, 8])
def test_a_tiff_with_too_little_data(tmp_path: Path, no_decoding: None, compression: int) -> None:
    page = [
        (256, 4, 1, 9000),
        (257, 4, 1, 9000),
        (258, 3, 1, 16),
        (259, 3, 1, compression),
        (262, 3, 1, 2),
        (273, 4, 1, 8),
        (277, 3, 1, 4),
        (278, 4, 1, 9000),
        (279, 4, 1, 99),
    ]
    frame = only(put(tmp_path / "a.tif", directory(*page)))
    assert frame.status == "decode_error" and "strip 0" in frame.message


@pytest.mark.parametrize("compression", [1, 2, 3, 4, 5, 32771, 32773])
@pytest.mark.parametrize("other", [{262: 6, 277: 3}, {266: 2}, {278: 90}], ids=str)
def test_a_tiff_with_too_little_data_of_any_kind(
    tmp_path: Path, no_decoding: None, compression: int, other: dict[int, int]
) -> None:
    tags = {
        256: 9000,
        257: 9000,
        258: 8,
        259: compression,
        262: 1,
        273: 8,
        277: 1,
        278: 9000,
        279: 99,
    }
    data = directory(*((tag, 4, 1, value) for tag, value in sorted((tags | other).items())))
    assert "strip " in only(put(tmp_path / "a.tif", data)).message


def strips(*counts: int, rows: int = 10, size: tuple[int, int] = (20, 40)) -> bytes:
    """Return a grey TIFF of strips that all lie in one place, and say these lengths."""
    width, height = size
    names, lengths = [400] * -(-height // rows), list(counts)
    page = [(256, 4, 1, width), (257, 4, 1, height), *SMALL[:3], (273, 4, len(names), 600)]
    page += [(278, 4, 1, rows), (279, 4, len(lengths), 700)][: 2 if lengths else 1]
    head = directory(*page)[:300].ljust(600, b"\0")
    places = struct.pack(f"<{len(names)}I", *names).ljust(100, b"\0")
    return head + places + struct.pack(f"<{len(lengths)}I", *lengths).ljust(300, b"\0")


@pytest.mark.parametrize(
    "counts, good",
    [
        ((200,) * 4, True),
        ((), False),
        ((1, 3, 5, 7), True),  # and where they is invalid
        ((19,) * 4, False),  # a row is not there
        ((200,) * 3 + (9,), False),
        ((200,) * 3, False),  # a strip is not named
    ],
)
def test_every_strip_of_a_tiff_is_long_enough(
    tmp_path: Path, counts: tuple[int, ...], good: bool
) -> None:
    frame = only(put(tmp_path / "a.tif", strips(*counts)))
    assert (frame.status == "ok") == good and ("strip" in frame.message) != good


@pytest.mark.parametrize("counts", [(), (7,)])  # libtiff works them out
def test_a_tiff_of_one_strip_without_its_length(tmp_path: Path, counts: tuple[int, ...]) -> None:
    data = strips(*counts, rows=40)
    for name, place, good in (("a", 8, True), ("b", len(data) - 799, False)):
        strip = struct.pack("<HHII", 273, 4, 1, place)
        path = put(
            tmp_path / f"{name}.tif", data.replace(struct.pack("<HHII", 273, 4, 1, 600), strip)
        )
        assert (only(path).status == "ok") == good


@pytest.mark.parametrize("compression", [0, 32895, 32908, 34661, 34712, 34925, 50000])
def test_a_tiff_that_libtiff_cannot_unpack_is_not_black(
    tmp_path: Path, no_decoding: None, compression: int
) -> None:
    data = tiff([(scene(), {259: compression})])
    message = only(put(tmp_path / "a.tif", data)).message
    assert message.startswith(f"the TIFF uses an unsupported compression ({compression})")


@pytest.mark.parametrize("kind", ["tiff_ccitt", "group3", "group4"])
def test_a_fax_is_read(tmp_path: Path, kind: str) -> None:
    for pixels in (scene(), np.full((2000, 2000), 255, np.uint8)):
        out = io.BytesIO()
        Image.fromarray(pixels).convert("1").save(out, "TIFF", compression=kind)
        frame = only(put(tmp_path / "a.tif", out.getvalue()))
        assert frame.status == "ok" and frame.size == pixels.shape[1::-1]


def png(width: int, pixels: bytes) -> bytes:
    """Return a grey PNG that is as high as wide."""
    found = b"\x89PNG\r\n\x1a\n"
    head = struct.pack(">IIBBBBB", width, width, 8, 0, 0, 0, 0)
    for kind, data in ((b"IHDR", head), (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")):
        body = kind + data
        found += struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))
    return found


def test_a_png_with_too_little_data(tmp_path: Path, no_decoding: None) -> None:
    message = only(put(tmp_path / "a.png", png(9000, bytes(1000)))).message
    assert message.startswith("the PNG has too little data")


@pytest.mark.parametrize(
    "head",
    [
        struct.pack("<IiiHHIIiiII", 40, 9000, -9000, 1, 24, *[0] * 6),
        struct.pack("<IHHHH", 12, 9000, 9000, 1, 24) + bytes(28),
    ],
    ids=["Windows", "OS/2"],
)
def test_a_bmp_with_too_little_data(tmp_path: Path, no_decoding: None, head: bytes) -> None:
    data = struct.pack("<2sIII", b"BM", 0, 0, 54) + head + bytes(300)
    assert only(put(tmp_path / "a.bmp", data)).message.startswith("the BMP has too little data")


def test_pictures_that_are_packed_as_tightly_as_can_be_are_read(tmp_path: Path) -> None:
    black = np.zeros((2000, 2000), np.uint8)
    frame = only(put(tmp_path / "a.png", png(2000, bytes(2001 * 2000))))
    assert frame.status == "ok" and frame.size == (2000, 2000)
    for compression in ("tiff_lzw", "packbits", "tiff_adobe_deflate"):
        out = io.BytesIO()
        Image.fromarray(black).save(out, "TIFF", compression=compression, tiffinfo={278: 2000})
        assert only(put(tmp_path / f"{compression}.tif", out.getvalue())).status == "ok"
    (_, bmp), (_, one) = cv2.imencode(".bmp", black), cv2.imencode(".png", black[:1, :1])
    assert only(put(tmp_path / "a.bmp", bmp.tobytes())).status == "ok"
    assert only(put(tmp_path / "b.png", one.tobytes())).size == (1, 1)


def test_pixels_of_another_size_than_the_checked_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = put(tmp_path / "a.png", png(20, bytes(21 * 20)))
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.zeros((20, 30, 3), np.uint8))
    frame = only(path)
    assert frame.status == "decode_error"
    assert "declares 20 x 20 pixels but holds 30 x 20" in frame.message
