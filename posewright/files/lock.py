"""A lock that one process holds on a folder; it is released however the process ends.

The kernel holds the lock, not the file: a file that a killed process left locks nothing.
"""

from __future__ import annotations

import errno
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

from posewright.files.address import masked

__all__ = ["LOCK", "FolderLock", "Held"]

LOCK = ".posewright.lock"
_NEVER = (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)  # some network disks


class Held(Exception):
    """Another run holds the lock; the text says which."""


class FolderLock:
    """The lock of a folder that exists; `release` unlocks it and removes the file.

    Held where another run, of this or of another process, has it.  OSError where the file cannot be
    made.  certain: False on a file system without locks, where nothing is locked.
    """

    def __init__(self, folder: Path) -> None:
        self.certain = True
        self._path = folder / LOCK
        self._file = self._locked()
        try:
            with suppress(OSError):  # a full disk: what stands in the file is a courtesy
                os.ftruncate(self._file, 0)
                os.write(self._file, _holder().encode("utf-8", "backslashreplace"))
        except BaseException:
            self.release()
            raise

    def release(self) -> None:
        """Release the lock; may be called again.

        A file that cannot be removed stays and locks nothing.
        """
        if self._file < 0:
            return
        if os.name != "nt":  # while it is held: a lock that the next run took would go with it
            self._remove()
        file, self._file = self._file, -1
        with suppress(OSError):  # closed even so
            os.close(file)
        if os.name == "nt":
            self._remove()

    def _remove(self) -> None:
        with suppress(OSError):  # a folder that is read-only now, or the next run has it open
            self._path.unlink(missing_ok=True)

    def _locked(self) -> int:
        """Return the open file; the one that is there under the name once it is locked."""
        while True:
            file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
            try:
                self.certain = _lock(file)
                if _is_at(file, self._path):
                    return file
            except BlockingIOError:
                who = os.pread(file, 4096, 0) if hasattr(os, "pread") else b""
                os.close(file)
                raise Held(who.decode("utf-8", "replace").strip() or "another run") from None
            except BaseException:
                os.close(file)
                raise
            os.close(file)  # its holder removed it meanwhile


def _holder() -> str:
    """Return what identifies this process to a user: number, start, command."""
    command = masked(" ".join(sys.argv))[:1000]  # an address may hold a password
    return f"process {os.getpid()}, since {time.strftime('%Y-%m-%d %H:%M:%S')}: {command}\n"


def _is_at(file: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file), os.stat(path))
    except FileNotFoundError:
        return False


def _lock(file: int) -> bool:
    """Lock an open file without waiting -> whether that can be done here.

    BlockingIOError where somebody has it.
    """
    if sys.platform == "win32":
        import msvcrt

        os.lseek(file, 1 << 30, os.SEEK_SET)  # beyond the text, which stays readable
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            raise BlockingIOError(errno.EAGAIN, "locked") from error
        finally:
            os.lseek(file, 0, os.SEEK_SET)
        return True
    import fcntl

    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise
    except OSError as error:
        if error.errno not in _NEVER:
            raise
        return False
    return True
