"""YOLO-pose folders: data.yaml, images/SUBSET and labels/SUBSET with one text file a picture.

A line: class, centre x, centre y, width, height, then x, y and visibility of each joint; all but
class and visibility are shares of the picture's width or height.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.naming import skeleton_of
from posewright.datasets.notes import Notes
from posewright.datasets.places import header_size, pictures_in
from posewright.datasets.yaml_subset import parse_yaml
from posewright.errors import SourceError
from posewright.people import Floats
from posewright.readers.classes import Classes, class_title, majority
from posewright.readers.values import BROKEN, finite
from posewright.skeletons import Skeleton, for_joints
from posewright.writers.paths import on_disk

__all__ = ["read_yolo"]

_MOST_JOINTS = 10_000


def read_yolo(path: Path, images: Path | None = None, class_name: str | None = None) -> Dataset:
    """Read a folder, or its data.yaml, with all its subsets; a SourceError where there are none.

    The joints' names come from kpt_names, else from their number.  A picture without a text file
    has nobody.  class_name: a name or number of data.yaml's names; see `open_dataset`.
    """
    folder = path if path.is_dir() else path.parent
    info = _info(path)
    joints, numbers = _kpt_shape(info, folder)
    skeleton = _skeleton(info, joints)
    pictures = pictures_in(images or folder)
    if not pictures:
        raise SourceError(f"{folder} holds no pictures; give their folder with --images")
    notes = Notes(folder)
    names = _class_names(info)
    read = [_sample(p, folder, joints, numbers, notes) for p in pictures]
    classes = _classes(names, [kind for _, kinds in read for kind in kinds])
    wanted = names.get(int(class_name)) if class_name and class_name.isdecimal() else None
    chosen = classes.choose(wanted or class_name, folder)
    samples = tuple(
        sample[[_class_name(names, kind) in chosen for kind in kinds]] for sample, kinds in read
    )
    return Dataset(
        folder.name, skeleton, samples, notes.lines(), classes.remarks(chosen, folder),
        class_title(chosen),
    )  # fmt: skip


def _info(path: Path) -> dict[str, Any]:
    """Return data.yaml; a SourceError in one line where it cannot be understood."""
    found = sorted(path.glob("*.yaml")) + sorted(path.glob("*.yml")) if path.is_dir() else [path]
    if not found:
        return {}
    try:
        return parse_yaml(found[0].read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise SourceError(f"{found[0]} cannot be read: {error}; write it again") from error


def _kpt_shape(info: dict[str, Any], folder: Path) -> tuple[int, int]:
    """Return the number of joints and of numbers for each: kpt_shape, else of most lines."""
    shape = info.get("kpt_shape")
    if isinstance(shape, list) and len(shape) == 2 and shape[1] in (2, 3):
        if not isinstance(shape[0], int) or not 0 <= shape[0] <= _MOST_JOINTS:
            raise SourceError(f"kpt_shape {shape} in data.yaml: the first is the number of joints")
        return int(shape[0]), int(shape[1])
    counts: Counter[int] = Counter()
    for file in sorted(folder.rglob("labels/**/*.txt")):
        lines = file.read_text("utf-8", "replace").splitlines()
        counts.update(len(words) - 5 for line in lines if len(words := line.split()) >= 5)
    if not counts:
        raise SourceError(
            f"{folder} is no YOLO-pose folder: no kpt_shape in data.yaml and no labels"
        )
    with_joints = {count: lines for count, lines in counts.items() if count}
    most = majority(with_joints or counts, folder, "numbers for the joints of a line")
    return (most // 3, 3) if most % 3 == 0 else (most // 2, 2)


def _skeleton(info: dict[str, Any], joints: int) -> Skeleton:
    names = info.get("kpt_names")
    if isinstance(names, dict):  # ultralytics: class number -> names
        names = next(iter(names.values()), None)
    if isinstance(names, list) and len(names) == joints:
        return skeleton_of([str(name) for name in names])
    known = for_joints(joints)
    return known or Skeleton(f"joints{joints}", tuple(f"joint_{i}" for i in range(joints)))


def _class_names(info: dict[str, Any]) -> dict[int, str]:
    """Return the names of the classes by number."""
    names = info.get("names")
    listed = dict(enumerate(names)) if isinstance(names, list) else names
    if not isinstance(listed, dict):
        return {}
    return {int(k): str(name) for k, name in listed.items() if str(k).isdecimal()}


def _class_name(names: dict[int, str], kind: int) -> str:
    return names.get(kind) or f"class {kind}"


def _classes(names: dict[int, str], kinds: list[int]) -> Classes:
    """Count the lines of each class, all of which have joints."""
    classes = Classes()
    for name in names.values():
        classes.declare(name, joints=True)
    for kind, count in sorted(Counter(kinds).items()):
        classes.add(_class_name(names, kind), joints=True, count=count)
    return classes


def _labels(picture: Path, folder: Path) -> Path:
    """Return the text file of a picture: `labels` in place of the last `images` in its path."""
    parts = list(picture.parts)
    start = len(folder.parts)
    for i in reversed(range(min(start, len(parts) - 1), len(parts) - 1)):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def _sample(
    picture: Path, folder: Path, joints: int, numbers: int, notes: Notes
) -> tuple[Sample, list[int]]:
    """Return a picture with all that is labelled in it, and the class of each."""
    width, height = header_size(picture)
    file = on_disk(_labels(picture, folder))
    text = file.read_text("utf-8", "replace") if file.is_file() else ""
    scale = np.array([width, height], np.float32)
    points, boxes, kinds = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, box, person_points = _line(line, joints, numbers)
        except BROKEN as error:
            notes.add(f"line left out: {error}", f"{file.name}:{number}")
            continue
        person_points[:, :2] *= scale
        points.append(person_points)
        boxes.append(box * np.tile(scale, 2))
        kinds.append(kind)
    if text.strip() and not width:
        notes.add("picture cannot be read, so its labels have no scale", picture.name)
    stacked = np.array(points, np.float32).reshape(len(points), joints, 3)
    name = (
        picture.relative_to(folder).as_posix() if picture.is_relative_to(folder) else picture.stem
    )
    sample = Sample.of(picture, (width, height), name, stacked, np.reshape(boxes, (-1, 4)))
    return sample, kinds


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
