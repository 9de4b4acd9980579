"""A report page of a person, and its plots as SVG files."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from posewright.measure.joints import JOINTS
from posewright.measure.quantities import Quantity
from posewright.reports.page import columns, facts, note, page, section, table
from posewright.reports.plots import lines

if TYPE_CHECKING:
    from posewright.measure.run import Measured

__all__ = ["figures", "report"]

_MOST = 40  # gaps that the page lists
_TOLD = ("frames", "frames_seen", "rate_hz", "facing", "facing_by", "steps", "cadence_per_min")


def figures(one: Measured) -> dict[str, str]:
    """Return the plots of a person by name: both sides of each joint, the trunk, own angles."""
    known = {each.name: each for each in one.quantities}
    pairs = {joint: [f"{side}_{joint}_angle" for side in ("left", "right")] for joint in JOINTS}
    own = [n for n in known if n.endswith("_angle") and n.split("_", 1)[-1][:-6] not in JOINTS]
    pairs |= {name: [name] for name in (*own, "trunk_direction", "mid_hip_speed")}
    drawn = {}
    for name, parts in pairs.items():
        there = [known[part] for part in parts if part in known]
        svg = _plot(one, name, there) if there else ""
        if svg:
            drawn[name] = svg
    return drawn


def _plot(one: Measured, name: str, quantities: Sequence[Quantity]) -> str:
    times = one.person.times.tolist()
    series = {
        each.name.partition("_")[0] if len(quantities) > 1 else each.name: list(
            zip(times, each.values.tolist(), strict=True)
        )
        for each in quantities
    }
    zero = f" (0: {JOINTS[name].zero})" if name in JOINTS else ""
    title = name.replace("_", " ") + zero
    return lines(series, title, "time (s)", quantities[0].unit)


def report(one: Measured) -> str:
    """Return the page of a person: what is known, plots, ranges, lengths, steps and gaps."""
    told = one.facts()
    return page(
        f"Movement of person {one.person.id}",
        facts({name.replace("_", " "): told[name] for name in _TOLD}),
        section("Over time", columns(*figures(one).values()), note(_signs(one))),
        section("Range of motion", table(*_ranges(one, "_angle"))),
        section("Segments", table(*_ranges(one, "_length"))),
        section("Steps", table(*_steps(one))),
        section("Gaps and outliers", table(*_faults(one))),
    )


def _signs(one: Measured) -> str:
    signs = "; ".join(f"{joint} {each.positive}" for joint, each in JOINTS.items())
    knee = ", but the flexion of a knee is negative" if one.convention == "isb" else ""
    return f"Positive: {signs}{knee}. Gaps are drawn as straight lines."


def _ranges(one: Measured, ending: str) -> tuple[list[str], list[list[Any]]]:
    head = ["", "unit", "min", "max", "range", "mean", "sd", "symmetry %", "frames", "missing"]
    rows = [
        [
            row.quantity.removesuffix(ending).replace("_", " "),
            row.unit,
            *(f"{value:.4g}" for value in (row.least, row.greatest, row.range, row.mean, row.sd)),
            "" if row.symmetry != row.symmetry else f"{row.symmetry:.1f}",
            row.frames,
            row.missing,
        ]
        for row in one.rows
        if row.quantity.endswith(ending) and row.frames
    ]
    return head, rows


def _steps(one: Measured) -> tuple[list[str], list[list[Any]]]:
    head = ["foot", "frame", "time s", "step time s", f"step length {one.person.unit}"]
    contacts = [event for event in one.events if event.kind == "contact"]
    return head, [
        [e.side, int(one.person.frames[e.row]), e.time, e.step_time, e.step_length]
        for e in contacts
    ]


def _faults(one: Measured) -> tuple[list[str], list[list[Any]]]:
    frames = one.person.frames

    def rows() -> Iterator[list[Any]]:
        for fault in one.faults[:_MOST]:
            ends = [int(frames[fault.start]), int(frames[fault.end - 1])]
            yield [fault.joint, fault.kind, *ends, fault.done]
        if len(one.faults) > _MOST:
            yield [f"and {len(one.faults) - _MOST} more in gaps.csv", "", "", "", ""]

    return ["joint", "", "first frame", "last frame", "done"], list(rows())
