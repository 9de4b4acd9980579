"""COCO keypoints and every set in that form.

COCO, COCO-WholeBody (arXiv:2007.11858), CrowdPose, OCHuman, Halpe-26 and -136, converted AIC,
Human-Art, MHP, ExLPose, sub-JHMDB and PoseTrack files as others ship them.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import (
    AREA_OF_BOX,
    Dataset,
    Outlines,
    Sample,
    concat,
    labelled_extent,
)
from posewright.datasets.classes import Category, coco_category, majority
from posewright.datasets.findings import Notes
from posewright.datasets.formats.coco_folder import coco_parts, part_files
from posewright.datasets.layouts import Layout
from posewright.datasets.naming import skeleton_of, stated_mirror, stated_names, unnamed
from posewright.datasets.places import picture_finder
from posewright.errors import SourceError, UsageError
from posewright.files.values import (
    BROKEN,
    corners,
    crowding,
    finite,
    image_id,
    load,
    number_id,
    switch,
)
from posewright.people import Floats
from posewright.skeletons import COCO133, Skeleton

__all__ = ["LAYOUTS", "coco_skeleton", "parse_coco", "read_coco", "read_humanart21"]

_WHOLE = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")


def read_coco(
    path: Path,
    images: Path | None = None,
    field: str = "keypoints",
    class_name: str | None = None,
    split: str | None = None,
) -> Dataset:
    """Read an annotation file; a SourceError in one line where it is not one.

    images: folder of the images (found near the file if None).  field: the entry that holds the
    joints; "keypoints_21" reads all 21 of Human-Art.  class_name: of the categories to read; by
    default person where there is one, else the only one with joints.  split: train, val or test of
    a folder; all of them if None.
    """
    if path.is_dir():
        files = part_files(path)
        if split is not None and split not in files:
            raise UsageError(
                f"{path} has no split {split!r}, only {', '.join(files) or 'one file'}"
            )
        chosen = files.values() if split is None else [files[split]]
        parts = [read_coco(file, images, field, class_name) for file in chosen]
        if not parts:
            raise SourceError(f"{path} holds no annotation files that are its parts; name one file")
        return concat(_apart(parts)) if len(parts) > 1 else parts[0]
    data = load(path)
    if not isinstance(data, dict) or not isinstance(data.get("images"), list):
        raise SourceError(f'{path} is not a COCO file: it needs a list "images"; check the name')
    if not isinstance(data.get("annotations"), list):
        raise SourceError(
            f'{path} holds no list "annotations": a test set has no labels; use a labelled file'
        )
    return parse_coco(data, path, images, field, class_name)


def _apart(parts: Sequence[Dataset]) -> list[Dataset]:
    """Return the parts of a folder with ids that do not repeat, as those of several files may."""
    taken: set[int | str] = set()
    apart = []
    for part in parts:
        ids = [sample.image_id for sample in part]
        if taken & set(ids):
            ids = [f"{part.name}/{number}" for number in ids]
        taken |= set(ids)
        pairs = zip(part.samples, ids, strict=True)
        apart.append(replace(part, samples=tuple(s.replace(image_id=i) for s, i in pairs)))
    return apart


def parse_coco(
    data: dict[str, Any],
    path: Path,
    images: Path | None = None,
    field: str = "keypoints",
    class_name: str | None = None,
) -> Dataset:
    """Return the data set of a parsed file; people that cannot be read are skipped and noted."""
    notes = Notes(path)
    category = coco_category(data, path, class_name, field)
    for _ in range(category.nameless):
        notes.add("category skipped: it needs an id", path.name)
    annotations = _of_category(data["annotations"], category, notes)
    skeleton, fields, assumed = coco_skeleton(category.entries, annotations, notes, field, path)
    by_image: dict[Any, list[_Person]] = defaultdict(list)
    for annotation in annotations:
        try:
            image = image_id(annotation["image_id"])
            by_image[image].append(_Person(annotation, fields, len(skeleton)))
        except BROKEN as error:
            place = annotation.get("id", annotation) if isinstance(annotation, dict) else annotation
            why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
            notes.add(f"annotation skipped: {why}", f"id {str(place)[:60]}")
    entries = [e for e in data["images"] if _is_image(e, notes)]
    find = picture_finder(path, [str(e["file_name"]) for e in entries], images, notes)
    samples = tuple(
        _sample(e, by_image.pop(image_id(e["id"]), []), find(e["file_name"]), len(skeleton))
        for e in entries
    )
    for image, lost in by_image.items():
        for _ in lost:
            notes.add("annotation skipped: its image_id matches no image", image)
    remarks = (*category.remarks, *([f"{path}: {assumed}"] if assumed else []))
    return Dataset(
        path.stem, skeleton, samples, notes.lines(), remarks, category.title, category.number
    )


def _of_category(annotations: list[Any], category: Category, notes: Notes) -> list[Any]:
    """Return the annotations of the categories that are read, and what is no annotation at all."""
    kept = []
    for annotation in annotations:
        if not isinstance(annotation, dict) or category.takes(annotation):
            kept.append(annotation)
        elif category.lost(annotation):
            place = f"id {str(annotation.get('id'))[:60]}"
            notes.add("annotation skipped: its category_id matches no category", place)
    return kept


def coco_skeleton(
    categories: Sequence[Mapping[str, Any]],
    annotations: list[Any],
    notes: Notes,
    field: str = "keypoints",
    where: object = "the file",
) -> tuple[Skeleton, tuple[str, ...], str]:
    """Return the skeleton of people, the entries that hold their joints, and what was assumed.

    The number of joints is that of the names of the categories where somebody has as many, else
    that of the majority of the people.  SourceError: they have no majority, or the names differ.
    Mirror pairs are those of the category's flip_index (or flip_idx), where it has one.
    """
    rows = [a for a in annotations if isinstance(a, dict) and isinstance(a.get(field), list)]
    if sum("foot_kpts" in a for a in rows) * 2 > len(rows):
        return COCO133, _WHOLE, ""
    named = [c for c in categories if c.get("keypoints")]
    if len(named) > 1:  # those that nobody is of say nothing of the joints of the others
        used = {_id_of(a, "category_id") for a in rows}
        named = [c for c in named if _id_of(c, "id") in used] or named
    person = named[0] if named else {}
    if any(c["keypoints"] != person["keypoints"] for c in named):
        titles = ", ".join(str(c.get("name")) for c in named)
        raise SourceError(f"{where}: the joints of {titles} differ; choose one of them")
    names = stated_names(person.get("keypoints"))
    if person and not names:
        notes.add("joint names ignored: they are not a list of strings", person.get("name"))
    counts = Counter(len(a[field]) // 3 for a in rows if a[field] and len(a[field]) % 3 == 0)
    count = len(names)
    if counts and count not in counts:
        count = majority(counts, where, "joints")
    if count == 0:
        return Skeleton("boxes", ()), (), ""
    table = next((t for k in ("flip_index", "flip_idx") if (t := person.get(k)) is not None), None)
    mirror = stated_mirror(table, count, notes, person.get("name"))
    if len(names) == count:
        own = skeleton_of(names, _links(person), f"custom{count}", person.get("sigmas"), mirror)
        return own, (field,), ""
    label = person or next(iter(categories), {})
    skeleton, assumed = unnamed(count, str(label.get("name", "")), mirror)
    return skeleton, (field,), assumed


def _id_of(entry: Mapping[str, Any], key: str) -> int | str | None:
    try:
        return image_id(entry.get(key))
    except ValueError:
        return None


def _links(category: Mapping[str, Any]) -> list[tuple[int, int]]:
    """Return the limbs from 0; files count from 1, but for those in which a 0 occurs."""
    try:
        pairs = [(int(a), int(b)) for a, b in category.get("skeleton") or ()]
    except BROKEN:
        return []
    first = 0 if any(0 in pair for pair in pairs) else 1
    return [(a - first, b - first) for a, b in pairs]


def _is_image(entry: Any, notes: Notes) -> bool:
    try:
        image_id(entry["id"])
        good = isinstance(entry["file_name"], str)
    except BROKEN:
        good = False
    if not good:
        notes.add("image skipped: it needs id and file_name", str(entry)[:60])
    return good


class _Person:
    """One annotation, checked; a ValueError or KeyError says what is wrong with it."""

    def __init__(self, data: dict[str, Any], fields: tuple[str, ...], joints: int) -> None:
        flat = [number for f in fields for number in data.get(f) or ()]
        if flat and len(flat) != joints * 3:
            raise ValueError(f"{len(flat)} numbers in keypoints instead of {joints * 3}")
        points: Floats = finite(flat).reshape(joints, 3) if flat else np.zeros((joints, 3), "f4")
        box = data.get("bbox")
        self.points = points
        self.box = labelled_extent(points[None])[0] if box is None else corners(box)
        size = self.box[2:] - self.box[:2]
        area = data.get("area")
        self.area = float(size.prod()) * AREA_OF_BOX if area is None else float(area)
        if not math.isfinite(self.area):
            raise ValueError("NaN or infinity")
        self.crowd = switch(data.get("iscrowd"))
        self.number = number_id(data.get("id"))
        self.track = number_id(data.get("track_id"))
        head = data.get("bbox_head")
        self.head = corners(head) if head else np.zeros(4, np.float32)
        self.outline = _polygons(data.get("segmentation"))


def _polygons(value: Any) -> tuple[Floats, ...]:
    """Return a segmentation's polygons; a mask in run lengths has none."""
    if not isinstance(value, list):
        return ()
    try:
        return tuple(finite(p).reshape(-1, 2) for p in value if len(p) >= 6)
    except BROKEN:  # the outline is a convenience: its person counts without it
        return ()


def _sample(entry: dict[str, Any], people: list[_Person], image: Path, joints: int) -> Sample:
    """Return one image with its people."""
    outlines: Outlines = tuple(p.outline for p in people)
    # the name of a video; "" for null and NaN, which name none
    value = entry.get("vid_id")
    return Sample.of(
        image,
        (_integer(entry.get("width")), _integer(entry.get("height"))),
        image_id(entry["id"]),
        np.array([p.points for p in people], np.float32).reshape(len(people), joints, 3),
        [p.box for p in people],
        [p.track for p in people],
        [p.area for p in people],
        [p.crowd for p in people],
        [p.number for p in people],
        outlines,
        [p.head for p in people],
        ignore=_ignored(entry),
        video="" if value is None or value != value else str(value),
        frame=_integer(entry.get("frame_id"), 1 << 62),
        fps=_rate(entry.get("fps")),
        crowd_index=crowding(entry.get("crowdIndex")),
    )


def _integer(value: Any, below: int = 1 << 31) -> int:
    try:
        number = int(value)
        return number if 0 <= number < below else 0
    except (TypeError, ValueError, OverflowError):
        return 0


def _rate(value: Any) -> float:
    """Return frames a second; 0 for what cannot be a rate."""
    try:
        rate = float(value)
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return rate if 0 < rate <= 1000 else 0.0


def _ignored(entry: dict[str, Any]) -> tuple[Floats, ...]:
    """Return PoseTrack's ignore regions as polygons."""
    x_lists, y_lists = entry.get("ignore_regions_x"), entry.get("ignore_regions_y")
    try:
        pairs = list(zip(x_lists or (), y_lists or (), strict=True))
        return tuple(np.stack([finite(x), finite(y)], 1) for x, y in pairs)
    except BROKEN:
        return ()


def read_humanart21(
    path: Path,
    images: Path | None = None,
    class_name: str | None = None,
    split: str | None = None,
) -> Dataset:
    """Read all 21 joints of Human-Art (arXiv:2303.02760): fingers and toes besides COCO's 17."""
    return read_coco(path, images, "keypoints_21", class_name, split)


LAYOUTS = {
    **dict.fromkeys(
        ("coco", "coco-wholebody", "crowdpose", "ochuman", "halpe", "humanart"),
        Layout(
            read_coco,
            parts=coco_parts,
            matches=lambda path: bool(coco_parts(path)),
            holds=lambda json: json.images_of(),
            rank=9,
        ),
    ),
    "humanart21": Layout(read_humanart21, parts=coco_parts),
}
