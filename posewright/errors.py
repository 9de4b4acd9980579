"""Everything that posewright raises on purpose.

PosewrightError
├── UsageError         2  an invalid argument, option or name; suggests the nearest
├── SourceError        3  an input that is missing or broken: images, labels, results, a recipe
├── ModelError         4  a network's file that is missing, damaged or of an unknown format
├── MissingError       4  an optional package, runtime or device that this machine lacks
└── OutputError        4  a result that cannot be written: disk full, folder read-only

The number is the exit code of the command line.
"""

from __future__ import annotations

import difflib
import os
import shlex
import warnings
from collections.abc import Callable, Iterable

__all__ = [
    "MissingError",
    "ModelError",
    "OutputError",
    "PosewrightError",
    "SourceError",
    "UsageError",
    "convert_first",
    "counted",
    "deprecated",
    "near",
    "nearest",
    "nearest_network",
    "not_finite",
    "one_line",
]


_LONGEST = 1500  # characters of a message


def _printable(character: str) -> str:
    return character if character.isprintable() else ascii(character)[1:-1]


def one_line(text: str) -> str:
    """Return a message in one printable line of about 1,500 characters at most, without secrets.

    Messages quote what others wrote: runtimes several lines, files anything at all, users an
    address with a password where a file is expected.
    """
    line = " ".join(filter(None, map(str.strip, text.splitlines())))
    if ":/" in line:
        from posewright.files.address import masked

        line = masked(line)
    if len(line) > _LONGEST:
        line = f"{line[: _LONGEST - 300]} ... {line[-290:]}"
    return line if line.isprintable() else "".join(map(_printable, line))


class PosewrightError(Exception):
    """Base of all errors of this package; its text is one line: what, where, what to do."""

    exit_code = 4

    def __str__(self) -> str:
        return one_line(super().__str__())


class UsageError(PosewrightError, ValueError):
    """An argument, option or name that is invalid."""

    exit_code = 2


class SourceError(PosewrightError):
    """An input that is missing or broken: an image, video, stream, file of labels or results."""

    exit_code = 3


class ModelError(PosewrightError):
    """A network's file that is missing, damaged or of an unknown format."""


class MissingError(PosewrightError, ImportError):
    """An optional package, runtime or device that this machine lacks."""


class OutputError(PosewrightError, OSError):
    """A result that cannot be written."""


def convert_first(path: str | os.PathLike[str]) -> str:
    """Return the remedy for a checkpoint of another program: the command that converts it."""
    stem, suffix = os.path.splitext(path)
    out = f"{stem}.converted.safetensors" if suffix == ".safetensors" else f"{stem}.safetensors"
    return f"run: posewright models convert {shlex.quote(os.fspath(path))} -o {shlex.quote(out)}"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with its noun: "1 frame", "2 frames"; many: where it is not `one` and s."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def deprecated(old: str, new: str, removed: str, say: Callable[[str], None] | None = None) -> None:
    """Tell that a name is an earlier one, and which version no longer answers it.

    say: takes the line; None gives a DeprecationWarning for the caller of the function that calls
    this one.
    """
    text = f"{old} is now {new}; version {removed} removes the earlier name"
    if say is not None:
        say(text)
    else:
        warnings.warn(text, DeprecationWarning, stacklevel=3)


def not_finite(counts: Iterable[tuple[str, int]]) -> str:
    """Return one line about networks, by name and number of views, whose outputs are not finite.

    "" where all outputs are finite.
    """
    parts = [
        f"{name} returned NaN or infinity for {counted(count, 'view', 'views')}"
        for name, count in counts
        if count
    ]
    remedy = "check its weights, or try another --runtime or --precision fp32"
    return f"{', '.join(parts)}; {remedy}" if parts else ""


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "; did you mean 'x'?" for the known word closest to `word`, or ""."""
    close = difflib.get_close_matches(word, list(known), 1, 0.5)
    return f"; did you mean {close[0]!r}?" if close else ""


def nearest_network(word: str, known: Iterable[str]) -> str:
    """Return what `nearest` does; of "prefix:name", only a network that is called name."""
    name = word.rpartition(":")[2]
    return nearest(name, known) if name == word or name in known else ""


def near(path: str | os.PathLike[str]) -> str:
    """Return the remedy for a path that cannot be opened: the nearest existing name, if missing."""
    if os.path.lexists(path):
        return "; check the file type and the permissions"
    folder, base = os.path.split(os.fspath(path))
    try:
        return nearest(base, os.listdir(folder or ".")) or "; check the name"
    except OSError:
        return f"; the folder {folder} does not exist either"
