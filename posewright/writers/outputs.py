"""The outputs of a run: its files, and whether they were written."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, suppress
from copy import deepcopy
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from signal import SIGINT
from types import TracebackType
from typing import Any

from posewright.errors import OutputError
from posewright.files.leftovers import final_name, find, part_place, remove
from posewright.files.lock import FolderLock, Held
from posewright.files.part import check_local, explain
from posewright.results import Result
from posewright.writers import FORMATS, Writer, WriterOptions, create_writer, formats
from posewright.writers.journal import JOURNAL, Journal

__all__ = ["Asked", "Outputs", "Summary"]

_CAUSES = 5  # errors whose tracebacks are kept
MAX_LISTED = 100


@dataclass
class Summary:
    """What a run did.

    bad: the first hundred inputs that could not be read, with the reason.  interrupted: the run was
    asked to stop.  signal: the one that asked, 0 for none; any other way counts as Ctrl-C.  causes:
    what raised the first of these errors, for --debug; they are no part of `to_dict`.
    """

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
    signal: int = 0
    causes: list[Exception] = field(default_factory=list, repr=False, compare=False)

    @property
    def exit_code(self) -> int:
        """0 ok, 3 finished with bad inputs, 4 an output failed, 128 + signal interrupted."""
        if self.interrupted:
            return 128 + (self.signal or int(SIGINT))
        return 4 if self.errors else 3 if self.bad_frames or self.bad else 0

    def to_dict(self) -> dict[str, Any]:
        """Return the form that `--json` prints."""
        known = {each.name: getattr(self, each.name) for each in fields(self) if each.compare}
        return {**deepcopy(known), "exit_code": self.exit_code}

    def add_bad(self, name: str, message: str, cause: Exception | None = None) -> None:
        """Note an input that could not be read."""
        self.bad_frames += 1
        self.add_cause(cause)
        if len(self.bad) < MAX_LISTED:
            self.bad.append((name, message))

    def add_cause(self, error: Exception | None) -> None:
        """Keep an error that another one caused; of those that are raised on purpose all is said.

        Its traceback holds what it passed, so that a few are kept.
        """
        if error is not None and error.__cause__ is not None and len(self.causes) < _CAUSES:
            self.causes.append(error)


@dataclass(frozen=True)
class Asked:
    """Asks whether to stop, until it was so, and notes that in the summary."""

    summary: Summary
    stopped: Callable[[], int]

    def __call__(self) -> bool:
        number = 0 if self.summary.interrupted else self.stopped()
        if number:
            self.summary.interrupted = True
            self.summary.signal = 0 if number is True else number
        return self.summary.interrupted

    def until(self, results: Iterable[Result]) -> Iterator[Result]:
        """Yield results until a stop is requested; the current one is the last."""
        for result in results:
            yield result
            if self():
                return


class Outputs:
    """All writers of a run; one that fails is dropped, the others continue.

    A context manager: its exit finishes the files, also after an error, as results so far are kept;
    a KeyboardInterrupt leaves nothing behind.
    """

    def __init__(
        self, writers: list[Writer], summary: Summary, out: Path, journal: Journal | None = None
    ) -> None:
        self.writers, self.summary, self.out = writers, summary, out
        self.journal = journal
        self.used = False
        self._finals: list[Path] = []
        # the folders that go where nothing is written, the innermost first
        self._new = [path for path in (out, *out.parents) if not os.path.lexists(path)]
        self._lock: FolderLock | None = None

    @classmethod
    def open(
        cls,
        save: Sequence[str],
        out: Path,
        options: WriterOptions | None,
        summary: Summary,
        journal: Journal | None = None,
    ) -> Outputs:
        """Create the writers; where one cannot be created, none leaves anything behind.

        journal: of the run; it is removed when all files have their names.  OutputError where
        another run writes into the folder, or a stopped run left a journal or results of these
        formats there that must not be overwritten.
        """
        formats(save)  # complain before anything is written
        options = options or WriterOptions()
        made = cls([], summary, out, journal)
        try:
            made._take_folder()
            goes_on = made._settle_journal(save, options.overwrite)
            made._settle_leftovers(save, goes_on or options.overwrite)
            if journal is not None:  # before the first file: what is left tells how to go on
                journal.begin()
                options = replace(options, overwrite=journal.owns)
            for name, form in formats(save).items():
                # What the stopped run itself has left there: videos, which get their names one by
                # one, and temporary files in a folder that is a link.
                left = not form.files or any(part_place(out / file) != out for file in form.files)
                again = options.overwrite or (goes_on and left)
                flavoured = form.files != FORMATS[name].files
                chosen = replace(options, overwrite=again, flavoured=flavoured)
                made.writers.append(create_writer(name, out, options=chosen))
        except BaseException:  # Ctrl-C, too, which a program may survive
            made.abort()
            raise
        return made

    def __enter__(self) -> Outputs:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            self.abort()
            return
        try:
            self.close(error is None)
        except BaseException:  # a second Ctrl-C may come while the files are finished
            self.abort()
            raise

    def _take_folder(self) -> None:
        check_local(self.out)
        try:
            self.out.mkdir(parents=True, exist_ok=True)
            self._lock = FolderLock(self.out)
        except OSError as error:
            raise explain(self.out, error) from error
        except Held as error:
            raise OutputError(
                f"another run is writing into {self.out} ({error}); wait until it ends or choose "
                "another "
                "folder with -o"
            ) from error

    def _settle_journal(self, save: Sequence[str], overwrite: bool) -> bool:
        """Return whether this run goes on with a stopped one, see Journal.settle.

        OutputError where there is a result that is not of the stopped run.
        """
        self._finals = [self.out / name for form in formats(save).values() for name in form.files]
        if self.journal is None:
            if (self.out / JOURNAL).exists():
                self.summary.notes.append(
                    f"{self.out / JOURNAL} was left by a stopped run and is kept"
                )
            return False
        self.journal.settle(overwrite)
        if self.journal.goes_on and not self.journal.owns:
            for path in filter(_is_taken, self._finals):
                raise OutputError(
                    f"{path} is not a result of the stopped run, which would replace it; move it "
                    "away, then go on with --resume"
                )
        return self.journal.goes_on

    def _settle_leftovers(self, save: Sequence[str], overwrite: bool) -> None:
        """Name what a killed run left; remove what stands for the same results to overwrite it."""
        assert self._lock is not None
        try:
            ours, others = _leftovers(self.out, save)
        except OSError as error:
            raise explain(self.out, error) from error
        if not self._lock.certain:  # they may be those of a run that is at work
            ours, others = [], ours + others
        names = ", ".join(path.name for path in ours[:5]) + (" ..." if len(ours) > 5 else "")
        if ours and not overwrite:
            raise OutputError(
                f"{self.out} holds results of a killed run, and no journal by which --resume could "
                f"go on: {names}; move them away to keep them (poses.part-*.jsonl and .csv can be "
                "read as they are), choose another folder with -o, or remove them with --overwrite"
            )
        for path in ours:
            try:
                remove(path)
            except OSError as error:
                raise explain(path, error) from error
        for path in others:
            self.summary.notes.append(f"{path} was left by a killed run and is kept")

    def write(self, result: Result) -> None:
        """Hand a frame to every writer; OutputError where none of them is left."""
        self.used = True
        for writer in list(self.writers):
            try:
                writer.write(result)
            except OSError as error:
                self._drop(writer, error)

    def close(self, complete: bool = True) -> None:
        """Finish the files; a run without any frame leaves none.

        Nor does a run that is stopped while it repeats what a stopped run has done: it would
        replace results by fewer.  complete: nothing ended the run early.
        """
        behind = self.journal is not None and self.journal.behind
        if not self.used or (behind and self.summary.interrupted):
            self.abort()
            return
        if self.journal is not None and not any(map(_is_taken, self._finals)):
            self.journal.claim()
        with ExitStack() as every:  # each is finished, whatever becomes of the others
            every.callback(self._release)
            every.push(lambda kind, *_: self._end_journal(complete and kind is None))
            for writer in reversed(self.writers):
                every.callback(self._finish, writer)

    def abort(self) -> None:
        """Leave nothing behind."""
        with ExitStack() as every:  # the others are cleaned up, too, where one fails
            for folder in reversed(self._new):
                every.callback(_remove_empty, folder)
            every.callback(self._release)
            every.callback(self._end_journal, False)
            for writer in self.writers:
                every.callback(_abort, writer)

    def _finish(self, writer: Writer) -> None:
        try:
            self.summary.files += [str(path) for path in writer.close()]
            self.summary.notes += getattr(writer, "notes", [])
            for name, message in getattr(writer, "faults", []):  # inputs that it left out
                self.summary.add_bad(name, message)
            self.summary.errors += getattr(writer, "errors", [])
        except OSError as error:
            self._drop(writer, error)

    def _end_journal(self, complete: bool) -> None:
        journal, self.journal = self.journal, None
        if journal is not None:
            journal.end(complete and not (self.summary.errors or self.summary.interrupted))
            self.summary.notes += journal.notes

    def _release(self) -> None:
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def _drop(self, writer: Writer, error: OSError) -> None:
        if not isinstance(error, OutputError):
            told_error = explain(self.out, error)
            told_error.__cause__ = error
            error = told_error
        self.summary.add_cause(error)
        told = [str(error), *getattr(writer, "errors", [])]
        self.summary.errors += list(dict.fromkeys(told))
        self.summary.notes += getattr(writer, "notes", [])
        self.summary.files += [str(path) for path in getattr(writer, "done", [])]
        self.writers.remove(writer)
        _abort(writer)
        if self.writers:
            return
        told = list(self.summary.errors)  # all of them, as each may name what was kept
        if self.summary.files:
            told.append(f"complete: {', '.join(self.summary.files)}")
        if len(told) > 1:
            raise OutputError("; ".join(told)) from error
        raise error


def _abort(writer: Writer) -> None:
    with suppress(OSError):  # what cannot be removed stays
        writer.abort()


def _is_taken(path: Path) -> bool:
    """Tell whether a result is there; a folder without any but temporary files is none."""
    if path.is_dir():
        return any(not final_name(file.name) for file in path.iterdir())
    return os.path.lexists(path)


def _remove_empty(folder: Path) -> None:
    with suppress(OSError):  # what holds something stays
        folder.rmdir()


def _leftovers(out: Path, save: Iterable[str]) -> tuple[list[Path], list[Path]]:
    """Return the temporary files in a folder that stand for results of `save`, and of others."""
    chosen = formats(save).values()
    wanted = {name for form in chosen for name in form.files}
    every = [*FORMATS.values(), *formats(name for name in FORMATS if "alphapose" in name).values()]
    known = {name for form in every for name in form.files}
    films = {suffix for form in FORMATS.values() for suffix in form.suffixes}
    ours, others = [], []
    for path in find(out):
        name = final_name(path.name) or ""
        suffix = Path(name).suffix
        if name in wanted or any(suffix in form.suffixes for form in chosen):
            ours.append(path)
        elif name in known or suffix in films:
            others.append(path)
    for name in sorted(known):  # another folder may have its results through the same link
        place = part_place(out / name)
        if place != out:
            others += [path for path in find(place) if final_name(path.name) == name]
    return ours, others
