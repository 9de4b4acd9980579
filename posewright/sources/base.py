"""What every source is: an iterator of frames that can be closed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from types import TracebackType
from typing import Literal, Protocol

from posewright.errors import UsageError
from posewright.people import Frame

__all__ = ["Frames", "Kind", "Source", "check_rate"]

Kind = Literal["pictures", "video", "stream"]

SLOWEST, FASTEST = 1e-6, 1000.0  # frames a second: one in 12 days


def check_rate(fps: float) -> None:
    """Raise a UsageError for a frame rate outside of the valid range."""
    if not SLOWEST <= fps <= FASTEST:
        raise UsageError(f"fps must lie between {SLOWEST:g} and {FASTEST:g}, not {fps}")


class Source(Protocol):
    """An iterator of frames and a context manager; a frame that cannot be read has a status.

    name: as the user gave it, without a password.  total: the declared number of frames.
    fps: frame rate of a video or stream.  size: (width, height) px of a video or stream as
    it is shown; of a stream that turns its images, once the first has come.  total, fps and
    size are None where they are unknown.  dropped: frames that a stream opened with
    latest=True dropped because newer ones had arrived. notes: what the user should know about what
    was skipped so far, one line each.
    """

    name: str
    kind: Kind
    total: int | None
    fps: float | None
    size: tuple[int, int] | None

    @property
    def dropped(self) -> int: ...

    @property
    def notes(self) -> list[str]: ...

    def __iter__(self) -> Iterator[Frame]: ...

    def __next__(self) -> Frame: ...

    def __enter__(self) -> Source: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def close(self) -> None: ...


class Frames:
    """The source that yields what a generator yields, and frees `resources` at its end.

    stop: called first by `close`; wakes a generator that waits for a stream.  late: tells how many
    frames were dropped so far.  notes: tells what was skipped so far.  All frames of a video or
    stream belong to one sequence, which has the source's name.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        frames: Generator[Frame],
        resources: ExitStack,
        *,
        total: int | None = None,
        fps: float | None = None,
        size: tuple[int, int] | None = None,
        stop: Callable[[], None] = lambda: None,
        late: Callable[[], int] = lambda: 0,
        notes: Callable[[], list[str]] = list,
    ) -> None:
        self.name, self.kind = name, kind
        self.total, self.fps, self.size = total, fps, size
        self._frames, self._resources = frames, resources
        self._stop, self._late, self._notes = stop, late, notes

    @property
    def dropped(self) -> int:
        """Number of frames dropped because newer ones had arrived."""
        return self._late()

    @property
    def notes(self) -> list[str]:
        """What was skipped so far, one line each."""
        return self._notes()

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        try:
            frame = next(self._frames)
        except StopIteration:
            self._resources.close()
            raise
        if self.kind == "pictures":
            return frame
        if self.kind == "stream" and frame.status == "ok":
            self.size = frame.size
        return replace(frame, sequence=self.name)

    def __enter__(self) -> Frames:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free files and threads; the iteration is over.  May be called again."""
        self._stop()
        try:
            self._frames.close()
        except ValueError:  # another thread is inside next(): it frees them when it comes out
            return
        self._resources.close()
