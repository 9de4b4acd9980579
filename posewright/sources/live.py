"""Live sources: reconnected when they drop, and either complete or up to date.

A separate thread reads, because a server that does not answer blocks its reader inside FFmpeg for
seconds, where no signal is handled.
"""

from __future__ import annotations

import random
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from typing import Any

from posewright.errors import SourceError
from posewright.people import Frame
from posewright.sources.base import Frames
from posewright.sources.links import TIMEOUT, Link

__all__ = ["ASK_EVERY", "FIRST_WAIT", "LINGER", "LONGEST_WAIT", "Connect", "live"]

FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0
ASK_EVERY = 0.2  # seconds between two questions whether to stop
LINGER = 0.5  # seconds that closing waits for the reading thread, which a silent server may hold
Connect = Callable[[float], Link]  # seconds to wait for -> a connection; SourceError without one


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
    it stayed interrupted for `retry_s` seconds, which ends the source.  latest: only the newest
    image is kept for the consumer.  stopped: see `open_source`.
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
        """Yield images as they arrive, with a message for each interruption."""
        try:
            while not self.stop.is_set():
                yield from self._connected()
                if not self._reconnect():
                    break
            if not self.stop.is_set():
                yield self._failed(
                    "truncated", "and did not reconnect; raise --retry to wait longer"
                )
        finally:
            self.hang_up()

    def hang_up(self) -> None:
        """Close the connection; the reading thread does it, as it must not close during a read."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _connected(self) -> Iterator[Frame]:
        """Yield the images of one connection; the first tells how long there was none."""
        link = self._link
        assert link is not None
        for image in link.images():
            if self.stop.is_set():
                return
            if self._attempts:
                yield self._failed("gap", f"and reconnected at attempt {self._attempts}")
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
        """Try again, waiting longer each time, until `retry_s` after the last image."""
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
        message = f"stream interrupted for {away:.1f} s {end} ({self._reason})"
        self._reason = "the connection ended"
        self._count += 1
        at = self._seen - self._begin
        return Frame.failed(self._name, message, status, self._count - 1, at)


class _Reader:
    """A thread that reads frames and holds one with pixels at most until it is asked for.

    latest: that is the newest; else the thread waits until it was taken.  dropped: images that
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
        """Yield what has arrived, and wait where nothing has, unless `stopped`."""
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
        """Ask the thread to end and wake the consumer."""
        self._stop.set()
        with self._changed:
            self._done = True
            self._changed.notify_all()

    def join(self) -> None:
        """Wait for the thread; one that a silent server blocks disconnects when it returns."""
        self._thread.join(LINGER)

    def _read(self) -> None:
        try:
            for frame in self._frames:
                with self._changed:
                    if self._latest:
                        notices = [held for held in self._held if held.status != "ok"]
                        self.dropped += len(self._held) - len(notices)
                        self._held = deque([*notices, frame])
                    else:
                        self._changed.wait_for(lambda: not self._held or self._done)
                        self._held.append(frame)
                    self._changed.notify_all()
                if self._stop.is_set():
                    break
        except Exception as error:  # a bug or a full memory: whoever asks next gets it
            self._error = error
        finally:
            self._frames.close()  # hangs up
            with self._changed:
                self._done = True
                self._changed.notify_all()
