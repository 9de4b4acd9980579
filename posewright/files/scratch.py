"""Temporary folders for files in progress; the next process removes those of a killed one.

The writer of NAME holds the lock of the folder .NAME.writing-1a2b3c4d beside it, so that the folder
of a living process is never taken for that of a dead one.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from posewright.files.lock import FolderLock, Held

__all__ = ["move", "remove_abandoned", "replacing", "scratch"]

_FOLDER = re.compile(r"\.(.+)\.writing-[0-9a-f]{8}", re.DOTALL)


@contextmanager
def scratch(final: Path) -> Iterator[Path]:
    """Yield a new folder beside `final`, on the same disk; it is removed with all its content.

    Leftovers of killed writers of `final` are removed first.  OSError: it cannot be created.
    """
    remove_abandoned(final.parent, final.name)
    folder, lock = _make(final)
    try:
        yield folder
    finally:
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def replacing(final: Path) -> Iterator[Path]:
    """Yield the path of an empty file that becomes `final` once it is written and on the disk.

    If the block raises, `final` stays unchanged.  OSError: the file cannot be written.
    """
    with scratch(final) as folder:
        part = folder / final.name
        part.touch()
        mode = part.stat().st_mode
        yield part
        part.chmod(mode)  # safetensors replaces the file by one that only its owner can read
        move(part, final)


def move(part: Path, final: Path) -> None:
    """Flush a file to the disk, then rename it; an incomplete file never has the final name."""
    with part.open("r+b") as file:
        os.fsync(file.fileno())  # a rename must not overtake the bytes when power fails
    os.replace(part, final)


def remove_abandoned(folder: Path, name: str | None = None) -> None:
    """Remove the leftovers of killed writers of `name`, or of any file, from a folder.

    What cannot be removed, or belongs to a living process, stays.
    """
    with suppress(OSError):
        for path in list(folder.iterdir()):
            match = _FOLDER.fullmatch(path.name)
            if match and name in (None, match[1]) and path.is_dir() and not path.is_symlink():
                # its writer is dead where the lock is free; some network disks know no locks
                with suppress(OSError, Held):
                    lock = FolderLock(path)
                    try:
                        FolderLock(path).release()
                    except Held:  # by the lock above, so locks count here
                        shutil.rmtree(path, ignore_errors=True)
                    finally:
                        lock.release()


def _make(final: Path) -> tuple[Path, FolderLock]:
    while True:
        folder = final.with_name(f".{final.name}.writing-{secrets.token_hex(4)}")
        folder.mkdir()
        try:
            return folder, FolderLock(folder)
        except (FileNotFoundError, Held):  # another process took it for abandoned before the lock
            continue
