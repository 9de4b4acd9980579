"""What a COCO file says literally that pycocotools and the like will trip over."""

from __future__ import annotations

from collections import Counter
from typing import Any, Literal

import numpy as np

from posewright.datasets.findings import Findings
from posewright.skeletons import for_joints

__all__ = ["coco_findings"]


def coco_findings(data: dict[str, Any], found: Findings) -> None:
    """Add faults of a parsed annotation file to `found`."""
    annotations = [a for a in data.get("annotations") or [] if isinstance(a, dict)]
    categories = [c for c in data.get("categories") or [] if isinstance(c, dict)]
    _categories(categories, annotations, found)
    images = {e.get("id") for e in data["images"] if isinstance(e, dict)}
    _repeated([a.get("id") for a in annotations], found)
    known = {c.get("id") for c in categories}
    for annotation in annotations:
        _annotation(annotation, images, known, found)


def _repeated(ids: list[Any], found: Findings) -> None:
    text = "two annotations share an id: pycocotools keeps one of them"
    for number, count in Counter(map(str, ids)).items():
        if count > 1:
            found.add("annotation ids", "error", text, number)
    if 0 in ids:
        text = "annotation id 0: pycocotools takes its match for none; number from 1"
        found.add("id 0", "error", text, 0)


def _categories(
    categories: list[dict[str, Any]], annotations: list[dict[str, Any]], found: Findings
) -> None:
    """Add what is wrong with the names of joints and their sigmas."""
    if not any(c.get("id") == 1 for c in categories):
        text = "no category has id 1: tools that score category 1 alone find nobody"
        found.add("category id", "warning", text, [c.get("id") for c in categories])
    for category in categories:
        if "keypoint" in category and "keypoints" not in category:
            text = "the category's key is 'keypoint'; COCO reads 'keypoints'"
            found.add("category key", "error", text, category.get("name"))
        names = category.get("keypoints") or []
        count = next((len(a["keypoints"]) // 3 for a in annotations if a.get("keypoints")), 0)
        if names and count and len(names) != count:
            text = "the category names another number of joints than the annotations have"
            level: Literal["error", "warning"] = "warning" if for_joints(count) else "error"
            found.add("wrong K", level, text, f"{len(names)} names, {count} joints")
        elif names:
            _constants(category, [str(name) for name in names], found)
        if count and count != 17 and not category.get("sigmas"):
            text = "K is not 17 and no sigmas are given: pycocotools cannot score it with its own"
            found.add("sigmas", "warning", text, f"K = {count}")


def _constants(category: dict[str, Any], names: list[str], found: Findings) -> None:
    sigmas = category.get("sigmas")
    if sigmas is not None:
        try:
            values = np.array(sigmas, float)
        except (TypeError, ValueError):
            values = np.zeros(0)
        if values.shape != (len(names),) or not (values > 0).all():
            text = "sigmas must be K positive numbers: AP is 0 or cannot be computed"
            found.add("sigmas", "error", text, sigmas)


def _annotation(
    annotation: dict[str, Any], images: set[Any], categories: set[Any], found: Findings
) -> None:
    place = f"annotation {annotation.get('id')}"
    if annotation.get("image_id") not in images:
        found.add("image_id", "error", "image_id is of no picture: never scored", place)
    if categories and annotation.get("category_id") not in categories:
        text = "category_id is of no category: never scored"
        found.add("category_id", "error", text, place)
    if "area" not in annotation:
        text = "no area: pycocotools raises KeyError; CrowdPose's evaluator takes 0.53 of the box"
        found.add("no area", "warning", text, place)
    _numbers(annotation, found, place)


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
        text = "no num_keypoints: pycocotools raises KeyError (or, with 0, leaves the person out)"
        found.add("num_keypoints", "error", text, place)
    elif stated == 0 and labelled and not annotation.get("iscrowd"):
        text = "num_keypoints is 0 although joints are labelled: the person is ignored, AP is -1"
        found.add("num_keypoints 0", "error", text, place)
    elif stated != labelled and "face_kpts" not in annotation:
        text = "num_keypoints is not the number of labelled joints"
        found.add("num_keypoints differs", "warning", text, f"{place}: {stated}, not {labelled}")
