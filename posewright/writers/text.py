"""Shared by the text formats: numbers as plain lists, and the writers of a file and of a folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from posewright.errors import OutputError
from posewright.files.part import PartFile, PartFolder
from posewright.results import Result

__all__ = ["Form", "Group", "Page", "PagesWriter", "TextWriter", "harmless", "starts_with"]


def harmless(cell: str) -> str:
    """Return a text cell of a CSV file that no spreadsheet interprets as a formula.

    An apostrophe stands before one that begins with = + - @ or a tab, as OWASP advises (CSV
    Injection); spreadsheets do not show it.
    """
    return f"'{cell}" if cell.startswith(("=", "+", "-", "@", "\t")) else cell


def starts_with(path: Path, name: str, start: bytes) -> bool:
    """Tell whether a file's name matches a pattern and its content begins so."""
    if not path.match(name) or not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(start)) == start


class Form(Protocol):
    """The text of one file: something before, something for each result, something after."""

    notes: list[str]

    def begin(self) -> str:
        """Return what comes first."""

    def add(self, result: Result) -> str:
        """Return what one result adds."""

    def end(self) -> str:
        """Return what comes last."""


class TextWriter:
    """Writes a form into one file as results arrive; nothing is kept in memory."""

    def __init__(self, path: Path, form: Form, overwrite: bool) -> None:
        self.notes = form.notes
        self.faults: list[tuple[str, str]] = getattr(form, "faults", [])
        self._form = form
        self._part = PartFile(path, overwrite)
        self._put(form.begin())

    def write(self, result: Result) -> None:
        self._put(self._form.add(result))

    def close(self) -> list[Path]:
        self._put(self._form.end())
        return [self._part.finish()]

    def abort(self) -> None:
        self._part.abort()

    def _put(self, text: str) -> None:
        # File names need not be valid UTF-8; their bytes pass through as they are.
        self._part.write(text.encode("utf-8", "surrogateescape"))


class Page(Protocol):
    """The file of one result."""

    notes: list[str]

    def page(self, result: Result) -> tuple[str, bytes] | None:
        """Return name and content, or None where the format has no place for the frame."""


class PagesWriter:
    """Writes one file for each result into a folder, which appears when it is complete.

    stale: tells a file of an earlier run, see PartFolder.
    """

    def __init__(
        self, folder: Path, page: Page, overwrite: bool, stale: Callable[[Path], bool]
    ) -> None:
        self.notes = page.notes
        self._page = page
        self._part = PartFolder(folder, overwrite, stale)

    def write(self, result: Result) -> None:
        try:
            page = self._page.page(result)
        except OutputError:
            self.abort()
            raise
        if page is not None:
            self._part.add(*page)

    def close(self) -> list[Path]:
        return [self._part.finish()]

    def abort(self) -> None:
        self._part.abort()


class Group:
    """Writers that belong together: where one fails, all are aborted; the first one has notes."""

    def __init__(self, writers: Sequence[TextWriter | PagesWriter]) -> None:
        self._writers = writers
        self.notes = writers[0].notes
        self.done: list[Path] = []

    def write(self, result: Result) -> None:
        try:
            for writer in self._writers:
                writer.write(result)
        except OSError:
            self.abort()
            raise

    def close(self) -> list[Path]:
        errors = []
        for writer in self._writers:
            try:
                self.done += writer.close()
            except OutputError as error:  # the others are complete
                errors.append(error)
        if errors:
            raise OutputError("; ".join(map(str, errors))) from errors[0]
        return self.done

    def abort(self) -> None:
        for writer in self._writers:
            writer.abort()
