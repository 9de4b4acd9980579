"""Folders of COCO's own layout: annotations/person_keypoints_train2017.json beside train2017."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path

__all__ = ["coco_parts", "part_files", "the_part"]

_PARTS = {"train": "train", "training": "train", "val": "val", "validation": "val", "test": "test"}
_PART = re.compile(r"(?<![a-z])(training|train|validation|val|test)(?![a-z])")
_PEOPLE = "person_keypoints"  # begins the names of COCO's files of joints


def coco_parts(path: Path) -> tuple[str, ...]:
    """Return which of the parts train, val and test a folder has; () for a file."""
    return tuple(part_files(path))


def the_part(file: Path) -> set[str]:
    """Return the parts that the name of an annotation file tells: one, or none."""
    return {_PARTS[word] for word in _PART.findall(file.stem.lower())}


def part_files(folder: Path) -> dict[str, Path]:
    """Return the file of each part of a COCO folder, train first; none where that is not clear.

    They lie in `annotations`, else in the folder itself, and have one name but for that of the
    part.  Of several such sets that of people's joints counts, not those of captions and outlines.
    """
    files = sorted((folder / "annotations").glob("*.json")) or sorted(folder.glob("*.json"))
    sets: dict[str, dict[str, Path]] = defaultdict(dict)
    for file in files:
        found = _PART.findall(file.stem.lower())
        if len(found) == 1:
            sets[_PART.sub("*", file.stem.lower())][_PARTS[found[0]]] = file
    whole = {name: parts for name, parts in sets.items() if len(parts) > 1}
    people = {name: parts for name, parts in whole.items() if name.startswith(_PEOPLE)} or whole
    if len(people) != 1:
        return {}
    (parts,) = people.values()
    return {part: parts[part] for part in ("train", "val", "test") if part in parts}
