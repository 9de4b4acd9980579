"""No result replaces what the run reads: every input is checked against every output first."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path, PurePath
from typing import Any

from posewright.errors import OutputError
from posewright.sources.planning import picture_files
from posewright.writers import RESULTS, VIDEOS
from posewright.writers.names import Names, is_picture, safe, stem

__all__ = ["spare_inputs"]


def spare_inputs(
    out: Path, save: Sequence[str], sources: Sequence[Any], others: Iterable[str | Path] = ()
) -> None:
    """Raise an OutputError where a result in `out` would take the place of something that is read.

    sources: as given to the run; folders, patterns and lists stand for their files.  others: files
    of boxes, labels, networks.
    """
    if not out.is_dir():
        return
    read = [os.fsdecode(s) for s in sources if isinstance(s, (str, os.PathLike))]
    read += [os.fsdecode(path) for path in others]
    results = [out / name for form in save for name in RESULTS.get(form, ())]
    if "images" in save and (out / "images").is_dir():
        read += [file for source in sources for file in picture_files(source)]
    if "video" in save and any(_inside(path, out, VIDEOS) for path in read):
        results += [out / (name + suffix) for name in _films(sources) for suffix in VIDEOS]
    read = [path for path in read if os.path.isfile(path)]
    there = {_identity(path) for path in results if path.exists()}
    for path in read:
        real = os.path.realpath(path)
        if there & {_identity(real), _identity(os.path.dirname(real))}:
            raise OutputError(
                f"{path} is read by this run, and a result would take its place or lie beside it; "
                "choose another folder with -o"
            )


def _identity(path: str | Path) -> tuple[int, int]:
    """Return what is the same for all names of a file or folder, in any letter case."""
    found = os.stat(path)
    return found.st_dev, found.st_ino


def _inside(path: str, out: Path, suffixes: tuple[str, ...]) -> bool:
    real = os.path.realpath(path)
    return os.path.dirname(real) == os.path.realpath(out) and real.lower().endswith(suffixes)


def _films(sources: Sequence[Any]) -> list[str]:
    """Return the names that the videos of the sources will have."""
    names = Names()
    found = []
    for source in sources:
        files = picture_files(source)
        if isinstance(source, (str, os.PathLike)) and not any(map(is_picture, files)):
            files = [os.fsdecode(source)]
        for file in dict.fromkeys(str(PurePath(f).parent) if is_picture(f) else f for f in files):
            found.append(names.of(file, safe(stem(file))))
    return found
