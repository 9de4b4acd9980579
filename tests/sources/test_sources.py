"""Images: files, folders, globs, lists, archives, arrays."""

from __future__ import annotations

import io
import itertools
import os
import random
import struct
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageCms

from posewright.errors import SourceError, UsageError
from posewright.people import Frame
from posewright.sources import open_source
from tests.helpers.images import BLUE, FORMS, RED, encoded, frames, only, picture


def looks_like(frame: Frame, left=RED, right=BLUE, tolerance: int = 8) -> bool:
    assert frame.status == "ok", frame.message
    height, width = frame.image.shape[:2]
    seen = frame.image[height // 2, [width // 4, 3 * width // 4]].astype(int)
    return bool((abs(seen - [left, right]) <= tolerance).all())


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("suffix", ["own", ".png", ".dat", ".mp4", ""])
def test_content_decides_and_not_the_name(tmp_path: Path, form: str, suffix: str) -> None:
    path = tmp_path / ("a" + ("." + form.lower() if suffix == "own" else suffix))
    path.write_bytes(encoded(form))
    with open_source(path) as source:
        assert (source.name, source.kind, source.total) == (str(path), "pictures", 1)
        (frame,) = source
    assert looks_like(frame) and frame.image.flags.c_contiguous
    assert (frame.index, frame.time, frame.name) == (0, 0.0, str(path))


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_turns_the_picture(tmp_path: Path, form: str) -> None:
    exif = Image.Exif()
    exif[0x112] = 6  # shown after a quarter turn clockwise
    (tmp_path / "a").write_bytes(encoded(form, exif=exif.tobytes()))
    frame = only(tmp_path / "a")
    assert frame.size == (40, 60)
    assert abs(frame.image[10, 20].astype(int) - RED).max() < 8
    assert abs(frame.image[50, 20].astype(int) - BLUE).max() < 8


GREY = tuple((round(np.dot(c, (0.299, 0.587, 0.114))),) * 3 for c in (RED, BLUE))


@pytest.mark.parametrize(
    ("form", "mode"),
    [("JPEG", "L"), ("PNG", "L"), ("TIFF", "L"), ("PNG", "LA"), ("BMP", "L")],
)
def test_grey_becomes_rgb(tmp_path: Path, form: str, mode: str) -> None:
    (tmp_path / "a").write_bytes(encoded(form, Image.fromarray(picture()).convert(mode)))
    assert looks_like(only(tmp_path / "a"), *GREY)


@pytest.mark.parametrize(
    ("form", "mode"),
    [("PNG", "RGBA"), ("TIFF", "RGBA"), ("WEBP", "RGBA"), ("JPEG", "CMYK"), ("TIFF", "CMYK")],
)
def test_alpha_is_dropped_and_cmyk_converted(tmp_path: Path, form: str, mode: str) -> None:
    (tmp_path / "a").write_bytes(encoded(form, Image.fromarray(picture()).convert(mode)))
    assert looks_like(only(tmp_path / "a"))


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_become_8(tmp_path: Path, suffix: str) -> None:
    deep = picture()[..., ::-1].astype(np.uint16) * 257
    (tmp_path / "a").write_bytes(cv2.imencode(suffix, deep)[1].tobytes())
    assert looks_like(only(tmp_path / "a"), tolerance=0)


def test_a_tiff_of_floats_is_reported(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4), np.float32)).save(tmp_path / "a.tif")
    assert only(tmp_path / "a.tif").status == "decode_error"


@pytest.mark.parametrize(
    "options",
    [{"big_tiff": True}, {"compression": "tiff_deflate"}, {"tiffinfo": {322: 16, 323: 16}}],
)
def test_other_tiffs(tmp_path: Path, options: dict) -> None:
    (tmp_path / "a").write_bytes(encoded("TIFF", **options))
    assert looks_like(only(tmp_path / "a"))


def test_jpeg_with_a_large_profile_and_fill_bytes(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    data = encoded("JPEG", icc_profile=profile + bytes(200_000), progressive=True)
    (tmp_path / "a").write_bytes(data[:2] + b"\xff\xff" + data[2:])
    assert looks_like(only(tmp_path / "a"))


def test_bmp_with_rows_from_the_top_and_os2_header(tmp_path: Path) -> None:
    rows = b"".join(bytes(row[:, ::-1]) for row in picture())
    top = struct.pack(
        "<2sIIIIiiHHIIiiII",
        b"BM",
        54 + len(rows),
        0,
        54,
        40,
        60,
        -40,
        1,
        24,
        0,
        len(rows),
        0,
        0,
        0,
        0,
    )
    (tmp_path / "a").write_bytes(top + rows)
    assert looks_like(only(tmp_path / "a"))
    os2 = struct.pack("<2sIIIIHHHH", b"BM", 26 + len(rows), 0, 26, 12, 60, 40, 1, 24)
    (tmp_path / "b").write_bytes(os2 + rows)
    assert looks_like(only(tmp_path / "b"))


# --- folders, globs, lists, archives -------------------------------------------------------------


@pytest.fixture
def album(tmp_path: Path) -> Path:
    folder = tmp_path / "album"
    for name in ("10.jpg", "2.jpg", "1.PNG", "sub/3.webp", "sub/.hidden.jpg", ".dir/4.jpg"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(encoded("JPEG"))
    (folder / "bare").write_bytes(encoded("PNG"))
    for name in ("notes.txt", "film.mp4", "README", "sub/labels.json"):
        (folder / name).write_text("no image")
    return folder


def names(found: list[Frame], folder: Path) -> list[str]:
    return [os.path.relpath(f.name, folder).replace("\\", "/") for f in found]


def test_folder_is_recursive_in_natural_order(album: Path) -> None:
    with open_source(album) as source:
        assert source.total == 5 and source.kind == "pictures" and source.fps is None
        found = list(source)
    assert names(found, album) == ["1.PNG", "2.jpg", "10.jpg", "bare", "sub/3.webp"]
    assert [f.index for f in found] == [0, 1, 2, 3, 0]  # a folder's images are a sequence
    assert all(looks_like(f) and f.time == 0 for f in found)


def test_one_bad_file_stops_nothing(album: Path) -> None:
    (album / "3.jpg").write_bytes(b"")
    (album / "4.jpg").write_bytes(encoded("JPEG")[:300])
    (album / "5.heic").write_bytes(b"\0\0\0\x18ftypheic")
    (album / "6.jpg").symlink_to(album / "nowhere.jpg")
    (album / "7.jpg").mkdir()
    os.mkfifo(album / "8.jpg")
    found = frames(album)
    bad = [f for f in found if f.status == "decode_error"]
    assert names(bad, album) == ["3.jpg", "4.jpg", "5.heic", "6.jpg", "8.jpg"]
    assert len(found) == 10 and [f.index for f in found] == [*range(9), 0]


@given(st.lists(st.integers(0, 10**30), min_size=1, max_size=6, unique=True))
def test_natural_order_is_the_order_of_numbers(numbers: list[int]) -> None:
    from posewright.sources.order import natural

    made = [f"a{n:04d}b.jpg" for n in numbers]
    assert sorted(made, key=natural) == [f"a{n:04d}b.jpg" for n in sorted(numbers)]


@settings(max_examples=40)
@given(st.lists(st.text(max_size=9), max_size=6))
def test_any_names_can_be_ordered(made: list[str]) -> None:
    from posewright.sources.order import natural

    assert sorted(sorted(made, key=natural), key=natural) == sorted(made, key=natural)


def test_glob(album: Path) -> None:
    assert names(frames(f"{album}/*.jpg"), album) == ["2.jpg", "10.jpg"]
    assert names(frames(f"{album}/**/*"), album) == names(frames(album), album)
    strange = album / "odd[1].jpg"
    strange.write_bytes(encoded("JPEG"))
    assert only(strange).name == str(strange)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16-le", "utf-16-be"])
def test_text_list(album: Path, monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    (album / "cwd").mkdir()
    (album / "cwd" / "here.png").write_bytes(encoded("PNG"))
    monkeypatch.chdir(album / "cwd")
    listed = album / "list.txt"
    lines = [
        "\ufeff# comment",
        "2.jpg",
        "",
        "  sub/3.webp ",
        str(album / "1.PNG"),
        "here.png",
        "no.jpg",
    ]
    listed.write_bytes("\r\n".join(lines).encode(encoding))
    with open_source(listed) as source:
        assert source.total == 5
        found = list(source)
    assert [f.status for f in found] == ["ok"] * 4 + ["decode_error"]
    assert [f.name for f in found[:3]] == [str(album / n) for n in ("2.jpg", "1.PNG", "sub/3.webp")]
    assert found[3].name == "here.png" and "no such file" in found[4].message


def test_zip_is_read_in_place(album: Path, tmp_path: Path) -> None:
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("10.jpg", "2.jpg", "d/../../../evil.jpg", "notes.txt", "__MACOSX/._2.jpg"):
            archive.writestr(name, encoded("JPEG"))
        archive.writestr("20.jpg", encoded("JPEG")[:200])
        archive.writestr("d.png/", b"")
    before = sorted(p for p in tmp_path.rglob("*"))
    found = frames(path)
    assert [f.name for f in found] == [
        f"{path}/{n}" for n in ("2.jpg", "10.jpg", "20.jpg", "d/../../../evil.jpg")
    ]
    assert [f.status for f in found] == ["ok", "ok", "decode_error", "ok"]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_zip_packed_too_tightly_is_refused(tmp_path: Path, method: int) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("a.bmp", encoded("BMP", np.zeros((2000, 2000, 3), np.uint8)))
    frame = only(tmp_path / "a.zip")
    assert frame.status == "decode_error" and "1100:1" in frame.message


def test_black_pictures_in_an_ordinary_zip_pass(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.bmp", encoded("BMP", np.zeros((2000, 2000, 3), np.uint8)))
    assert only(tmp_path / "a.zip").status == "ok"


def test_mutated_archives(tmp_path: Path) -> None:
    chance = random.Random(5)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("1.jpg", "2.png"):
            archive.writestr(name, encoded("JPEG", picture(16, 16)))
    for _ in range(150):
        data = bytearray(file.getvalue())
        for _ in range(chance.choice((1, 5))):
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        (tmp_path / "a.zip").write_bytes(data)
        try:
            assert {f.status for f in frames(tmp_path / "a.zip")} <= {"ok", "decode_error"}
        except SourceError as error:
            assert "\n" not in str(error)


def test_encrypted_member_is_reported(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.jpg", encoded("JPEG"))
    data = bytearray((tmp_path / "a.zip").read_bytes())
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (tmp_path / "a.zip").write_bytes(data)
    assert "password" in only(tmp_path / "a.zip").message


@pytest.mark.parametrize("name", ["日本語 🙂.jpg", "ä" * 120 + ".jpg", "a\n%d:b?.jpg", "-.jpg"])
def test_any_name_works(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(encoded("JPEG"))
    assert only(tmp_path / name).status == only(str(tmp_path)).status == "ok"
    deep = tmp_path.joinpath(*["folder" * 10] * 12)
    deep.mkdir(parents=True)
    (deep / name).write_bytes(encoded("JPEG"))
    assert len(str(deep / name)) > 700 and only(deep / name).status == "ok"


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/\xff\xfe.jpg"
    with open(path, "wb") as file:
        file.write(encoded("JPEG"))
    assert only(tmp_path).name == os.fsdecode(path)


# --- what is not there ---------------------------------------------------------------------------


def refused(spec, kind: type[Exception] = SourceError, **options) -> str:
    with pytest.raises(kind) as caught:
        open_source(spec, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_path_that_does_not_exist_suggests_the_nearest(album: Path) -> None:
    (album / "picture.jpg").write_bytes(encoded("JPEG"))
    assert "did you mean 'picture.jpg'?" in refused(album / "pictrue.jpg")
    assert f"no such file or folder: {album / 'x'}" in refused(album / "x")
    assert "folder" in refused(album / "nope" / "x.jpg")
    assert "x" * 500 in refused("x" * 5000)  # a message is shortened
    refused("a\0b.jpg")


def test_nothing_to_read_is_an_error_at_open(tmp_path: Path) -> None:
    assert "no images in the folder" in refused(tmp_path)
    (tmp_path / "a.mp4").write_bytes(b"")
    assert ".mp4" in refused(tmp_path)
    assert "empty" in refused(tmp_path / "a.mp4")
    assert "nothing matches" in refused(f"{tmp_path}/*.jpg")
    assert "1 matches" in refused(f"{tmp_path}/*.mp4")
    (tmp_path / "list.txt").write_text("# only a comment\n")
    assert "no images" in refused(tmp_path / "list.txt")
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme.md", "x")
    assert "no images" in refused(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04" + b"x" * 50)
    assert "cannot read the archive" in refused(tmp_path / "b.zip")
    (tmp_path / "data.csv").write_text("a,b\n1,2\n")
    assert "cannot open" in refused(tmp_path / "data.csv")
    os.mkfifo(tmp_path / "pipe")
    assert "not a file" in refused(tmp_path / "pipe")
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    refused(tmp_path / "gone")


@pytest.mark.parametrize(
    "spec",
    [
        "concat:a.ts|b.ts",
        "subfile,,start,0,end,9,,:a.ts",
        "data:image/png;base64,AA",
        "pipe:0",
        "ftp://host/a.mp4",
        "file:///etc/passwd",
        "camera:x",
        "htp://host/a",
        "gopher://h/",
        "tee:a",
        "concat://a",
        "unix:/tmp/s",
    ],
)
def test_other_schemes_are_refused(spec: str) -> None:
    with pytest.raises((UsageError, SourceError)) as caught:
        open_source(spec)
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, UsageError) or spec.startswith("subfile")


def test_a_local_name_with_a_colon_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("concat:a").write_bytes(encoded("JPEG"))
    Path("12:30.jpg").write_bytes(encoded("JPEG"))
    assert looks_like(only("concat:a")) and looks_like(only("12:30.jpg"))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.m3u8", "#EXTM3U\n#EXTINF:1\nfile:///etc/passwd\n"),
        ("a.mp4", "#EXTM3U\nhttp://127.0.0.1:9/\n"),
        ("a.txt", "\ufeff\n #EXTM3U\nhttp://127.0.0.1:9/\n"),
        ("a.avi", "ffconcat version 1.0\nfile /etc/passwd\n"),
        ("a.mkv", "v=0\no=- 0 0 IN IP4 127.0.0.1\nm=video 5000 RTP/AVP 96\n"),
        ("a.mp4", '<?xml version="1.0"?><MPD></MPD>'),
        ("a.pls", "[playlist]\nFile1=/etc/passwd\n"),
        ("a.m3u", "/etc/passwd\n"),
        ("a.xspf", "<playlist><trackList/></playlist>"),
        ("a.smil", "/etc/passwd\n"),
    ],
)
def test_playlists_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert "playlist" in refused(tmp_path / name)


@pytest.mark.parametrize(
    "options",
    [{"color": "rbg"}, {"max_pixels": 0}, {"retry_s": -1}, {"retry_s": float("nan")}],
)
def test_options_that_cannot_be_meant(options: dict) -> None:
    refused(picture(), UsageError, **{"color": "rgb", **options})


# --- what is in memory ---------------------------------------------------------------------------


def test_the_colour_order_of_an_array_must_be_said() -> None:
    assert looks_like(only(picture(), color="rgb"), tolerance=0)
    assert looks_like(only(picture()[..., ::-1], color="bgr"), tolerance=0)
    assert "color='bgr'" in refused(picture(), UsageError)
    assert looks_like(only(picture()[..., 0]), (RED[0],) * 3, (BLUE[0],) * 3, 0)


def test_arrays_of_many_pictures() -> None:
    many = np.stack([picture(), picture()[:, ::-1]])
    with open_source(many, color="rgb") as source:
        assert source.total == 2
        first, second = source
    assert looks_like(first) and looks_like(second, BLUE, RED)
    assert (first.index, second.index) == (0, 1)
    assert frames(many[:0], color="rgb") == []


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3)),
        np.zeros(3, np.uint8),
        np.array(b"x"),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 0), np.uint8),
        np.zeros((2, 4, 0, 3), np.uint8),
    ],
)
def test_arrays_that_are_no_pictures(array: NDArray) -> None:
    refused(array, UsageError, color="rgb")


def test_pil_images(tmp_path: Path) -> None:
    image = Image.fromarray(picture())
    assert looks_like(only(image), tolerance=0) and only(image).name == "image"
    for mode in ("RGBA", "CMYK", "P"):
        assert looks_like(only(image.convert(mode)), tolerance=60)
    assert looks_like(only(image.convert("L")), *GREY)
    deep = Image.fromarray(picture()[..., 0].astype(np.uint16) * 256)
    assert looks_like(only(deep), (RED[0],) * 3, (BLUE[0],) * 3, 0)
    assert "mode 'F'" in only(image.convert("F")).message
    image.save(tmp_path / "a.png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:90])
    with Image.open(tmp_path / "a.png") as opened:
        assert only(opened).name == str(tmp_path / "a.png")
    with Image.open(tmp_path / "cut.png") as cut:
        assert only(cut).status == "decode_error"
    clear = image.convert("P")
    clear.info["transparency"] = bytes(range(256))
    assert only(clear).status == "ok"
    exif = Image.Exif()
    exif[0x112] = 6
    assert only(Image.open(io.BytesIO(encoded("JPEG", exif=exif.tobytes())))).size == (40, 60)


def test_frames_pass_through_with_their_time_and_name() -> None:
    frame = Frame(picture(), 7, 1.5, "cam")
    same = only(frame)
    assert (same.index, same.time, same.name) == (0, 1.5, "cam") and same.image is frame.image
    failed = only(Frame.failed("x", "why", "gap"))
    assert (failed.status, failed.message) == ("gap", "why")


def test_lists_mix_all_kinds_of_pictures(album: Path) -> None:
    spec = [
        album / "1.PNG",
        str(album / "no.jpg"),
        album / "sub",
        Image.fromarray(picture()),
        picture(),
        Frame(picture()),
        album / "film.mp4",
        str(album / "*.jpg"),
    ]
    with open_source(spec, color="rgb") as source:
        assert source.total == 9
        found = list(source)
    assert [f.status == "ok" for f in found] == [
        True,
        False,
        True,
        True,
        True,
        True,
        False,
        True,
        True,
    ]
    assert [f.index for f in found] == [0, 1, 0, 0, 1, 2, 2, 3, 4]  # each folder, and the memory
    assert [f.status for f in frames(s for s in spec[:1])] == ["ok"]
    assert frames([]) == [] and frames(iter(())) == []
    for wrong in ([3], [picture()], [[picture()]]):
        refused(wrong, UsageError)


@pytest.mark.parametrize("spec", [None, {"a": 1}, 3.5, True, -1, object(), io.StringIO("abc")])
def test_other_types_are_refused(spec) -> None:
    refused(spec, UsageError)


def test_content_in_memory_is_a_source(album: Path, data_dir: Path, tmp_path: Path) -> None:
    """A video as bytes is the video; lists hold images; what is neither is told."""
    clip = data_dir / "videos" / "openpose_video.avi"
    found, expected = frames(clip.read_bytes())[:5], frames(clip)[:5]
    assert [(f.index, f.time) for f in found] == [(f.index, f.time) for f in expected]
    assert all((a.image == b.image).all() for a, b in zip(found, expected, strict=True))
    for wrong in (b"abc", b"", b"#EXTM3U\n#EXTINF:1,\n/etc/passwd\n"):
        refused(wrong, SourceError)
    image = (album / "2.jpg").read_bytes()
    cut, whole = frames([image[:200], io.BytesIO(image)])
    assert (cut.status, whole.status) == ("decode_error", "ok") and cut.name == "bytes"
    with (album / "2.jpg").open("rb") as file:
        assert len(frames(file)) == 1 and not file.closed


def test_iterables_are_read_lazily(album: Path) -> None:
    asked = itertools.count()
    endless = (str(album / "2.jpg") for _ in asked)
    with open_source(endless) as source:
        assert source.total is None
        assert [next(source).index for _ in range(3)] == [0, 1, 2]
    assert next(asked) == 3
    with pytest.raises(StopIteration):
        next(source)


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="counts open files in /proc")
def test_closing_in_the_middle_frees_the_files(album: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(album / "2.jpg", "1.jpg")
        archive.write(album / "2.jpg", "2.jpg")
    before = open_files()
    for taken in (0, 1, 2):
        source = open_source(tmp_path / "a.zip")
        assert open_files() == before + 1
        for _ in range(taken):
            next(source)
        source.close()
        source.close()
        assert open_files() == before and list(source) == []
    assert len(frames(tmp_path / "a.zip")) == 2 and open_files() == before


def test_a_source_is_opened_once(album: Path) -> None:
    source = open_source(album)
    assert open_source(source) is source and source.dropped == 0
