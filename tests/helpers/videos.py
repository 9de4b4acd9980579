"""Videos of known frames."""

from __future__ import annotations

import io
import itertools
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from posewright.cli.demo import CLIP

__all__ = ["FORMATS", "demo_clip", "number_in", "numbered", "scene", "spoil", "write_video"]

FORMATS = {
    "mp4": "libx264",
    "mkv": "libx264",
    "avi": "mpeg4",
    "mov": "libx264",
    "webm": "libvpx",
    "ts": "libx264",
    "mpg": "mpeg2video",
    "m4v": "libx264",
    "flv": "libx264",
}


def scene(width: int, height: int, number: int = 0) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: red top left, green top right, blue below; noise that changes."""
    image = np.random.default_rng(number).integers(0, 60, (height, width, 3), np.uint8)
    image[: height // 2, : width // 2, 0] = 225
    image[: height // 2, width // 2 :, 1] = 225
    image[height // 2 :, :, 2] = 225
    return image


def numbered(width: int, height: int, number: int) -> NDArray[np.uint8]:
    """(H, W, 3) RGB: eight columns, white for each bit of the number that is set."""
    bits = [255 * (number >> bit & 1) for bit in range(8)]
    row = np.repeat(np.array(bits, np.uint8), -(-width // 8))[:width]
    return np.broadcast_to(row[None, :, None], (height, width, 3)).copy()


def number_in(image: NDArray[np.uint8]) -> int:
    """Return the number of a `numbered` image, also where it was compressed."""
    bits = [part.mean() > 127 for part in np.array_split(image, 8, axis=1)]
    return sum(1 << bit for bit, there in enumerate(bits) if there)


def demo_clip(path: Path, count: int) -> NDArray[np.uint8]:
    """Write the first frames of the demo's clip at half its size; return the first in full, BGR."""
    frames = []
    with av.open(str(CLIP)) as file, av.open(str(path), "w") as out:
        stream = out.add_stream("libx264", rate=30)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 544, 960, "yuv420p"
        for frame in itertools.islice(file.decode(video=0), count):
            frames.append(frame.to_ndarray(format="bgr24"))
            small = frame.reformat(544, 960, "yuv420p")
            small.pts = None
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))
    return frames[0]


def write_video(
    path: str | Path | io.BytesIO,
    form: str = "",
    *,
    count: int = 20,
    size: tuple[int, int] = (64, 48),
    stamps: list[int] | None = None,
    options: dict[str, str] | None = None,
    codec: str = "",
    draw: Callable[[int, int, int], NDArray[np.uint8]] = scene,
    between: int | None = None,
) -> None:
    """Write `count` frames at 10 a second, or at `stamps` in milliseconds.

    draw: makes the frame of a width, a height and a number.  between: B-frames in a row.
    """
    form = form or str(path).rpartition(".")[2]
    codec = codec or FORMATS[form]
    muxer = {"mkv": "matroska", "ts": "mpegts", "mpg": "mpeg", "m4v": "mp4"}.get(form, form)
    with av.open(path, "w", format=muxer, options=options or {}) as container:
        stream = container.add_stream(codec, rate=25 if form == "mpg" else 10)
        stream.width, stream.height = size
        stream.pix_fmt = "yuv420p" if size[0] % 2 == size[1] % 2 == 0 else "yuv444p"
        if codec == "gif":
            stream.pix_fmt = "rgb8"
        stream.codec_context.gop_size = 5
        if between is not None:
            stream.codec_context.max_b_frames = between
            if codec == "libx264":  # which otherwise uses none in frames that differ much
                stream.codec_context.options = {"x264-params": "b-adapt=0:scenecut=0"}
        stream.bit_rate = 400_000
        stream.codec_context.thread_count = 1
        if stamps:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number in range(len(stamps) if stamps else count):
            frame = av.VideoFrame.from_ndarray(draw(*size, number), format="rgb24")
            if stamps:
                frame.pts, frame.time_base = stamps[number], Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def spoil(path: Path) -> None:
    """Replace 1,500 bytes in the middle of a file by zeros."""
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 1500] = bytes(1500)
    path.write_bytes(data)
