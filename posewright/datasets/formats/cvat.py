"""CVAT for images 1.1: one XML file with skeletons, points, boxes and polygons.

A point that is outside has visibility 0, one that is occluded 1, any other 2.  The label of a
skeleton, box or polygon is a class, that of a single point a joint.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from posewright.datasets.base import AREA_OF_BOX, Dataset, Sample, labelled_extent
from posewright.datasets.classes import Classes, class_title, majority
from posewright.datasets.findings import Notes
from posewright.datasets.formats.labelme import skeleton_from_names
from posewright.datasets.formats.labelme_people import polygon_area
from posewright.datasets.layouts import Layout
from posewright.datasets.misspelt import check_spelling
from posewright.datasets.naming import spellings
from posewright.datasets.places import picture_finder
from posewright.errors import SourceError, near
from posewright.files.contents import contents
from posewright.files.values import BROKEN, finite, turned_extent
from posewright.people import Floats
from posewright.skeletons import Skeleton, for_joints

__all__ = ["LAYOUTS", "parse_xml", "read_cvat"]


def parse_xml(path: Path) -> ET.Element:
    """Return the root; a SourceError for broken XML, and for any document type or entity.

    Entities can expand to gigabytes or name files of the reader, and no label file needs them.
    """
    try:
        data = contents(path)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}{near(path)}") from error
    parser = ET.XMLParser(target=_NoEntities())
    try:
        parser.feed(data)
        root: ET.Element = parser.close()
    except (ET.ParseError, ValueError) as error:
        raise SourceError(f"{path} is not plain XML ({error}); export it again") from error
    return root


class _NoEntities(ET.TreeBuilder):
    """Builds a tree and refuses a document type, without which there are no entities."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise ValueError("it declares a document type, which is refused")


@dataclass(frozen=True, eq=False)
class _Shape:
    """One shape: corners (M, 2) px, of a box two; a skeleton has its points as parts.

    key: of the group that makes one person.
    """

    kind: str
    label: str
    key: str
    corners: Floats
    visibility: int = 2
    parts: tuple[_Shape, ...] = ()

    @property
    def has_class(self) -> bool:
        """True where the label is a class; that of a single point is a joint."""
        return self.kind != "points" or len(self.corners) > 1


@dataclass
class _Person:
    """Points by joint, lists of all joints in order, (x1, y1, x2, y2) boxes and polygons."""

    points: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    lists: list[_Shape] = field(default_factory=list)
    boxes: list[Floats] = field(default_factory=list)
    polygons: list[Floats] = field(default_factory=list)


def read_cvat(
    path: Path,
    images: Path | None = None,
    class_name: str | None = None,
    joints: Iterable[str] = (),
) -> Dataset:
    """Read annotations.xml (or the folder that holds it); a SourceError where there is none.

    Shapes with one group_id are one person, and so is each skeleton with its group.  A shape of
    many points, labelled with a class, is one person with all joints in their order.  class_name,
    joints: see `open_dataset`; the names that the project lists are meant as they stand.
    """
    file = path / "annotations.xml" if path.is_dir() else path
    root = parse_xml(file)
    if root.tag != "annotations":
        raise SourceError(
            f"{file} is not a CVAT export: its root element is <{root.tag}>; export as images"
        )
    notes = Notes(file)
    entries = [e for e in root.iter("image") if e.get("name")]
    if not entries:
        raise SourceError(f"{file} holds no <image>; export as 'CVAT for images'")
    shapes = _without_crowded_joints(
        [_shapes(e, notes, str(e.get("name"))) for e in entries], entries, notes
    )
    classes = _classes(root, shapes)
    chosen = classes.choose(class_name, file)
    loose = classes.unnamed(class_name, chosen)
    people = [
        _people(found, chosen, loose, notes, str(e.get("name")))
        for found, e in zip(shapes, entries, strict=True)
    ]
    listed = _listed(root, chosen)
    everybody = [person for found in people for person in found]
    skeleton, canon = _skeleton(everybody, listed, file)
    used = [name for person in everybody for name in person.points]
    check_spelling(used, canon, [*joints, *listed], file)
    people = [
        _fitting(found, len(skeleton), str(e.get("name")), notes)
        for found, e in zip(people, entries, strict=True)
    ]
    find = picture_finder(file, [str(e.get("name")) for e in entries], images, notes)
    samples = tuple(
        _sample(i, entry, found, find(str(entry.get("name"))), skeleton, canon)
        for i, (entry, found) in enumerate(zip(entries, people, strict=True), 1)
    )
    return Dataset(
        file.parent.name,
        skeleton,
        samples,
        notes.lines(),
        classes.remarks(chosen, file),
        class_title(chosen),
    )


def _shapes(entry: ET.Element, notes: Notes, place: str) -> list[_Shape]:
    """Return the shapes of one <image>, or the points of a <skeleton>, that can be read."""
    found: list[_Shape] = []
    for number, shape in enumerate(entry):
        if shape.tag in ("polyline", "cuboid", "mask"):
            notes.add(f"<{shape.tag}> skipped: it is not an outline, box or joint", place)
        if shape.tag in ("skeleton", "points", "box", "polygon", "ellipse"):
            try:
                found.append(_shape(shape, number))
            except BROKEN as error:
                notes.add(f"<{shape.tag}> skipped: {error!r}", place)
                continue
            if shape.tag == "skeleton":
                parts = tuple(_shapes(shape, notes, place))
                found[-1] = replace(found[-1], parts=parts)
    return found


def _shape(shape: ET.Element, number: int) -> _Shape:
    key, kind, label = shape.get("group_id") or "0", shape.tag, shape.get("label") or ""
    if kind == "box":
        x1, y1, x2, y2 = (float(shape.attrib[k]) for k in ("xtl", "ytl", "xbr", "ybr"))
        turn = float(shape.get("rotation") or 0)
        corners = turned_extent((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1, turn).reshape(2, 2)
    elif kind == "ellipse":
        kind = "box"
        cx, cy, rx, ry = (float(shape.attrib[k]) for k in ("cx", "cy", "rx", "ry"))
        turn = float(shape.get("rotation") or 0)
        corners = turned_extent(cx, cy, 2 * rx, 2 * ry, turn, round=True).reshape(2, 2)
    elif kind == "skeleton":
        corners = np.zeros((0, 2), np.float32)
    else:
        pairs = shape.attrib["points"].split(";")
        corners = finite([pair.split(",") for pair in pairs]).reshape(-1, 2)
    if kind == "points" and not label:
        raise KeyError("label")
    if key == "0" and (kind != "points" or len(corners) > 1):
        key = f"shape {number}"  # a person of its own
    hidden = shape.get("occluded") == "1"
    seen = 0 if shape.get("outside") == "1" else 1 if hidden else 2
    return _Shape(kind, label, key, corners, seen)


def _without_crowded_joints(
    pages: list[list[_Shape]], entries: list[ET.Element], notes: Notes
) -> list[list[_Shape]]:
    """Leave out, noted, shapes of many points whose label is that of a joint elsewhere.

    Nothing tells whose joint each of these points is.
    """
    alone = {s.label for page in pages for s in page if not s.has_class}
    alone |= {part.label for page in pages for s in page for part in s.parts}
    kept = []
    for page, entry in zip(pages, entries, strict=True):
        crowded = [s for s in page if s.kind == "points" and s.has_class and s.label in alone]
        for shape in crowded:
            text = f"<points> skipped: {len(shape.corners)} points share the joint {shape.label}"
            notes.add(text, entry.get("name"))
        kept.append([s for s in page if s not in crowded] if crowded else page)
    return kept


def _classes(root: ET.Element, pages: list[list[_Shape]]) -> Classes:
    """Count the people of each class, and those with joints."""
    classes = Classes()
    for entry in root.findall(".//labels/label"):
        sort = entry.findtext("type") or ""
        if entry.find("parent") is None and sort not in ("points", "tag"):
            joints = sort == "skeleton" or entry.find("sublabel") is not None
            classes.declare(entry.findtext("name") or "", joints)
    for page in pages:
        pointed = {s.key for s in page if s.kind == "points" or s.parts}
        named = {(s.key, s.label) for s in page if s.has_class}
        for key, label in sorted(named):
            classes.add(label, key in pointed)
        loose = pointed - {key for key, _ in named}
        classes.add("", joints=True, count=len(loose))
    return classes


def _listed(root: ET.Element, chosen: tuple[str, ...]) -> list[str]:
    """Return the joints that the file lists for the classes, in its order."""
    labels = [e for e in root.findall(".//labels/label") if e.findtext("name") in chosen]
    inner = [e.text or "" for label in labels for e in label.findall("sublabel/name")]
    flat = [
        e.findtext("name") or ""
        for e in root.findall(".//labels/label")
        if e.findtext("parent") in chosen
    ]
    return inner or flat


def _people(
    shapes: list[_Shape], chosen: tuple[str, ...], loose: bool, notes: Notes, place: str
) -> list[_Person]:
    """Return the people of one image: groups with a shape of the chosen classes.

    loose: groups without any class are people, too.
    """
    named = {s.key for s in shapes if s.has_class and s.label}
    mine = {s.key for s in shapes if s.has_class and s.label in chosen}
    if loose:
        mine |= {s.key for s in shapes if s.key not in named}
    people: dict[str, _Person] = {}
    for shape in shapes:
        if shape.key in mine and not (
            shape.has_class and shape.label and shape.label not in chosen
        ):
            _add(people.setdefault(shape.key, _Person()), shape, notes, place)
    return list(people.values())


def _add(person: _Person, shape: _Shape, notes: Notes, place: str) -> None:
    if shape.kind == "box":
        person.boxes.append(np.concatenate([shape.corners[0], shape.corners[1]]))
    elif shape.kind == "polygon":
        person.polygons.append(shape.corners)
    elif shape.kind == "points" and shape.has_class:
        person.lists.append(shape)
    for point in shape.parts or ([shape] if shape.kind == "points" and not shape.has_class else []):
        if point.label in person.points:
            notes.add(f"second point {point.label!r} of one person skipped", place)
        else:
            x, y = point.corners[0]
            person.points[point.label] = (float(x), float(y), point.visibility)


def _skeleton(
    people: list[_Person], listed: list[str], where: Path
) -> tuple[Skeleton, dict[str, str]]:
    """Return the skeleton, and the spelling of each name: by names, else by numbers of points."""
    names = [name for person in people for name in person.points]
    canon = spellings([*names, *listed])
    order = [canon[n] for n in listed]
    counts = Counter(len(s.corners) for person in people for s in person.lists)
    if names or listed or not counts:
        return skeleton_from_names([canon[n] for n in names] or order, order), canon
    count = majority(counts, where, "points of a shape")
    return for_joints(count) or Skeleton(
        f"joints{count}", tuple(f"joint_{i}" for i in range(count))
    ), canon


def _fitting(people: list[_Person], joints: int, place: str, notes: Notes) -> list[_Person]:
    """Leave out, noted, lists that are not of all joints, and people of whom nothing remains."""
    kept = []
    for person in people:
        wrong = [s for s in person.lists if len(s.corners) != joints]
        for shape in wrong:
            text = f"<points> skipped: {len(shape.corners)} points instead of {joints} joints"
            notes.add(text, place)
        person.lists = [s for s in person.lists if s not in wrong]
        if not wrong or person.points or person.lists or person.boxes or person.polygons:
            kept.append(person)
    return kept


def _size(entry: ET.Element) -> tuple[int, int]:
    """Return width, height px of an image; 0, 0 where the file does not say."""
    try:
        width, height = (int(float(entry.attrib[side])) for side in ("width", "height"))
    except BROKEN:
        return 0, 0
    return (width, height) if 0 < min(width, height) <= max(width, height) < 1 << 31 else (0, 0)


def _sample(
    number: int,
    entry: ET.Element,
    people: Sequence[_Person],
    picture: Path,
    skeleton: Skeleton,
    canon: dict[str, str],
) -> Sample:
    points = np.zeros((len(people), len(skeleton), 3), np.float32)
    boxes, areas = np.zeros((len(people), 4), np.float32), np.zeros(len(people))
    where = {joint: i for i, joint in enumerate(skeleton.joints)}
    for i, person in enumerate(people):
        for shape in person.lists:
            points[i, :, :2], points[i, :, 2] = shape.corners, shape.visibility
        for label, point in person.points.items():
            points[i, where[canon[label]]] = point
        around = [*person.boxes, *(np.r_[p.min(0), p.max(0)] for p in person.polygons)]
        outline = np.stack(person.boxes or around) if around else labelled_extent(points[i : i + 1])
        boxes[i] = np.r_[outline[:, :2].min(0), outline[:, 2:].max(0)]
        area = sum(polygon_area(p) for p in person.polygons)
        areas[i] = area or (boxes[i, 2:] - boxes[i, :2]).prod() * AREA_OF_BOX
    size = _size(entry)
    outlines = tuple(tuple(p.polygons) for p in people)
    return Sample.of(picture, size, number, points, boxes, areas=areas, outlines=outlines)


def _matches(path: Path) -> bool:
    return path.suffix == ".xml" or (path / "annotations.xml").is_file()


LAYOUTS = {"cvat": Layout(read_cvat, typed=True, matches=_matches, rank=2)}
