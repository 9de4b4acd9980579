"""What libraries of C write to stderr while they decode, kept from the user of a command.

libjpeg and libpng print there what they find in an image, beside the one line of posewright, and
have no setting against it.  File number 2 can be turned away only for the whole process.  So it is
done for commands alone, which own theirs: their own messages go through a copy of it, whatever
thread writes them, and number 2 is turned away only while an image is decoded.  What another
library says at that moment is lost.  In a program of somebody else nothing is turned away.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

__all__ = ["copies", "own_stderr", "quiet"]

_NUMBER = 2


class _Stderr:
    """owned: a command runs.  copy: where its messages go.  kept: number 2 while turned away."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.owned = False
        self.depth = 0
        self.copy: int | None = None
        self.kept: int | None = None

    def enter(self) -> None:
        with self.lock:
            if self.depth == 0:
                with suppress(OSError):  # as where it is closed
                    self.kept = os.dup(_NUMBER)
                    null = os.open(os.devnull, os.O_WRONLY)
                    os.dup2(null, _NUMBER)
                    os.close(null)
            self.depth += 1

    def leave(self) -> None:
        with self.lock:
            self.depth -= 1
            if self.depth == 0 and self.kept is not None:
                os.dup2(self.kept, _NUMBER)
                os.close(self.kept)
                self.kept = None


_STDERR = _Stderr()


@contextmanager
def own_stderr() -> Iterator[None]:
    """For a command: let Python write to a copy of stderr, so that `quiet` may turn it away."""
    # a command within a command, or one without: number 2 may be any file then
    if _STDERR.owned or sys.stderr is None:
        yield
        return
    before, copy = sys.stderr, _copy(sys.stderr)
    if copy is not None:
        _STDERR.copy = copy.fileno()
        sys.stderr = copy
    _STDERR.owned = True
    try:
        yield
    finally:
        _STDERR.owned, _STDERR.copy = False, None
        if copy is not None:
            sys.stderr = before
            if copy.closed and before is not None:  # on purpose, so that nothing follows
                before.close()
            with suppress(OSError, ValueError):  # nobody listens, or it is closed
                copy.close()


def _copy(stream: TextIO | None) -> TextIO | None:
    """Return a stream to a copy of file number 2; None for one that goes elsewhere."""
    try:
        if stream is None or stream.fileno() != _NUMBER:
            return None
        stream.flush()
        number = os.dup(_NUMBER)
    except (AttributeError, OSError, ValueError):  # of a program's own, or closed
        return None
    return open(number, "w", 1, stream.encoding, stream.errors)


@contextmanager
def quiet() -> Iterator[None]:
    """Turn away what libraries write to stderr inside of the block, where a command runs."""
    if not _STDERR.owned:
        yield
        return
    _STDERR.enter()
    try:
        yield
    finally:
        _STDERR.leave()


def copies() -> list[int]:
    """Return the numbers of all files that are stderr; the first is never turned away."""
    if _STDERR.copy is None:
        return [_NUMBER]
    return [_STDERR.copy, _NUMBER, *([] if _STDERR.kept is None else [_STDERR.kept])]
