"""What is done to the points of a person before they are measured: gaps, outliers, a filter.

Everything is done to each coordinate of each joint over time, in this order: short gaps are filled,
outliers are found, and what is left is filtered between the gaps that remain.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from posewright.errors import UsageError
from posewright.measure.clip import Person
from posewright.measure.quantities import runs
from posewright.people import Doubles, Mask
from posewright.smoothing.filters import butterworth, savgol
from posewright.smoothing.spec import Smoothing

__all__ = ["Fault", "Mending", "hampel", "mended"]

Outliers = Literal["keep", "flag", "mend"]

_SIGMAS = 2.0  # Sports2D's setting
_PER_MAD = 0.6745  # of a normal distribution: the median distance from its middle, in sigmas


@dataclass(frozen=True)
class Mending:
    """gap: seconds up to which a gap is filled by straight lines; 0 fills none.

    outliers: "keep" looks for none, "flag" lists them, "mend" puts the median in their place.
    filter: of `smoothing.spec`, "butterworth" or "savgol"; None leaves points as they are.
    """

    gap: float = 0.0
    outliers: Outliers = "keep"
    filter: Smoothing | None = None


@dataclass(frozen=True, slots=True)
class Fault:
    """What was missing or wrong of a joint: rows `start` to before `end` of its person.

    kind: "gap" or "outlier".  done: "open", "filled", "kept" or "mended".
    """

    joint: str
    kind: str
    start: int
    end: int
    done: str


def mended(person: Person, mending: Mending) -> tuple[Person, list[Fault]]:
    """Return a person whose points are mended, and what was found, joint by joint.

    UsageError: a cutoff that the frame rate does not allow.
    """
    _check_filter(person, mending.filter)
    points = person.points.copy()
    faults: list[Fault] = []
    for number, joint in enumerate(person.skeleton.joints):
        series = points[:, number]
        faults += _gaps(series, person.times, joint, mending.gap)
        if mending.outliers != "keep":
            faults += _outliers(series, joint, person.rate, mending.outliers == "mend")
        if mending.filter is not None:
            for run in runs(series[:, 0]):
                series[run] = _filtered(series[run], person.rate, mending.filter)
    return replace(person, points=points), faults


def _check_filter(person: Person, smoothing: Smoothing | None) -> None:
    if smoothing is None:
        return
    if not smoothing.whole:
        raise UsageError(
            f"--filter takes butterworth or savgol, not {smoothing.name}; smooth with "
            f"posewright track --smooth {smoothing.name} first"
        )
    cutoff = smoothing.settings.get("cutoff", 0.0)
    if person.rate and cutoff >= person.rate / 2:
        raise UsageError(
            f"a cutoff of {cutoff:g} Hz needs more than {2 * cutoff:g} frames a second, and person "
            f"{person.id} has {person.rate:.4g}; give a lower one"
        )


def _gaps(series: Doubles, times: Doubles, joint: str, longest: float) -> Iterator[Fault]:
    """Fill short gaps of (T, 2) points in place; yield every gap between two known points.

    A joint that was never seen, and what lies before the first or after the last known point, is
    one gap that stays open.
    """
    known = np.isfinite(series[:, 0])
    for start, end in _spans(~known):
        inside = start > 0 and end < len(series)
        if inside and times[end] - times[start - 1] <= longest + 1e-9:
            ends = [start - 1, end]
            for axis in (0, 1):
                series[start:end, axis] = np.interp(
                    times[start:end], times[ends], series[ends, axis]
                )
            yield Fault(joint, "gap", start, end, "filled")
        else:
            yield Fault(joint, "gap", start, end, "open")


def _outliers(series: Doubles, joint: str, rate: float, mend: bool) -> Iterator[Fault]:
    """Yield the outliers of (T, 2) points, which are replaced in place where `mend`."""
    wrong, better = np.zeros(len(series), bool), series.copy()
    half = max(1, round(7 * rate / 30) // 2)
    for run in runs(series[:, 0]):
        for axis in (0, 1):
            found, medians = hampel(series[run, axis], half)
            wrong[run] |= found
            better[run, axis] = np.where(found, medians, series[run, axis])
    if mend:
        series[:] = better
    for start, end in _spans(wrong):
        yield Fault(joint, "outlier", start, end, "mended" if mend else "kept")


def hampel(values: Doubles, half: int) -> tuple[Mask, Doubles]:
    """Return which of (T,) values are outliers, and the median round each (Hampel 1974).

    half: values on each side that are looked at; the first and last so many are never outliers.  A
    value is one that lies more than 2 sigmas from the median, where sigma is the median distance
    from it over 0.6745; where that is 0, none is.
    """
    wrong, medians = np.zeros(len(values), bool), values.copy()
    if len(values) <= 2 * half:
        return wrong, medians
    windows = np.lib.stride_tricks.sliding_window_view(values, 2 * half + 1)
    inner = slice(half, len(values) - half)
    medians[inner] = np.median(windows, 1)
    spread = np.median(np.abs(windows - medians[inner, None]), 1)
    distance = _PER_MAD * np.abs(values[inner] - medians[inner])
    wrong[inner] = (spread > 0) & (distance > _SIGMAS * spread)
    return wrong, medians


def _filtered(values: Doubles, rate: float, smoothing: Smoothing) -> Doubles:
    settings = smoothing.settings
    if smoothing.name == "savgol":
        return savgol(values, int(settings["window"]), int(settings["order"]))
    return butterworth(values, rate, settings["cutoff"], int(settings["order"]))


def _spans(mask: Mask) -> list[tuple[int, int]]:
    """Return where each part of a mask begins and ends that is true."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(int)))
    return [(int(start), int(end)) for start, end in edges.reshape(-1, 2)]
