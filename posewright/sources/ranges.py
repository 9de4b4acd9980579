"""Ranges: which frames of each sequence are read, by their numbers, their times, or every n-th."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np

from posewright.errors import SourceError, UsageError
from posewright.people import Status

__all__ = ["Choice", "Range", "no_times"]

_CLOCK = re.compile(r"(?:(?:([0-9]{1,6}):)?([0-9]{1,6}):)?([0-9]{1,12}(?:\.[0-9]*)?|\.[0-9]+)")
_CLOSE = 1e-6  # seconds by which two times may differ and be the same: they are sums of fractions


@dataclass(frozen=True, slots=True)
class Range:
    """The frames [first, stop) that are shown in [begin, end) seconds, and of these every n-th.

    None is an open end.  stride: counts by frame numbers from `first`; where that is open, from the
    first frame of the sequence that the range holds.
    """

    first: int | None = None
    stop: int | None = None
    begin: float | None = None
    end: float | None = None
    stride: int = 1

    def to_dict(self) -> dict[str, Any]:
        """Return what the header of results says of a range; nothing of one that holds all."""
        told: dict[str, Any] = {}
        if (self.first, self.stop) != (None, None):
            told["frames"] = [self.first, self.stop]
        if self.timed:
            told["time_range"] = [self.begin, self.end]
        return told | ({"stride": self.stride} if self.stride > 1 else {})

    @classmethod
    def of(cls, frames: Any = None, time_range: Any = None, stride: int = 1) -> Range:
        """Return the range that options state.

        frames: "A:B", (A, B) or slice(A, B), numbers from 0.  time_range: "A:B" or (A, B) seconds,
        or "A..B", in which A and B may also be clock times, [HH:]MM:SS.  A or B may be missing (in
        tuples None).  UsageError for anything else, and for a range that holds nothing.
        """
        if isinstance(stride, bool) or not isinstance(stride, (int, np.integer)) or stride < 1:
            raise UsageError(f"stride must be a whole number of at least 1, not {stride}")
        numbers = _ends(frames, _number, (int, np.integer))
        if numbers is None:
            raise UsageError(
                "frames must be A:B, A: or :B with frame numbers from 0, as in 100:200, not "
                f"{frames!r}"
            )
        times = _ends(time_range, _seconds, (int, float, np.integer, np.floating))
        if times is None:
            raise UsageError(
                "the time range must be A:B, A: or :B in seconds from 0, as in 1.5:3, or clock "
                f"times with two dots, as in 00:01:30..00:02:00, not {time_range!r}"
            )
        (first, stop), (begin, end) = numbers, times
        if stop is not None and stop <= (first or 0):
            raise UsageError(f"frames {frames} hold nothing: B must be larger than A")
        if end is not None and end <= (begin or 0):
            raise UsageError(f"the time range {time_range} holds nothing: B must come after A")
        first, stop = (None if each is None else int(each) for each in numbers)
        begin, end = (None if each is None else float(each) for each in times)
        return cls(first, stop, begin, end, int(stride))

    @property
    def timed(self) -> bool:
        """Whether frames need times to be chosen."""
        return self.begin is not None or self.end is not None

    def __str__(self) -> str:
        def said(one: float | None, other: float | None) -> str:
            return ":".join("" if each is None else f"{each:.12g}" for each in (one, other))

        parts = [f"frames {said(self.first, self.stop)}"]
        times = [f"time range {said(self.begin, self.end)} s"]
        if not self.timed:
            return parts[0]
        return times[0] if self.first is self.stop is None else f"{parts[0]} and {times[0]}"

    def begun(self, index: int, time: float) -> bool:
        """Tell whether a frame does not come before the range."""
        return index >= (self.first or 0) and (self.begin is None or time >= self.begin - _CLOSE)

    def past(self, index: int, time: float) -> bool:
        """Tell whether a frame comes after the range."""
        if self.stop is not None and index >= self.stop:
            return True
        return self.end is not None and time >= self.end - _CLOSE

    def count(self, total: int, fps: float | None) -> int | None:
        """Return how many of so many frames from 0 on are chosen; None where that is unknown."""
        if self.timed and not fps:
            return None
        rate = fps or 1.0
        first = max(self.first or 0, math.ceil((self.begin or 0.0) * rate - 1e-3))
        stop = total if self.stop is None else min(total, self.stop)
        if self.end is not None:
            stop = min(stop, math.ceil(self.end * rate - 1e-3))
        late = 0 if self.first is None else (self.first - first) % self.stride
        return len(range(first + late, stop, self.stride))


def _ends(
    given: Any, read: Callable[[str], float], kinds: tuple[type[Any], ...]
) -> tuple[Any, Any] | None:
    """Return both ends of "A:B", "A..B", (A, B) or slice(A, B); None for anything else.

    A missing end is None, and so are both where nothing is given.  read: makes a number of a text,
    NaN where it is none.  kinds: of numbers.
    """
    ends = (None, None) if given is None else given
    if isinstance(given, str):
        parts = given.split("..", 1) if ".." in given else given.split(":")
        ends = [read(part.strip()) if part.strip() else None for part in parts]
    elif isinstance(given, slice) and given.step in (None, 1):
        ends = (given.start, given.stop)
    if not isinstance(ends, (tuple, list)) or len(ends) != 2:
        return None
    for end in ends:
        known = isinstance(end, kinds) and not isinstance(end, bool) and 0 <= end < math.inf
        if not (end is None or known):
            return None
    return ends[0], ends[1]


def _number(text: str) -> float:
    return int(text) if re.fullmatch("[0-9]{1,18}", text) else math.nan


def _seconds(text: str) -> float:
    """Return the seconds of SS.mmm, MM:SS or HH:MM:SS; NaN for anything else."""
    found = _CLOCK.fullmatch(text)
    if not found:
        return math.nan
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    if (found[2] and seconds >= 60) or (found[1] and minutes >= 60):
        return math.nan
    return 3600 * hours + 60 * minutes + seconds


def no_times(name: str) -> UsageError:
    """Return the error of a time range of images that have no times."""
    return UsageError(
        f"{name} holds images, which have no times for a time range; state their rate with --fps "
        "(fps=), or choose frames by number with --frames (frames=)"
    )


@dataclass(slots=True)
class _Seen:
    """What came of a sequence: numbers and time of its frames, and how many were chosen.

    held: number of the first frame that the range holds.
    """

    first: int
    last: int = 0
    time: float = 0.0
    held: int | None = None
    chosen: int = 0


class Choice:
    """Chooses the frames of a range as they come.

    over: no later frame of the current sequence will be chosen.
    notes: after `finish`, a line about the sequences of which no frame was chosen.
    """

    def __init__(self, span: Range) -> None:
        self.over = False
        self.notes: list[str] = []
        self._span = span
        self._sequences: dict[Hashable, _Seen] = {}

    def takes(self, sequence: Hashable, index: int, time: float, status: Status = "ok") -> bool:
        """Tell whether a frame is chosen; call it for every frame of a sequence, in order.

        An interruption inside of the range always is, and so is a source's early end before it.
        """
        span, seen = self._span, self._sequences.setdefault(sequence, _Seen(index))
        if status != "truncated":
            seen.last, seen.time = index, time
        self.over = span.past(index, time)
        if self.over or not (span.begun(index, time) or status == "truncated"):
            return False
        if status not in ("gap", "truncated"):
            seen.held = index if seen.held is None else seen.held
            start = seen.held if span.first is None else span.first
            if (index - start) % span.stride:
                return False
            self.over = span.past(index + span.stride, time)
        seen.chosen += 1
        return True

    def finish(self, name: str) -> None:
        """Note which sequences had no frame in the range; SourceError where none of a source had.

        name: of the source.
        """
        none = {key: seen for key, seen in self._sequences.items() if not seen.chosen}
        if none and len(none) == len(self._sequences):
            first = min(seen.first for seen in none.values())
            last = max(seen.last for seen in none.values())
            time = max(seen.time for seen in none.values())
            more = f", to {time:.2f} s" if time else ""
            raise SourceError(
                f"{name}: no frame is in {self._span}; frames {first} to {last} were read{more}"
            )
        if none:
            others = f" (and {len(none) - 1} more)" if len(none) > 1 else ""
            self.notes = [f"{next(iter(none))}{others}: no frame is in {self._span}"]
