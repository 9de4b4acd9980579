"""From a file of results to a folder of measurements."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from posewright.errors import SourceError, UsageError, nearest
from posewright.files.part import PartFolder
from posewright.measure.clip import Person, people_of
from posewright.measure.facing import Side, side_of
from posewright.measure.mending import Fault, Mending, mended
from posewright.measure.opensim import mot, sto, trc
from posewright.measure.own import OwnAngle
from posewright.measure.pages import figures, report
from posewright.measure.quantities import Convention, Quantity, measured
from posewright.measure.segments import Facing
from posewright.measure.space import Scaling, Space
from posewright.measure.steps import Event, cadence, events_of
from posewright.measure.summary import Row, summary
from posewright.measure.tables import (
    events_table,
    faults_table,
    long_table,
    people_table,
    summary_table,
    wide_table,
)
from posewright.readers.saved import Saved
from posewright.reports.page import svg_file
from posewright.sources.ranges import Range

__all__ = ["FORMS", "Measured", "Settings", "measure", "measure_to"]

FORMS = ("csv", "trc", "mot", "sto", "html", "svg")
_FILES = ("measures", "measures-wide", "summary", "people", "gaps", "steps")


@dataclass(frozen=True)
class Settings:
    """What is measured, and how.

    facing: "auto" looks for the side of each person.  convention: see `quantities.measured`.
    person: the only identity that is measured; None for all.  min_score: joints below are missing.
    mending: what is done to the points first.  scaling: from pixels to metres, and the floor.
    own: further angles.
    """

    facing: Facing | str = "auto"
    convention: Convention = "sports2d"
    person: int | None = None
    min_score: float = 0.3
    mending: Mending = field(default_factory=Mending)
    scaling: Scaling = field(default_factory=Scaling)
    own: tuple[OwnAngle, ...] = ()


@dataclass(frozen=True, eq=False)
class Measured:
    """What was measured of one person."""

    person: Person
    side: Side
    space: Space
    quantities: list[Quantity]
    convention: Convention = "sports2d"
    rows: list[Row] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Return what `people.csv` says of the person."""
        person = self.person
        return {
            "person": person.id,
            "first_frame": int(person.frames[0]),
            "last_frame": int(person.frames[-1]),
            "start_s": float(person.times[0]),
            "end_s": float(person.times[-1]),
            "rate_hz": person.rate,
            "frames": len(person.frames),
            "frames_seen": int(person.seen.sum()),
            "facing": self.side.facing,
            "facing_by": self.side.by,
            "facing_share": self.side.share,
            "unit": person.unit,
            **self.space.facts(),
            "steps": sum(math.isfinite(event.step_time) for event in self.events),
            "cadence_per_min": cadence(self.events),
            **{f"{kind}s": self.count(kind) for kind in ("gap", "outlier")},
        }

    def count(self, kind: str) -> int:
        """Return the number of gaps or outliers of all joints."""
        return sum(fault.kind == kind for fault in self.faults)

    def told(self) -> dict[str, Any]:
        """Return the facts and the summary as plain values, None for what is unknown."""
        rows = [asdict(row) for row in self.rows]
        told: dict[str, Any] = _plain({**self.facts(), "summary": rows})
        return told


def _plain(value: Any) -> Any:
    """Return a value with None in place of NaN, of which JSON knows nothing."""
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def measure(people: Sequence[Person], settings: Settings) -> list[Measured]:
    """Mend the points of the people of one clip, find floor and scale, and measure everybody."""
    found = [mended(person, settings.mending) for person in people]
    space = settings.scaling.space([person for person, _ in found])
    return [_one(space.placed(person), space, faults, settings) for person, faults in found]


def _one(person: Person, space: Space, faults: list[Fault], settings: Settings) -> Measured:
    side = side_of(person)
    if settings.facing in ("left", "right"):
        side = Side("left" if settings.facing == "left" else "right", "given")
    events = events_of(person, side.facing)
    quantities = measured(person, side.facing, settings.convention, settings.own)
    return Measured(
        person, side, space, quantities, settings.convention, summary(quantities), faults, events
    )


def measure_to(
    path: Path,
    out: Path,
    *,
    save: Sequence[str] = ("csv",),
    settings: Settings | None = None,
    fps: float = 30.0,
    overwrite: bool = False,
    frames: Any = None,
    time_range: Any = None,
    stride: int = 1,
) -> tuple[list[Measured], list[Path]]:
    """Measure everybody of a result file; return what was measured and the files in `out`.

    fps: frame rate of results without timestamps.  frames, time_range, stride: see Range.of.
    UsageError: an unknown form, people without identities.  SourceError: nobody is there.
    OutputError: `out` holds something already.
    """
    settings = settings or Settings()
    for name in save:
        if name not in FORMS:
            raise UsageError(
                f"no output format {name!r}{nearest(name, FORMS)}; known: {', '.join(FORMS)}"
            )
    if not 0 < fps < math.inf:
        raise UsageError(f"--fps must be a positive number, not {fps}")
    saved = Saved(path, "none", fps, Range.of(frames, time_range, stride))
    results = chain.from_iterable(each for _, each in saved.sequences())
    people = people_of(results, min_score=settings.min_score, fps=fps)
    people = [p for p in people if settings.person in (None, p.id) and p.seen.any()]
    if not people:
        who = "nobody" if settings.person is None else f"no person {settings.person}"
        raise SourceError(f"{path} holds {who} to measure; check it with posewright view")
    found = measure(people, settings)
    return found, _written(out, found, save, overwrite)


def _written(
    out: Path, found: Sequence[Measured], save: Sequence[str], overwrite: bool
) -> list[Path]:
    folder = PartFolder(out, overwrite, _ours)
    names = []
    for name, data in _files(found, save):
        folder.add(name, data)
        names.append(name)
    folder.finish()
    return [out / name for name in names]


def _ours(path: Path) -> bool:
    """Tell a file of an earlier run from others."""
    if path.suffix == ".csv":
        return path.stem in _FILES
    return (
        re.fullmatch(r"person-\d+\.(trc|mot|sto|html)|person-\d+-\w+\.svg", path.name) is not None
    )


def _files(found: Sequence[Measured], save: Sequence[str]) -> list[tuple[str, bytes]]:
    series = [(one.person, one.quantities) for one in found]
    files = []
    if "csv" in save:
        files += [("measures.csv", long_table(series)), ("measures-wide.csv", wide_table(series))]
    files.append(("summary.csv", summary_table({one.person.id: one.rows for one in found})))
    files.append(("gaps.csv", faults_table((one.person, one.faults) for one in found)))
    files.append(("steps.csv", events_table((one.person, one.events) for one in found)))
    files.append(("people.csv", people_table([one.facts() for one in found])))
    return files + [file for one in found for file in _of_person(one, save)]


def _of_person(one: Measured, save: Sequence[str]) -> Iterator[tuple[str, bytes]]:
    stem = f"person-{one.person.id}"
    if "trc" in save:
        yield f"{stem}.trc", trc(one.person, f"{stem}.trc")
    if "mot" in save:
        yield f"{stem}.mot", mot(one.person, one.quantities)
    if "sto" in save:
        yield f"{stem}.sto", sto(one.person, one.quantities)
    if "html" in save:
        yield f"{stem}.html", report(one).encode("utf-8")
    if "svg" in save:
        for name, svg in figures(one).items():
            yield f"{stem}-{name}.svg", svg_file(svg).encode("utf-8")
