"""A progress bar with rate and people: one line on a terminal, plain lines or JSON elsewhere."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, TextIO

from posewright.errors import counted

if TYPE_CHECKING:
    from posewright.predict import Progress

__all__ = ["Bar", "Counter", "create_bar"]

TERMINAL_EVERY, PLAIN_EVERY = 0.1, 5.0  # seconds between updates


class Bar:
    """Called with every frame's Progress; prints now and then, and at the end of a source."""

    def __init__(self, style: str, stream: TextIO) -> None:
        self.style, self.stream = style, stream
        self.last, self.width = 0.0, 0
        self.source: str | None = None
        self.begun = self.seconds = 0.0  # of this source, and of the last report of the run

    def __call__(self, now: Progress) -> None:
        """Show where the run stands."""
        if now.source != self.source:
            self.source, self.begun = now.source, self.seconds
        self.seconds = now.seconds
        every = TERMINAL_EVERY if self.style == "terminal" else PLAIN_EVERY
        finished = now.total is not None and now.done >= now.total
        if time.monotonic() - self.last < every and not finished:
            return
        self.last = time.monotonic()
        if self.style == "json":
            self._print(
                json.dumps(
                    {
                        "source": now.source,
                        "done": now.done,
                        "total": now.total,
                        "people": now.people,
                        "seconds": round(now.seconds, 3),
                    }
                )
            )
        elif self.style == "plain":
            self._print(_line(now, now.seconds - self.begun))
        else:
            text = _line(now, now.seconds - self.begun)
            self._print("\r" + text.ljust(self.width), end="")
            self.width = len(text)

    def close(self) -> None:
        """End the line of a terminal."""
        if self.style == "terminal" and self.width:
            self._print("")

    def _print(self, text: str, end: str = "\n") -> None:
        try:
            print(text, end=end, file=self.stream, flush=True)
        except OSError:  # the terminal or the reader is gone, which is no reason to end a run
            pass


def create_bar(choice: str, stream: TextIO | None = None) -> Bar | None:
    """Return the bar for --progress auto, json or none."""
    stream = stream or sys.stderr
    if choice == "none":
        return None
    if choice == "json":
        return Bar("json", stream)
    return Bar("terminal" if stream.isatty() else "plain", stream)


def _line(now: Progress, seconds: float) -> str:
    """Return the line; seconds: spent on this source so far."""
    rate = now.done / seconds if seconds > 0 else 0.0
    name = now.source if len(now.source) <= 40 else "..." + now.source[-37:]
    people = counted(now.people, "person", "people")
    if now.total:
        filled = min(20, 20 * now.done // now.total)
        left = max(now.total - now.done, 0) / rate if rate else 0.0
        gauge = f"[{'#' * filled}{'.' * (20 - filled)}] {now.done}/{now.total}"
        return f"{name} {gauge}  {rate:.1f} frames/s  {people}  {left:.0f} s left"
    return f"{name} {counted(now.done, 'frame')}  {rate:.1f} frames/s  {people}"


class Counter:
    """Prints at most about a hundred lines of progress, each with the image that is written."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._done = 0

    def __call__(self, line: str) -> None:
        self._done += 1
        if self._done == self._total or self._done % max(1, self._total // 100) == 0:
            print(f"{self._done}/{self._total} {line}", file=sys.stderr)
