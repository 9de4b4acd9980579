"""The EXIF orientation is one decision: pixels, sizes and labels follow it in every format."""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from posewright.datasets import Dataset, Sample, open_dataset
from posewright.datasets.check import check
from posewright.datasets.converting import convert
from posewright.datasets.formats.coco_out import write_coco, write_labels
from posewright.datasets.formats.yolo_out import write_yolo
from posewright.datasets.places import header_size
from posewright.skeletons import Skeleton
from posewright.sources.images import file_frame

Pixels = NDArray[np.uint8]
SUFFIX = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp", "TIFF": ".tif"}
# The upright image -> the one that is stored, which EXIF 2.32 calls by where row 0 and column 0
# of the stored one lie.
STORED: dict[int, Callable[[Pixels], Pixels]] = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],  # top, right
    3: lambda a: a[::-1, ::-1],  # bottom, right
    4: lambda a: a[::-1],  # bottom, left
    5: lambda a: a.swapaxes(0, 1),  # left, top
    6: lambda a: a[:, ::-1].swapaxes(0, 1),  # right, top: rows of the file are columns from right
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),  # right, bottom
    8: lambda a: a[::-1].swapaxes(0, 1),  # left, bottom
}
SIZE = (96, 64)


def upright() -> Pixels:
    """(64, 96, 3) blocks of 32 px that differ from all their mirror images."""
    blocks = np.random.default_rng(1).integers(0, 255, (2, 3, 3), np.uint8)
    return np.kron(blocks, np.ones((32, 32, 1), np.uint8))


def tags(orientation: int, order: str = "<") -> bytes:
    """The TIFF file of one tag that EXIF blocks are."""
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    return head + struct.pack(order + "HHHIHHI", 1, 274, 3, 1, orientation, 0, 0)


def save(path: Path, orientation: int, image: Pixels | None = None) -> Path:
    """Write an image that is upright when its orientation is obeyed, in the suffix's format."""
    stored = Image.fromarray(
        np.ascontiguousarray(STORED[orientation](upright() if image is None else image))
    )
    if path.suffix == ".tif":
        stored.save(path, tiffinfo={274: orientation})
    else:
        stored.save(path, exif=b"Exif\0\0" + tags(orientation), quality=95)
    return path


def is_upright(path: Path) -> bool:
    frame = file_frame(path, 1 << 20)
    assert frame.status == "ok" and frame.size == SIZE
    off = np.abs(frame.image.astype(int) - upright())
    return float(np.median(off)) < 8  # lossy formats


@pytest.mark.parametrize("suffix", SUFFIX.values())
@pytest.mark.parametrize("orientation", STORED)
def test_pixels_and_size_agree(tmp_path: Path, suffix: str, orientation: int) -> None:
    path = save(tmp_path / f"a{suffix}", orientation)
    assert is_upright(path)
    assert header_size(path) == SIZE


def png_with(chunk: bytes, after_pixels: bool) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(STORED[6](upright()))).save(data, "PNG")
    at = data.getvalue().index(b"IEND") - 4 if after_pixels else 33
    body = b"eXIf" + chunk
    own = struct.pack(">I", len(chunk)) + body + struct.pack(">I", zlib.crc32(body))
    return data.getvalue()[:at] + own + data.getvalue()[at:]


def jpeg_with(*segments: bytes) -> bytes:
    data = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(STORED[6](upright()))).save(data, "JPEG", quality=95)
    own = b"".join(b"\xff\xe1" + struct.pack(">H", len(s) + 2) + s for s in segments)
    return data.getvalue()[:2] + own + data.getvalue()[2:]


def webp_with(chunk: bytes) -> bytes:
    data = io.BytesIO()
    stored = Image.fromarray(np.ascontiguousarray(STORED[6](upright())))
    stored.save(data, "WEBP", quality=95, exif=tags(6))
    plain = data.getvalue()
    at = plain.index(b"EXIF")
    own = b"EXIF" + struct.pack("<I", len(chunk)) + chunk + b"\0" * (len(chunk) % 2)
    return plain[:4] + struct.pack("<I", at - 8 + len(own)) + plain[8:at] + own


@pytest.mark.parametrize(
    "data",
    [
        png_with(tags(6), after_pixels=True),
        png_with(tags(6, ">"), after_pixels=False),
        jpeg_with(b"http://ns.adobe.com/xap/1.0/\0<x/>", b"Exif\0\0" + tags(6, ">")),
        jpeg_with(b"Exif\0\0" + tags(6), b"Exif\0\0" + tags(3)),  # the first one counts
        webp_with(b"Exif\0\0" + tags(6)),
        webp_with(tags(6, ">")),
    ],
    ids=["png after", "png before", "jpeg xmp", "jpeg two", "webp prefix", "webp big"],
)
def test_wherever_the_tag_lies(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a").write_bytes(data)
    assert is_upright(tmp_path / "a")
    assert header_size(tmp_path / "a") == SIZE


@pytest.mark.parametrize(
    "block",
    [
        tags(0),
        tags(9),
        tags(6)[:-8],
        b"II*\0\xff\xff\xff\xff",
        b"",
        b"XX" + tags(6)[2:],
    ],
)
def test_a_tag_that_cannot_be_leaves_the_picture_as_it_is_stored(
    tmp_path: Path, block: bytes
) -> None:
    for data in (jpeg_with(b"Exif\0\0" + block), png_with(block, False), webp_with(block)):
        (tmp_path / "a").write_bytes(data)
        frame = file_frame(tmp_path / "a", 1 << 20)
        assert frame.size == header_size(tmp_path / "a") == SIZE[::-1]


def test_a_tiled_tiff_has_its_own_size_not_that_of_its_tiles(tmp_path: Path) -> None:
    entries = [(256, 10), (257, 6), (274, 8), (322, 16), (323, 16)]
    body = b"".join(struct.pack("<HHII", tag, 3, 1, value) for tag, value in entries)
    (tmp_path / "a.tif").write_bytes(struct.pack("<2sHIH", b"II", 42, 8, 5) + body + bytes(4))
    assert header_size(tmp_path / "a.tif") == (6, 10)


@pytest.fixture(params=[5, 6, 7, 8])
def phone(request: pytest.FixtureRequest, tmp_path: Path) -> Dataset:
    """Two images stored on their side, with labels of the upright view."""
    skeleton = Skeleton("own", ("tail", "left_paw", "right_paw"))
    points = [[[10, 20, 2], [90, 60, 2], [40, 8, 1]]]
    samples = tuple(
        Sample.of(save(tmp_path / f"{i}{suffix}", request.param), SIZE, i, points, [[5, 5, 93, 62]])
        for i, suffix in enumerate((".jpg", ".png"), 1)
    )
    return Dataset("phone", skeleton, samples)


def test_upright_labels_are_right_in_every_form(phone: Dataset, tmp_path: Path) -> None:
    write_labels(phone, tmp_path / "labels.json")
    assert check(tmp_path / "labels.json").errors == 0
    for form in ("coco", "yolo", "labelme", "cvat"):
        convert(phone, tmp_path / form, form)
        back = open_dataset(tmp_path / form)
        assert [s.size for s in back] == [SIZE, SIZE]
        for sample, truth in zip(back, phone, strict=True):
            assert np.allclose(sample.keypoints, truth.keypoints, atol=1e-3)
        assert check(tmp_path / form).errors == 0


def test_a_size_that_labels_do_not_say_is_that_of_the_upright_picture(
    phone: Dataset, tmp_path: Path
) -> None:
    unsized = Dataset("x", phone.skeleton, tuple(s.replace(size=(0, 0)) for s in phone))
    write_coco({"all": unsized}, tmp_path / "coco")
    page = json.loads((tmp_path / "coco/annotations/person_keypoints_all.json").read_text())
    assert [(i["width"], i["height"]) for i in page["images"]] == [SIZE, SIZE]
    write_yolo({"train": unsized}, tmp_path / "yolo")
    shares = (tmp_path / "yolo/labels/train/1.txt").read_text().split()
    assert [float(s) for s in shares[5:7]] == pytest.approx([10 / 96, 20 / 64])


def exchange(page: dict[str, Any]) -> None:
    """Make labels of the pixels as they are stored, where only the size tells it."""
    for image in page["images"]:
        image.update(width=SIZE[1], height=SIZE[0])


def test_labels_of_the_unrotated_pixels_are_told_as_such(phone: Dataset, tmp_path: Path) -> None:
    write_labels(phone, tmp_path / "labels.json")
    page = json.loads((tmp_path / "labels.json").read_text())
    exchange(page)
    (tmp_path / "labels.json").write_text(json.dumps(page))
    found = {f.kind: f for f in check(tmp_path / "labels.json").findings}
    assert found["orientation"].level == "error" and found["orientation"].count == 2
    assert "unrotated" in found["orientation"].text and "size" not in found


def test_labels_without_a_size_are_told_by_where_they_lie(phone: Dataset, tmp_path: Path) -> None:
    """A box that fits the stored pixels only was drawn on them."""
    write_labels(phone, tmp_path / "labels.json")
    page = json.loads((tmp_path / "labels.json").read_text())
    for image in page["images"]:
        del image["width"], image["height"]
    for annotation in page["annotations"]:
        annotation["bbox"] = [5, 5, 50, 88]
        annotation["keypoints"] = [20, 10, 2, 50, 90, 2, 8, 40, 1]
    (tmp_path / "labels.json").write_text(json.dumps(page))
    found = {f.kind: f for f in check(tmp_path / "labels.json").findings}
    assert found["orientation"].count == 2


def test_labelme_says_which_pixels_it_labelled(phone: Dataset, tmp_path: Path) -> None:
    convert(phone, tmp_path / "lm", "labelme")
    for file in (tmp_path / "lm").glob("*.json"):
        page = json.loads(file.read_text())
        page.update(imageWidth=SIZE[1], imageHeight=SIZE[0])
        file.write_text(json.dumps(page))
    found = {f.kind: f for f in check(tmp_path / "lm").findings}
    assert found["orientation"].count == 2
