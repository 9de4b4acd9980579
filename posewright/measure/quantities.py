"""What is measured of a person in every frame: angles, lengths, places, and their changes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from posewright.errors import UsageError
from posewright.measure.angles import unwrap
from posewright.measure.clip import Person
from posewright.measure.joints import has_point, joint_angle, joint_angles, point
from posewright.measure.own import OwnAngle
from posewright.measure.segments import (
    LINES,
    Facing,
    segment_direction,
    segment_length,
    segments,
)
from posewright.people import Doubles

__all__ = ["Convention", "Quantity", "changes", "measured", "runs"]

Convention = Literal["sports2d", "isb"]

_SIDED = ("shoulder", "elbow", "wrist", "hip", "knee", "ankle", "heel", "big_toe")
_POINTS = (
    "nose",
    "neck",
    "mid_hip",
    *(f"{s}_{name}" for name in _SIDED for s in ("left", "right")),
)


@dataclass(frozen=True, slots=True, eq=False)
class Quantity:
    """One number a frame: its name, its unit and (T,) values, NaN where it cannot be measured."""

    name: str
    unit: str
    values: Doubles


def measured(
    person: Person,
    facing: Facing,
    convention: Convention = "sports2d",
    own: Sequence[OwnAngle] = (),
) -> list[Quantity]:
    """Return all that the skeleton of a person has the keypoints for.

    convention: "sports2d" counts the flexion of a knee positive, "isb" negative, as a turn about
    the axis to the right does (Wu et al. 2002); all else is the same.  own: further
    angles.  UsageError: one of a name or a joint that there is not, or that is taken.
    """
    return [
        *_moving(_angles(person, facing, convention), person.times),
        *_moving(_own(person, facing, own), person.times),
        *_moving(_directions(person, facing), person.times),
        *_lengths(person),
        *_places(person),
    ]


def _angles(person: Person, facing: Facing, convention: Convention) -> Iterator[Quantity]:
    for name in joint_angles(person.skeleton):
        values = joint_angle(person.points, person.skeleton, name, facing=facing)
        sign = -1.0 if convention == "isb" and name.endswith("_knee") else 1.0
        yield Quantity(f"{name}_angle", "deg", _steady(sign * values))


def _own(person: Person, facing: Facing, own: Sequence[OwnAngle]) -> Iterator[Quantity]:
    taken = {*joint_angles(person.skeleton), *segments(person.skeleton)}
    for one in own:
        if one.name in taken:
            raise UsageError(f"--angle {one.name} has a name that is taken; choose another one")
        taken.add(one.name)
        yield Quantity(f"{one.name}_angle", "deg", _steady(one.of(person, facing)))


def _directions(person: Person, facing: Facing) -> Iterator[Quantity]:
    for name in segments(person.skeleton):
        values = segment_direction(person.points, person.skeleton, name, facing)
        period = 180.0 if name in LINES else 360.0
        yield Quantity(f"{name}_direction", "deg", _steady(values, period))


def _lengths(person: Person) -> Iterator[Quantity]:
    for name in segments(person.skeleton):
        values = segment_length(person.points, person.skeleton, name)
        yield Quantity(f"{name}_length", person.unit, values)


def _places(person: Person) -> Iterator[Quantity]:
    """Yield where points are and how fast they move; in metres, y points up from the floor."""
    unit = person.unit
    for name in _POINTS:
        if has_point(person.skeleton, name):
            x, y = point(person.points, person.skeleton, name).T
            yield Quantity(f"{name}_x", unit, x)
            yield Quantity(f"{name}_y", unit, -y if unit == "m" else y)
            speeds = [changes(values, person.times) for values in (x, y)]
            yield Quantity(f"{name}_speed", f"{unit}/s", np.hypot(*speeds))
            faster = [changes(values, person.times) for values in speeds]
            yield Quantity(f"{name}_acceleration", f"{unit}/s^2", np.hypot(*faster))


def _moving(quantities: Iterator[Quantity], times: Doubles) -> Iterator[Quantity]:
    """Yield angles, and the velocity and the acceleration of each."""
    for one in quantities:
        yield one
        velocity = changes(one.values, times)
        yield Quantity(f"{one.name}_velocity", f"{one.unit}/s", velocity)
        faster = changes(velocity, times)
        yield Quantity(f"{one.name}_acceleration", f"{one.unit}/s^2", faster)


def _steady(degrees: Doubles, period: float = 360.0) -> Doubles:
    """Return a series of angles without jumps, whose median lies within half a period of 0."""
    series = unwrap(degrees, period)
    if not np.isfinite(series).any():
        return series
    return np.asarray(series - period * np.floor(np.nanmedian(series) / period + 0.5))


def runs(known: Doubles) -> list[slice]:
    """Return the parts of a series (T,) without a gap."""
    finite = np.concatenate([[False], np.isfinite(known), [False]])
    edges = np.flatnonzero(np.diff(finite.astype(int))).reshape(-1, 2)
    return [slice(start, end) for start, end in edges.tolist()]


def changes(values: Doubles, times: Doubles) -> Doubles:
    """Return the changes of (T,) values a second, by central differences.

    One-sided, of second order, at the ends of each run without gaps; NaN in runs of one frame.
    """
    found = np.full(len(values), np.nan)
    for run in runs(values):
        count = run.stop - run.start
        if count > 1:
            order: Literal[1, 2] = 2 if count > 2 else 1
            found[run] = np.gradient(values[run], times[run], edge_order=order)
    return found
