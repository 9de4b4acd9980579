"""Video files: times from the file, and a word where it holds less than it declares."""

from __future__ import annotations

import os
import re
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from posewright.errors import SourceError
from posewright.people import Frame
from posewright.sources.base import Frames
from posewright.sources.decoding import AV_ERRORS, Decoder, open_container, pixels, rate

__all__ = ["open_video", "video"]

LENGTH_IN_HEADER = frozenset(("mov", "matroska", "avi", "flv", "asf", "mxf", "ivf"))
Picture = tuple[NDArray[np.uint8], float | None]  # pixels, the file's own time in seconds


def open_video(path: str, max_pixels: int) -> Frames:
    """Open a video file; FFmpeg may read this file and nothing else.  SourceError says why not."""
    url = "file:" + os.path.abspath(path)  # or a name such as "concat:a" would be a command
    return video(path, *open_container(url, path, "file", max_pixels))


def video(name: str, container: InputContainer, stream: VideoStream) -> Frames:
    """Return the source of an open container; its first picture is decoded at once."""
    resources = ExitStack()
    resources.callback(container.close)
    decoder = Decoder(container, stream)
    found = _pictures(decoder)
    first = next(found, None)
    if first is None:
        resources.close()
        raise SourceError(f"no picture of the video {name} can be decoded; get the file again")
    fps = rate(stream)
    seconds = _duration(container, stream)
    total = stream.frames or (round(seconds * fps) if seconds and fps else None)
    frames = _frames(name, first, found, decoder, _Declared(stream.frames, seconds, fps))
    size = (first[0].shape[1], first[0].shape[0])
    return Frames(name, "video", frames, resources, total=total, fps=fps, size=size)


def _pictures(decoder: Decoder) -> Iterator[Picture]:
    for frame in decoder:
        try:
            image = pixels(frame)
        except AV_ERRORS:  # a pixel format that cannot be converted
            decoder.damaged += 1
        else:
            yield image, frame.time


def _frames(
    name: str, first: Picture, rest: Iterator[Picture], decoder: Decoder, declared: _Declared
) -> Generator[Frame]:
    clock = _Clock(1 / (declared.fps or 30.0))
    yield Frame(first[0], 0, clock.time(first[1]), name)
    index = 1
    for image, time in rest:
        yield Frame(image, index, clock.time(time), name)
        index += 1
    message = declared.missing(index, decoder)
    if message:
        yield Frame.failed(name, message, "truncated", index, clock.time(None))


class _Clock:
    """Seconds since the first frame, always growing: a jump back goes on one frame later."""

    def __init__(self, step: float) -> None:
        self._step = step
        self._shift: float | None = None
        self._last = -step

    def time(self, stamp: float | None) -> float:
        if self._shift is None:
            self._shift = -(stamp or 0.0)
        time = self._last + self._step if stamp is None else stamp + self._shift
        if time <= self._last:
            self._shift += self._last + self._step - time
            time = self._last + self._step
        self._last = time
        return time


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a container says about its length; 0 and None where it says nothing."""

    count: int
    seconds: float | None
    fps: float | None

    def missing(self, decoded: int, decoder: Decoder) -> str:
        """Say in one line what is not there; "" for a video that holds what it declares.

        Packets are compared rather than pictures, because some formats hold packets that are not
        to be shown; one picture may stay inside a decoder (MPEG-4 with packed pictures).
        """
        short = decoder.packets < self.count
        if not self.count and self.seconds:
            spare = max(0.02 * self.seconds, 2.5 / (self.fps or 10.0))
            short = decoder.reached < self.seconds - spare
        lost = decoded < decoder.packets - decoder.unshown - 1
        if not (short or lost or decoder.damaged):
            return ""
        left_out = f" (damaged parts left out: {decoder.damaged})" if decoder.damaged else ""
        return f"decoded {decoded} of {self._text()}{left_out}; the video is cut off or damaged"

    def _text(self) -> str:
        if self.count:
            return f"the declared {self.count} frames"
        if self.seconds and self.fps:
            return f"the declared {round(self.seconds * self.fps)} frames ({self.seconds:.2f} s)"
        return f"the declared {self.seconds:.2f} s" if self.seconds else "an undeclared number"


def _duration(container: InputContainer, stream: VideoStream) -> float | None:
    """Return the video's declared seconds; the container's only where sound cannot be longer.

    None for formats without a table of contents, whose length FFmpeg guesses from what is there.
    """
    if not set(container.format.name.split(",")) & LENGTH_IN_HEADER:
        return None
    if stream.duration and stream.time_base:
        return float(stream.duration * stream.time_base)
    tag = re.fullmatch(r"(\d+):(\d\d):(\d\d\.\d+)", stream.metadata.get("DURATION", "").strip("\0"))
    if tag:  # Matroska
        return 3600 * int(tag[1]) + 60 * int(tag[2]) + float(tag[3])
    if container.duration and len(container.streams) == 1:
        return container.duration / 1_000_000
    return None
