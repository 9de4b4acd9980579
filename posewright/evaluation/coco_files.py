"""COCO labels and COCO results as the arrays that metrics compare."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.classes import Category, coco_category
from posewright.errors import SourceError, UsageError, counted, near
from posewright.evaluation.columns import (
    areas_of,
    boxes_of,
    column,
    complete,
    each,
    fields_of,
    keypoints_of,
)
from posewright.files.contents import contents
from posewright.files.longlists import split_lists
from posewright.files.paths import PathIndex
from posewright.files.values import AREA_OF_BOX, crowding, image_id, load, switch
from posewright.metrics.instances import Detections, Truth
from posewright.people import Doubles, Ints

__all__ = [
    "Labels",
    "box_detections",
    "detections",
    "read_box_truth",
    "read_detections",
    "read_entries",
    "read_truth",
    "rows_of_names",
]

Entry = Mapping[str, Any]


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of a file.

    path: of the file.  images: ids in ascending order; the cell of an instance is the number of its
    image here.  names: file name -> numbers of the images that have it.  categories: ids in
    ascending order; of boxes, the cell is that of the image plus the number of images for each
    category before.  crowd_index: (images,) CrowdPose's, 0 where the file has none.  notes,
    remarks: lines about what was left out because it is broken, and because of its class.
    otherwise: the category of keypoints that is read where results have none of `categories`, as a
    network of one class may number it 1, whatever the labels do.
    """

    path: Path
    truth: Truth
    images: Sequence[int | str]
    names: Mapping[str, frozenset[int]]
    categories: Sequence[int | str]
    crowd_index: Doubles
    notes: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()
    otherwise: int | None = None

    def rows(self, found: Iterable[Any], path: Path) -> Ints:
        """Return the number of the image of each id or name; a UsageError where some are unknown.

        A name counts as an id where it is a number, otherwise it is a file name of the labels,
        found by the longest matching tail of its path; a UsageError where several fit equally well.
        """
        where: dict[Any, int] = {image: row for row, image in enumerate(self.images)}
        ids = list(found)
        index = PathIndex(self.names)
        known = {i: self._row(i, where, index, path) for i in dict.fromkeys(ids)}
        unknown = [i for i, row in known.items() if row is None]
        if unknown:
            raise UsageError(
                f"{path}: {len(unknown)} of {len(known)} image_ids are not in {self.path}, e.g. "
                f"{unknown[0]!r}; give the labels of the same images"
            )
        return np.array([known[i] for i in ids], np.int64)

    def _row(
        self, image: Any, where: Mapping[Any, int], index: PathIndex, path: Path
    ) -> int | None:
        if not isinstance(image, str):
            return where.get(image_id(image))
        names = index.find(image)
        rows = set[int]().union(*(self.names[name] for name in names))
        if len(rows) > 1:
            both = f"{names[0]} and {names[1]}" if len(names) > 1 else f"{len(rows)} images"
            hint = "name the folders, too" if len(names) > 1 else "give their ids"
            raise UsageError(f"{path}: image_id {image!r} matches {both} of {self.path}; {hint}")
        return rows.pop() if rows else where.get(image_id(image))


def read_truth(
    path: str | Path, joints: int, whole_body: bool = False, class_name: str | None = None
) -> Labels:
    """Read people with `joints` keypoints from COCO labels.

    whole_body: the joints may be in COCO-WholeBody's five fields.  class_name: of the category to
    read; by default person where there is one, else the only one with joints.  A box that is absent
    or null is the extent of the labelled joints, an area 0.53 of the box.  SourceError for a broken
    file, UsageError for another number of joints.
    """
    path = Path(path)
    data, broken = _labels(path)
    images = _images(data, path)
    category = coco_category(data, path, class_name)
    entries = _by_image([a for a in data["annotations"] if category.takes(a)], images, path)
    fields = fields_of(entries, joints, whole_body)
    entries, notes = complete(entries, fields, path)
    keypoints = keypoints_of(entries, fields, path)
    boxes = boxes_of(entries, path, keypoints)
    areas = areas_of(entries, boxes, AREA_OF_BOX, path)
    labelled = (keypoints[:, :, 2] > 0).any(1)
    if not whole_body:
        stated = column(entries, lambda a: _or(a.get("num_keypoints"), -1), path)
        labelled = np.where(stated < 0, labelled, stated > 0)
    crowd = column(entries, lambda a: switch(a.get("iscrowd")), path) != 0
    truth = Truth(_cells(entries, images), keypoints, boxes, areas, crowd | ~labelled, crowd)
    return _made(
        path,
        data,
        truth,
        images,
        [category.number],
        [*broken, *_lost(category, data, path), *notes],
        category.remarks,
    )


def read_box_truth(path: str | Path, class_name: str | None = None) -> Labels:
    """Read boxes of every category, or of one, from COCO labels; errors as `read_truth`."""
    path = Path(path)
    data, broken = _labels(path)
    images = _images(data, path)
    chosen = coco_category(data, path, class_name) if class_name else None
    named = chosen.entries if chosen else data["categories"]
    categories = _ids(named)
    annotations = [a for a in data["annotations"] if chosen is None or chosen.takes(a)]
    entries = _by_image(annotations, images, path)
    rank = {c: n for n, c in enumerate(categories)}
    kinds = column(entries, lambda a: rank[image_id(a["category_id"])], path).astype(np.int64)
    boxes = boxes_of(entries, path)
    areas = areas_of(entries, boxes, 1, path)
    crowd = column(entries, lambda a: switch(a.get("iscrowd")), path) != 0
    cells = _cells(entries, images) + kinds * len(images)
    truth = Truth(cells, np.zeros((len(entries), 0, 3)), boxes, areas, crowd, crowd)
    truth = truth[np.argsort(cells, kind="stable")]
    return _made(path, data, truth, images, categories, broken, chosen.remarks if chosen else ())


def read_detections(path: str | Path, labels: Labels, whole_body: bool = False) -> Detections:
    """Read COCO keypoint results of the images of `labels`.

    An area is that of the box where the
    first entry has one, otherwise that of all joints, as pycocotools has it.  People of another
    category are left out.  SourceError for a broken file, UsageError for ids or a number of joints
    that do not match the labels.
    """
    path = Path(path)
    return detections(read_entries(path), labels, path, whole_body)


def detections(
    entries: list[Any], labels: Labels, path: Path, whole_body: bool = False
) -> Detections:
    """Make `read_detections` of entries that are read already."""
    [person] = labels.categories
    rows = labels.rows(each(entries, _image_id, path), path)
    categories = [_category(e, person) for e in entries]
    wanted = person if person in categories else labels.otherwise
    mine = np.array([category == wanted for category in categories], bool)
    if len(entries) and not mine.any():
        raise UsageError(
            f"{path}: none of {len(entries)} people has the category {person} of the class in "
            f"{labels.path}, e.g. {_category(entries[0], person)}; write that category_id"
        )
    entries = [e for e, m in zip(entries, mine, strict=True) if m]
    joints = labels.truth.keypoints.shape[1]
    keypoints = keypoints_of(entries, fields_of(entries, joints, whole_body), path)
    scores = column(entries, lambda e: e["score"], path)
    low, high = keypoints[:, :, :2].min(1), keypoints[:, :, :2].max(1)
    boxes = np.concatenate([low, high - low], 1)
    if entries and entries[0].get("bbox"):
        boxes = boxes_of(entries, path)
    return Detections(rows[mine], scores, keypoints, boxes, boxes[:, 2] * boxes[:, 3])


def box_detections(entries: list[Any], labels: Labels, path: Path) -> Detections:
    """Make COCO box results of entries that are read already; errors as `read_detections`."""
    rows = labels.rows(each(entries, _image_id, path), path)
    rank = {c: n for n, c in enumerate(labels.categories)}
    kinds = np.array(
        each(entries, lambda e: rank.get(image_id(e["category_id"]), -1), path), np.int64
    )
    boxes = boxes_of(entries, path)
    found = Detections(
        rows + kinds * len(labels.images),
        column(entries, lambda e: e["score"], path),
        np.zeros((len(entries), 0, 3)),
        boxes,
        boxes[:, 2] * boxes[:, 3],
    )
    return found[kinds >= 0]


# --- parts ---------------------------------------------------------------------------------------


def _labels(path: Path) -> tuple[dict[str, list[Any]], list[str]]:
    """Return a parsed file without the images that have no id, and lines about these."""
    data = load(path)
    parts = ("images", "annotations", "categories")
    if not isinstance(data, dict) or not all(isinstance(data.get(p), list) for p in parts):
        raise SourceError(f"{path} is not a COCO label file (images, annotations, categories)")
    each(data["annotations"], lambda a: a["image_id"], path)
    each(data["categories"], lambda c: image_id(c["id"]), path)
    good = [i for i in data["images"] if isinstance(i, dict) and _id(i, "id") is not None]
    known, lost = {_id(i, "id") for i in good}, len(data["images"]) - len(good)
    notes = [f"{path}: {counted(lost, 'image')} skipped: no id"] if lost else []
    of_none = sum(1 for a in data["annotations"] if _id(a, "image_id") not in known)
    if of_none:
        notes.append(
            f"{path}: {counted(of_none, 'annotation')} skipped: no image has that image_id"
        )
    return {**data, "images": good}, notes


def read_entries(path: Path) -> list[Any]:
    """Return the list of a result file; arrays stand for its lists of keypoints where they can."""
    split = split_lists(_bytes(path), "keypoints")
    if split is not None:
        for entry, points in zip(*split, strict=True):
            entry["keypoints"] = points
        return split[0]
    data = load(path)
    if not isinstance(data, list):
        raise SourceError(f"{path} is not a COCO result file (a list of people)")
    return data


def _bytes(path: Path) -> bytes:
    try:
        return contents(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}{near(path)}") from error


def _images(data: Mapping[str, Any], path: Path) -> list[int | str]:
    if not data["images"]:
        raise SourceError(f"{path} names no images; give a label file with some")
    return _ids(data["images"])


def _ids(entries: Iterable[Entry]) -> list[int | str]:
    """Return the ids in ascending order; names come after numbers, in the order of the file."""
    ids = dict.fromkeys(i for entry in entries if (i := _id(entry, "id")) is not None)
    numbers = sorted(i for i in ids if isinstance(i, int))
    return [*numbers, *(i for i in ids if not isinstance(i, int))]


def _category(entry: Entry, person: int | str) -> int | str | None:
    """Return the category of a result, that of the labels where it states none."""
    return person if entry.get("category_id") is None else _id(entry, "category_id")


def _lost(category: Category, data: Mapping[str, Any], path: Path) -> list[str]:
    """Return a line about the annotations that are of no category."""
    count = sum(1 for a in data["annotations"] if category.lost(a))
    text = "annotations skipped: their category_id matches no category"
    return [f"{path}: {count} {text}"] if count else []


def _by_image(entries: list[Any], images: list[int | str], path: Path) -> list[Any]:
    """Sort by image, keep the order of the file within one; leave out those of no image."""
    row: dict[int | str | None, int] = {image: n for n, image in enumerate(images)}
    rows = [row.get(_id(a, "image_id"), -1) for a in entries]
    order = sorted((n for n, at in enumerate(rows) if at >= 0), key=rows.__getitem__)
    kept = [entries[n] for n in order]
    if entries and not kept:
        raise SourceError(
            f"{path}: no annotation belongs to one of its images, e.g. image_id "
            f"{entries[0]['image_id']!r}; make the ids agree"
        )
    return kept


def _or(value: Any, default: Any) -> Any:
    """Return a value of a file, or what stands for one that is absent or null."""
    return default if value is None else value


def _id(entry: Entry, name: str) -> int | str | None:
    """Return an id of an entry; None, which is nothing's, where it has none."""
    try:
        return image_id(entry.get(name))
    except ValueError:
        return None


def _cells(entries: list[Any], images: list[int | str]) -> Ints:
    row = {image: n for n, image in enumerate(images)}
    return np.array([row[image_id(a["image_id"])] for a in entries], np.int64)


def _made(
    path: Path,
    data: Mapping[str, Any],
    truth: Truth,
    images: list[int | str],
    categories: list[int | str],
    notes: Sequence[str],
    remarks: Sequence[str],
) -> Labels:
    row = {image: n for n, image in enumerate(images)}
    rows = [row[image_id(i["id"])] for i in data["images"]]
    files = [str(i.get("file_name", i["id"])) for i in data["images"]]
    index = np.zeros(len(images))
    index[rows] = [crowding(i.get("crowdIndex")) or 0.0 for i in data["images"]]
    names = rows_of_names(zip(files, rows, strict=True))
    return Labels(path, truth, images, names, categories, index, tuple(notes), tuple(remarks))


def rows_of_names(pairs: Iterable[tuple[str, int]]) -> dict[str, frozenset[int]]:
    """Return the numbers of the images that have a name: several where it is not their own."""
    rows: dict[str, set[int]] = {}
    for name, row in pairs:
        rows.setdefault(name, set()).add(row)
    return {name: frozenset(found) for name, found in rows.items()}


def _image_id(entry: Any) -> int | str:
    image = entry["image_id"]
    return image if isinstance(image, str) else image_id(image)
