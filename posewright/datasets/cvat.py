"""CVAT for images 1.1: one XML file with skeletons, points, boxes and polygons.

A point that is outside has visibility 0, one that is occluded 1, any other 2.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from posewright.datasets.base import AREA_OF_BOX, Dataset, Sample, labelled_extent
from posewright.datasets.labelme import skeleton_from_names
from posewright.datasets.labelme_people import polygon_area
from posewright.datasets.naming import spellings
from posewright.datasets.notes import Notes
from posewright.datasets.places import picture_finder
from posewright.errors import SourceError, near
from posewright.people import Floats
from posewright.readers.values import BROKEN, finite
from posewright.skeletons import Skeleton

__all__ = ["parse_xml", "read_cvat"]


def parse_xml(path: Path) -> ET.Element:
    """Return the root; a SourceError for broken XML, and for any document type or entity.

    Entities can expand to gigabytes or name files of the reader, and no label file needs them.
    """
    try:
        data = path.read_bytes()
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


@dataclass
class _Person:
    points: dict[str, tuple[float, float, int]] = field(default_factory=dict)
    boxes: list[Floats] = field(default_factory=list)
    polygons: list[Floats] = field(default_factory=list)


def read_cvat(path: Path, images: Path | None = None) -> Dataset:
    """Read annotations.xml (or the folder that holds it); a SourceError where there is none.

    Shapes with one group_id are one person, and so is each skeleton with its group.
    """
    file = path / "annotations.xml" if path.is_dir() else path
    root = parse_xml(file)
    if root.tag != "annotations":
        raise SourceError(f"{file} is no CVAT export: its root is <{root.tag}>; export as images")
    notes = Notes(file)
    entries = [e for e in root.iter("image") if e.get("name")]
    if not entries:
        raise SourceError(f"{file} holds no <image>; export as 'CVAT for images'")
    people = [_people(entry, notes) for entry in entries]
    listed = [e.text or "" for e in root.findall(".//labels/label/sublabel/name")]
    names = [n for found in people for person in found for n in person.points]
    canon = spellings([*names, *listed])
    skeleton = skeleton_from_names(
        [canon[n] for n in names] or [canon[n] for n in listed], [canon[n] for n in listed]
    )
    find = picture_finder(file, [str(e.get("name")) for e in entries], images)
    samples = tuple(
        _sample(i, entry, found, find(str(entry.get("name"))), skeleton, canon)
        for i, (entry, found) in enumerate(zip(entries, people, strict=True), 1)
    )
    return Dataset(file.parent.name, skeleton, samples, notes.lines())


def _people(entry: ET.Element, notes: Notes) -> list[_Person]:
    """Return the people of one <image>."""
    people: dict[str, _Person] = {}
    for number, shape in enumerate(entry):
        key = shape.get("group_id") or "0"
        own = f"shape {number}" if shape.tag in ("skeleton", "box", "polygon") else "0"
        person_key = own if key == "0" else key
        try:
            if shape.tag == "skeleton":
                for point in shape.findall("points"):
                    _add_point(people.setdefault(person_key, _Person()), point)
            elif shape.tag == "points":
                _add_point(people.setdefault(person_key, _Person()), shape)
            elif shape.tag == "box":
                corners = finite([float(shape.attrib[k]) for k in ("xtl", "ytl", "xbr", "ybr")])
                people.setdefault(person_key, _Person()).boxes.append(corners)
            elif shape.tag == "polygon":
                people.setdefault(person_key, _Person()).polygons.append(_corners(shape))
        except BROKEN as error:
            notes.add(f"<{shape.tag}> left out: {error!r}", entry.get("name"))
    return list(people.values())


def _corners(shape: ET.Element) -> Floats:
    return finite([pair.split(",") for pair in shape.attrib["points"].split(";")]).reshape(-1, 2)


def _add_point(person: _Person, shape: ET.Element) -> None:
    x, y = _corners(shape)[0]
    hidden = shape.get("occluded") == "1"
    seen = 0 if shape.get("outside") == "1" else 1 if hidden else 2
    person.points.setdefault(shape.attrib["label"], (float(x), float(y), seen))


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
        for label, point in person.points.items():
            points[i, where[canon[label]]] = point
        around = [*person.boxes, *(np.r_[p.min(0), p.max(0)] for p in person.polygons)]
        outline = np.stack(person.boxes or around) if around else labelled_extent(points[i : i + 1])
        boxes[i] = np.r_[outline[:, :2].min(0), outline[:, 2:].max(0)]
        area = sum(polygon_area(p) for p in person.polygons)
        areas[i] = area or (boxes[i, 2:] - boxes[i, :2]).prod() * AREA_OF_BOX
    size = (int(entry.get("width", 0)), int(entry.get("height", 0)))
    outlines = tuple(tuple(p.polygons) for p in people)
    return Sample.of(picture, size, number, points, boxes, areas=areas, outlines=outlines)
