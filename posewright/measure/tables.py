"""Tables as CSV: a row for each value, a row for each frame, a row for each quantity."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import astuple, fields
from typing import Any

from posewright.measure.clip import Person
from posewright.measure.mending import Fault
from posewright.measure.quantities import Quantity
from posewright.measure.steps import Event
from posewright.measure.summary import Row

__all__ = [
    "events_table",
    "faults_table",
    "long_table",
    "people_table",
    "rows_table",
    "summary_table",
    "unit_word",
    "wide_table",
]

Series = Iterable[tuple[Person, Sequence[Quantity]]]

_WORDS = {"deg/s^2": "deg_per_s2", "deg/s": "deg_per_s", "1/min": "per_min", "%": "percent"}


def unit_word(unit: str) -> str:
    """Return a unit as a part of a column's name: "px/s^2" is "px_per_s2"."""
    return _WORDS.get(unit, unit.replace("/", "_per_").replace("^", ""))


def long_table(measured: Series) -> bytes:
    """Return a row for each person, frame and quantity; an empty value is a missing one."""

    def rows() -> Iterator[Sequence[Any]]:
        for person, quantities in measured:
            for row, (frame, time) in enumerate(zip(person.frames, person.times, strict=True)):
                for one in quantities:
                    yield (person.id, frame, time, one.name, one.values[row], one.unit)

    return rows_table(("person", "frame", "time", "quantity", "value", "unit"), rows())


def wide_table(measured: Series) -> bytes:
    """Return a row for each person and frame, and a column for each quantity with its unit."""
    known = list(measured)
    names = [f"{one.name}_{unit_word(one.unit)}" for one in known[0][1]] if known else []

    def rows() -> Iterator[Sequence[Any]]:
        for person, quantities in known:
            for row, (frame, time) in enumerate(zip(person.frames, person.times, strict=True)):
                yield (person.id, frame, time, *(one.values[row] for one in quantities))

    return rows_table(("person", "frame", "time_s", *names), rows())


def summary_table(summaries: Mapping[int, Sequence[Row]]) -> bytes:
    """Return a row for each person and quantity."""
    head = ("person", *(each.name for each in fields(Row)))
    head = tuple({"least": "min", "greatest": "max"}.get(name, name) for name in head)
    head = tuple("symmetry_percent" if name == "symmetry" else name for name in head)
    return rows_table(
        head, ((one, *astuple(row)) for one, rows in summaries.items() for row in rows)
    )


def faults_table(found: Iterable[tuple[Person, Sequence[Fault]]]) -> bytes:
    """Return a row for each gap and outlier of each joint, with its first and its last frame."""
    head = ("person", "joint", "kind", "first_frame", "last_frame", "start_s", "frames", "done")

    def rows() -> Iterator[Sequence[Any]]:
        for person, faults in found:
            for one in faults:
                ends = (person.frames[one.start], person.frames[one.end - 1])
                count = one.end - one.start
                start = float(person.times[one.start])
                yield (person.id, one.joint, one.kind, *ends, start, count, one.done)

    return rows_table(head, rows())


def events_table(found: Iterable[tuple[Person, Sequence[Event]]]) -> bytes:
    """Return a row for each contact of a foot with the floor, and each leaving of it."""
    head = ("person", "frame", "time_s", "side", "event", "step_time_s", "step_length", "unit")

    def rows() -> Iterator[Sequence[Any]]:
        for person, events in found:
            for one in events:
                place = (person.id, person.frames[one.row], one.time, one.side, one.kind)
                yield (*place, one.step_time, one.step_length, person.unit)

    return rows_table(head, rows())


def people_table(people: Sequence[Mapping[str, Any]]) -> bytes:
    """Return a row for each person; columns are those of any of them."""
    names = list(dict.fromkeys(name for one in people for name in one))
    return rows_table(names, ([one.get(name, "") for name in names] for one in people))


def rows_table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> bytes:
    """Return a CSV file; numbers with nine digits, an empty cell for NaN."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(head)
    writer.writerows([_cell(cell) for cell in row] for row in rows)
    return file.getvalue().encode("utf-8")


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    if not math.isfinite(value):
        return ""
    return f"{round(value, 9) + 0.0:.9g}"  # and no minus before a 0
