"""Files that get their final name only once they are complete, and errors that say what to do."""

from __future__ import annotations

import errno
import os
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from posewright.errors import OutputError

__all__ = ["PartFile", "PartFolder", "explain", "reserve", "spare_source"]

_REMEDIES = {
    errno.ENOSPC: "the disk is full; free some space or choose another folder with -o",
    errno.EDQUOT: "the disk quota is used up; free some space or choose another folder with -o",
    errno.EFBIG: "the file grew larger than this file system or limit allows; choose another "
    "folder with -o",
    errno.EROFS: "the folder is read-only; choose another with -o",
    errno.EACCES: "the folder may not be written to; choose another with -o",
    errno.EPERM: "the folder may not be written to; choose another with -o",
    errno.ENOTDIR: "a part of this path is a file, not a folder; choose another with -o",
    errno.EEXIST: "a file of that name is in the way; choose another folder with -o",
    errno.ENAMETOOLONG: "the path is too long; choose a shorter folder with -o",
}


def explain(path: Path, error: OSError) -> OutputError:
    """Return the one-line OutputError for a failed write of `path`."""
    why = _REMEDIES.get(error.errno or 0)
    return OutputError(
        f"cannot write {path}: {why or f'{error.strerror or error}; try another -o'}"
    )


def reserve(path: Path, overwrite: bool) -> None:
    """Make the folder of `path` and refuse, with an OutputError, to replace what is there already.

    Folders count as there when they hold something.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        there = any(path.iterdir()) if path.is_dir() else path.exists()
    except OSError as error:
        raise explain(path, error) from error
    if there and not overwrite:
        raise OutputError(
            f"{path} exists already; replace it with --overwrite or choose another folder with -o"
        )


def spare_source(path: Path, source: str) -> None:
    """Refuse, with an OutputError, to replace the very file that a frame comes from."""
    try:
        same = os.path.samefile(path, source)
    except (OSError, ValueError):  # one of the two is not there, or no name of a file
        return
    if same:
        raise OutputError(f"{path} would replace its own source; choose another folder with -o")


class _Part:
    """What has a temporary name in its final folder and is given up on the first OSError."""

    def __init__(self, final: Path, overwrite: bool) -> None:
        reserve(final, overwrite)
        self.final = final
        # The suffix stays last: encoders choose the container by it.
        self.path = final.with_name(f"{final.stem}.part-{secrets.token_hex(4)}{final.suffix}")
        self._error: OutputError | None = None

    @contextmanager
    def guard(self, give_up: Callable[[], None]) -> Iterator[None]:
        """Turn an OSError into an OutputError after `give_up`; every later use raises it again."""
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


class PartFile(_Part):
    """A file that is written under a temporary name beside `final` and renamed by `finish`.

    OutputError where the disk is full, the folder read-only, or `final` exists and is not to be
    overwritten; the temporary file is removed then.
    """

    def __init__(self, final: Path, overwrite: bool) -> None:
        super().__init__(final, overwrite)
        with self.guard(self.abort):
            self.path.touch(exist_ok=False)
        self._file: IO[bytes] | None = None

    def write(self, data: bytes) -> None:
        """Append."""
        with self.guard(self.abort):
            if self._file is None:
                self._file = self.path.open("ab")
            self._file.write(data)

    def finish(self) -> Path:
        """Give the complete file its final name."""
        with self.guard(self.abort):
            self._close()
            os.replace(self.path, self.final)
        return self.final

    def abort(self) -> None:
        """Remove the temporary file."""
        try:
            self._close()
        except OSError:  # what could not be flushed is thrown away here anyway
            pass
        finally:
            self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            file, self._file = self._file, None
            with file:
                file.flush()
                os.fsync(file.fileno())


class PartFolder(_Part):
    """A folder whose files appear in `final` together, when `finish` is called.

    stale: a pattern of files of an earlier run that go when `final` is overwritten; all other
    files that are there stay.  OutputError as for PartFile.
    """

    def __init__(self, final: Path, overwrite: bool, stale: str = "") -> None:
        super().__init__(final, overwrite)
        self._stale = stale
        with self.guard(self.abort):
            self.path.mkdir()

    def add(self, name: str, data: bytes) -> None:
        """Write one file."""
        with self.guard(self.abort):
            (self.path / name).write_bytes(data)

    def finish(self) -> Path:
        """Move the files into the final folder."""
        with self.guard(self.abort):
            if not self.final.exists():
                os.replace(self.path, self.final)
            else:
                self._merge()
        return self.final

    def _merge(self) -> None:
        for old in self.final.glob(self._stale) if self._stale else ():
            old.unlink()
        with os.scandir(self.path) as files:
            for file in files:
                os.replace(file.path, self.final / file.name)
        self.path.rmdir()

    def abort(self) -> None:
        """Remove the temporary folder."""
        shutil.rmtree(self.path, ignore_errors=True)
