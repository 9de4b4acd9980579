"""Files of saved poses that are written again with other joints and everything else as it was."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from posewright.errors import SourceError
from posewright.files.part import PartFile, PartFolder
from posewright.files.values import dumps, load, plain
from posewright.people import Floats, People
from posewright.pipeline.header import with_settings
from posewright.readers.openpose import Pages
from posewright.readers.results import flattened, grouped, is_jsonl, read_results
from posewright.results import Result
from posewright.skeletons import Skeleton
from posewright.skeletons.whole_body import OPENPOSE
from posewright.writers.jsonl import LinesForm
from posewright.writers.table import ParquetWriter
from posewright.writers.text import TextWriter, starts_with

__all__ = ["Rewritable", "open_saved", "place_in"]


class Rewritable(Protocol):
    """A file or folder of saved poses.  results: its frames, in the order of `read_results`."""

    results: list[Result]

    def move(self, number: int, people: People, message: str) -> None:
        """Give the people of a frame other joints; message: what is wrong with some of them."""

    def write(self, final: Path, overwrite: bool, run: Mapping[str, Any]) -> Path:
        """Write the same kind of file; run: what its header states besides, if it has one."""


def open_saved(path: Path, skeleton: Skeleton) -> Rewritable:
    """Read saved poses of any format of `read_results`; skeleton: as there, and errors likewise."""
    if path.is_dir():
        return _Folder(path, skeleton)
    if path.suffix.lower() in (".parquet", ".csv") or is_jsonl(path):
        return _Rows(path)
    return _Entries(path, skeleton)


def place_in(out: Path, path: Path) -> Path:
    """Return where the file or folder `path` is written again: under its own name, in `out`."""
    return out / os.path.basename(os.path.abspath(path))


class _Rows:
    """poses.jsonl and poses.parquet, which hold results as they are."""

    def __init__(self, path: Path) -> None:
        self.results = list(read_results(path))
        self._table = path.suffix.lower() == ".parquet"

    def move(self, number: int, people: People, message: str) -> None:
        before = self.results[number]
        told = "; ".join(filter(None, (before.message, message)))
        self.results[number] = before.replace(people=people, message=told)

    def write(self, final: Path, overwrite: bool, run: Mapping[str, Any]) -> Path:
        writer = (
            ParquetWriter(final, overwrite)
            if self._table
            else TextWriter(final, LinesForm(), overwrite)
        )
        headers: dict[int, dict[str, Any]] = {}  # one for all frames that share one
        try:
            for result in self.results:
                header = headers.setdefault(id(result.run), _with(result.run, run))
                writer.write(result.replace(run=header))
            return writer.close()[0]
        except BaseException:
            writer.abort()
            raise


def _with(before: Mapping[str, Any], run: Mapping[str, Any]) -> dict[str, Any]:
    """Return a header with further entries and settings."""
    settings = run.get("settings", {})
    return {**with_settings(before, settings), **{k: v for k, v in run.items() if k != "settings"}}


class _Entries:
    """A JSON list of people, or AlphaPose's object of images: every other field stays."""

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        self._data = load(path)
        pairs = list(grouped(path, self._data, skeleton))
        self.results = [result for result, _ in pairs]
        self._where = [entries for _, entries in pairs]
        found = flattened(self._data) if isinstance(self._data, dict) else self._data
        self._people: list[dict[str, Any]] = found or []
        try:
            for _ in self._lines():  # rather now than after hours
                pass
        except ValueError:
            raise SourceError(f"{path} contains NaN or infinity; write it again") from None

    def move(self, number: int, people: People, message: str) -> None:
        for entry, points in zip(self._where[number], people.keypoints, strict=True):
            for name, first in entry.lists.items():
                _put(self._people[entry.number][name], points[first:])

    def write(self, final: Path, overwrite: bool, run: Mapping[str, Any]) -> Path:
        part = PartFile(final, overwrite)
        try:
            for line in self._lines():
                part.write(line.encode())
            return part.finish()
        except BaseException:
            part.abort()
            raise

    def _lines(self) -> Iterator[str]:
        """Yield the text of the file, a line for each person or image; ValueError for NaN."""
        data, before = self._data, "\n"
        pairs = data.items() if isinstance(data, dict) else ((None, entry) for entry in data)
        yield "{" if isinstance(data, dict) else "["
        for name, value in pairs:
            yield before + ("" if name is None else f"{dumps(name)}:") + dumps(value)
            before = ",\n"
        yield "\n}\n" if isinstance(data, dict) else "\n]\n"


class _Folder:
    """A folder of OpenPose files, each of which keeps its name."""

    def __init__(self, path: Path, skeleton: Skeleton) -> None:
        found = Pages.read(path, skeleton)
        self._pages, self._lists = found.pages, found.lists
        self.results = [page.result(found.skeleton, found.lists) for page in found.pages]
        self._moved: dict[int, Floats] = {}

    def move(self, number: int, people: People, message: str) -> None:
        self._moved[number] = people.keypoints

    def write(self, final: Path, overwrite: bool, run: Mapping[str, Any]) -> Path:
        ours = partial(starts_with, name="*_keypoints.json", start=b'{"version":1.3,"source":')
        part = PartFolder(final, overwrite, ours)
        try:
            for number, page in enumerate(self._pages):
                data, moved = load(page.file), self._moved.get(number, ())
                for person, points in zip(data["people"], moved, strict=False):
                    self._put(person, points)
                part.add(page.file.name, dumps(data).encode())
            return part.finish()
        except BaseException:
            part.abort()
            raise

    def _put(self, person: dict[str, Any], points: Floats) -> None:
        sizes = {name: len(OPENPOSE[name]) for name in self._lists}
        first = len(points) - sum(sizes.values())
        _put(person["pose_keypoints_2d"], points[:first])
        for name, size in sizes.items():
            if len(person.get(name, ())) == 3 * size:
                _put(person[name], points[first:])
            first += size


def _put(values: list[Any], points: Sequence[Any] | Floats) -> None:
    """Set x and y of joints that stand as x, y, score, in one list or in a list each."""
    xy = plain(points)
    if values and isinstance(values[0], list):
        for row, at in zip(values, xy, strict=False):
            row[:2] = at
        return
    for i, at in enumerate(xy[: len(values) // 3]):
        values[3 * i : 3 * i + 2] = at
