"""Protect input files and earlier results from being overwritten: checked before the run."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from posewright.errors import OutputError
from posewright.files.part import reserve
from posewright.sources.order import gathered
from posewright.sources.planning import picture_files, sequences
from posewright.writers import VIDEOS, WriterOptions, film_suffix, formats
from posewright.writers.names import Names, film_name

__all__ = ["films", "spare_films", "spare_inputs"]


def spare_inputs(
    out: Path, save: Sequence[str], sources: Sequence[Any], others: Iterable[str | Path] = ()
) -> None:
    """Raise an OutputError where a result in `out` would replace an input file.

    sources: as given to the run; folders, patterns and lists are expanded to their files.  others:
    files of boxes, labels, networks.
    """
    if not out.is_dir():
        return
    read = [os.fsdecode(s) for s in sources if isinstance(s, (str, os.PathLike))]
    read += [os.fsdecode(path) for path in others]
    results = [out / name for form in formats(save).values() for name in form.files]
    if "images" in save and (out / "images").is_dir():
        read += [file for source in sources for file in picture_files(source)]
    if "video" in save and any(_inside(path, out, VIDEOS) for path in read):
        results += [out / (name + suffix) for name in films(sources) for suffix in VIDEOS]
    read = [path for path in read if os.path.isfile(path)]
    there = {_identity(path) for path in results if path.exists()}
    for path in read:
        real = os.path.realpath(path)
        if there & {_identity(real), _identity(os.path.dirname(real))}:
            raise OutputError(
                f"{path} is an input of this run, and a result would replace it or be written "
                "beside it; choose another folder with -o"
            )


def _identity(path: str | Path) -> tuple[int, int]:
    """Return what is the same for all names of a file or folder, in any letter case."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _inside(path: str, out: Path, suffixes: tuple[str, ...]) -> bool:
    real = os.path.realpath(path)
    return os.path.dirname(real) == os.path.realpath(out) and real.lower().endswith(suffixes)


def spare_films(out: Path, sources: Sequence[Any], options: WriterOptions) -> None:
    """Raise a PlaceError where a video that the run will draw must not replace a file in `out`.

    Arrays, and videos of a fallback codec, get their names only during the run and are not checked.
    """
    if out.is_dir():
        suffix = film_suffix(options.video_codecs[0])
        for name in films(sources):
            reserve(out / (name + suffix), options.overwrite)


def films(sources: Sequence[Any]) -> list[str]:
    """Return the names that the videos of the sources will have, where all can be read."""
    names = Names()
    found = dict.fromkeys(each for source in gathered(sources) for each in sequences(source))
    return [film_name(names, *each) for each in found]
