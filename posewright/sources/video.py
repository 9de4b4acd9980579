"""Video files: frame numbers and timestamps from the file, and a message for every lost frame."""

from __future__ import annotations

import os
import re
from collections import deque
from collections.abc import Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain

import numpy as np
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from posewright.errors import SourceError
from posewright.people import Frame
from posewright.sources.avi import ChunkIndex
from posewright.sources.base import Frames, Unread
from posewright.sources.decoder import Decoder, Lost
from posewright.sources.decoding import AV_ERRORS, open_container, rate, why
from posewright.sources.display_matrix import Orientation, pixel_aspect

__all__ = ["Clock", "open_video", "video"]

LENGTH_IN_HEADER = frozenset(("mov", "matroska", "avi", "flv", "asf", "mxf", "ivf"))
MOST_BEHIND, FARTHEST_BEHIND = 3, 8  # frames in the wrong order: how many, and by how many
MOST_WAITING = 10_000  # lost images in a row that are remembered


class _Picture:
    """A decoded frame, whose pixels are converted when they are asked for, or never."""

    def __init__(self, frame: VideoFrame) -> None:
        self.time = frame.time
        self._frame, self._shown = frame, Orientation.of(frame)

    @cached_property
    def image(self) -> NDArray[np.uint8]:
        """(H, W, 3) RGB; one of AV_ERRORS for a pixel format that cannot be converted."""
        return self._shown.pixels(self._frame)

    def read(self, name: str, index: int, stored_aspect: float) -> Frame:
        """Return the frame of that number; stored_aspect: width of a stored pixel by height."""
        try:
            return Frame(self.image, name=name, pixel_aspect=self._shown.aspect(stored_aspect))
        except AV_ERRORS as error:
            return _failed(name, Lost(self.time, why(error)), index)


def open_video(path: str, max_pixels: int) -> Frames:
    """Open a video file; FFmpeg may read this file and nothing else.  SourceError says why not."""
    url = "file:" + os.path.abspath(path)  # or a name such as "concat:a" would be a command
    container, stream = open_container(url, path, "file", max_pixels)
    if container.format.name == "mjpeg" and not _is_film(path):
        container.close()
        raise SourceError(
            f"cannot open {path}: it holds a JPEG behind other data and is not a video; "
            "give the image itself"
        )
    return video(path, container, stream)


def _is_film(path: str) -> bool:
    """Tell a film of JPEGs by its begin, or by its name where that was cut off."""
    if path.lower().endswith((".mjpg", ".mjpeg")):
        return True
    with open(path, "rb") as file:
        return file.read(2) == b"\xff\xd8"


def video(name: str, container: InputContainer, stream: VideoStream) -> Frames:
    """Return the source of an open container; its first image is decoded at once."""
    resources = ExitStack()
    resources.callback(container.close)
    declared = _Declared.of(container, stream)
    decoder = Decoder(container, stream)
    found = (item if isinstance(item, Lost) else _Picture(item) for item in decoder)
    begin: list[_Picture | Lost] = []
    for item in found:
        begin.append(item)
        if isinstance(item, _Picture):
            try:
                item.image  # noqa: B018 - it is converted, or cannot be
                break
            except AV_ERRORS as error:
                begin[-1] = Lost(item.time, why(error))
        if len(begin) > MOST_WAITING:
            break
    if not begin or isinstance(begin[-1], Lost):
        resources.close()
        raise SourceError(
            f"no frame of the video {name} can be decoded; download or copy the file again"
        )
    first = begin[-1].image
    frames = _frames(name, chain(begin, found), decoder, declared, pixel_aspect(stream))
    return Frames(
        name,
        "video",
        frames,
        resources,
        total=declared.total(decoder.index),
        fps=declared.fps,
        size=(first.shape[1], first.shape[0]),
    )


def _frames(
    name: str,
    items: Iterable[_Picture | Lost],
    decoder: Decoder,
    declared: _Declared,
    stored_aspect: float,
) -> Generator[Frame | Unread]:
    """Yield every image under its own number; what is lost at the end may be a file's cut."""
    clock = Clock(1 / (declared.fps or 30.0))
    lost: deque[Lost] = deque()
    index = decoded = 0
    for item in items:
        if isinstance(item, Lost):
            lost.append(item)
        while lost and (isinstance(item, _Picture) or len(lost) > MOST_WAITING):
            yield _failed(name, lost.popleft(), index, clock)
            index += 1
        if isinstance(item, _Picture):
            read = partial(item.read, name, index, stored_aspect)
            yield Unread(read, index, clock.time(item.time))
            index, decoded = index + 1, decoded + 1
    message = declared.missing(decoded, decoder)
    if message:
        yield Frame.failed(name, message, "truncated", index, clock.time(None))
        return
    for at, item in enumerate(lost, index):
        yield _failed(name, item, at, clock)


def _failed(name: str, lost: Lost, index: int, clock: Clock | None = None) -> Frame:
    message = f"frame {index} cannot be decoded: {lost.reason}"
    time = 0.0 if clock is None else clock.time(lost.time)
    return Frame.failed(name, message, "decode_error", index, time)


class Clock:
    """Seconds since the first frame, always growing.

    A jump back is a join of two files, and goes on one frame later.  A frame that only comes in the
    wrong order stands a little behind the one before it, and the next has its own time again.
    """

    def __init__(self, step: float) -> None:
        self._step = step
        self._shift: float | None = None
        self._last = -step
        self._behind = 0  # frames in a row that came too late

    def time(self, stamp: float | None) -> float:
        if self._shift is None:
            self._shift = -(stamp or 0.0)
        time = self._last + self._step if stamp is None else stamp + self._shift
        self._behind = self._behind + 1 if time <= self._last else 0
        if not self._behind:
            self._last = time
        elif self._behind <= MOST_BEHIND and self._last - time < FARTHEST_BEHIND * self._step:
            self._last += self._step / FARTHEST_BEHIND
        else:
            self._shift += self._last + self._step - time
            self._last += self._step
            self._behind = 0
        return self._last


@dataclass(frozen=True, slots=True)
class _Declared:
    """What a container says about its length; 0 and None where it says nothing.

    count: packets; those in the table of a QuickTime or MP4 file, whose edit list may leave out or
    repeat some, and which lists empty ones for frames that a recorder dropped.  unshown: those of
    them that are only there to decode others.
    """

    count: int
    seconds: float | None
    fps: float | None
    unshown: int = 0

    @classmethod
    def of(cls, container: InputContainer, stream: VideoStream) -> _Declared:
        count, unshown = stream.frames, 0
        if count and "mov" in container.format.name and len(stream.index_entries):
            held = [entry.is_discard for entry in stream.index_entries if entry.size]
            count, unshown = len(held), sum(held)
        return cls(count, _duration(container, stream), rate(stream), unshown)

    def total(self, index: ChunkIndex | None) -> int | None:
        """Return the number of frames to expect."""
        listed = index.count if index is not None else 0
        if listed or self.count:
            return listed or self.count - self.unshown
        return round(self.seconds * self.fps) if self.seconds and self.fps else None

    def missing(self, decoded: int, decoder: Decoder) -> str:
        """Say in one line what is missing; "" for a video that holds what it declares.

        Packets are compared rather than images, because some formats hold packets that are not
        to be shown.
        """
        if not (self._is_cut(decoder) or decoder.broken):
            return ""
        damaged = decoder.broken + decoder.lost
        left_out = f" (damaged parts skipped: {damaged})" if damaged else ""
        return f"decoded {decoded} of {self._text()}{left_out}; the video is truncated or damaged"

    def _is_cut(self, decoder: Decoder) -> bool:
        if decoder.packets >= self.count > 0:
            return False
        if decoder.index is not None and decoder.index.complete:
            return False
        if self.count and decoder.index is None:
            return True
        # The times tell, where an AVI counts frames that a recorder dropped: empty chunks.
        seconds = self.count / self.fps if self.count and self.fps else self.seconds
        if not seconds:
            return False
        return decoder.reached < seconds - max(0.02 * seconds, 2.5 / (self.fps or 10.0))

    def _text(self) -> str:
        if self.count:
            return f"the declared {self.count - self.unshown} frames"
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
