"""Choose one person of a sequence: seen longest, largest, most central, or by identity."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from posewright.errors import UsageError, nearest
from posewright.people import Floats, People
from posewright.results import Result

__all__ = ["RULES", "check_choice", "choose", "only"]

RULES = ("longest", "largest", "central")


def check_choice(choice: str) -> None:
    """Raise a UsageError unless the choice is a rule or an identity."""
    if choice not in RULES and not choice.isdecimal():
        raise UsageError(
            f"no person {choice!r}{nearest(choice, RULES)}; choose {', '.join(RULES)} or an "
            "identity"
        )


def choose(results: Iterable[Result], choice: str) -> int:
    """Return the identity that `choice` means in one sequence; -1 where no person has one.

    Every frame adds to each person's sum: "longest" 1, "largest" the area of the box, "central" the
    closeness of its middle to the image's (1 there, 0 in a corner); the highest sum is it, the
    lowest identity of equal ones.  Absence adds nothing.  An identity that does not occur gives
    -1.  UsageError for "central" without the images' sizes.
    """
    check_choice(choice)
    sums: dict[int, float] = {}
    for result in results:
        if result.status != "ok":
            continue
        for person, value in zip(result.ids.tolist(), _values(result, choice), strict=True):
            if person >= 0:
                sums[person] = sums.get(person, 0.0) + float(value)
    if choice.isdecimal():
        return int(choice) if int(choice) in sums else -1
    return min(sums, key=lambda person: (-sums[person], person), default=-1)


def only(people: People, person: int) -> People:
    """Return that person, or no people."""
    return people[np.flatnonzero((people.ids == person) & (people.ids >= 0))[:1]]


def _values(result: Result, choice: str) -> Floats:
    """(N,) what a frame adds to each person's sum."""
    corners = result.boxes.reshape(-1, 2, 2)
    if choice == "largest":
        return np.asarray(np.maximum(corners[:, 1] - corners[:, 0], 0).prod(1), np.float32)
    if choice != "central":
        return np.ones(len(result), np.float32)
    middle = np.array(result.size, np.float32) / 2
    if not middle.all():
        raise UsageError(
            "the most central person needs the images' sizes, which these poses do not contain; "
            "choose longest or largest, or use poses.jsonl"
        )
    away = np.linalg.norm(corners.mean(1) - middle, axis=1) / np.linalg.norm(middle)
    return np.asarray(np.maximum(1 - away, 0), np.float32)
