"""Label Studio's JSON export: key points and rectangles in percent of the picture.

Points belong to the person of their parentID, of their relation, else to the smallest rectangle
that holds them; without any rectangle all points of a picture are one person's.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import numpy as np

from posewright.datasets.base import Dataset, Sample, labelled_extent
from posewright.datasets.labelme import skeleton_from_names
from posewright.datasets.naming import spellings
from posewright.datasets.notes import Notes
from posewright.datasets.places import picture_finder
from posewright.errors import SourceError
from posewright.people import Floats
from posewright.readers.values import BROKEN, finite, load
from posewright.skeletons import Skeleton

__all__ = ["read_label_studio"]


@dataclass
class _Page:
    """One task: rectangles by id, points (label, x, y, visibility, id of their person or None)."""

    name: str
    size: tuple[int, int] = (0, 0)
    boxes: dict[str, Floats] = field(default_factory=dict)
    points: list[tuple[str, float, float, int, str | None]] = field(default_factory=list)


def read_label_studio(path: Path, images: Path | None = None) -> Dataset:
    """Read an export; a task's first annotation that was not cancelled counts."""
    data = load(path)
    if not isinstance(data, list):
        raise SourceError(f"{path} is no Label Studio export: it must be a list; export as JSON")
    notes = Notes(path)
    pages = [page for task in data if (page := _page(task, notes)) is not None]
    canon = spellings(p[0] for page in pages for p in page.points)
    skeleton = skeleton_from_names(list(canon.values()))
    find = picture_finder(path, [page.name for page in pages], images)
    samples = tuple(
        _sample(i, page, find(page.name), skeleton, canon) for i, page in enumerate(pages, 1)
    )
    return Dataset(path.stem, skeleton, samples, notes.lines())


def _page(task: Any, notes: Notes) -> _Page | None:
    try:
        url = next(str(v) for v in task["data"].values() if isinstance(v, str))
        page = _Page(_file_name(url))
        done = [a for a in task["annotations"] if not a.get("was_cancelled")]
    except (*BROKEN, StopIteration) as error:
        notes.add(f"task left out: {error!r}", str(task)[:60])
        return None
    results = done[0].get("result") or [] if done else []
    related = {r.get("from_id"): r.get("to_id") for r in results if r.get("type") == "relation"}
    related |= {r.get("to_id"): r.get("from_id") for r in results if r.get("type") == "relation"}
    for result in results:
        try:
            _add(page, result, related)
        except BROKEN as error:
            notes.add(f"result left out: {error!r}", page.name)
    return page


def _file_name(url: str) -> str:
    """Return the picture's name in a path, a URL, or /data/local-files/?d=PATH."""
    parts = urlsplit(url)
    local = [q[2:] for q in parts.query.split("&") if q.startswith("d=")]
    return unquote(local[0] if local else parts.path)


def _add(page: _Page, result: dict[str, Any], related: dict[Any, Any]) -> None:
    kind = result.get("type")
    if kind not in ("keypointlabels", "rectanglelabels"):
        return
    width, height = int(result["original_width"]), int(result["original_height"])
    page.size = width, height
    value = result["value"]
    x, y = finite([value["x"], value["y"]]) * np.array([width, height], np.float32) / 100
    if kind == "rectanglelabels":
        side = finite([value["width"], value["height"]]) / 100 * np.array([width, height])
        page.boxes[str(result["id"])] = np.array([x, y, x + side[0], y + side[1]], np.float32)
        return
    owner = result.get("parentID") or related.get(result.get("id"))
    hidden = bool({"hidden", "occluded"} & {str(t).lower() for t in result.get("meta", {})})
    label = str(value["keypointlabels"][0])
    page.points.append((label, float(x), float(y), 1 if hidden else 2, owner and str(owner)))


def _sample(
    number: int, page: _Page, picture: Path, skeleton: Skeleton, canon: dict[str, str]
) -> Sample:
    owners = list(page.boxes) or ([""] if page.points else [])
    points = np.zeros((len(owners), len(skeleton), 3), np.float32)
    where = {joint: i for i, joint in enumerate(skeleton.joints)}
    for label, x, y, seen, owner in page.points:
        at = owners.index(owner) if owner in page.boxes else _smallest(page, x, y)
        joint = where[canon[label]]
        if points[at, joint, 2] == 0:
            points[at, joint] = x, y, seen
    boxes = (
        np.reshape(list(page.boxes.values()), (-1, 4)) if page.boxes else labelled_extent(points)
    )
    return Sample.of(picture, page.size, number, points, boxes)


def _smallest(page: _Page, x: float, y: float) -> int:
    """Return the number of the smallest rectangle around a point, or of the nearest."""
    if not page.boxes:
        return 0
    boxes = np.stack(list(page.boxes.values()))
    out = np.maximum(np.maximum(boxes[:, :2] - (x, y), (x, y) - boxes[:, 2:]), 0).sum(1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return int(np.lexsort((area, out))[0])
