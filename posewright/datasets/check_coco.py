"""What in a COCO file makes pycocotools and other strict tools fail."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np

from posewright.datasets.classes import folded
from posewright.datasets.findings import Findings
from posewright.datasets.naming import stated_names
from posewright.files.values import image_id, switch
from posewright.skeletons import for_joints

__all__ = ["coco_findings"]


def coco_findings(data: dict[str, Any], class_name: str | None, found: Findings) -> None:
    """Add faults of a parsed annotation file to `found`.

    class_name: what is read of it, as of a Dataset; None where nothing could be read.  The joints
    of other categories are not looked at.
    """
    annotations = [a for a in data.get("annotations") or [] if isinstance(a, dict)]
    categories = [c for c in data.get("categories") or [] if isinstance(c, dict)]
    if not any(_known(c.get("id")) == 1 for c in categories):
        text = "no category has id 1: tools that score only category 1 find no person"
        found.add("category id", "warning", text, [c.get("id") for c in categories])
    chosen = {folded(name) for name in (class_name or "").split(",")}
    read = [c for c in categories if folded(str(c.get("name"))) in chosen]
    _categories(read or categories, annotations, len(categories) == 1, found)
    pictures = [e for e in data["images"] if isinstance(e, dict)]
    images, known = _Ids(pictures, "image", found), _Ids(categories, "category", found)
    _repeated([a.get("id") for a in annotations], found)
    for annotation in annotations:
        _annotation(annotation, images, known, found)


class _Ids:
    """The ids of images or categories, in the form that they mean and as the file writes them."""

    def __init__(self, entries: list[dict[str, Any]], what: str, found: Findings) -> None:
        written_ids = [entry.get("id") for entry in entries]
        self._count = len(entries)
        self._meant = {_known(written) for written in written_ids} - {None}
        self._literal = {w for w in written_ids if _known(w) is not None}
        for written in written_ids:
            if _known(written) is None:
                text = f"{what} without an id (null or a fraction): it is skipped"
                found.add(f"{what} id", "error", text, written)
            elif isinstance(written, str):
                text = (
                    "ids are strings: a number in a string is read as that number, here and in eval"
                )
                found.add("ids as text", "warning", text, f"{what} {written!r}")

    def __len__(self) -> int:
        return self._count

    def __contains__(self, written: Any) -> bool:
        return _known(written) in self._meant

    def match(self, written: Any) -> bool:
        """Tell whether an id is written as its image's or category's, as strict tools ask."""
        return written in self._literal


def _known(written: Any) -> int | str | None:
    """Return an id as all readers take it; None for what is no id."""
    try:
        return image_id(written)
    except ValueError:
        return None


def _repeated(ids: list[Any], found: Findings) -> None:
    known = [_known(i) for i in ids]
    text = "two annotations share an id: pycocotools keeps one of them"
    for number, count in Counter(str(i) for i in known if i is not None).items():
        if count > 1:
            found.add("annotation ids", "error", text, number)
    for row in (row for row, number in enumerate(known) if number is None):
        text = "an annotation without an id: pycocotools stops; number them from 1"
        found.add("annotation without id", "error", text, f"annotation {row} of the list")
    if 0 in known:
        text = "annotation id 0: pycocotools counts its match as unmatched; number from 1"
        found.add("id 0", "error", text, 0)


def _categories(
    categories: list[dict[str, Any]],
    annotations: list[dict[str, Any]],
    sole: bool,
    found: Findings,
) -> None:
    """Add what is wrong with the names of joints and their sigmas.

    sole: annotations without a category are of the file's only one.
    """
    for category in categories:
        if "keypoint" in category and "keypoints" not in category:
            text = "the category's key is 'keypoint'; COCO reads 'keypoints'"
            found.add("category key", "error", text, category.get("name"))
        names = stated_names(category.get("keypoints"))
        if category.get("keypoints") and not names:
            text = "the joint names are not a list of strings: they are ignored"
            found.add("joint names", "error", text, str(category["keypoints"])[:60])
        # the annotations of the category by their number of joints
        own = _known(category.get("id"))
        counts = Counter(
            len(a["keypoints"]) // 3
            for a in annotations
            if isinstance(a.get("keypoints"), list)
            and a["keypoints"]
            and (_known(a.get("category_id")) == own or (sole and a.get("category_id") is None))
        )
        count = (
            len(names) if len(names) in counts else max(counts, key=counts.__getitem__, default=0)
        )
        if names and count and len(names) != count:
            text = "the category names a different number of joints than the annotations have"
            level: Literal["error", "warning"] = "warning" if for_joints(count) else "error"
            found.add("wrong K", level, text, f"{len(names)} names, {count} joints")
        elif names:
            _constants(category, names, found)
        if count and count != 17 and not category.get("sigmas"):
            text = "K is not 17 and no sigmas are given: pycocotools cannot score it with its own"
            found.add("sigmas", "warning", text, f"K = {count}")


def _constants(category: dict[str, Any], names: list[str], found: Findings) -> None:
    sigmas = category.get("sigmas")
    if sigmas is not None:
        try:
            values = np.array(sigmas, float)
        except (TypeError, ValueError, OverflowError):
            values = np.zeros(0)
        if values.shape != (len(names),) or not (values > 0).all():
            text = "sigmas must be K positive numbers: AP is 0 or cannot be computed"
            found.add("sigmas", "error", text, sigmas)


def _annotation(
    annotation: dict[str, Any], images: _Ids, categories: _Ids, found: Findings
) -> None:
    place = f"annotation {annotation.get('id')}"
    if annotation.get("image_id") not in images:
        found.add("image_id", "error", "image_id matches no image: never scored", place)
    if len(categories) and annotation.get("category_id") not in categories:
        text = "category_id matches no category: never scored"
        found.add("category_id", "error", text, place)
    for name, known in (("image_id", images), ("category_id", categories)):
        if annotation.get(name) in known and not known.match(annotation[name]):
            text = f"{name} and the id it refers to are of different types: strict tools"
            text += " such as pycocotools never score it"
            found.add(f"form of {name}", "error", text, f"{place}: {annotation[name]!r}")
    _crowd(annotation, found, place)
    if annotation.get("area") is None:
        text = "no area (or null): pycocotools stops; here, as for CrowdPose, it is 0.53 of the box"
        found.add("no area", "warning", text, place)
    if annotation.get("bbox") is None:
        text = "no bbox (or null): pycocotools stops; here it is the extent of the labelled joints"
        found.add("no box", "warning", text, place)
    _numbers(annotation, found, place)


def _crowd(annotation: dict[str, Any], found: Findings, place: str) -> None:
    """Add an iscrowd that other tools take for the opposite."""
    value = annotation.get("iscrowd")
    try:
        switch(value)
    except ValueError:
        text = "iscrowd is neither 0 nor 1: the person is skipped"
        found.add("iscrowd", "error", text, f"{place}: {value!r}")
        return
    if isinstance(value, str):
        text = 'iscrowd is a string: here "0" is no crowd, pycocotools reads any string as a crowd'
        found.add("iscrowd", "error", text, f"{place}: {value!r}")


def _is_crowd(annotation: dict[str, Any]) -> bool:
    try:
        return switch(annotation.get("iscrowd"))
    except ValueError:
        return False  # told by `_crowd`


def _numbers(annotation: dict[str, Any], found: Findings, place: str) -> None:
    """Add what is wrong with the joints of one annotation."""
    flat = annotation.get("keypoints")
    if not isinstance(flat, list):
        return
    if len(flat) % 3:
        text = "keypoints must be K times x, y, visibility"
        return found.add("wrong K", "error", text, f"{place}: {len(flat)} numbers")
    seen = flat[2::3]
    if any(v not in (0, 1, 2) for v in seen):
        text = "visibility should be 0, 1 or 2; whatever is above 0 counts as labelled"
        found.add("visibility", "warning", text, place)
    labelled = sum(1 for v in seen if v)
    stated = annotation.get("num_keypoints")
    if stated is None:
        text = "no num_keypoints: pycocotools raises KeyError (or, with 0, ignores the person)"
        found.add("num_keypoints", "error", text, place)
    elif stated == 0 and labelled and not _is_crowd(annotation):
        text = "num_keypoints is 0 although joints are labelled: the person is ignored, AP is -1"
        found.add("num_keypoints 0", "error", text, place)
    elif stated != labelled and "face_kpts" not in annotation:
        text = "num_keypoints is not the number of labelled joints"
        found.add("num_keypoints differs", "warning", text, f"{place}: {stated}, not {labelled}")
