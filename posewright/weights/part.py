"""A partial download: the version of the file that it belongs to, and who may write it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from posewright.files.fields import parsed
from posewright.files.lock import FolderLock, Held

__all__ = ["Part", "alone"]


@dataclass(frozen=True)
class Part:
    """The beginning of a file; beside it is the server's version of the file (ETag or date)."""

    path: Path

    @property
    def size(self) -> int:
        """Number of bytes received."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def drop(self) -> None:
        """Remove the partial download."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def validator(self, shown: str) -> tuple[str, ...]:
        """Return the name and value of the version header received from that address, or ()."""
        try:
            told = parsed(self._note.read_bytes()[:10_000])
            name, value = (told[key] for key in ("name", "value"))
        except (OSError, ValueError, KeyError):
            return ()
        good = told.get("url") == shown and isinstance(name, str) and isinstance(value, str)
        return (name, value) if good and value.isascii() and value.isprintable() else ()

    def remember(self, shown: str, validator: tuple[str, ...]) -> None:
        """Save the name and value of that header; () removes what was saved."""
        if not validator:
            self._note.unlink(missing_ok=True)
            return
        name, value = validator
        told = {"url": shown, "name": name, "value": value}
        self._note.write_text(json.dumps(told), encoding="utf-8")


@contextmanager
def alone(path: Path) -> Iterator[None]:
    """Hold the lock of the download of `path`; wait while another process that lives has it."""
    folder = path.with_name(f".{path.name}.downloading")
    while True:
        try:
            folder.mkdir(exist_ok=True)
            lock = FolderLock(folder)
            break
        except (FileNotFoundError, FileExistsError):
            # whoever had it has removed the folder meanwhile; mkdir looks twice at what is there
            if folder.exists() and not folder.is_dir():
                raise
        except Held:
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # somebody waits in it
            folder.rmdir()
