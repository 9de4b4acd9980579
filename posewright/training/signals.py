"""Asked to stop: finish the step in hand, save, and end with the code that says who asked."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Stop", "listening"]


class Stop:
    """The signal that asked, 0 for none."""

    number = 0

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number if self.number else 0


@contextmanager
def listening() -> Iterator[Stop]:
    """Note Ctrl-C, SIGTERM and SIGUSR1 (what Slurm sends before the time is up).

    A second Ctrl-C interrupts at once.  Outside of the main thread no signal can be heard.
    """
    stop = Stop()

    def hear(number: int, frame: Any) -> None:
        if number == signal.SIGINT and stop.number == signal.SIGINT:
            raise KeyboardInterrupt
        stop.number = number

    names = ("SIGINT", "SIGTERM", "SIGUSR1")  # SIGUSR1 is not on Windows
    before: dict[int, Any] = {}
    try:
        for name in names:
            if hasattr(signal, name):
                number = getattr(signal, name)
                before[number] = signal.signal(number, hear)
    except ValueError:  # not the main thread
        pass
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
