"""Input files: regular files only, as a device or a pipe may never end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

__all__ = ["contents", "open_regular"]

_MOST = 4 << 30  # bytes; the largest published files of labels have a quarter of it


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Open a regular file for reading; anything else is an OSError with a reason, without waiting.

    ValueError: the name is invalid for a file.
    """
    kind = os.stat(path).st_mode
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):  # open() says what a folder is
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file", os.fspath(path))
    return open(path, "rb")


def contents(path: str | os.PathLike[str], most: int = _MOST) -> bytes:
    """Return what a file contains; errors as of `open_regular`, and one above `most` bytes."""
    with open_regular(Path(path)) as file:
        if os.fstat(file.fileno()).st_size > most:
            raise OSError(errno.EFBIG, f"it has more than {most} bytes", os.fspath(path))
        return file.read()
