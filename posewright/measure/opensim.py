"""Files of OpenSim, as its readers take them: TRC (points), MOT and STO (columns over time).

A missing point is `nan` in TRC, which inverse kinematics leaves out; an empty cell or zeros it
would not.  MOT and STO must not have gaps, as OpenSim's older reader drops their rows: they are
filled.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from posewright.measure.clip import Person
from posewright.measure.joints import has_point, point
from posewright.measure.quantities import Quantity
from posewright.measure.tables import unit_word
from posewright.people import Doubles

__all__ = ["filled", "mot", "sto", "trc"]

_ADDED = ("mid_hip", "neck")  # points that a skeleton may lack


def trc(person: Person, name: str) -> bytes:
    """Return the points of a person as a TRC file.

    In metres, x to the right, y up from the floor and z 0; in pixels y points down, as Sports2D
    writes and reads them.  name: of the file.
    """
    skeleton = person.skeleton
    markers = [*skeleton.joints, *(each for each in _ADDED if _lacks(person, each))]
    places = np.stack([point(person.points, skeleton, each) for each in markers], 1)
    if person.unit == "m":
        places = places * [1, -1]
    count, rate = len(person.frames), _number(person.rate)
    head = [
        f"PathFileType\t4\t(X/Y/Z)\t{name}",
        "DataRate\tCameraRate\tNumFrames\tNumMarkers\tUnits\tOrigDataRate\tOrigDataStartFrame\t"
        "OrigNumFrames",
        f"{rate}\t{rate}\t{count}\t{len(markers)}\t{person.unit}\t{rate}\t{person.frames[0]}\t"
        f"{count}",
        "Frame#\tTime\t" + "\t\t\t".join(markers) + "\t\t\t",
        "\t\t" + "\t".join(f"{axis}{n}" for n in range(1, len(markers) + 1) for axis in "XYZ"),
    ]
    depths = np.where(np.isnan(places[..., :1]), np.nan, 0.0)
    cells = np.concatenate([places, depths], -1).reshape(count, -1)
    rows = [
        "\t".join([str(frame), _number(time), *map(_number, row)])
        for frame, time, row in zip(person.frames, person.times, cells.tolist(), strict=True)
    ]
    return ("\n".join([*head, *rows]) + "\n").encode()


def _lacks(person: Person, name: str) -> bool:
    return name not in person.skeleton.joints and has_point(person.skeleton, name)


def mot(person: Person, quantities: Sequence[Quantity]) -> bytes:
    """Return the angles of joints and the directions of segments as a MOT file, in degrees."""
    chosen = [one for one in quantities if one.unit == "deg"]
    names, table = filled(person, chosen)
    head = f"Coordinates\nversion=1\nnRows={len(table)}\nnColumns={len(names) + 1}\ninDegrees=yes\n"
    return _columns(head, names, table)


def sto(person: Person, quantities: Sequence[Quantity]) -> bytes:
    """Return every quantity as an STO file; a column's name ends with its unit."""
    names, table = filled(person, quantities)
    units = {one.name: unit_word(one.unit) for one in quantities}
    head = f"measures\nversion=1\nnRows={len(table)}\nnColumns={len(names) + 1}\ninDegrees=yes\n"
    return _columns(head, [f"{name}_{units[name]}" for name in names], table)


def filled(person: Person, quantities: Sequence[Quantity]) -> tuple[list[str], Doubles]:
    """Return the names of what was ever measured, and times and values without gaps (T, 1 + N).

    Gaps become straight lines; before the first and after the last value stands that value.
    """
    names, columns = [], [person.times]
    for one in quantities:
        known = np.isfinite(one.values)
        if known.any():
            names.append(one.name)
            times = person.times
            columns.append(np.interp(times, times[known], one.values[known]))
    return names, np.stack(columns, 1)


def _columns(head: str, names: Sequence[str], table: Doubles) -> bytes:
    rows = ["\t".join(["time", *names]), *("\t".join(map(_number, r)) for r in table.tolist())]
    return (head + "\nendheader\n" + "\n".join(rows) + "\n").encode()


def _number(value: float) -> str:
    return "nan" if np.isnan(value) else f"{round(value, 9) + 0.0:.10g}"
