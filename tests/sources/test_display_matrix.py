"""Videos as players show them: the eight orientations of the display matrix, the pixel's shape."""

from __future__ import annotations

import struct
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from posewright.sources import open_source
from posewright.sources.display_matrix import Orientation
from tests.helpers.images import frames
from tests.helpers.videos import scene

Image = NDArray[np.uint8]
# a, b, c, d of a display matrix: a stored pixel (x, y) is shown at (a x + c y, b x + d y).  What
# FFmpeg's autorotate, QuickTime and browsers do with each.
SHOWN: dict[str, tuple[tuple[int, int, int, int], Callable[[Image], Image]]] = {
    "as stored": ((1, 0, 0, 1), lambda image: image),
    "mirrored left-right": ((-1, 0, 0, 1), lambda image: image[:, ::-1]),
    "mirrored up-down": ((1, 0, 0, -1), lambda image: image[::-1]),
    "half a turn": ((-1, 0, 0, -1), lambda image: image[::-1, ::-1]),
    "a quarter clockwise": ((0, 1, -1, 0), lambda image: np.rot90(image, -1)),
    "a quarter the other way": ((0, -1, 1, 0), lambda image: np.rot90(image, 1)),
    "transposed": ((0, 1, 1, 0), lambda image: image.transpose(1, 0, 2)),
    "transposed about the other diagonal": (
        (0, -1, -1, 0),
        lambda image: image[::-1, ::-1].transpose(1, 0, 2),
    ),
}


def film(
    path: Path,
    matrix: tuple[int, int, int, int] | None = None,
    *,
    aspect: Fraction | None = None,
    codec: str = "libx264",
    size: tuple[int, int] = (64, 48),
) -> None:
    """Write 3 frames with a display matrix in 1/65536, or without one."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p"
        if matrix is not None:
            a, b, c, d = (number << 16 for number in matrix)
            stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 1 << 30])
        if aspect is not None:
            stream.codec_context.sample_aspect_ratio = aspect
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(scene(*size, number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def patch(path: Path, matrix: tuple[int, ...]) -> None:
    """Write a matrix into the track header of an MP4 file."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 44
    a, b, c, d = matrix
    data[at : at + 36] = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)


@pytest.mark.parametrize("form", ["mp4", "mov"])
@pytest.mark.parametrize("name", SHOWN)
def test_every_orientation_is_shown_as_players_show_it(
    tmp_path: Path, name: str, form: str
) -> None:
    matrix, shown = SHOWN[name]
    film(tmp_path / f"plain.{form}")
    film(tmp_path / f"turned.{form}", matrix)
    stored = [f.image for f in frames(tmp_path / f"plain.{form}")]
    with open_source(tmp_path / f"turned.{form}") as source:
        found = [f.image for f in source]
        assert source.size == shown(stored[0]).shape[1::-1]
    assert len(found) == len(stored) == 3
    for image, before in zip(found, stored, strict=True):
        assert image.flags.c_contiguous and (image == shown(before)).all()


@pytest.mark.parametrize("name", SHOWN)
def test_the_matrix_of_a_track_header_takes_each_pixel_to_its_place(
    tmp_path: Path, name: str
) -> None:
    (a, b, c, d), _ = SHOWN[name]
    film(tmp_path / "a.mp4", size=(16, 32))
    stored = frames(tmp_path / "a.mp4")[0].image
    patch(tmp_path / "a.mp4", tuple(number << 16 for number in (a, b, c, d)))
    found = frames(tmp_path / "a.mp4")[0].image
    y, x = np.mgrid[:32, :16]
    across, down = a * x + c * y, b * x + d * y
    across, down = across - across.min(), down - down.min()  # the image begins at 0, 0
    assert found.shape[:2] == (down.max() + 1, across.max() + 1)
    assert (found[down, across] == stored).all()


@pytest.mark.parametrize(
    ("matrix", "like"),
    [
        ((32768, 0, 0, -32768), "mirrored up-down"),  # half the size, in players
        ((-131072, 0, 0, 65536), "mirrored left-right"),
        ((0, 0, 0, 0), "as stored"),
        ((65000, 5000, -5000, 65000), "as stored"),  # about 4 degrees
        ((4000, 65400, 65400, -4000), "transposed"),
    ],
)
def test_scales_and_other_angles_go_to_the_nearest(
    tmp_path: Path, matrix: tuple[int, ...], like: str
) -> None:
    film(tmp_path / "a.mp4")
    stored = frames(tmp_path / "a.mp4")[0].image
    patch(tmp_path / "a.mp4", matrix)
    assert (frames(tmp_path / "a.mp4")[0].image == SHOWN[like][1](stored)).all()


@pytest.mark.parametrize(
    ("name", "codec", "aspect"),
    [
        ("a.mp4", "libx264", Fraction(64, 45)),
        ("a.mpg", "mpeg2video", Fraction(16, 15)),
        ("a.mkv", "libx264", Fraction(2, 1)),
    ],
)
def test_the_shape_of_a_pixel_is_told(
    tmp_path: Path, name: str, codec: str, aspect: Fraction
) -> None:
    if codec == "mpeg2video":  # it holds the shape of the image, of a few
        film_mpeg2(tmp_path / name)
        aspect = Fraction(4, 3) / Fraction(720, 576)
    else:
        film(tmp_path / name, aspect=aspect, codec=codec)
    found = frames(tmp_path / name)
    assert [f.pixel_aspect for f in found] == pytest.approx([float(aspect)] * len(found))
    film(tmp_path / "square.mp4")
    assert {f.pixel_aspect for f in frames(tmp_path / "square.mp4")} == {1.0}


def film_mpeg2(path: Path) -> None:
    with av.open(path, "w", format="mpeg") as container:
        stream = container.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 720, 576, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)
        for number in range(3):
            frame = av.VideoFrame.from_ndarray(scene(720, 576, number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def test_a_turned_pixel_is_as_high_as_it_was_wide(tmp_path: Path) -> None:
    film(tmp_path / "a.mp4", (0, 1, -1, 0), aspect=Fraction(4, 3))
    found = frames(tmp_path / "a.mp4")[0]
    assert found.size == (48, 64) and found.pixel_aspect == pytest.approx(3 / 4)
    assert Orientation(left_right=True).aspect(1.5) == 1.5
