"""COCO labels and COCO results as the arrays that metrics compare."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import SourceError, UsageError, near
from posewright.metrics.instances import Detections, Doubles, Ints, Truth
from posewright.readers.longlists import split_lists
from posewright.readers.values import BROKEN, load
from posewright.writers.paths import PathIndex

__all__ = [
    "Labels", "box_detections", "detections", "read_box_truth", "read_detections", "read_entries",
    "read_truth",
]  # fmt: skip

Entry = Mapping[str, Any]

# How COCO-WholeBody splits its 133 joints over fields, in order.
WHOLE_BODY = {
    "keypoints": 17, "foot_kpts": 6, "face_kpts": 68, "lefthand_kpts": 21, "righthand_kpts": 21,
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Labels:
    """The labels of a file.

    path: of the file.  images: ids in ascending order; the cell of an instance is the number of its
    image here.  categories: ids in ascending order; of boxes, the cell is that of the image plus
    the number of images for each category before.  crowd_index: (images,) CrowdPose's, 0 where the
    file has none.
    """

    path: Path
    truth: Truth
    images: Sequence[int]
    names: Mapping[str, int]
    categories: Sequence[int]
    crowd_index: Doubles

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
                f"{unknown[0]!r}; give the labels of the same pictures"
            )
        return np.array([known[i] for i in ids], np.int64)

    def _row(
        self, image: Any, where: Mapping[Any, int], index: PathIndex, path: Path
    ) -> int | None:
        if not isinstance(image, str):
            return where.get(image)
        names = index.find(image)
        rows = {self.names[name] for name in names}
        if len(rows) > 1:
            raise UsageError(
                f"{path}: image_id {image!r} fits {names[0]} and {names[1]} of {self.path}; name "
                "the folders, too"
            )
        if not rows and image.isdecimal():
            return where.get(int(image))
        return rows.pop() if rows else None


def read_truth(path: str | Path, joints: int, whole_body: bool = False) -> Labels:
    """Read people with `joints` key points from COCO labels.

    whole_body: the joints may be in COCO-WholeBody's five fields.  People without the area that
    COCO states have that of their box.  SourceError for a broken file, UsageError for another
    number of joints.
    """
    path = Path(path)
    data = _labels(path)
    images = _images(data, path)
    person = _person(data["categories"])
    with_joints = [a for a in data["annotations"] if a.get("category_id", 1) == person]
    entries = _by_image(with_joints, images, path)
    keypoints = _keypoints(entries, _fields(entries, joints, whole_body), path)
    boxes = _boxes(entries, path)
    areas = _column(entries, lambda a: a.get("area", a["bbox"][2] * a["bbox"][3]), path)
    labelled = (keypoints[:, :, 2] > 0).any(1)
    if not whole_body:
        stated = _column(entries, lambda a: a.get("num_keypoints", -1), path)
        labelled = np.where(stated < 0, labelled, stated > 0)
    crowd = _column(entries, lambda a: a.get("iscrowd", 0), path) != 0
    truth = Truth(_cells(entries, images), keypoints, boxes, areas, crowd | ~labelled, crowd)
    return _made(path, data, truth, images, [person])


def read_box_truth(path: str | Path) -> Labels:
    """Read boxes of every category from COCO labels; errors as `read_truth`."""
    path = Path(path)
    data = _labels(path)
    images = _images(data, path)
    categories = sorted(c["id"] for c in data["categories"])
    entries = _by_image(data["annotations"], images, path)
    rank = {c: n for n, c in enumerate(categories)}
    kinds = _column(entries, lambda a: rank[a["category_id"]], path).astype(np.int64)
    boxes = _boxes(entries, path)
    areas = _column(entries, lambda a: a.get("area", a["bbox"][2] * a["bbox"][3]), path)
    crowd = _column(entries, lambda a: a.get("iscrowd", 0), path) != 0
    cells = _cells(entries, images) + kinds * len(images)
    truth = Truth(cells, np.zeros((len(entries), 0, 3)), boxes, areas, crowd, crowd)
    return _made(path, data, truth[np.argsort(cells, kind="stable")], images, categories)


def read_detections(path: str | Path, labels: Labels, whole_body: bool = False) -> Detections:
    """Read COCO key point results of the pictures of `labels`.

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
    rows = labels.rows(_each(entries, _image_id, path), path)
    mine = np.array([e.get("category_id", person) == person for e in entries], bool)
    entries = [e for e, m in zip(entries, mine, strict=True) if m]
    joints = labels.truth.keypoints.shape[1]
    keypoints = _keypoints(entries, _fields(entries, joints, whole_body), path)
    scores = _column(entries, lambda e: e["score"], path)
    low, high = keypoints[:, :, :2].min(1), keypoints[:, :, :2].max(1)
    boxes = np.concatenate([low, high - low], 1)
    if entries and entries[0].get("bbox"):
        boxes = _boxes(entries, path)
    return Detections(rows[mine], scores, keypoints, boxes, boxes[:, 2] * boxes[:, 3])


def box_detections(entries: list[Any], labels: Labels, path: Path) -> Detections:
    """Make COCO box results of entries that are read already; errors as `read_detections`."""
    rows = labels.rows(_each(entries, _image_id, path), path)
    rank = {c: n for n, c in enumerate(labels.categories)}
    kinds = np.array(_each(entries, lambda e: rank.get(e["category_id"], -1), path), np.int64)
    boxes = _boxes(entries, path)
    found = Detections(
        rows + kinds * len(labels.images), _column(entries, lambda e: e["score"], path),
        np.zeros((len(entries), 0, 3)), boxes, boxes[:, 2] * boxes[:, 3],
    )  # fmt: skip
    return found[kinds >= 0]


# --- parts ---------------------------------------------------------------------------------------


def _labels(path: Path) -> dict[str, list[Any]]:
    data = load(path)
    parts = ("images", "annotations", "categories")
    if not isinstance(data, dict) or not all(isinstance(data.get(p), list) for p in parts):
        raise UsageError(f"{path} is not a COCO label file (images, annotations, categories)")
    _each(data["annotations"], _image_id, path)
    _each(data["categories"], lambda c: int(c["id"]), path)
    return data


def read_entries(path: Path) -> list[Any]:
    """Return the list of a result file; arrays stand for its lists of key points where they can."""
    split = split_lists(_bytes(path), "keypoints")
    if split is not None:
        for entry, points in zip(*split, strict=True):
            entry["keypoints"] = points
        return split[0]
    data = load(path)
    if not isinstance(data, list):
        raise UsageError(f"{path} is not a COCO result file (a list of people)")
    return data


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}{near(path)}") from error


def _images(data: Mapping[str, Any], path: Path) -> list[int]:
    ids = _each(data["images"], lambda i: int(i["id"]), path)
    if not ids:
        raise UsageError(f"{path} names no pictures; give a label file with some")
    return sorted(set(ids))


def _person(categories: list[Entry]) -> int:
    """Return the id of the category that has key points."""
    joints = [c for c in categories if "keypoints" in c]
    people = [c for c in categories if c.get("name") == "person"]
    return int(next(iter(joints + people), {"id": 1})["id"])


def _by_image(entries: list[Any], images: list[int], path: Path) -> list[Any]:
    """Sort by image, keep the order of the file within one; leave out those of no image."""
    known = set(images)
    kept = sorted((a for a in entries if a["image_id"] in known), key=lambda a: a["image_id"])
    if entries and not kept:
        raise UsageError(
            f"{path}: no annotation is of one of its pictures, e.g. image_id "
            f"{entries[0]['image_id']!r}; make the ids agree"
        )
    return kept


def _cells(entries: list[Any], images: list[int]) -> Ints:
    return np.searchsorted(np.array(images), [a["image_id"] for a in entries]).astype(np.int64)


def _made(
    path: Path, data: Mapping[str, Any], truth: Truth, images: list[int], categories: list[int]
) -> Labels:
    names = {str(i.get("file_name", i["id"])): i["id"] for i in data["images"]}
    row = {image: n for n, image in enumerate(images)}
    index = {i["id"]: float(i.get("crowdIndex", 0)) for i in data["images"]}
    return Labels(
        path, truth, images, {name: row[i] for name, i in names.items()}, categories,
        np.array([index[i] for i in images]),
    )  # fmt: skip


def _image_id(entry: Any) -> int | str:
    image = entry["image_id"]
    if not isinstance(image, (int, str)):
        raise TypeError(f"image_id {image!r} is neither a number nor a name")
    return image


def _each(entries: list[Any], get: Callable[[Any], Any], path: Path) -> list[Any]:
    """Return a value of every entry; a SourceError names the first that lacks it."""
    try:
        return [get(entry) for entry in entries]
    except BROKEN:
        bad = [(n, why) for n, why in enumerate(_failures(entries, get)) if why]
        raise SourceError(
            f"{path}: {len(bad)} of {len(entries)} entries are broken (entry {bad[0][0]}: "
            f"{bad[0][1]}); write it again"
        ) from None


def _failures(entries: list[Any], get: Callable[[Any], Any]) -> Iterable[str]:
    for entry in entries:
        try:
            get(entry)
            yield ""
        except BROKEN as error:
            yield repr(error)


def _column(entries: list[Any], get: Callable[[Any], Any], path: Path) -> Doubles:
    values = np.array(_each(entries, lambda e: float(get(e)), path), np.float64)
    return _checked(values, path)


def _checked(values: Doubles, path: Path) -> Doubles:
    if not np.isfinite(values).all():
        entry = int(np.argwhere(~np.isfinite(values))[0, 0])
        raise SourceError(f"{path}: entry {entry} holds NaN or infinity; write it again")
    return values


def _boxes(entries: list[Any], path: Path) -> Doubles:
    flat = _each(entries, lambda e: tuple(map(float, e["bbox"])), path)
    if any(len(box) != 4 for box in flat):
        raise SourceError(f"{path} has boxes that are not left, top, width, height")
    return _checked(np.array(flat, np.float64).reshape(-1, 4), path)


def _fields(entries: list[Any], joints: int, whole_body: bool) -> Mapping[str, int]:
    """Return where the joints are: in COCO-WholeBody's five fields, or all in one list."""
    split = whole_body and any("foot_kpts" in e for e in entries[:1])
    return WHOLE_BODY if split else {"keypoints": joints}


def _keypoints(entries: list[Any], fields: Mapping[str, int], path: Path) -> Doubles:
    parts = [_points(entries, field, joints, path) for field, joints in fields.items()]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, 1)


def _points(entries: list[Any], field: str, joints: int, path: Path) -> Doubles:
    """(N, joints, 3) of a flat list in every entry."""
    lists = _each(entries, lambda e: e[field], path)
    sizes = set(_each(lists, len, path))
    if sizes - {3 * joints}:
        wrong = max(sizes - {3 * joints})
        raise UsageError(
            f"{path} has {wrong / 3:g} joints in {field!r}, {joints} were expected; choose the "
            "data set that it was made for"
        )
    try:
        if lists and isinstance(lists[0], np.ndarray):
            return np.stack(lists).reshape(-1, joints, 3)
        flat = np.fromiter(chain.from_iterable(lists), np.float64, 3 * joints * len(lists))
    except BROKEN as error:
        raise SourceError(f"{path}: {field!r} holds more than numbers ({error})") from error
    return _checked(flat.reshape(-1, joints, 3), path)
