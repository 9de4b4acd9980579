"""YOLO-pose folders: data.yaml, images/SUBSET and labels/SUBSET with one text file a picture.

A line: class, centre x, centre y, width, height, then x, y and visibility of each joint; all but
class and visibility are shares of the picture's width or height.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.naming import skeleton_of, stated_mirror, unnamed
from posewright.datasets.notes import Notes
from posewright.datasets.places import header_size, pictures_in
from posewright.datasets.yolo_yaml import Layout, layout_of, pictures_of
from posewright.errors import SourceError
from posewright.people import Floats
from posewright.readers.values import BROKEN, finite
from posewright.skeletons import Skeleton

__all__ = ["read_yolo", "yolo_parts"]

_MOST_JOINTS = 10_000
_MOST_BYTES = 16 << 20  # of a picture's text file


def read_yolo(path: Path, images: Path | None = None, split: str | None = None) -> Dataset:
    """Read a folder, or its data.yaml; a SourceError where it holds nothing.

    split: train, val or test; all that there are if None.  images: folder of the pictures, in place
    of those that data.yaml names.  The joints' names come from kpt_names, their mirror images from
    flip_idx, else from the names.  A picture without a text file has nobody.  Only class `person`,
    or the only class, is read.
    """
    layout = layout_of(path)
    notes = Notes(layout.file or layout.root)
    pictures = pictures_in(images) if images else pictures_of(layout, split, notes)
    if not pictures:
        raise SourceError(f"{layout.root} holds no pictures; give their folder with --images")
    labels = [_labels(picture, layout.root, images) for picture in pictures]
    joints, numbers = _kpt_shape(layout, labels)
    person = _person_class(layout.info)
    skeleton, assumed = _skeleton(layout, joints, person, notes)
    samples = tuple(
        _sample(picture, file, layout.root, joints, numbers, person, notes)
        for picture, file in zip(pictures, labels, strict=True)
    )
    name = "-".join([layout.root.absolute().name, *([split] if split else [])])
    remarks = (f"{layout.file or layout.root}: {assumed}",) if assumed else ()
    return Dataset(name, skeleton, samples, notes.lines(), remarks)


def yolo_parts(path: Path) -> tuple[str, ...]:
    """Return which of train, val and test a set has."""
    return tuple(layout_of(path).parts)


def _kpt_shape(layout: Layout, labels: list[Path]) -> tuple[int, int]:
    """Return the number of joints and of numbers for each: kpt_shape, else the first line."""
    shape = layout.info.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and shape[1] in (2, 3):
        if not isinstance(shape[0], int) or not 0 <= shape[0] <= _MOST_JOINTS:
            raise SourceError(f"kpt_shape {shape} in data.yaml: the first is the number of joints")
        return int(shape[0]), int(shape[1])
    for file in labels:
        for line in _text(file, Notes(file)).splitlines():
            count = len(line.split()) - 5
            if count >= 0:
                return (count // 3, 3) if count % 3 == 0 else (count // 2, 2)
    raise SourceError(
        f"{layout.root} is no YOLO-pose folder: no kpt_shape in data.yaml and no labels"
    )


def _skeleton(
    layout: Layout, joints: int, person: int | None, notes: Notes
) -> tuple[Skeleton, str]:
    """Return the skeleton, and what was assumed of it."""
    info = layout.info
    mirror = stated_mirror(info.get("flip_idx") or None, joints, notes, "flip_idx")
    names = info.get("kpt_names")
    if isinstance(names, dict):  # class number -> names
        names = names.get(person, next(iter(names.values()), None))
    if isinstance(names, list) and len(names) == joints:
        return skeleton_of([str(name) for name in names], mirror=mirror), ""
    if names:
        notes.add(f"kpt_names left out: they are no list of {joints} names", "kpt_names")
    classes = info.get("names") or ()
    listed = list(classes.values()) if isinstance(classes, dict) else list(classes)
    label = "person" if person is not None else str(listed[0]) if listed else ""
    return unnamed(joints, label, mirror)


def _person_class(info: dict[str, Any]) -> int | None:
    """Return the number of class person; None where every class counts."""
    names = info.get("names")
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(listed, dict) or len(listed) < 2:
        return None
    return next((int(k) for k, name in listed.items() if str(name).lower() == "person"), None)


def _labels(picture: Path, root: Path, images: Path | None) -> Path:
    """Return the text file of a picture, which may not exist.

    `labels` stands in place of the last `images` among its folders; else it lies beside the
    picture, or, where the pictures lie elsewhere, in `labels` of the set under the same folders.
    """
    parts = list(picture.absolute().parts)
    beside = picture.with_suffix(".txt")
    choices = [beside]
    folders = [i for i in range(len(parts) - 1) if parts[i] == "images"]
    if folders:
        parts[folders[-1]] = "labels"
        choices.insert(0, Path(*parts).with_suffix(".txt"))
    if images is not None:
        choices.append(root / "labels" / beside.relative_to(images))
    return next((choice for choice in choices if choice.is_file()), choices[0])


def _text(file: Path, notes: Notes) -> str:
    """Return what a text file holds; nothing, noted, of one that is too large for labels."""
    if not file.is_file():
        return ""
    if file.stat().st_size > _MOST_BYTES:
        notes.add(f"labels left out: the file is larger than {_MOST_BYTES} bytes", file.name)
        return ""
    return file.read_text("utf-8", "replace")


def _sample(
    picture: Path,
    file: Path,
    root: Path,
    joints: int,
    numbers: int,
    person: int | None,
    notes: Notes,
) -> Sample:
    width, height = header_size(picture)
    text = _text(file, notes)
    scale = np.array([width, height], np.float32)
    points, boxes = [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, box, person_points = _line(line, joints, numbers)
        except BROKEN as error:
            notes.add(f"line left out: {error}", f"{file.name}:{number}")
            continue
        if person is None or kind == person:
            person_points[:, :2] *= scale
            points.append(person_points)
            boxes.append(box * np.tile(scale, 2))
    if text.strip() and not width:
        notes.add("picture cannot be read, so its labels have no scale", picture.name)
    stacked = np.array(points, np.float32).reshape(len(points), joints, 3)
    name = (picture.relative_to(root) if picture.is_relative_to(root) else picture).as_posix()
    return Sample.of(picture, (width, height), name, stacked, np.reshape(boxes, (-1, 4)))


def _line(line: str, joints: int, numbers: int) -> tuple[int, Floats, Floats]:
    """Return class, box (4,) and joints (K, 3) of a line, in shares; a ValueError says why not."""
    values = finite([float(word) for word in line.split()])
    if len(values) != 5 + joints * numbers:
        raise ValueError(f"it has {len(values)} numbers instead of {5 + joints * numbers}")
    x, y, width, height = values[1:5]
    box = np.array([x - width / 2, y - height / 2, x + width / 2, y + height / 2], np.float32)
    points = values[5:].reshape(joints, numbers)
    if numbers == 2:  # without visibility, 0 0 stands for no label
        points = np.concatenate([points, 2.0 * points.any(1, keepdims=True)], 1)
    return int(values[0]), box, points.astype(np.float32)
