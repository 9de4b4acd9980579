"""Steps: when a foot meets the floor and leaves it, and what follows for time, length and cadence.

A foot meets the floor where its heel is farthest ahead of the hips, and leaves it where its toe is
farthest behind (Zeni, Richards, Higginson 2008).  Where feet are not seen, the
ankle stands for both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from posewright.measure.clip import Person
from posewright.measure.joints import has_point, point
from posewright.measure.quantities import runs
from posewright.measure.segments import Facing
from posewright.people import Doubles

__all__ = ["Event", "cadence", "events_of"]

_APART = 0.5  # seconds between two contacts of one foot, at least
_STEP = (0.2, 2.0)  # seconds of a step: less is a fault of the poses, more a pause
_SWING = 0.25  # lengths of the trunk by which a foot has to move for a step


@dataclass(frozen=True, slots=True)
class Event:
    """kind: "contact" or "off" of a foot, in a row of its person.

    step_time, step_length: of a contact, seconds since and distance to that of the other foot; NaN
    where there was none before.
    """

    side: str
    kind: str
    row: int
    time: float
    step_time: float = float("nan")
    step_length: float = float("nan")


def events_of(person: Person, facing: Facing) -> list[Event]:
    """Return the events of both feet in their order; none where hips and feet are not seen.

    facing: the side to which the person walks.
    """
    if not has_point(person.skeleton, "mid_hip") or not has_point(person.skeleton, "neck"):
        return []
    hip, neck = (point(person.points, person.skeleton, name) for name in ("mid_hip", "neck"))
    trunks = np.hypot(*(neck - hip).T)
    if not np.isfinite(trunks).any():
        return []
    least = _SWING * float(np.nanmedian(trunks))
    forwards = 1.0 if facing == "right" else -1.0
    found = []
    for side in ("left", "right"):
        for kind, names, sign in (
            ("contact", ("heel", "ankle"), 1),
            ("off", ("big_toe", "ankle"), -1),
        ):
            ahead = sign * forwards * (_foot(person, side, names)[:, 0] - hip[:, 0])
            found += [
                Event(side, kind, row, float(person.times[row]))
                for row in _peaks(ahead, person.rate, least)
            ]
    return _with_steps(sorted(found, key=lambda event: event.row), person)


def _foot(person: Person, side: str, names: Sequence[str]) -> Doubles:
    """Return (T, 2) the first point of a foot that is ever seen; NaN without any."""
    for name in (f"{side}_{each}" for each in names):
        if has_point(person.skeleton, name):
            at = point(person.points, person.skeleton, name)
            if np.isfinite(at).any():
                return at
    return np.full((len(person.frames), 2), np.nan)


def _peaks(values: Doubles, rate: float, least: float) -> list[int]:
    """Return the rows of the highest values within half a second that stand out by `least`.

    None at the ends of a run without gaps, where the greatest value may be still to come.
    """
    reach = max(1, round(_APART * rate / 2))
    found: list[int] = []
    for run in runs(values):
        for row in range(run.start + 1, run.stop - 1):
            near = values[max(run.start, row - reach) : min(run.stop, row + reach + 1)]
            around = values[max(run.start, row - 2 * reach) : min(run.stop, row + 2 * reach + 1)]
            best = values[row] == near.max() and values[row] - around.min() >= least
            best = best and values[row] > max(near[0], near[-1])  # somebody who stops has none
            if best and (not found or row - found[-1] > reach):
                found.append(row)
    return found


def _with_steps(events: Sequence[Event], person: Person) -> list[Event]:
    """Return events of which each contact knows the step that it ends."""
    found: list[Event] = []
    last: Event | None = None
    for event in events:
        if event.kind == "contact":
            other = last is not None and last.side != event.side
            if last is not None and other and _STEP[0] <= event.time - last.time <= _STEP[1]:
                length = _apart(person, event.row)
                event = replace(event, step_time=event.time - last.time, step_length=length)
            last = event
        found.append(event)
    return found


def _apart(person: Person, row: int) -> float:
    """Return how far both feet are apart along x in a row."""
    left, right = (_foot(person, side, ("heel", "ankle"))[row, 0] for side in ("left", "right"))
    return abs(float(right - left))


def cadence(events: Sequence[Event]) -> float:
    """Return steps a minute, by the mean time of a step; NaN without one."""
    times = [event.step_time for event in events if np.isfinite(event.step_time)]
    return 60 / float(np.mean(times)) if times else float("nan")
