"""Stopping on a signal: finish the current step, save, and exit with the code of the signal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Interrupted", "Stop", "listening"]

_HEARD = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # the last two are not on Windows


class Interrupted(Exception):
    """A part of the work that was given up because a signal asked to stop."""


class Stop:
    """The signal that asked first, 0 for none."""

    number = 0
    pressed = False  # Ctrl-C, once

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + self.number if self.number else 0

    def interrupt(self, progress: object) -> None:
        """Raise Interrupted where a signal has asked; to be called between steps of the work."""
        if self.number:
            raise Interrupted


@contextmanager
def listening() -> Iterator[Stop]:
    """Note Ctrl-C, SIGTERM, SIGHUP and SIGUSR1 (what Slurm sends before the time is up).

    A second Ctrl-C interrupts at once.  Outside of the main thread no signal can be heard.
    """
    stop = Stop()

    def hear(number: int, frame: Any) -> None:
        if number == signal.SIGINT:
            if stop.pressed:
                raise KeyboardInterrupt
            stop.pressed = True
        stop.number = stop.number or number

    with _handled(hear):
        yield stop


@contextmanager
def _handled(hear: Callable[[int, Any], None]) -> Iterator[None]:
    """Handle signals with `hear`; SIGHUP stays ignored where it is, as under nohup."""
    before: dict[int, Any] = {}
    try:
        for name in _HEARD:
            number = getattr(signal, name, None)
            if number is None or (name == "SIGHUP" and signal.getsignal(number) is signal.SIG_IGN):
                continue
            before[number] = signal.signal(number, hear)
    except ValueError:  # not the main thread
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
