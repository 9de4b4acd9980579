"""The signals that ask a run to stop, and what the console cannot say: one place for every verb.

SIGINT (Ctrl-C), SIGTERM (a service manager, a batch system), SIGHUP (the terminal was closed) and
SIGUSR1 (Slurm, before the time is up) end a verb with 128 and the number of the signal.
"""

from __future__ import annotations

import io
import os
import re
import signal
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

__all__ = ["Stop", "Stopped", "asked_to_stop", "noting", "raising", "speaking_anywhere"]

NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")  # the last two are not on Windows
# C0, DEL and C1, and what turns the direction of writing round
_CONTROL = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
_TERMINALS = [number for number in (1, 2) if os.isatty(number)]


class Stopped(KeyboardInterrupt):
    """A signal ends the verb at once; like Ctrl-C it passes everything but clean-up."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Stop:
    """The first signal that asked, 0 for none; called, it tells the number."""

    number = 0

    def __call__(self) -> int:
        return self.number


def asked_to_stop(error: KeyboardInterrupt) -> int:
    """Say that a signal ended the verb; return the exit code."""
    number = error.number if isinstance(error, Stopped) else int(signal.SIGINT)
    with suppress(OSError):  # nobody listens any more
        print(f"posewright: stopped by {signal.Signals(number).name}", file=sys.stderr, flush=True)
    return 128 + number


@contextmanager
def raising() -> Iterator[None]:
    """Let the signals raise Stopped, so that each verb cleans up and says what ended it."""

    def hear(number: int, frame: Any) -> None:
        _leave_dead_terminal()
        raise Stopped(number)

    with _heard(hear):
        yield


@contextmanager
def noting() -> Iterator[Stop]:
    """Note the signals, for a run that asks after every frame; a second Ctrl-C raises Stopped.

    The others may come twice by themselves: a shell repeats SIGHUP, systemd sends it after SIGTERM.
    """
    from posewright.files.stderr import copies

    stop = Stop()

    def hear(number: int, frame: Any) -> None:
        _leave_dead_terminal()
        if stop.number and number == signal.SIGINT:
            raise Stopped(number)
        if not stop.number:
            stop.number = number
            again = "; press Ctrl-C again to stop at once" if number == signal.SIGINT else ""
            # not print: the handler may have interrupted one
            with suppress(OSError):
                os.write(
                    copies()[0], f"\nfinishing the frame in work and its files{again}\n".encode()
                )

    with _heard(hear, always=("SIGINT",)):  # also in the background, where shells ignore it
        yield stop


@contextmanager
def _heard(hear: Callable[[int, Any], None], always: Sequence[str] = ()) -> Iterator[None]:
    """Install a handler where the signal is not ignored, as nohup has it, or in `always`.

    Outside of the main thread no signal can be heard.
    """
    before: dict[int, Any] = {}
    try:
        for name in NAMES:
            number = getattr(signal, name, None)
            ignored = number is not None and signal.getsignal(number) == signal.SIG_IGN
            if number is not None and (name in always or not ignored):
                before[number] = signal.signal(number, hear)
    except ValueError:
        pass
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _leave_dead_terminal() -> None:
    """Send what would be printed on a terminal that is gone nowhere; a write to it fails."""
    from posewright.files.stderr import copies

    for number in _TERMINALS:
        alike = copies() if number == 2 else [number]
        if not os.isatty(alike[0]):
            null = os.open(os.devnull, os.O_WRONLY)
            for one in alike:
                os.dup2(null, one)
            os.close(null)


class _Escaping:
    r"""A stream that writes control characters with \ escapes, but for \n, \r and \t.

    Names and classes come from files of anybody: on a terminal their characters could move the
    cursor, rewrite lines, set the title or answer in place of the user.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write the text; return how much of it was written, which is all."""
        self._stream.write(_CONTROL.sub(lambda found: ascii(found[0])[1:-1], text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write each of the lines."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def speaking_anywhere() -> Iterator[None]:
    r"""Print with \ escapes what the console lacks, and what would command it."""
    from posewright.files.stderr import own_stderr

    with own_stderr(), open(os.devnull, "w", encoding="utf-8") as nowhere:
        before = sys.stdout, sys.stderr
        for stream in before:
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        # where stderr is closed, print() would take stdout for it
        escaping: Any = tuple(_Escaping(nowhere if one is None else one) for one in before)
        sys.stdout, sys.stderr = escaping
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
