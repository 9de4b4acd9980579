"""What the process of a job may open: its own folder, the library, and what Python needs.

Labels name images by paths.  A set that names those of another job, or of the machine, reads none
of them: Python asks the fence before it opens a file, and no connection leaves the process.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Sequence

__all__ = ["build"]

_SYSTEM = ("/proc", "/sys", "/dev", "/usr/share", "/usr/lib", "/lib", "/etc/ld.so.cache")
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_MOVING = {"os.remove", "os.rename", "os.link", "os.symlink", "os.truncate", "shutil.rmtree"}
_CONNECTING = {"socket.connect", "socket.getaddrinfo", "socket.sendto", "socket.gethostbyname"}


def build(readable: Sequence[str], writable: Sequence[str]) -> None:
    """Build the fence round this process, for good: an audit hook cannot be removed."""
    python = [sys.prefix, sys.base_prefix, *filter(None, sys.path), *sysconfig.get_paths().values()]
    written = _roots([*writable, os.devnull])
    read = _roots([*python, *_SYSTEM, *readable, *writable])

    def heard(event: str, args: tuple[object, ...]) -> None:
        if event == "open":
            path, mode, flags = args
            if isinstance(path, (str, bytes)):
                _check(os.fsdecode(path), mode, flags, read, written)
        elif event in _MOVING:
            for path in args[:2]:
                if isinstance(path, (str, bytes)):
                    _check(os.fsdecode(path), "w", 0, read, written)
        elif event in _CONNECTING:
            raise PermissionError("a job may not use the network")

    sys.addaudithook(heard)


def _roots(paths: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted({os.path.realpath(path) for path in paths}))


def _check(
    path: str, mode: object, flags: object, read: tuple[str, ...], written: tuple[str, ...]
) -> None:
    """Raise what the system raises where a file may not be opened."""
    changes = isinstance(flags, int) and flags & _WRITING
    changes = changes or (isinstance(mode, str) and any(sign in mode for sign in "wax+"))
    real = os.path.realpath(path)
    roots = written if changes else read
    if not any(real == root or real.startswith(root + os.sep) for root in roots):
        raise PermissionError(13, "outside of what this job may open", path)
