"""Which of a labelme image's shapes belong to one person."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from posewright.datasets.base import AREA_OF_BOX, labelled_extent
from posewright.datasets.classes import PERSON, Classes
from posewright.datasets.findings import Notes
from posewright.files.values import BROKEN, finite, image_id
from posewright.people import Floats

__all__ = [
    "HIDDEN",
    "Person",
    "Shape",
    "classes_of",
    "joints_named",
    "of_class",
    "people_of",
    "polygon_area",
]

HIDDEN = {"1", "occluded", "hidden", "invisible", "not visible"}


@dataclass(frozen=True)
class Shape:
    """One shape: corners (M, 2) px; a point has one, a rectangle two opposite ones."""

    label: str
    kind: str
    corners: Floats
    group: str | None
    visibility: int
    crowd: bool

    @property
    def box(self) -> Floats:
        """(4,) px."""
        return np.concatenate([self.corners.min(0), self.corners.max(0)])


@dataclass
class Person:
    """The outlines and points of one person."""

    outlines: list[Shape] = field(default_factory=list)
    points: list[Shape] = field(default_factory=list)

    @property
    def polygons(self) -> tuple[Floats, ...]:
        """The outlines that are polygons."""
        return tuple(s.corners for s in self.outlines if s.kind == "polygon")

    @property
    def crowd(self) -> bool:
        """True where an outline is flagged crowd."""
        return any(s.crowd for s in self.outlines)

    def box_and_area(self, points: Floats) -> tuple[Floats, float]:
        """Return (4,) px round all outlines, and px^2 of the polygons.

        Without an outline the box is that of the joints `points` (K, 3); without a polygon the area
        is 0.53 of the box.
        """
        if self.outlines:
            boxes = np.stack([s.box for s in self.outlines])
            box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
        else:
            box = labelled_extent(points[None])[0]
        area = sum(polygon_area(polygon) for polygon in self.polygons)
        return box, area or float((box[2:] - box[:2]).prod()) * AREA_OF_BOX


def polygon_area(polygon: Floats) -> float:
    """(M, 2) -> px^2, by the shoelace formula."""
    x, y = polygon.astype(np.float64).T
    return abs(float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1)))) / 2


def joints_named(person: Person) -> list[str]:
    """Return the labels of a person's points."""
    return [shape.label for shape in person.points]


def classes_of(pages: Iterable[list[Person]]) -> Classes:
    """Count the people (and whatever else is outlined) of each class: the labels of outlines."""
    classes = Classes()
    for page in pages:
        for person in page:
            for name in sorted({s.label for s in person.outlines}) or [""]:
                classes.add(name, bool(person.points))
    return classes


def of_class(people: list[Person], chosen: tuple[str, ...], loose: bool) -> list[Person]:
    """Return those who have an outline of the classes, with these outlines alone.

    loose: those without any outline, too.
    """
    kept = []
    for person in people:
        outlines = [s for s in person.outlines if s.label in chosen]
        if outlines or (loose and not person.outlines):
            kept.append(Person(outlines, person.points))
    return kept


def people_of(entries: list[Any], notes: Notes, place: str) -> list[Person]:
    """Return the people of one image, of all classes, in order of their first shape.

    group_id may be any value but null and ""; 0, 0.0 and "0" are one group.  A shape without one
    belongs to the only person there is; a point, else, to the one person whose box it lies in, and
    an outline to a person of its own, as does one of another class that does not hold most points.
    """
    shapes = [s for entry in entries if (s := _shape(entry, notes, place)) is not None]
    people: dict[str, Person] = {}
    for shape in shapes:
        if shape.group is not None:
            person = people.setdefault(shape.group, Person())
            (person.points if shape.kind == "point" else person.outlines).append(shape)
    loose = [s for s in shapes if s.group is None]
    found = list(people.values())
    outlines = [s for s in loose if s.kind != "point"]
    alone = len(outlines) == 1 and len(found) == 1 and not found[0].outlines
    if alone and _is_around(outlines[0], found[0].points):
        found[0].outlines += outlines
    else:
        found += [Person(outlines=[s]) for s in outlines]
    points = [s for s in loose if s.kind == "point"]
    # points without group_id may be those of somebody
    owners = [p for p in found if not p.outlines or any(_is_around(o, points) for o in p.outlines)]
    if points and len(found) < 2 and not owners:
        found.append(Person(points=points))
        points = []
    for shape in points:
        # a point without group_id is that of the only person, or of the only one around it
        inside = found if len(found) == 1 else [p for p in found if _around(p, shape)]
        if len(inside) == 1:
            inside[0].points.append(shape)
        else:
            notes.add("point skipped: no group_id, and not inside exactly one person", place)
    return found


def _is_around(outline: Shape, points: list[Shape]) -> bool:
    """Tell whether an outline may be that of these points: a person's, or one that holds most."""
    held = sum(_around(Person([outline]), point) for point in points)
    return outline.label.lower() in (PERSON, "") or held * 2 > len(points)


def _around(person: Person, point: Shape) -> bool:
    x, y = point.corners[0]
    boxes = [shape.box for shape in person.outlines]
    return any(b[0] <= x <= b[2] and b[1] <= y <= b[3] for b in boxes)


def _shape(entry: Any, notes: Notes, place: str) -> Shape | None:
    """Return a checked shape; None, noted, for what means no person and no joint."""
    try:
        label, kind = str(entry["label"]).strip(), str(entry.get("shape_type") or "polygon")
        corners = finite(entry["points"]).reshape(-1, 2)
        flags = {str(k).lower() for k, on in (entry.get("flags") or {}).items() if on}
        said = str(entry.get("description") or "").strip().lower()
    except BROKEN as error:
        notes.add(f"shape skipped: {error!r}", place)
        return None
    if kind == "polygon" and len(corners) == 1:
        kind = "point"  # what labelme before 3.0 wrote
    if kind == "point" and said == "0":
        return None  # visibility 0: its author says that nothing is labelled
    least = {"point": 1, "rectangle": 2, "polygon": 3}.get(kind)
    person = label.lower() == PERSON and kind == "point"
    if least is None or len(corners) < least or person:
        notes.add(f"{kind} {label!r} skipped: neither an outline nor the point of a joint", place)
        return None
    visibility = 1 if flags & HIDDEN or said in HIDDEN else 2
    return Shape(label, kind, corners, _group(entry.get("group_id")), visibility, "crowd" in flags)


def _group(value: Any) -> str | None:
    """Return one text for all ways to write a group: 0, 0.0 and "0"; None for null and ""."""
    if value is None or value == "":
        return None
    try:
        return str(image_id(value))
    except ValueError:  # any other value names a group, too
        return str(value)
