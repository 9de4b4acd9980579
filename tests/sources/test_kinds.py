"""Raw photos, further pages, depth, silent damage, and what a folder says that it left out."""

from __future__ import annotations

import io
import os
import struct
import zlib
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from posewright.errors import SourceError
from posewright.people import Frame
from posewright.predict import predict_to
from posewright.sources import open_source
from tests.helpers.images import only, put, scene, tiff

# --- raw photos ----------------------------------------------------------------------------------

SMALL, LARGE = scene(16, 10), scene()
RAW: dict[str, tuple[bytes, str]] = {
    "dng": (tiff([(SMALL, {254: 1, 330: 2, 50706: 0x401}), (LARGE, {})]), "raw photo (DNG)"),
    "dng without a preview": (tiff([(LARGE, {50706: 0x401})]), "raw photo (DNG)"),
    "nef": (tiff([(SMALL, {254: 1, 330: 2}), (LARGE, {})], big_endian=True), "raw photo"),
    "unmarked preview": (tiff([(SMALL, {330: 2}), (LARGE, {})]), "raw photo"),
    "sensor": (tiff([(LARGE[..., 0], {262: 32803})]), "raw photo"),
    "preview first": (tiff([(SMALL, {254: 1}), (LARGE, {})]), "preview or mask (16 x 10 px)"),
    "old preview first": (tiff([(SMALL, {255: 2}), (LARGE, {})]), "preview or mask"),
    "cr3": (b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom" + bytes(99), "raw photo (CR3)"),
    "raf": (b"FUJIFILMCCD-RAW 0201" + bytes(99), "raw photo (RAF)"),
    "orf": (b"IIRO\x08\0\0\0" + bytes(99), "raw photo (ORF)"),
    "rw2": (b"IIU\0\x18\0\0\0" + bytes(99), "raw photo (RW2)"),
}


@pytest.mark.parametrize("suffix", ["", ".tif", ".nef"])
@pytest.mark.parametrize("kind", RAW)
def test_raw_photos_are_named(tmp_path: Path, kind: str, suffix: str) -> None:
    data, word = RAW[kind]
    frame = only(put(tmp_path / f"shot{suffix}", data))
    assert frame.status == "decode_error" and word in frame.message and "\n" not in frame.message


def test_a_large_raw_photo_with_a_small_preview_is_named(tmp_path: Path) -> None:
    data = tiff([(SMALL, {254: 1, 330: 2}), (LARGE, {})]) + bytes(70 << 20)
    assert "raw photo" in only(put(tmp_path / "a.dng", data)).message


@pytest.mark.parametrize(
    "pages",
    [
        [(LARGE, {330: 2}), (SMALL, {254: 1})],  # a pyramid: the smaller ones lie inside
        [(LARGE, {}), (SMALL, {254: 1})],  # a thumbnail behind
        [(LARGE, {254: 0}), (LARGE[..., 0], {254: 4})],  # a mask behind
    ],
)
def test_previews_behind_the_picture_are_nothing_to_speak_of(tmp_path: Path, pages: list) -> None:
    frame = only(put(tmp_path / "a.tif", tiff(pages)))
    assert frame.size == (60, 40) and not frame.message
    np.testing.assert_array_equal(frame.image, LARGE)


# --- pages and animations ------------------------------------------------------------------------


def animation(form: str, count: int, **options: Any) -> bytes:
    frames = [Image.fromarray(np.roll(LARGE, 9 * i, 1)) for i in range(count)]
    out = io.BytesIO()
    frames[0].save(out, form, save_all=True, append_images=frames[1:], **options)
    return out.getvalue()


@pytest.mark.parametrize(
    ("form", "options", "what"),
    [
        ("TIFF", {}, "page"),
        ("TIFF", {"big_tiff": True}, "page"),
        ("WEBP", {"lossless": True}, "frame(s) of an animation"),
        ("PNG", {}, "frame(s) of an animation"),
    ],
)
def test_further_pages_are_told(tmp_path: Path, form: str, options: dict, what: str) -> None:
    for count in (1, 3):
        path = put(tmp_path / f"{form}{count}", animation(form, count, **options))
        with open_source(path) as source:
            [frame] = list(source)
        assert frame.status == "ok"
        np.testing.assert_array_equal(frame.image, LARGE)
        assert bool(frame.note) == bool(source.notes) == (count > 1)
    assert f"2 further {what}" in frame.note and str(path) in source.notes[0]


def test_further_frames_of_a_pil_image_are_told(tmp_path: Path) -> None:
    with Image.open(put(tmp_path / "a.gif", animation("GIF", 3))) as image:
        frame = only(image)
    assert frame.status == "ok" and frame.note == "only one of its 3 frames was read"
    assert not only(Image.fromarray(LARGE)).note


def test_many_files_with_pages_are_one_note(tmp_path: Path) -> None:
    for i in range(5):
        put(tmp_path / "in" / f"{i}.tif", animation("TIFF", 2))
    with open_source(tmp_path / "in") as source:
        assert len(list(source)) == 5
        [note] = source.notes
    assert "0.tif" in note and "4 other image(s)" in note


# --- depth ---------------------------------------------------------------------------------------


def deep_png(values: NDArray[np.uint16]) -> bytes:
    return cv2.imencode(".png", values[..., ::-1])[1].tobytes()


def deep_tiff(values: NDArray[np.uint16]) -> bytes:
    return tiff([(values, {})])


@pytest.mark.parametrize("make", [deep_png, deep_tiff])
@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sensors_of_fewer_bits_are_scaled(tmp_path: Path, make: Any, bits: int) -> None:
    bright = scene()
    bright[0, 0] = 255
    values = bright.astype(np.uint16) << (bits - 8)
    frame = only(put(tmp_path / "a", make(values)))
    np.testing.assert_array_equal(frame.image, bright)
    grey = only(Image.fromarray(values[..., 0]))
    np.testing.assert_array_equal(grey.image[..., 1], bright[..., 0])


def level(frame: Frame) -> int:
    """Return the grey of a plain image's middle."""
    return int(frame.image[20, 30, 0])


def levels(spec: Any) -> list[int]:
    with open_source(spec) as source:
        return [level(frame) for frame in source]


def test_dark_pictures_of_a_sequence_have_the_depth_of_the_bright_ones(tmp_path: Path) -> None:
    """Grey 160 of 12 bits; a value of the second image tells the depth, none of a later one."""
    paths = []
    for number in range(5):
        values = np.full((40, 60, 3), 160, np.uint16)
        values[0, 0] = 4095 if number == 1 else 160
        paths.append(put(tmp_path / "in" / f"{number}.png", deep_png(values)))
    other = np.full((40, 61, 3), 160, np.uint16)
    paths.append(put(tmp_path / "in" / "5.png", deep_png(other)))
    with ZipFile(tmp_path / "in.zip", "w") as archive:
        for path in paths:
            archive.write(path, path.name)
    (tmp_path / "list.txt").write_text("".join(f"{path}\n" for path in paths))
    for spec in (
        tmp_path / "in",
        tmp_path / "in.zip",
        tmp_path / "list.txt",
        paths,
        f"{tmp_path}/in/*",
    ):
        assert levels(spec) == [160, 10, 10, 10, 10, 160]  # the last has another size
    put(tmp_path / "out" / "0.png", deep_png(np.full((40, 60, 3), 160, np.uint16)))
    assert levels([*paths[:2], tmp_path / "out" / "0.png"]) == [160, 10, 160]


def test_pil_images_of_a_list_are_a_sequence_too() -> None:
    dark, bright = (np.full((40, 60), value, np.uint16) for value in (160, 4000))
    assert levels([Image.fromarray(a) for a in (dark, bright, dark)]) == [160, 250, 10]


def test_a_depth_that_the_file_states_counts(tmp_path: Path) -> None:
    values = np.full((40, 60, 3), 160, np.uint16)
    for most, grey in ((160, 160), (1023, 40), (4095, 10), (4000, 10), (65535, 0)):
        assert level(only(put(tmp_path / "a.tif", tiff([(values, {281: most})])))) == grey
    plain = deep_png(values)
    body = b"sBIT" + bytes([12, 12, 12])
    chunk = struct.pack(">I", 3) + body + struct.pack(">I", zlib.crc32(body))
    assert level(only(put(tmp_path / "a.png", plain))) == 160
    assert level(only(put(tmp_path / "b.png", plain[:33] + chunk + plain[33:]))) == 0
    top = deep_png(values << 4)
    assert level(only(put(tmp_path / "c.png", top[:33] + chunk + top[33:]))) == 10


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("bits", [8, 12, 16])
def test_grey_whose_zero_is_white(tmp_path: Path, bits: int, big_endian: bool) -> None:
    bright = scene()[..., 0]
    bright[0, 0] = 0
    values = (255 - bright.astype(np.uint16)) << (bits - 8)
    page = values.astype(np.uint8) if bits == 8 else values
    frame = only(put(tmp_path / "a.tif", tiff([(page, {262: 0})], big_endian)))
    np.testing.assert_array_equal(frame.image, np.dstack([bright] * 3))


def planar(values: NDArray[Any], big_endian: bool = False) -> bytes:
    """Return an uncompressed TIFF with a strip for each colour."""
    order = ">" if big_endian else "<"
    planes = [values[..., i].astype(values.dtype.newbyteorder(order)).tobytes() for i in range(3)]
    size, start = len(planes[0]), 8 + 12 + 12 + 6
    head = struct.pack(f"{order}2sHI", b"MM" if big_endian else b"II", 42, start + 3 * size)
    head += struct.pack(
        f"{order}3I3I3H",
        *(start + i * size for i in range(3)),
        *[size] * 3,
        *[8 * values.itemsize] * 3,
    )
    fields = [
        (256, 1, values.shape[1]),
        (257, 1, values.shape[0]),
        (258, 3, 32),
        (259, 1, 1),
        (262, 1, 2),
        (273, 3, 8),
        (277, 1, 3),
        (278, 1, values.shape[0]),
        (279, 3, 20),
        (284, 1, 2),
    ]
    body = struct.pack(f"{order}H", len(fields))
    for tag, count, value in fields:
        body += struct.pack(f"{order}HHII", tag, 3 if tag == 258 else 4, count, value)
    return head + b"".join(planes) + body + bytes(4)


@pytest.mark.parametrize("big_endian", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_colours_that_stand_apart(tmp_path: Path, bits: int, big_endian: bool) -> None:
    bright = scene()
    bright[0, 0] = 255
    values = bright if bits == 8 else bright.astype(np.uint16) * 257
    frame = only(put(tmp_path / "a.tif", planar(values, big_endian)))
    np.testing.assert_array_equal(frame.image, bright)


def test_colours_that_stand_apart_in_fewer_bits_are_reported(tmp_path: Path) -> None:
    frame = only(put(tmp_path / "a.tif", planar(scene().astype(np.uint16) << 4)))
    assert frame.status == "decode_error" and "PlanarConfiguration 1" in frame.message


def test_twelve_packed_bits_are_no_less(tmp_path: Path) -> None:
    values = np.arange(60 * 40, dtype=np.uint32).reshape(40, 60) // 4  # dark: at most 599 of 4095
    pairs = values.reshape(-1, 2)
    packed = np.stack(
        [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1]], 1
    )
    page = tiff([(packed.astype(np.uint8), {256: 60, 257: 40, 258: 12, 277: 1, 278: 40, 262: 1})])
    frame = only(put(tmp_path / "a.tif", page))
    np.testing.assert_array_equal(frame.image[..., 0], values >> 4)


# --- damage --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("compression", "tags"),
    [
        ("tiff_adobe_deflate", {278: 16}),
        ("tiff_deflate", {322: 64, 323: 64}),
        ("tiff_lzw", {278: 16}),
        ("tiff_lzw", {322: 64, 323: 64}),
        ("packbits", {278: 16}),
        ("jpeg", {278: 16}),
    ],
)
def test_damaged_strips_are_told(tmp_path: Path, compression: str, tags: dict[int, int]) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (128, 192, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(noise).save(out, "TIFF", compression=compression, tiffinfo=tags)
    data = bytearray(out.getvalue())
    assert only(put(tmp_path / "good.tif", data)).status == "ok"
    for at in range(len(data) // 3, len(data) // 3 + 400):
        data[at] ^= 0x5A
    frame = only(put(tmp_path / "bad.tif", data))
    assert frame.status == "decode_error" and "damaged" in frame.message


def test_a_checksum_alone_is_enough(tmp_path: Path) -> None:
    strip = zlib.compress(LARGE.tobytes())
    data = tiff([(LARGE, {})])
    at = data.index(LARGE.tobytes())
    for change in (b"", b"\x01"):  # the last byte of the checksum
        body = strip[:-1] + (change or strip[-1:])
        page = data[:at] + body + data[at + len(body) :]
        page = page.replace(struct.pack("<HHII", 259, 4, 1, 1), struct.pack("<HHII", 259, 4, 1, 8))
        page = page.replace(
            struct.pack("<HHII", 279, 4, 1, LARGE.size), struct.pack("<HHII", 279, 4, 1, len(body))
        )
        frame = only(put(tmp_path / "a.tif", page))
        assert frame.status == ("decode_error" if change else "ok")


def test_a_webp_that_is_shorter_than_it_says(tmp_path: Path) -> None:
    out = io.BytesIO()
    Image.fromarray(LARGE).save(out, "WEBP", lossless=True, exif=b"Exif\0\0" + bytes(100))
    data = out.getvalue()
    assert only(put(tmp_path / "good.webp", data)).status == "ok"
    for cut in (4, 60, 105):  # in the metadata behind the pixels
        frame = only(put(tmp_path / "bad.webp", data[:-cut]))
        assert frame.status == "decode_error" and "WebP is" in frame.message


# --- folders -------------------------------------------------------------------------------------


def test_a_folder_says_what_it_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = cv2.imencode(".png", LARGE)[1].tobytes()
    folder = tmp_path / "in"
    for name in (
        "a.png",
        "b.NEF",
        "b2.cr2",
        "c.gif",
        "c2.mov",
        "c3.MP4",
        "d.jp2",
        ".e.gif",
        "labels.json",
        "shut/x.png",
    ):
        put(folder / name, picture)
    put(folder / "README", b"no picture")
    (folder / "link").symlink_to(tmp_path)
    scan = os.scandir

    def shut(path: Any) -> Any:
        if str(path).endswith("shut"):
            raise PermissionError(13, "Permission denied")
        return scan(path)

    monkeypatch.setattr(os, "scandir", shut)
    with open_source(folder) as source:
        assert len(list(source)) == 1
        [note] = source.notes
    for part in (
        "2 raw photo(s) (.cr2, .nef;",
        "3 video(s) or animation(s) (.gif, .mov, .mp4;",
        "1 file(s) of other kinds (.jp2;",
        "1 link(s) to folders",
        "1 folder(s) that cannot be opened",
    ):
        assert part in note
    assert "json" not in note and "\n" not in note


def test_globs_and_archives_say_it_too(tmp_path: Path) -> None:
    picture = cv2.imencode(".png", LARGE)[1].tobytes()
    for name in ("a.png", "b.dng", "c.mov"):
        put(tmp_path / name, picture)
    with ZipFile(tmp_path / "all.zip", "w") as archive:
        for name in ("a.png", "b.dng", "c.mov", "d.txt"):
            archive.write(tmp_path / "a.png", name)
    for spec in (f"{tmp_path}/?.*", tmp_path / "all.zip"):
        with open_source(spec) as source:
            assert len(list(source)) == 1
            [note] = source.notes
        assert "1 raw photo(s)" in note and "1 video(s)" in note


def test_a_folder_of_raw_photos_alone(tmp_path: Path) -> None:
    put(tmp_path / "a.cr2", RAW["dng"][0])
    with pytest.raises(SourceError, match=r"it holds \.cr2 files \(raw photos: convert them first"):
        open_source(tmp_path)


class Nobody:
    """A Pose that finds nobody."""

    detector = None
    detector_note = ""

    def stream(self, source: Any, **_: Any) -> Any:
        from posewright.people import People
        from posewright.pose import Stream
        from posewright.results import Result
        from posewright.skeletons import COCO17

        opened = open_source(source)
        nobody = People.empty(COCO17)
        return Stream(
            opened,
            (
                Result(nobody, COCO17, f.size, f.name, status=f.status, message=f.message)
                for f in opened
            ),
        )


def test_predict_hands_the_notes_on(tmp_path: Path) -> None:
    put(tmp_path / "in" / "a.tif", animation("TIFF", 2))
    put(tmp_path / "in" / "b.gif", b"GIF89a")
    summary = predict_to(Nobody(), [tmp_path / "in"], tmp_path / "out")  # type: ignore[arg-type]
    assert summary.exit_code == 0 and len(summary.notes) == 3  # the last: nobody was found
    assert ".gif" in summary.notes[0] and "1 further page(s)" in summary.notes[1]
