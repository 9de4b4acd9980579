"""Cameras and network streams: reconnected when they go away, and either complete or up to date.

A thread of its own reads, as a server that is silent or does not answer holds whoever waits for it
inside FFmpeg for seconds, where no signal is heard.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import PurePosixPath
from typing import Any, Protocol
from urllib.parse import urlsplit

import av
import cv2
import numpy as np
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from posewright.errors import SourceError
from posewright.people import Frame
from posewright.sources.address import PLAYLISTS, protocols, without_secrets
from posewright.sources.base import Frames
from posewright.sources.decoder import Decoder, Lost
from posewright.sources.decoding import AV_ERRORS, open_container, rate
from posewright.sources.display_matrix import Orientation, pixel_aspect
from posewright.sources.fetched import open_picture
from posewright.sources.video import video

__all__ = ["CameraLink", "Connect", "Link", "NetworkLink", "live", "open_camera", "open_url"]

TIMEOUT = 10.0  # seconds for an answer, and for the next data
_NO_FILM = (av.error.InvalidDataError, av.error.ArgumentError)  # of FFmpeg, for a PNG or WebP
FIRST_WAIT, LONGEST_WAIT = 0.5, 30.0
ASK_EVERY = 0.2  # seconds between two questions whether to stop
LINGER = 0.5  # seconds that closing waits for the reading thread, which a silent server may hold


class Link(Protocol):
    """A connection that delivers pictures until it breaks.

    pixel_aspect: width of a pixel over its height, of the last picture.
    """

    fps: float | None
    size: tuple[int, int] | None
    pixel_aspect: float

    def images(self) -> Iterator[NDArray[np.uint8]]: ...

    def close(self) -> None: ...


Connect = Callable[[float], Link]  # seconds to wait for -> a connection; SourceError without one


class NetworkLink:
    """A stream that FFmpeg reads."""

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self._container, self._stream = container, stream
        self.fps = rate(stream)
        context = stream.codec_context
        self.size = (context.width, context.height) if context.width else None
        self.pixel_aspect = self._stored_aspect = pixel_aspect(stream)

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield (H, W, 3) RGB pictures; the end of the iteration is the end of the link."""
        for frame in Decoder(self._container, self._stream):
            if isinstance(frame, Lost):
                continue
            shown = Orientation.of(frame)
            try:
                image = shown.pixels(frame)
            except AV_ERRORS:  # the next picture may be whole
                continue
            self.pixel_aspect = shown.aspect(self._stored_aspect)
            yield image

    def close(self) -> None:
        """Hang up."""
        self._container.close()


class CameraLink:
    """A camera that OpenCV reads."""

    pixel_aspect = 1.0

    def __init__(self, capture: Any) -> None:
        self._capture = capture
        fps = float(capture.get(cv2.CAP_PROP_FPS))
        self.fps = fps if 0 < fps < 10_000 else None
        width, height = (
            int(capture.get(p)) for p in (cv2.CAP_PROP_FRAME_WIDTH, cv2.CAP_PROP_FRAME_HEIGHT)
        )
        self.size = (width, height) if width > 0 and height > 0 else None

    def images(self) -> Iterator[NDArray[np.uint8]]:
        """Yield (H, W, 3) RGB pictures until the camera gives none."""
        while True:
            good, image = self._capture.read()
            if not good:
                return
            yield np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)

    def close(self) -> None:
        """Give the camera back."""
        self._capture.release()


def open_camera(
    number: int,
    *,
    capture: Callable[[int], Any] = cv2.VideoCapture,
    latest: bool = False,
    retry_s: float = 30.0,
    stopped: Callable[[], int] = lambda: 0,
) -> Frames:
    """Open the camera of that number; SourceError where there is none.

    capture: makes an object like cv2.VideoCapture of the number.
    """

    def connect(_: float) -> Link:
        device = capture(number)
        if not device.isOpened():
            device.release()
            raise SourceError(
                f"camera {number} cannot be opened; check that it is plugged in, that no other "
                f"program uses it, and its number"
            )
        return CameraLink(device)

    return live(f"camera:{number}", connect, latest=latest, retry_s=retry_s, stopped=stopped)


def open_url(
    url: str,
    *,
    max_pixels: int = 100_000_000,
    latest: bool = False,
    retry_s: float = 30.0,
    stopped: Callable[[], int] = lambda: 0,
) -> Frames:
    """Open an address: a live stream, a picture, or a video where the server says how long it is.

    HTTP tells the bytes of a file, and of a file alone; a multipart stream has no end.
    """
    name = without_secrets(url)
    if PurePosixPath(urlsplit(url).path).suffix.lower() in PLAYLISTS:
        raise SourceError(f"{name} is a playlist, which is not followed; name the stream itself")

    silence = min(TIMEOUT, max(retry_s, 1.0))  # after which a connection counts as broken

    def connect(timeout: float) -> NetworkLink:
        opened = open_container(url, name, protocols(url), max_pixels, (timeout, silence))
        return NetworkLink(*opened)

    web = url.lower().startswith(("http:", "https:"))
    fetch = partial(open_picture, url, name, max_pixels, silence, stopped)
    try:
        container, stream = open_container(
            url, name, protocols(url), max_pixels, (TIMEOUT, silence)
        )
    except SourceError as error:
        if web and isinstance(error.__cause__, _NO_FILM) and (picture := fetch()) is not None:
            return picture
        raise
    if web and container.format.name == "mjpeg" and (picture := fetch()) is not None:
        container.close()  # a JPEG; several, one after the other, are a film
        return picture
    known = bool(container.duration) or container.size > 0
    if web and known and container.format.name != "mpjpeg":
        return video(name, container, stream)
    first = NetworkLink(container, stream)
    return live(name, connect, first, latest=latest, retry_s=retry_s, stopped=stopped)


def live(
    name: str,
    connect: Connect,
    first: Link | None = None,
    *,
    latest: bool,
    retry_s: float,
    stopped: Callable[[], int] = lambda: 0,
) -> Frames:
    """Return the source of a live stream; SourceError where the first connection fails.

    An interruption becomes one frame of status "gap" once the stream is back, and "truncated" when
    it stayed away for `retry_s` seconds, which ends the source.  latest: only the newest picture is
    kept for whoever asks.  stopped: see `open_source`.
    """
    link = first if first is not None else connect(TIMEOUT)
    feed = _Feed(name, connect, link, retry_s)
    reader = _Reader(feed.frames(), feed.stop, latest)
    resources = ExitStack()
    resources.callback(reader.join)
    return Frames(
        name,
        "stream",
        reader.frames(stopped),
        resources,
        fps=link.fps,
        size=link.size,
        stop=reader.stop,
        late=lambda: reader.dropped,
    )


class _Feed:
    """The frames of a stream across its connections."""

    def __init__(self, name: str, connect: Connect, link: Link, retry_s: float) -> None:
        self.stop = threading.Event()
        self._name, self._connect, self._retry_s = name, connect, retry_s
        self._link: Link | None = link
        self._waits = random.Random()
        self._begin = self._seen = time.monotonic()
        self._attempts = 0
        self._count = 0
        self._reason = "the connection ended"

    def frames(self) -> Generator[Frame]:
        """Yield pictures as they come, with a word for each interruption."""
        try:
            while not self.stop.is_set():
                yield from self._connected()
                if not self._reconnect():
                    break
            if not self.stop.is_set():
                yield self._failed(
                    "truncated", "and did not come back; raise --retry to wait longer"
                )
        finally:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection there is; by who reads it, as it must not go meanwhile."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _connected(self) -> Iterator[Frame]:
        """Yield the pictures of one connection; the first tells how long there was none."""
        link = self._link
        assert link is not None
        for image in link.images():
            if self.stop.is_set():
                return
            if self._attempts:
                yield self._failed("gap", f"and came back at attempt {self._attempts}")
            self._attempts = 0
            now = time.monotonic()
            if self._count == 0:
                self._begin = now
            self._seen = now
            self._count += 1
            yield Frame(
                image,
                self._count - 1,
                now - self._begin,
                self._name,
                pixel_aspect=link.pixel_aspect,
            )
            self._seen = time.monotonic()  # the time that the asker took is no interruption

    def _reconnect(self) -> bool:
        """Try again, waiting longer each time, until `retry_s` after the last picture."""
        self.hang_up()
        while not self.stop.is_set():
            left = self._seen + self._retry_s - time.monotonic()
            if left <= 0:
                return False
            wait = min(FIRST_WAIT * 2.0**self._attempts, LONGEST_WAIT)
            self._attempts += 1
            if self.stop.wait(min(wait * self._waits.uniform(0.5, 1.0), left)):
                return False
            try:
                self._link = self._connect(max(min(TIMEOUT, left), 0.1))
            except SourceError as error:
                self._reason = str(error)
            else:
                return True
        return False

    def _failed(self, status: Any, end: str) -> Frame:
        away = time.monotonic() - self._seen
        message = f"stream away for {away:.1f} s {end} ({self._reason})"
        self._reason = "the connection ended"
        self._count += 1
        at = self._seen - self._begin
        return Frame.failed(self._name, message, status, self._count - 1, at)


class _Reader:
    """A thread that reads frames and holds one with pixels at most until it is asked for.

    latest: that is the newest; else the thread waits until it was taken.  dropped: pictures that
    nobody took before the next one came.
    """

    def __init__(self, frames: Generator[Frame], stop: threading.Event, latest: bool) -> None:
        self.dropped = 0
        self._frames, self._stop, self._latest = frames, stop, latest
        self._held: deque[Frame] = deque()
        self._done = False
        self._error: Exception | None = None
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, name="posewright-stream", daemon=True)
        self._thread.start()

    def frames(self, stopped: Callable[[], int]) -> Generator[Frame]:
        """Yield what is there when it is asked for, and wait where nothing is, unless `stopped`."""
        while True:
            with self._changed:
                while not self._changed.wait_for(lambda: self._held or self._done, ASK_EVERY):
                    if stopped():
                        self.stop()
                if not self._held:
                    break
                frame = self._held.popleft()
                self._changed.notify_all()
            yield frame
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """Ask the thread to end and wake whoever waits."""
        self._stop.set()
        with self._changed:
            self._done = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the thread; one that a silent server holds hangs up when it comes back."""
        self._thread.join(LINGER)

    def _read(self) -> None:
        try:
            for frame in self._frames:
                self._put(frame)
                if self._stop.is_set():
                    break
        except Exception as error:  # a bug or a full memory: whoever asks next gets it
            self._error = error
        finally:
            self._frames.close()  # hangs up
            with self._changed:
                self._done = True
                self._changed.notify_all()

    def _put(self, frame: Frame) -> None:
        with self._changed:
            if self._latest:
                notices = [held for held in self._held if held.status != "ok"]
                self.dropped += len(self._held) - len(notices)
                self._held = deque([*notices, frame])
            else:
                self._changed.wait_for(lambda: not self._held or self._done)
                self._held.append(frame)
            self._changed.notify_all()
