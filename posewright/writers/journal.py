"""The journal of a run: what the networks found, kept beside the results until they are complete.

A run that was stopped or killed goes on by it: all frames are read again, and what the journal has
of a frame takes the place of the networks.  Trackers, smoothing and writers see every frame again,
so that each file ends with the bytes of an undisturbed run.

A line is the CRC-32 of its text (8 hexadecimal digits), a space and JSON in ASCII.  The first is
{"format": "posewright-journal", "version": 1, "run": {...}, "machine": {...}}, see Provenance.
The second is {"results": "new"}, or "own" from when results in the folder may be those of the run.
Each other line is a window, the frames that the networks saw together: a list of [source,
sequence, frame, status of the frame, width, height (px), status, message, people], where people is
{array: [dtype, shape, base64 of its bytes]}.  What follows a torn or damaged line does not count.
"""

from __future__ import annotations

import json
import os
import time
import zlib
from base64 import b64decode, b64encode
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import IO, Any

import numpy as np

from posewright.errors import OutputError, UsageError, counted
from posewright.files.fields import text_of, typed
from posewright.files.part import SYNC_EVERY, explain
from posewright.files.values import BROKEN, dumps
from posewright.people import Frame, People, Status
from posewright.results import Result

__all__ = ["JOURNAL", "Journal", "Provenance"]

JOURNAL = ".posewright.journal"
FORMAT, VERSION = "posewright-journal", 1
_NEW, _OWN = {"results": "new"}, {"results": "own"}  # one replaces the other, byte by byte
_LONGEST = 1 << 28  # bytes of a line


@dataclass(frozen=True)
class Provenance:
    """What the results of a run depend on.

    run: inputs and settings; a run with others is another run.  machine: libraries and processor,
    with which last digits may change.  options: how a user gives the settings that are options.
    """

    run: dict[str, Any]
    machine: dict[str, Any]
    options: Mapping[str, str] = field(default_factory=dict)

    def check(self, header: dict[str, Any], path: Path) -> list[str]:
        """Compare with the header of a journal; return a note for each difference of the machine.

        UsageError: the journal is of another run; it names the first difference.
        """
        for key, was, now in _differences(header["run"], self.run):
            name = self.options.get(key, key)
            raise UsageError(
                f"{path} is the journal of another run: {name} was {was} and is {now}; repeat the "
                "options and inputs of that run with --resume, or start again with --overwrite"
            )
        return [
            f"{name} was {was} when this run began and is {now}; the last digits of the frames "
            "that follow may differ"
            for name, was, now in _differences(header["machine"], self.machine)
        ]


class Journal:
    """Records the windows of a run, and returns those that a stopped run recorded.

    origin: of the run, None for one that cannot be repeated (a camera, a stream, an array): it
    records nothing.  resume: go on with the run of the journal that is in the folder.  The methods
    are called in the order settle, begin, known and add, claim, end, while the folder is locked.

    goes_on: whether a run is resumed.  owns: whether the run may replace results in the folder.
    behind: whether the journal has frames that were not repeated yet.
    """

    def __init__(self, folder: Path, origin: Provenance | None, resume: bool = False) -> None:
        self.path = folder / JOURNAL
        self.notes: list[str] = []
        self.goes_on = self.owns = self.behind = False
        self._origin, self._resume = origin, resume
        self._begun = False
        self._file: IO[bytes] | None = None
        self._good = 0  # bytes that were read or written
        self._claims = 0  # place of the second line
        self._frames = self._repeated = 0  # all that are recorded, and those of the stopped run
        self._synced = time.monotonic()

    def settle(self, overwrite: bool) -> None:
        """Decide whether this run starts, starts again or goes on.

        OutputError where a journal is there that must be kept; UsageError where it is of another
        run.
        """
        if self._resume and overwrite:
            raise UsageError(
                "--resume goes on with a stopped run, and --overwrite starts it again; give one"
            )
        header, self.owns = self._header()
        if header is None and self._resume:
            self.notes.append(
                f"{self.path.parent} has no journal of a stopped run with a frame in it: the run "
                "starts from its beginning"
            )
        elif header is not None and self._resume and self._origin is not None:
            self.notes += self._origin.check(header, self.path)
            self.goes_on = self.behind = True
        elif header is not None and not overwrite:
            raise OutputError(
                f"{self.path.parent} holds results of a run that was stopped or killed; go on "
                "with that run: --resume, or start again: --overwrite, or choose another folder "
                "with -o"
            )
        else:
            self.owns = overwrite

    def begin(self) -> None:
        """Open the journal: the one that is there to go on, or a new one.

        Where none can be written, a note says so.
        """
        try:
            if not self.goes_on:
                self.path.unlink(missing_ok=True)
            if self._origin is None:
                return
            self._begun = True
            self._file = self.path.open("r+b" if self.goes_on else "x+b")
            if self.goes_on:
                self._claims = len(self._file.readline(_LONGEST))
                self._good = self._claims + len(self._file.readline(_LONGEST))
                return
            run, machine = self._origin.run, self._origin.machine
            self._write({"format": FORMAT, "version": VERSION, "run": run, "machine": machine})
            self._claims = self._good
            self._write(_OWN if self.owns else _NEW)
        except OSError as error:
            self._give_up(error)

    def known(self, frames: Sequence[Frame]) -> list[tuple[People, Status, str]] | None:
        """Return people, status and message of each frame of a window; None where it is new.

        The first window that is new ends the journal: what follows in it is removed.
        """
        if self._file is None or not self.behind:
            return None
        line, rows, found = b"", [], []
        try:
            line = self._file.readline(_LONGEST)
            rows = _parsed(line)
            found = [(_unpacked(r[8]), typed(r[6], Status), text_of(r[7])) for r in rows]
        except (OSError, *BROKEN):
            found = []
        if found and [row[:6] for row in rows] == [_key(frame) for frame in frames]:
            self._good += len(line)
            self._frames += len(frames)
            self._repeated = self._frames
            return found
        self.behind = False
        if line.endswith(b"\n"):
            self.notes.append(
                f"{self.path} does not fit what is read after {self._done}; the networks run again "
                "from there"
            )
        try:
            self._file.seek(self._good)
            self._file.truncate()
        except OSError as error:
            self._give_up(error)
        return None

    def add(self, frames: Sequence[Frame], results: Sequence[Result]) -> None:
        """Record a window; the operating system has it when this returns, the disk soon after."""
        if self._file is None:
            return
        pairs = zip(frames, results, strict=True)
        rows = [[*_key(f), r.status, r.message, _packed(r.people)] for f, r in pairs]
        try:
            self._write(rows)
            self._frames += len(frames)
        except OSError as error:
            self._give_up(error)

    def claim(self) -> None:
        """Note that results in the folder are those of this run: they get their names from now on.

        It needs no space on the disk, so that it is done also where nothing could be added.
        """
        self.owns = True
        if self._claims:
            with suppress(OSError), self.path.open("r+b") as file:
                file.seek(self._claims)
                file.write(_line(_OWN))
                file.flush()
                os.fsync(file.fileno())

    def end(self, complete: bool) -> None:
        """Close the journal, and remove it where the results are complete or it holds no frame."""
        if self._file is not None:
            with suppress(OSError), self._file as file:
                file.flush()
                os.fsync(file.fileno())
            self._file = None
        if self.goes_on:
            self.notes.append(f"the run went on after {counted(self._repeated, 'frame', 'frames')}")
        if self._begun and (complete or not (self.goes_on or self._frames)):
            with suppress(OSError):  # it stays where the folder does not permit removal
                self.path.unlink(missing_ok=True)
        elif self._begun:
            self.notes.append(f"{self.path} has {self._done}; --resume goes on after them")

    @property
    def _done(self) -> str:
        return counted(self._frames, "frame", "frames")

    def _header(self) -> tuple[dict[str, Any] | None, bool]:
        """Return the first line, and whether results in the folder may be those of its run.

        None without a journal, and where not even its beginning was written.
        """
        try:
            with self.path.open("rb") as file:
                header, results = (_parsed(file.readline(_LONGEST)) for _ in range(2))
            usable = header["format"] == FORMAT and "version" in header
            usable = usable and all(isinstance(header[key], dict) for key in ("run", "machine"))
            if usable and header["version"] != VERSION:
                raise OutputError(
                    f"{self.path} has version {str(header['version'])[:40]}, and this program goes "
                    f"on with version {VERSION}; move it away, or choose another folder with -o"
                )
            return (header, bool(results == _OWN)) if usable else (None, False)
        except FileNotFoundError:
            pass
        except OutputError:
            raise
        except OSError as error:
            raise explain(self.path, error) from error
        except BROKEN:
            pass
        return None, False

    def _write(self, value: Any) -> None:
        assert self._file is not None
        line = _line(value)
        self._file.write(line)
        self._file.flush()
        if not self._good or time.monotonic() - self._synced >= SYNC_EVERY:
            os.fsync(self._file.fileno())
            self._synced = time.monotonic()
        self._good += len(line)

    def _give_up(self, error: OSError) -> None:
        """Record no more; the run itself goes on, and what was recorded stays valid."""
        why = explain(self.path, error)
        self.notes.append(f"{why}; --resume would find no more than {self._done}")
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        self._file, self.behind = None, False


def _differences(was: dict[str, Any], now: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    """Return name and both values of what differs, in words where they are None or flags."""

    def told(side: dict[str, Any], name: str) -> Any:
        value = side.get(name)
        if value is None or isinstance(value, bool):
            return {None: "not given", True: "on", False: "off"}[value]
        return value

    differing = [name for name in {**now, **was} if was.get(name) != now.get(name)]
    return [(name, told(was, name), told(now, name)) for name in differing]


def _line(value: Any) -> bytes:
    text = dumps(value).encode("ascii")
    return b"%08x %s\n" % (zlib.crc32(text), text)


def _parsed(line: bytes) -> Any:
    """Return the value of a line; ValueError where it is torn or damaged."""
    if line[:9] != b"%08x " % zlib.crc32(line[9:-1]) or line[-1:] != b"\n":
        raise ValueError  # torn or damaged
    try:
        return json.loads(line[9:])
    except RecursionError:
        raise ValueError from None


def _key(frame: Frame) -> list[Any]:
    """Return what distinguishes a frame from the others of a run."""
    return [frame.name, frame.sequence, frame.index, frame.status, *frame.size]


def _packed(people: People) -> dict[str, Any]:
    """Return every array of people, in whatever type it has, without loss."""

    def form(array: Any) -> list[Any]:
        return [array.dtype.str, array.shape, b64encode(array.tobytes()).decode("ascii")]

    arrays = {each.name: getattr(people, each.name) for each in fields(people)}
    return {name: a if a is None else form(a) for name, a in arrays.items()}


def _unpacked(arrays: dict[str, Any]) -> People:
    """Return the people of `_packed`; an error of BROKEN for anything else."""

    def array(kind: str, shape: list[int], data: str) -> Any:
        return np.frombuffer(b64decode(data), np.dtype(kind)).reshape(shape).copy()

    return People(**{name: form and array(*form) for name, form in arrays.items()})
