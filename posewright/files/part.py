"""Files that get their final name only when they are complete, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePath
from typing import IO

from posewright.errors import OutputError, UsageError
from posewright.files.leftovers import part_name, part_place

__all__ = [
    "PartFile",
    "PartFolder",
    "PlaceError",
    "check_local",
    "explain",
    "reserve",
    "spare_source",
]

SYNC_EVERY = 5.0  # seconds between two writes that wait for the disk

# The output is -o DIR of one verb, -o FILE or TO of another, and an argument in Python.
_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space or choose another output path",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another output path",
    errno.EFBIG: "the file grew larger than this file system or limit allows; choose another "
    "output path",
    errno.EROFS: "the folder is read-only; choose another output path",
    errno.EACCES: "writing to the folder is not permitted; choose another output path",
    errno.EPERM: "writing to the folder is not permitted; choose another output path",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another output path",
    errno.EEXIST: "a file of that name exists; choose another output path",
    errno.ENAMETOOLONG: "the path is too long; choose a shorter output path",
}
_TAKEN = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR, errno.EISDIR)


class PlaceError(OutputError):
    """A result that cannot be written under its name; other results still can."""


def explain(path: Path, error: OSError) -> OutputError:
    """Return the one-line OutputError for a failed write of `path`."""
    why = _REMEDIES.get(error.errno or 0)
    return OutputError(
        f"cannot write {path}: {why or f'{error.strerror or error}; choose another output path'}"
    )


def check_local(path: str | PurePath) -> None:
    """Raise a UsageError for an output that is a network address: it would be a folder "https:".

    Python's Path makes one slash of two.  A folder of such a name that is there is one.
    """
    scheme = re.match(r"[A-Za-z][A-Za-z0-9+.-]+:(?=/)", str(path))
    if scheme is not None and not os.path.lexists(scheme[0]):
        raise UsageError(
            f"{path} is a network address, and results are written to the disk; give a path"
        )


def reserve(path: Path, overwrite: bool, folder: bool = False) -> None:
    """Create the folder of `path`; a PlaceError refuses to replace what already exists.

    An existing folder counts only if it is not empty.  A folder is never replaced by a file, nor
    anything else by a folder.  UsageError: the path is a network address.
    """
    check_local(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        there = os.path.lexists(path)
        fits = path.is_dir() if folder else path.is_file() or not path.exists()
        there = any(path.iterdir()) if folder and there and fits else there
    except OSError as error:
        raise explain(path, error) from error
    if there and not fits:
        raise PlaceError(
            f"{path} is {'not a folder' if folder else 'not a file'}, and this run would create "
            f"one there; move it away or choose another output path"
        )
    if there and not overwrite:
        raise PlaceError(
            f"{path} already exists; replace it with --overwrite or choose another output path"
        )


def spare_source(path: Path, source: str | PurePath) -> None:
    """Refuse, with an OutputError, to write over the source of a frame: its file, or its folder."""
    try:
        same = os.path.samefile(path, source)
    except (OSError, ValueError):  # one of the two is not there, or no name of a file
        return
    if same:
        raise OutputError(f"{path} would replace its own source; choose another output path")


class _Part:
    """What has a temporary name on the disk of its final one; given up on the first OSError."""

    def __init__(self, final: Path, place: Path, overwrite: bool) -> None:
        self.final = final
        self.path = place / part_name(final.name)
        self._overwrite = overwrite
        self._kept = False
        self._error: OutputError | None = None

    @contextmanager
    def guard(self, give_up: Callable[[], None]) -> Iterator[None]:
        """Convert an OSError to an OutputError after `give_up`; every later use raises it again."""
        if self._error is not None:
            raise self._error
        try:
            yield
        except OutputError:  # of a guard inside this one
            give_up()
            raise
        except OSError as error:
            self._error = explain(self.final, error)
            give_up()
            raise self._error from error

    @contextmanager
    def keeping(self) -> Iterator[None]:
        """Keep the complete result under its temporary name where it cannot get its final one."""
        try:
            yield
        except OSError as error:
            why = str(explain(self.final, error))
            if error.errno in _TAKEN:
                why = f"{self.final} appeared while this run was writing and is not replaced"
            self._kept = True
            self._error = PlaceError(f"{why}; the rest of the result is kept in {self.path}")
            raise self._error from error


class PartFile(_Part):
    """A file that is written under a temporary name beside `final` and renamed by `finish`.

    Other processes can read what was written at once, and it survives a killed process.
    OutputError where the disk is full, the folder read-only, or `final` exists and is not to be
    overwritten; the temporary file is removed then, or kept and named where it is complete.
    """

    def __init__(self, final: Path, overwrite: bool) -> None:
        reserve(final, overwrite)
        super().__init__(final, final.parent, overwrite)
        self._file: IO[bytes] | None = None
        with self.guard(self.abort):
            self.path.touch(exist_ok=False)
        self._synced = time.monotonic()

    def write(self, data: bytes) -> None:
        """Append; the operating system has the data at once, the disk some seconds later."""
        with self.guard(self.abort):
            if self._file is None:
                self._file = self.path.open("ab")
            self._file.write(data)
            self._file.flush()
            if time.monotonic() - self._synced >= SYNC_EVERY:
                os.fsync(self._file.fileno())
                self._synced = time.monotonic()

    def finish(self) -> Path:
        """Give the complete file its final name."""
        with self.guard(self.abort):
            self._close()
            with self.keeping():
                _rename(self.path, self.final, self._overwrite)
        return self.final

    def abort(self) -> None:
        """Remove the temporary file; it stays where the folder does not permit removal."""
        with suppress(OSError):  # what could not be flushed is thrown away here anyway
            self._close()
        if not self._kept:
            with suppress(OSError):
                self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                file.flush()
                os.fsync(file.fileno())


class PartFolder(_Part):
    """A folder whose files appear in `final` together, when `finish` is called.

    stale: tells which existing files an earlier run wrote; those are removed when `final` is
    overwritten, and all others stay.  OutputError as for PartFile.
    """

    def __init__(
        self, final: Path, overwrite: bool, stale: Callable[[Path], bool] = lambda _: False
    ) -> None:
        reserve(final, overwrite, folder=True)
        super().__init__(final, part_place(final), overwrite)
        self._stale = stale
        with self.guard(self.abort):
            self.path.mkdir()

    def add(self, name: str, data: bytes) -> None:
        """Write one file; where the name is taken, under the next free one: "name_2.jpg"."""
        with self.guard(self.abort):
            path, number = self.path / name, 1
            while path.exists():  # frame 12 of walk.mp4, and an image walk_000012.jpg
                number += 1
                path = self.path / f"{Path(name).stem}_{number}{Path(name).suffix}"
            path.write_bytes(data)

    def finish(self) -> Path:
        """Move the files into the final folder."""
        with self.guard(self.abort), self.keeping():
            if self._overwrite and self.final.exists():
                self._merge()
            elif self.path.parent != self.final.parent:  # a link's folder or another disk's
                if [path for path in self.final.iterdir() if path.name != self.path.name]:
                    raise OSError(errno.ENOTEMPTY, "the folder holds files")
                self._merge()
            else:
                with suppress(OSError):  # an empty one is in the way on Windows only
                    self.final.rmdir()
                os.rename(self.path, self.final)
        return self.final

    def _merge(self) -> None:
        for old in [path for path in self.final.iterdir() if self._stale(path)]:
            old.unlink()
        with os.scandir(self.path) as files:
            for file in files:
                os.replace(file.path, self.final / file.name)
        self.path.rmdir()

    def abort(self) -> None:
        """Remove the temporary folder."""
        if not self._kept:
            shutil.rmtree(self.path, ignore_errors=True)


def _rename(part: Path, final: Path, overwrite: bool) -> None:
    """Give a file its name; FileExistsError rather than replacing another, unless `overwrite`."""
    if overwrite:
        os.replace(part, final)
        return
    if os.name == "nt":
        os.rename(part, final)  # which replaces nothing there
        return
    try:
        os.link(part, final)
    except FileExistsError:
        raise
    except OSError as error:  # a file system without hard links
        if os.path.lexists(final):
            raise FileExistsError(errno.EEXIST, "a file of that name exists") from error
        os.rename(part, final)
    else:
        with suppress(OSError):  # the result has its name
            part.unlink()
