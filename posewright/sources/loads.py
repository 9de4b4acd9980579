"""Images before they are read, and the source that reads them one by one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from posewright.people import Frame
from posewright.sources.base import Frames, Unread
from posewright.sources.depth import Depths

__all__ = ["Load", "pictures"]


@dataclass(frozen=True, slots=True)
class Load:
    """An image that is not read yet.

    read: returns it, or a frame with a status where that fails.  sequence: the folder that it
    belongs to.  number, time: its own, where it has one.
    """

    read: Callable[[Depths], Frame]
    sequence: str = ""
    number: int | None = None
    time: float = 0.0


def pictures(
    name: str,
    loads: Iterable[Load],
    total: int | None,
    resources: ExitStack,
    *,
    fps: float | None = None,
    notes: Iterable[str] = (),
) -> Frames:
    """Return the source of these images; they are read one by one on demand.

    The images of one folder are a sequence: they are numbered from 0 unless they have numbers of
    their own.  They have timestamps where `fps` gives the frame rate; the first has the time 0.
    notes: what was skipped before the first is read.
    """
    more, depths = _More(), Depths()

    def read(load: Load) -> Frame:
        frame = load.read(depths)
        more.add(frame)
        return frame

    def places() -> Generator[Unread]:
        counts: defaultdict[str, int] = defaultdict(int)
        firsts: dict[str, int] = {}
        for load in loads:
            index = counts[load.sequence] if load.number is None else load.number
            counts[load.sequence] += 1
            since = index - firsts.setdefault(load.sequence, index)
            time = load.time or (since / fps if fps else 0.0)
            yield Unread(partial(read, load), index, time, load.sequence)

    return Frames(
        name,
        "pictures",
        places(),
        resources,
        total=total,
        fps=fps,
        notes=lambda: [*notes, *more.notes()],
        places=None if total is None else places,
    )


class _More:
    """Remembers which images hold more than was read."""

    def __init__(self) -> None:
        self._first, self._count = "", 0

    def add(self, frame: Frame) -> None:
        """Look at one frame."""
        if frame.note:
            self._first = self._first or f"{frame.name}: {frame.note}"
            self._count += 1

    def notes(self) -> list[str]:
        """Return a line that names the first of them, or none."""
        others = f" (and so for {self._count - 1} other image(s))" if self._count > 1 else ""
        return [self._first + others] if self._count else []
