"""What a run leaves: its files, and what became of them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from posewright.errors import OutputError, PosewrightError, UsageError
from posewright.people import Result
from posewright.writers import Writer, WriterOptions, create_writer

__all__ = ["Outputs", "Summary"]

MAX_LISTED = 100


@dataclass
class Summary:
    """What a run did.  bad: the first hundred inputs that could not be read, with the reason."""

    frames: int = 0
    people: int = 0
    ids: int = 0
    bad_frames: int = 0
    bad: list[tuple[str, str]] = field(default_factory=list)
    files: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False

    @property
    def exit_code(self) -> int:
        """0 ok, 3 finished with bad inputs, 4 an output failed, 130 interrupted."""
        if self.interrupted:
            return 130
        return 4 if self.errors else 3 if self.bad_frames or self.bad else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the form that `--json` prints."""
        return {**asdict(self), "exit_code": self.exit_code}

    def add_bad(self, name: str, message: str) -> None:
        """Note an input that could not be read."""
        self.bad_frames += 1
        if len(self.bad) < MAX_LISTED:
            self.bad.append((name, message))


class Outputs:
    """All writers of a run; one that fails is dropped, the others go on."""

    def __init__(self, writers: list[Writer], summary: Summary, out: Path) -> None:
        self.writers, self.summary = writers, summary
        self.used = False
        # the folder that goes where nothing is written
        self._new = None if os.path.exists(out) else out

    @classmethod
    def open(
        cls, save: Sequence[str], out: Path, options: WriterOptions | None, summary: Summary
    ) -> Outputs:
        """Make the writers; where one cannot be made, none leaves anything behind."""
        flavours = [name for name in save if name.startswith("alphapose")]
        if len(flavours) > 1:
            raise UsageError(f"{' and '.join(flavours)} are one file; save one of them at a time")
        made = cls([], summary, out)
        try:
            for name in save:
                made.writers.append(create_writer(name, out, options=options))
        except PosewrightError:
            made.abort()
            raise
        return made

    def write(self, result: Result) -> None:
        """Hand a frame to every writer; OutputError where none of them is left."""
        self.used = True
        for writer in list(self.writers):
            try:
                writer.write(result)
            except OutputError as error:
                self._drop(writer, error)

    def close(self) -> None:
        """Finish the files; a run that met no frame at all leaves none."""
        if not self.used:
            self.abort()
            return
        for writer in list(self.writers):
            try:
                self.summary.files += [str(path) for path in writer.close()]
                self.summary.notes += getattr(writer, "notes", [])
                for name, message in getattr(writer, "faults", []):  # inputs that it left out
                    self.summary.add_bad(name, message)
            except OutputError as error:
                self._drop(writer, error)

    def abort(self) -> None:
        """Leave nothing behind."""
        with ExitStack() as every:  # the others are cleaned up, too, where one fails
            if self._new is not None:
                every.callback(_remove_empty, self._new)
            for writer in self.writers:
                every.callback(writer.abort)

    def _drop(self, writer: Writer, error: OutputError) -> None:
        self.summary.errors.append(str(error))
        self.writers.remove(writer)
        writer.abort()
        if not self.writers:
            raise error


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # what holds something stays
        folder.rmdir()
