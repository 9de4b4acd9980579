"""YOLO-pose folders: data.yaml, images/SUBSET and labels/SUBSET with one text file an image.

A line: class, centre x, centre y, width, height, then x, y and visibility of each joint; all but
class and visibility are shares of the image's width or height.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import numpy as np

from posewright.datasets.base import Dataset, Sample
from posewright.datasets.classes import Classes, class_title, majority
from posewright.datasets.findings import Notes
from posewright.datasets.formats.yolo_yaml import YoloSet, layout_of, pictures_of
from posewright.datasets.layouts import Layout
from posewright.datasets.naming import skeleton_of, stated_mirror, unnamed
from posewright.datasets.places import header_size, pictures_in
from posewright.errors import SourceError
from posewright.files.paths import on_disk
from posewright.files.values import BROKEN, finite
from posewright.people import Floats
from posewright.skeletons import Skeleton

__all__ = ["LAYOUTS", "read_yolo", "yolo_parts"]

_MOST_JOINTS = 10_000
_MOST_BYTES = 16 << 20  # of an image's text file


def read_yolo(
    path: Path,
    images: Path | None = None,
    class_name: str | None = None,
    split: str | None = None,
) -> Dataset:
    """Read a folder, or its data.yaml; a SourceError where it holds nothing.

    split: train, val or test; all that there are if None.  images: folder of the images, in place
    of those that data.yaml names.  The joints' names come from kpt_names, their mirror images from
    flip_idx, else from the names.  An image without a text file has no people.  class_name: a name
    or number of data.yaml's names; see `open_dataset`.
    """
    layout = layout_of(path)
    notes = Notes(layout.file or layout.root)
    pictures = pictures_in(images) if images else pictures_of(layout, split, notes)
    if not pictures:
        raise SourceError(f"{layout.root} holds no images; give their folder with --images")
    labels = [_labels(picture, layout.root, images) for picture in pictures]
    joints, numbers = _kpt_shape(layout, labels)
    read = [
        _sample(picture, file, layout.root, joints, numbers, notes)
        for picture, file in zip(pictures, labels, strict=True)
    ]
    where = layout.file or layout.root
    names = _class_names(layout)
    if names:
        read = [_named(sample, kinds, names, notes) for sample, kinds in read]
    classes = _classes(names, [kind for _, kinds in read for kind in kinds])
    number = (
        int(class_name) if class_name and class_name.isascii() and class_name.isdecimal() else -1
    )
    wanted = names.get(number) if names or number < 0 else _class_name(names, number)
    chosen = classes.choose(wanted or class_name, where)
    skeleton, assumed = _skeleton(layout, joints, chosen, notes)
    samples = tuple(
        sample[[_class_name(names, kind) in chosen for kind in kinds]] for sample, kinds in read
    )
    name = "-".join([layout.root.absolute().name, *([split] if split else [])])
    remarks = (*classes.remarks(chosen, where), *([f"{where}: {assumed}"] if assumed else []))
    return Dataset(name, skeleton, samples, notes.lines(), remarks, class_title(chosen))


def yolo_parts(path: Path) -> tuple[str, ...]:
    """Return which of train, val and test a set has."""
    return tuple(layout_of(path).parts)


def _kpt_shape(layout: YoloSet, labels: list[Path]) -> tuple[int, int]:
    """Return the number of joints and of numbers for each: kpt_shape, else of most lines.

    Without kpt_shape there are three where every third one of most lines is 0, 1 or 2.
    """
    shape = layout.info.get("kpt_shape")
    if shape is not None:
        whole = isinstance(shape, list) and [type(number) for number in shape] == [int, int]
        if not whole or not 0 <= shape[0] <= _MOST_JOINTS or shape[1] not in (2, 3):
            raise SourceError(
                f"kpt_shape {str(shape)[:60]} in {layout.file}: it must be the number of joints "
                f"(up to {_MOST_JOINTS}) and 2 or 3, as [17, 3]; correct it"
            )
        return shape[0], shape[1]
    counts: Counter[int] = Counter()
    seen: Counter[int] = Counter()  # lines whose every third number may be a visibility
    for file in labels:
        for line in _text(file, Notes(file)).splitlines():
            if len(words := line.split()) >= 5:
                counts[len(words) - 5] += 1
                seen[len(words) - 5] += all(map(_visibility, words[7::3]))
    if not counts:
        raise SourceError(
            f"{layout.root} is not a YOLO-pose folder: no kpt_shape in data.yaml and no labels"
        )
    with_joints = {count: lines for count, lines in counts.items() if count}
    most = majority(with_joints or counts, layout.root, "numbers for the joints of a line")
    with_seen = most % 3 == 0 and 2 * seen[most] > counts[most]
    if with_seen or most % 2 == 0:
        return (most // 3, 3) if with_seen else (most // 2, 2)
    raise SourceError(
        f"{layout.root}: {most} numbers for the joints of a line are neither x, y nor x, y, "
        "visibility; write kpt_shape into data.yaml"
    )


def _visibility(word: str) -> bool:
    """Tell whether a word may be a joint's visibility."""
    try:
        return float(word) in (0, 1, 2)
    except ValueError:
        return False


def _skeleton(
    layout: YoloSet, joints: int, chosen: tuple[str, ...], notes: Notes
) -> tuple[Skeleton, str]:
    """Return the skeleton of the chosen classes, and what was assumed of it."""
    info = layout.info
    mirror = stated_mirror(info.get("flip_idx") or None, joints, notes, "flip_idx")
    names = info.get("kpt_names")
    if isinstance(names, dict):  # class number -> names
        numbers = [k for k, name in _class_names(layout).items() if name in chosen]
        names = names.get(next(iter(numbers), None), next(iter(names.values()), None))
    if isinstance(names, list) and len(names) == joints:
        return skeleton_of([str(name) for name in names], mirror=mirror), ""
    if names:
        notes.add(f"kpt_names ignored: they are not a list of {joints} names", "kpt_names")
    return unnamed(joints, class_title(chosen), mirror)


def _class_names(layout: YoloSet) -> dict[int, str]:
    """Return the names of the classes by number."""
    names = layout.info.get("names")
    if names is not None and not isinstance(names, (list, dict)):
        raise SourceError(
            f"names {str(names)[:60]!r} in {layout.file} must be a list, as [person]; correct it"
        )
    listed = names if isinstance(names, dict) else dict(enumerate(names or ()))
    return {int(k): str(name) for k, name in listed.items() if str(k).isdecimal()}


def _named(
    sample: Sample, kinds: list[int], names: dict[int, str], notes: Notes
) -> tuple[Sample, list[int]]:
    """Leave out, noted, what is of a class that data.yaml does not name."""
    for kind in kinds:
        if kind not in names:
            notes.add("line skipped: its class is not among names", f"{sample.image.name}: {kind}")
    kept = [i for i, kind in enumerate(kinds) if kind in names]
    return (sample, kinds) if len(kept) == len(kinds) else (sample[kept], [kinds[i] for i in kept])


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


def _labels(picture: Path, root: Path, images: Path | None) -> Path:
    """Return the text file of an image, which may not exist.

    `labels` stands in place of the last `images` among its folders; else it lies beside the
    image, or, where the images lie elsewhere, in `labels` of the set under the same folders.
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
    found = map(on_disk, choices)
    return next((choice for choice in found if os.path.isfile(choice)), choices[0])


def _text(file: Path, notes: Notes) -> str:
    """Return what a text file holds; nothing, noted, of one that is too large for labels."""
    if not file.is_file():
        return ""
    if file.stat().st_size > _MOST_BYTES:
        notes.add(f"labels skipped: the file is larger than {_MOST_BYTES} bytes", file.name)
        return ""
    return file.read_text("utf-8", "replace")


def _sample(
    picture: Path, file: Path, root: Path, joints: int, numbers: int, notes: Notes
) -> tuple[Sample, list[int]]:
    """Return an image with all that is labelled in it, and the class of each."""
    width, height = header_size(picture)
    text = _text(file, notes)
    scale = np.array([width, height], np.float32)
    points, boxes, kinds = [], [], []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            kind, box, person_points = _line(line, joints, numbers)
        except BROKEN as error:
            notes.add(f"line skipped: {error}", f"{file.name}:{number}")
            continue
        person_points[:, :2] *= scale
        points.append(person_points)
        boxes.append(box * np.tile(scale, 2))
        kinds.append(kind)
    if text.strip() and not width:
        notes.add("image cannot be read, so its labels have no scale", picture.name)
    stacked = np.array(points, np.float32).reshape(len(points), joints, 3)
    name = (picture.relative_to(root) if picture.is_relative_to(root) else picture).as_posix()
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


def _matches(path: Path) -> bool:
    if path.is_dir():
        return any(path.glob("*.y*ml")) or (path / "labels").is_dir()
    return path.suffix in (".yaml", ".yml")


LAYOUTS = {"yolo": Layout(read_yolo, parts=yolo_parts, matches=_matches, by_images=True, rank=3)}
