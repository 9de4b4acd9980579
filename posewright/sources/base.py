"""What every source is: an iterator of frames that can be closed."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Literal, Protocol

from posewright.errors import UsageError
from posewright.people import Frame
from posewright.sources.ranges import Choice, Range, no_times

__all__ = ["Frames", "Kind", "Source", "Unread", "check_rate"]

Kind = Literal["pictures", "video", "stream"]

SLOWEST, FASTEST = 1e-6, 1000.0  # frames a second: one in 12 days


def check_rate(fps: float) -> None:
    """Raise a UsageError for a frame rate outside of the valid range."""
    if not SLOWEST <= fps <= FASTEST:
        raise UsageError(f"fps must lie between {SLOWEST:g} and {FASTEST:g}, not {fps}")


@dataclass(frozen=True, slots=True)
class Unread:
    """A frame that is not read, or converted, unless it is chosen.

    read: returns it, with a status where that fails.  index, time, sequence: as of a Frame.
    """

    read: Callable[[], Frame]
    index: int
    time: float
    sequence: str = ""


class Source(Protocol):
    """An iterator of frames and a context manager; a frame that cannot be read has a status.

    name: as the user gave it, without a password.  total: the declared number of frames, or of
    those that a range chooses.  fps: frame rate of a video or stream, by which its frames are
    numbered also where a range leaves some out.  size: (width, height) px of a video or stream as
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
    frames were dropped so far.  notes: tells what was skipped so far.  places: makes the frames
    once more, where that is known and takes no time.  All frames of a video or stream belong to one
    sequence, which has the source's name.
    """

    def __init__(
        self,
        name: str,
        kind: Kind,
        frames: Generator[Frame | Unread],
        resources: ExitStack,
        *,
        total: int | None = None,
        fps: float | None = None,
        size: tuple[int, int] | None = None,
        stop: Callable[[], None] = lambda: None,
        late: Callable[[], int] = lambda: 0,
        notes: Callable[[], list[str]] = list,
        places: Callable[[], Iterable[Unread]] | None = None,
    ) -> None:
        self.name, self.kind = name, kind
        self.total, self.fps, self.size = total, fps, size
        self._frames, self._resources = frames, resources
        self._stop, self._late, self._notes = stop, late, notes
        self._places = places
        self._choice = Choice(Range())
        self._ended = False

    def choose(self, span: Range) -> Frames:
        """Return this source, which yields the frames of a range alone from now on.

        Images that are not chosen are not read.  The iteration ends in a SourceError where there
        was no frame in the range, and behind the last frame of a video or stream that can be in it.
        UsageError for a time range of images without times.
        """
        places = [] if self._places is None else list(self._places())
        timed = self.kind != "pictures" or self.fps is not None or any(p.time for p in places)
        if span.timed and not timed:
            self.close()
            raise no_times(self.name)
        self._choice = Choice(span)
        if self._places is not None:
            choice = Choice(span)
            self.total = sum(choice.takes(p.sequence, p.index, p.time) for p in places)
        elif self.total is not None:
            self.total = span.count(self.total, self.fps)
        return self

    @property
    def dropped(self) -> int:
        """Number of frames dropped because newer ones had arrived."""
        return self._late()

    @property
    def notes(self) -> list[str]:
        """What was skipped so far, one line each."""
        return [*self._notes(), *self._choice.notes]

    def __iter__(self) -> Iterator[Frame]:
        return self

    def __next__(self) -> Frame:
        several = self.kind == "pictures"
        for item in () if self._ended else self._frames:
            sequence = item.sequence if several else self.name
            status = item.status if isinstance(item, Frame) else "ok"
            chosen = self._choice.takes(sequence, item.index, item.time, status)
            # of images another sequence may follow, unless they are made in memory
            self._ended = self._choice.over and not (several and (self._places or sequence))
            if chosen:
                frame = (
                    item
                    if isinstance(item, Frame)
                    else replace(item.read(), index=item.index, time=item.time)
                )
                if self.kind == "stream" and status == "ok":
                    self.size = frame.size
                return frame if several else replace(frame, sequence=sequence)
            if self._ended:
                break
        self._ended = True
        self.close()
        if self.kind != "stream":
            self._choice.finish(self.name)
        raise StopIteration

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
