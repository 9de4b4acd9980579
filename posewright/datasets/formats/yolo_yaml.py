"""The files that the data.yaml of a YOLO data set describes: the folder `path`, and the images of
each part.

`path` is relative to the folder of data.yaml, the parts train, val and test to `path`.  A part is
a folder, a .txt list of images, or several of them.  `download` is never looked at.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from posewright.datasets.findings import Notes
from posewright.datasets.places import pictures_in
from posewright.errors import SourceError, UsageError
from posewright.files.paths import on_disk
from posewright.files.yamlfile import load_yaml

__all__ = ["PARTS", "YoloSet", "layout_of", "pictures_of"]

PARTS = {"train": ("train",), "val": ("val", "validation", "valid"), "test": ("test",)}
_KEYS = {"train", "val", "validation", "valid", "test", "kpt_shape", "kpt_names", "names", "nc"}
_MOST_BYTES = 256 << 20  # of a list of images


@dataclass(frozen=True)
class YoloSet:
    """A YOLO set's files: data.yaml and what it says, the set's folder, the entries of its parts.

    file: None where there is no data.yaml.  parts: name -> folders and lists as they are written.
    stated: data.yaml says the parts; else they are detected from the names of folders, and other
    images of the folder belong to the set as well.
    """

    file: Path | None
    info: dict[str, Any]
    root: Path
    parts: dict[str, tuple[str, ...]]
    stated: bool


def layout_of(path: Path) -> YoloSet:
    """Return what a data.yaml, or a folder with or without one, says; a SourceError if it cannot.

    Without parts in data.yaml they are the folders images/train, train/images and so on.
    """
    file, info = _described(path)
    root = _root(file, info) if file is not None else path
    parts = {name: _entries(info, keys, file) for name, keys in PARTS.items()}
    parts = {name: entries for name, entries in parts.items() if entries}
    return YoloSet(file, info, root, parts or _usual(root), bool(parts))


def _described(path: Path) -> tuple[Path | None, dict[str, Any]]:
    """Return the file that describes the set, None without any, and what it says."""
    if not os.path.isdir(path):
        return path, _stated(path, load_yaml(path))
    found = sorted([*path.glob("*.yaml"), *path.glob("*.yml")])
    usual = [f for f in found if f.stem == "data"] or found
    read = [(file, load_yaml(file)) for file in usual]
    for file, info in read:
        if file.stem == "data":
            _stated(file, info)
    sets = [(file, info) for file, info in read if _KEYS & info.keys()]
    if len(sets) > 1:
        raise UsageError(f"{path} holds several YAML files of sets; name one, e.g. {sets[0][0]}")
    return sets[0] if sets else (None, {})


def _stated(file: Path, info: dict[str, Any]) -> dict[str, Any]:
    """Return what a set's file says; a SourceError where that is nothing, as of a cut copy."""
    if not info:
        raise SourceError(f"{file} is empty; write the keys of a YOLO set, or remove the file")
    return info


def _root(file: Path, info: dict[str, Any]) -> Path:
    """Return the folder that `path` names; that of the file without it."""
    stated = info.get("path")
    if stated is None or stated == "":
        return file.parent
    if not isinstance(stated, str):
        raise SourceError(
            f"path {str(stated)[:60]!r} in {file} is not a folder; give the name of a folder"
        )
    root = _first([file.parent], stated)
    if root is None or not os.path.isdir(root):
        raise SourceError(
            f"path {stated!r} in {file} is not there; give the path of the data set relative to "
            f"the folder of {file.name}"
        )
    return root


def _entries(info: dict[str, Any], keys: Iterable[str], file: Path | None) -> tuple[str, ...]:
    """Return what a part names, as a list."""
    stated = next((info[key] for key in keys if info.get(key)), ())
    listed = stated if isinstance(stated, (list, tuple)) else [stated]
    if not all(isinstance(entry, str) for entry in listed):
        key = next(iter(keys))
        raise SourceError(f"{key} in {file} must be a folder, a .txt list, or several; correct it")
    return tuple(listed)


def _usual(root: Path) -> dict[str, tuple[str, ...]]:
    """Return the parts by their usual folders."""
    parts = {}
    for name, words in PARTS.items():
        places = [place for word in words for place in (f"images/{word}", f"{word}/images")]
        found = tuple(place for place in places if os.path.isdir(on_disk(root / place)))
        if found:
            parts[name] = found
    return parts


def _first(bases: Iterable[Path], text: str) -> Path | None:
    """Return the first existing place of a name written on any system; None without one."""
    for base in bases:
        for name in dict.fromkeys([text, text.replace("\\", "/")]):
            place = on_disk(Path(os.path.normpath(base / name)))
            if os.path.exists(place):
                return place
    return None


def pictures_of(layout: YoloSet, split: str | None, notes: Notes) -> list[Path]:
    """Return the images of a part, sorted by path, each once; those of the whole set if None.

    An image that is also in val or test is none of train, unless nothing is left without them.
    A UsageError for a part that the set has not, a SourceError for one that is not there; of the
    whole set a missing part is noted.
    """
    if split is None and not layout.stated:
        return pictures_in(layout.root)
    if split is None:
        found = [p for name in layout.parts for p in _part(layout, name, notes)]
        return sorted(_once(found))
    if split not in layout.parts:
        raise UsageError(
            f"{layout.file or layout.root} has no split {split!r}, only "
            f"{', '.join(layout.parts) or 'images without splits'}"
        )
    pictures = _once(_part(layout, split, notes, strict=True))
    if split == "train":
        others = [n for n in layout.parts if n != split]
        held = {_key(p) for name in others for p in _part(layout, name, Notes(layout.root))}
        pictures = [p for p in pictures if _key(p) not in held] or pictures
    return sorted(pictures)


def _once(pictures: Iterable[Path]) -> list[Path]:
    return list({_key(picture): picture for picture in pictures}.values())


def _key(picture: Path) -> str:
    return os.path.abspath(picture)


def _part(layout: YoloSet, name: str, notes: Notes, strict: bool = False) -> Iterator[Path]:
    """Yield the images of a part; a missing entry is noted, or a SourceError where `strict`."""
    for entry in layout.parts[name]:
        place = _first([layout.root], entry)
        if place is None and entry.startswith(
            "../"
        ):  # as Roboflow writes what lies beside the file
            place = _first([layout.root], entry[3:])
        if place is not None and os.path.isdir(place):
            yield from pictures_in(place)
        elif place is not None and os.path.isfile(place) and place.suffix.lower() == ".txt":
            yield from _listed(place, layout.root, notes)
        elif strict:
            raise SourceError(
                f"{name} {entry!r} of {layout.file or layout.root} is neither a folder nor a .txt "
                f"list below {layout.root}; correct it"
            )
        else:
            notes.add("split skipped: neither a folder nor a .txt list", f"{name}: {entry}")


def _listed(file: Path, root: Path, notes: Notes) -> Iterator[Path]:
    """Yield the images of a list, one a line, relative to the list or else to the set's folder.

    A line that names no image of a kind that we read is noted; one that is not there is yielded.
    """
    from posewright.sources.order import PICTURES

    if file.stat().st_size > _MOST_BYTES:
        raise SourceError(f"{file} is larger than {_MOST_BYTES} bytes; split the list")
    lines = (line.strip() for line in file.read_text("utf-8-sig", "replace").splitlines())
    for line in lines:
        if not line or line.startswith("#"):
            continue
        if Path(line).suffix.lower() not in PICTURES or "\0" in line:
            notes.add("line of a list skipped: it names no image", f"{file.name}: {line[:60]}")
            continue
        place = _first([file.parent, root, Path()], line)
        yield place or Path(os.path.normpath(file.parent / line))
