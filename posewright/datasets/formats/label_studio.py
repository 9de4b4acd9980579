"""Label Studio's JSON export: keypoints and rectangles in percent of the image.

Points belong to the person of their parentID, of their relations, else to the smallest rectangle
that holds them; without any rectangle or relation all points of an image are one person's.  A
point is hidden where its meta, or a choice made for it, says occluded or hidden.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset, Sample, labelled_extent
from posewright.datasets.classes import Classes, class_title
from posewright.datasets.findings import Notes
from posewright.datasets.formats.label_studio_images import file_name, finder, picture_key
from posewright.datasets.formats.labelme import skeleton_from_names
from posewright.datasets.formats.labelme_people import HIDDEN
from posewright.datasets.layouts import Layout
from posewright.datasets.misspelt import check_spelling
from posewright.datasets.naming import spellings
from posewright.errors import SourceError
from posewright.files.values import BROKEN, finite, load, turned_extent
from posewright.people import Floats
from posewright.skeletons import Skeleton

__all__ = ["LAYOUTS", "read_label_studio"]


_OUTLINES = (
    "rectanglelabels",
    "polygonlabels",
    "ellipselabels",
    "rectangle",
    "polygon",
    "ellipse",
)


_UNREAD = ("brushlabels", "brush", "bitmasklabels", "bitmask", "keypoint", "vectorlabels", "vector")


@dataclass(frozen=True)
class _Point:
    """A labelled joint, px; owner: the id of its rectangle or group, None where nothing says it."""

    label: str
    x: float
    y: float
    visibility: int
    owner: str | None


@dataclass
class _Page:
    """One task: rectangles (x1, y1, x2, y2) px and their classes by id, and points."""

    name: str
    size: tuple[int, int] = (0, 0)
    boxes: dict[str, Floats] = field(default_factory=dict)
    classes: dict[str, str] = field(default_factory=dict)
    points: list[_Point] = field(default_factory=list)


def read_label_studio(
    path: Path,
    images: Path | None = None,
    class_name: str | None = None,
    joints: Iterable[str] = (),
) -> Dataset:
    """Read an export; of several annotations of a task the ground truth counts, else the first.

    The label of a rectangle is its class; class_name, joints: see `open_dataset`.
    """
    data = load(path)
    if not isinstance(data, list):
        raise SourceError(f"{path} is not a Label Studio export: it must be a list; export as JSON")
    notes, asides = Notes(path), Notes(path)
    key = picture_key(data)
    pages = [page for task in data if (page := _page(task, key, notes, asides)) is not None]
    classes = _classes(pages)
    chosen = classes.choose(class_name, path)
    loose = classes.unnamed(class_name, chosen)
    everybody = [_people(page, chosen, loose, asides) for page in pages]
    used = [p.label for people in everybody for _, points in people for p in points]
    canon = spellings(used)
    check_spelling(used, canon, joints, path)
    skeleton = skeleton_from_names(list(canon.values()))
    find = finder(path, [page.name for page in pages], images, notes)
    samples = tuple(
        _sample(i, page, people, find(page.name), skeleton, canon, notes)
        for i, (page, people) in enumerate(zip(pages, everybody, strict=True), 1)
    )
    return Dataset(
        path.stem,
        skeleton,
        samples,
        notes.lines(),
        (*classes.remarks(chosen, path), *asides.lines()),
        class_title(chosen),
    )


def _page(task: Any, key: str | None, notes: Notes, asides: Notes) -> _Page | None:
    try:
        url = task["data"][key]
        if not isinstance(url, str) or url.startswith("data:"):
            raise ValueError(f"data.{key} is not the path of an image")
        page = _Page(file_name(url))
        done = [a for a in task["annotations"] if not a.get("was_cancelled")]
    except BROKEN as error:
        notes.add(f"task skipped: {error!r}", str(task)[:60])
        return None
    done.sort(key=lambda a: a.get("ground_truth") is not True)
    for _ in done[1:]:
        asides.add("second annotation of a task skipped", page.name)
    results = (done[0].get("result") or []) if done else []
    owners, words = _owners(results), _words(results)
    for result in results:
        try:
            _add(page, result, owners, words)
        except BROKEN as error:
            notes.add(f"result skipped: {error!r}", page.name)
    for result in results:
        if not isinstance(result, dict):
            continue
        kind, number = result.get("type"), str(result.get("id"))
        if kind == "labels" and not page.classes.get(number, "?"):  # of a rectangle beside it
            page.classes[number] = str((result["value"].get("labels") or [""])[0])
        elif kind in _UNREAD:
            notes.add(f"{kind} skipped: it is not an outline or joint that can be read", page.name)
    return page


def _owners(results: list[Any]) -> dict[str, str]:
    """Return the rectangle, or the first point, that each point is tied to.

    By its parentID, else by relations in either direction, also by way of other points; points that
    are tied to one another and to no rectangle are one person.
    """
    ties: dict[str, list[str]] = defaultdict(list)
    kinds: dict[str, str] = {}
    for result in results:
        if not isinstance(result, dict):
            continue
        if result.get("type") == "relation":
            pairs = [(str(result.get("from_id")), str(result.get("to_id")))]
        else:
            if result.get("type") in ("keypointlabels", *_OUTLINES):  # not what is said of it
                kinds[str(result.get("id"))] = str(result.get("type"))
            parent = result.get("parentID")
            pairs = [(str(result.get("id")), str(parent))] if parent else []
        for one, other in pairs:
            ties[one].append(other)
            ties[other].append(one)
    owners = {}
    for point in (i for i, kind in kinds.items() if kind == "keypointlabels" and i in ties):
        group = _tied(point, ties, kinds)
        boxes = [i for i in group if kinds.get(i) in _OUTLINES]
        points = [i for i in group if kinds.get(i) == "keypointlabels"]
        if boxes or len(points) > 1:
            owners[point] = boxes[0] if boxes else min(points)
    return owners


def _tied(point: str, ties: dict[str, list[str]], kinds: dict[str, str]) -> list[str]:
    """Return what is tied to a point, not by way of a rectangle, nearest first."""
    found = [point]
    for at in found:
        if kinds.get(at) not in _OUTLINES:
            found += [i for i in dict.fromkeys(ties[at]) if i not in found]
    return found


def _words(results: list[Any]) -> dict[str, set[str]]:
    """Return what is said of each region beside its label, in lower case.

    In its meta, and in choices and tags that have its id.
    """
    words: dict[str, set[str]] = defaultdict(set)
    for result in results:
        if not isinstance(result, dict):
            continue
        value = result.get("value")
        said: list[Any] = [result.get("meta")]
        if isinstance(value, dict):
            said += [value.get(k) for k in ("choices", "taglist", "labels", "text")]
            said.append((value.get("keypointlabels") or [])[1:])
        words[str(result.get("id"))] |= set(_flat(said))
    return words


def _flat(value: Any) -> Iterable[str]:
    """Yield all texts within lists and dicts; a key counts where its value is true."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from [str(key).lower()] if inner is True else _flat(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _flat(inner)
    elif isinstance(value, (str, int)):
        yield str(value).strip().lower()


def _add(
    page: _Page, result: dict[str, Any], owners: dict[str, str], words: dict[str, set[str]]
) -> None:
    kind = result.get("type")
    if kind not in ("keypointlabels", *_OUTLINES):
        return
    width, height = int(result["original_width"]), int(result["original_height"])
    page.size = width, height
    value, number = result["value"], str(result.get("id"))
    if kind in _OUTLINES:
        page.boxes[number] = _box(kind, value, finite([width / 100, height / 100]))
        page.classes[number] = str((value.get(kind) or value.get("labels") or [""])[0])
        return
    x, y = finite([value["x"], value["y"]]) * np.array([width, height], np.float32) / 100
    seen = 1 if words.get(number, set()) & HIDDEN else 2
    label = str(value["keypointlabels"][0])
    page.points.append(_Point(label, float(x), float(y), seen, owners.get(number)))


def _box(kind: str, value: dict[str, Any], scale: Floats) -> Floats:
    """Return (4,) px round an outline; scale: (2,) px of a percent."""
    if kind in ("polygonlabels", "polygon"):
        points = finite(value["points"]).reshape(-1, 2) * scale
        return np.concatenate([points.min(0), points.max(0)])
    turn = float(value.get("rotation") or 0)
    x, y = (finite([value["x"], value["y"]]) * scale).tolist()
    if kind in ("ellipselabels", "ellipse"):
        a, b = (finite([value["radiusX"], value["radiusY"]]) * scale).tolist()
        return turned_extent(x, y, 2 * a, 2 * b, turn, round=True)
    a, b = (finite([value["width"], value["height"]]) * scale).tolist()
    cos, sin = float(np.cos(np.radians(turn))), float(np.sin(np.radians(turn)))
    # it is turned about its upper left corner
    middle = x + (a * cos - b * sin) / 2, y + (a * sin + b * cos) / 2
    return turned_extent(*middle, a, b, turn)


def _classes(pages: Sequence[_Page]) -> Classes:
    """Count the rectangles of each class, and those with points."""
    classes = Classes()
    for page in pages:
        pointed = {_around(page, p, page.boxes) for p in page.points}
        for number, name in page.classes.items():
            classes.add(name, number in pointed)
        if not page.boxes and page.points:
            classes.add("", joints=True)
    return classes


def _around(page: _Page, point: _Point, boxes: Iterable[str]) -> str | None:
    """Return the owner of a point, else the smallest of the rectangles around it, if any."""
    if point.owner is not None:
        return point.owner
    inside = [
        number
        for number in boxes
        if (page.boxes[number][:2] <= (point.x, point.y)).all()
        and (page.boxes[number][2:] >= (point.x, point.y)).all()
    ]
    sides = {number: page.boxes[number][2:] - page.boxes[number][:2] for number in inside}
    return min(inside, key=lambda number: float(sides[number].prod())) if inside else None


def _people(
    page: _Page, chosen: tuple[str, ...], loose: bool, asides: Notes
) -> list[tuple[Floats | None, list[_Point]]]:
    """Return rectangle, if any, and points of each person of the chosen classes.

    loose: rectangles without a class, and points without a rectangle, are people's, too.  A point
    that nothing ties to a person is of the smallest of their rectangles around it, else of nobody
    where it lies in another class's, else of the nearest.
    """
    mine = [n for n, name in page.classes.items() if name in chosen or (loose and not name)]
    people: dict[str, list[_Point]] = {number: [] for number in mine}
    for point in page.points:
        owner = _around(page, point, mine)
        if owner is None and _around(page, point, page.boxes) is not None:
            asides.add("point skipped: it lies in a rectangle of another class", page.name)
            continue
        owner = owner or (_nearest(page, point, mine) if mine else "")
        if owner in people or (loose and owner not in page.boxes):
            people.setdefault(owner, []).append(point)
    return [(page.boxes.get(number), points) for number, points in people.items()]


def _nearest(page: _Page, point: _Point, boxes: Sequence[str]) -> str:
    """Return the rectangle whose edge is nearest to a point."""

    def away(number: str) -> float:
        box, at = page.boxes[number], (point.x, point.y)
        return float(np.maximum(np.maximum(box[:2] - at, at - box[2:]), 0).sum())

    return min(boxes, key=away)


def _sample(
    number: int,
    page: _Page,
    people: Sequence[tuple[Floats | None, list[_Point]]],
    picture: Path,
    skeleton: Skeleton,
    canon: dict[str, str],
    notes: Notes,
) -> Sample:
    points = np.zeros((len(people), len(skeleton), 3), np.float32)
    where = {joint: i for i, joint in enumerate(skeleton.joints)}
    for i, (_, found) in enumerate(people):
        for point in found:
            joint = where[canon[point.label]]
            if points[i, joint, 2] > 0:
                text = "of one person skipped: tie each person's points to a rectangle"
                notes.add(f"second point {point.label!r} {text}", page.name)
            else:
                points[i, joint] = point.x, point.y, point.visibility
    extents = labelled_extent(points)
    boxes = [
        extent if box is None else box for (box, _), extent in zip(people, extents, strict=True)
    ]
    return Sample.of(picture, page.size, number, points, np.reshape(boxes, (-1, 4)))


LAYOUTS = {
    "label-studio": Layout(
        read_label_studio,
        typed=True,
        holds=lambda json: json.list_of("annotations", "data"),
        rank=8,
    )
}
