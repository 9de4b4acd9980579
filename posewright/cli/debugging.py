"""What --debug adds to an error: its traceback, and a text file to attach to a bug report.

The file names versions, the machine, the command, the last lines on stderr and the traceback.  It
holds no values of variables and no source lines but those of this package.  Secrets of addresses
are masked, and the home folder is "~".
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from posewright.errors import one_line

__all__ = [
    "Recording",
    "add_debug",
    "place_of",
    "recording",
    "remember",
    "report",
    "trace",
    "wanted",
]

_PACKAGE = str(Path(__file__).parents[1])
_KEPT = 8000  # characters of stderr
_LINES = 40
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/+")


def add_debug(parser: argparse.ArgumentParser) -> None:
    """Add --debug to a parser and to those of its verbs and actions."""
    parser.add_argument(
        "--debug",
        action="store_true",
        default=argparse.SUPPRESS,  # an inner parser would undo what an outer one has read
        help="on an error, print the traceback and write a report to attach to an issue",
    )
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for inner in action.choices.values():
                add_debug(inner)


def wanted(args: argparse.Namespace) -> bool:
    """Tell whether --debug is given, or POSEWRIGHT_DEBUG is set to anything but 0."""
    asked = os.environ.get("POSEWRIGHT_DEBUG", "0") not in ("", "0")
    return asked or bool(getattr(args, "debug", False))


_remembered: list[BaseException] = []  # of the command that runs


def remember(errors: Iterable[BaseException]) -> None:
    """Keep errors that a run has told of and gone on after, for the report on its end."""
    _remembered.extend(errors)


class Recording:
    """A stream that keeps the end of what is written to it."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._kept = ""

    def write(self, text: str) -> int:
        """Write the text; return how much of it was written, which is all."""
        self._kept = (self._kept + text)[-_KEPT:]
        self._stream.write(text)
        return len(text)

    @property
    def lines(self) -> list[str]:
        """The last lines, of progress bars what was shown last."""
        shown = [line.rpartition("\r")[2] for line in self._kept.replace("\r\n", "\n").split("\n")]
        return [line for line in shown if line.strip()][-_LINES:]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


@contextmanager
def recording() -> Iterator[Recording]:
    """Keep what is printed on stderr inside of the block."""
    before = sys.stderr
    kept: Any = Recording(before)
    _remembered.clear()
    if before is not None:  # as under pythonw
        sys.stderr = kept
    try:
        yield kept
    finally:
        sys.stderr = before


def _file(name: str) -> str:
    """Return the name of a file of code; those of this package begin with it."""
    inside = name.startswith(_PACKAGE + os.sep)
    return os.path.join("posewright", os.path.relpath(name, _PACKAGE)) if inside else _home(name)


def place_of(error: BaseException) -> str:
    """Return the innermost line of this package that an error passed: "posewright/pose.py:12"."""
    from traceback import extract_tb

    frames = extract_tb(error.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(_PACKAGE + os.sep)]
    last = (ours or frames)[-1]
    return f"{_file(last.filename)}:{last.lineno}"


def trace(error: BaseException) -> list[str]:
    """Return the lines of a traceback, causes first; source lines of this package alone."""
    from traceback import extract_tb

    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain:
        chain.insert(0, link)
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    lines = []
    for one in chain:
        lines += ["Traceback (most recent call last):"]
        for frame in extract_tb(one.__traceback__):
            lines += [f"  {_file(frame.filename)}, line {frame.lineno}, in {frame.name}"]
            if frame.filename.startswith(_PACKAGE + os.sep) and frame.line:
                lines += [f"    {frame.line}"]
        lines += [f"{type(one).__name__}: {one_line(_home(str(one)))}"]
    return lines


def _traces(error: BaseException | None) -> list[str]:
    """Return the tracebacks of what ended a command, and of what it went on after."""
    last = [] if error is None else [error]
    return [line for one in [*_remembered, *last] for line in trace(one)]


def _home(text: str) -> str:
    """Return a text with "~" for the folder of the user."""
    home = os.path.expanduser("~")
    for folder in {home, os.path.realpath(home)} - {os.sep}:
        for form in {folder, repr(folder)[1:-1]}:  # the second as errors of Windows quote it
            text = re.sub(rf"{re.escape(form)}(?![\w-]|\.\w)", "~", text)
    return text


def _text(
    words: Sequence[str], code: int, error: BaseException | None, printed: Sequence[str]
) -> str:
    import shlex
    import time
    from itertools import pairwise

    from posewright.cli import doctor
    from posewright.files.address import masked, without_secrets

    # An address ends with its word, as the shell has split them, or where another one begins; in a
    # text it would end at a space, which a password may hold.
    secrets = []
    for word in words:
        starts = [found.start() for found in _ADDRESS.finditer(word)]
        secrets += [word[a:b] for a, b in pairwise([*starts, len(word)])]

    def hidden(text: str) -> str:
        for address in secrets:
            text = text.replace(address, without_secrets(address))
        return _home(masked(text))

    try:
        found = doctor.lines(doctor.examine())
    except Exception as failure:  # what --debug is asked about may be the cause of this, too
        found = [f"doctor failed: {type(failure).__name__}: {one_line(str(failure))}"]
    parts = {
        "Command": [shlex.join(["posewright", *map(hidden, words)])],
        "End": [f"exit code {code}, {time.strftime('%Y-%m-%d %H:%M:%S %z')}"],
        "posewright doctor": found,
        "Last lines on stderr": printed or ["none"],
        "Traceback": _traces(error) or ["none: no exception was raised"],
    }
    head = "posewright debug report. It was sent nowhere. Read it before you attach it to an issue."
    lines = [head, *(line for name, part in parts.items() for line in ("", f"[{name}]", *part))]
    return "\n".join(map(hidden, lines)) + "\n"


def report(
    words: Sequence[str],
    verb: str,
    code: int,
    error: BaseException | None,
    printed: Sequence[str],
) -> None:
    """Print the traceback, write the report into the current folder, and say where it is.

    words: of the command line.  code: the exit code.  printed: the last lines on stderr.  One line
    where the file cannot be written.
    """
    import time

    from posewright.files.part import PartFile

    if traces := _traces(error):
        print("\n".join(traces), file=sys.stderr)
    when = time.strftime("%Y%m%d-%H%M%S")
    path = Path(f"posewright-debug-{verb}-{when}-{os.getpid()}.txt")
    try:
        part = PartFile(path, overwrite=False)
        try:
            part.write(_text(words, code, error, printed).encode("utf-8", "backslashreplace"))
            part.finish()
        finally:
            part.abort()
    except OSError as failure:
        cause = failure.__cause__ if isinstance(failure.__cause__, OSError) else failure
        told = f"no debug report: {path}: {cause.strerror or cause}; run the command elsewhere"
    else:
        told = f"debug report: {path}; read it before you attach it to an issue"
    print(f"posewright: {one_line(told)}", file=sys.stderr)
