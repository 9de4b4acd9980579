"""The files of downloads: those of one network, and those that no network needs."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from posewright.errors import OutputError
from posewright.files.lock import FolderLock, Held
from posewright.weights.folders import cache_folder
from posewright.weights.published import published
from posewright.weights.receipt import receipt_path
from posewright.weights.registry import Entry, entries

__all__ = ["delete", "files_of", "leftovers"]

_RECEIPT = receipt_path(Path("a")).name[1:]
_INCOMPLETE = (".part", ".part.json", ".member")


def files_of(entry: Entry) -> list[Path]:
    """Return the files of a network that are there: its own, its receipt, what is incomplete."""
    mains = [entry.path]
    if entry.origin == "checkpoint":
        mains.append(published()[entry.name].path)
    ends = [f"{zipped}{end}" for zipped in ("", ".zip") for end in _INCOMPLETE]
    known = [m.with_name(m.name + end) for m in mains for end in ["", *ends]]
    return [file for file in [*known, *map(receipt_path, mains)] if file.is_file()]


def leftovers() -> list[Path]:
    """Return incomplete downloads that no process works on, and networks not known any more.

    Those have a receipt; a file without one was put there by somebody and stays.
    """
    networks = cache_folder() / "networks"
    known = {
        file for entry in entries().values() for file in (entry.path, receipt_path(entry.path))
    }
    found = []
    for folder in (networks, cache_folder() / "published"):
        for file in sorted(folder.iterdir()) if folder.is_dir() else ():
            incomplete = file.name.endswith(_INCOMPLETE)
            main = file.with_name(file.name.removesuffix(_RECEIPT))
            unknown = folder == networks and file not in known and receipt_path(main).is_file()
            if file.is_file() and (unknown or incomplete) and not _is_in_use(file):
                found.append(file)
    return found


def delete(files: Iterable[Path]) -> int:
    """Delete files; return how many bytes they had.  OutputError: one cannot be deleted."""
    total = 0
    for file in files:
        try:
            size = file.stat().st_size
            file.unlink()
        except OSError as error:
            why = error.strerror or error
            raise OutputError(
                f"{file}: cannot be deleted ({why}); check the permissions"
            ) from error
        total += size
    return total


def _is_in_use(file: Path) -> bool:
    """Tell whether a process is downloading what a file is a part of."""
    name = file.name
    for end in (*_INCOMPLETE, ".zip"):
        name = name.removesuffix(end)
    try:
        FolderLock(file.with_name(f".{name}.downloading")).release()
    except FileNotFoundError:
        return False
    except Held:
        return True
    return False
