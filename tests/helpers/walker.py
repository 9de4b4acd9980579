"""A walker in profile whose angles are known, without any function of posewright that measures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.people import People
from posewright.results import Result
from posewright.skeletons import HALPE26
from tests.helpers.results import write

__all__ = ["FLOOR", "RATE", "STRIDES", "mirrored", "save", "walker"]

Array = NDArray[np.float64]
RATE, FLOOR, STRIDES = 50.0, 600.0, 0.8  # frames a second, px, strides a second
_LONG = {"thigh": 100.0, "shank": 95.0, "trunk": 140.0, "arm": 70.0, "forearm": 65.0, "head": 55.0}


def _along(degrees: Any) -> Array:
    """Unit vectors anticlockwise from the right as seen on the screen, where y points down."""
    turn = np.radians(degrees)
    return np.stack([np.cos(turn), -np.sin(turn)], -1)


def walker(count: int = 120) -> tuple[Array, dict[str, Array]]:
    """Return (count, 26, 2) px of somebody who walks to the right, and the true angles by name.

    The lower foot does not slide: its toe stands on a level floor at y = FLOOR.
    """
    phase: Array = 2 * np.pi * STRIDES * np.arange(count, dtype=float) / RATE
    lean = 5 + 3 * np.sin(2 * phase)
    points, truth = np.zeros((count, 26, 2)), {"trunk_direction": 90 - lean}
    hip, trunk = np.zeros((count, 2)), _along(90 - lean)
    neck = hip + _LONG["trunk"] * trunk
    _put(points, {"mid_hip": hip, "neck": neck, "top_head": neck + _LONG["head"] * trunk})
    _put(points, {"nose": neck + 30 * trunk + 12 * _along(-lean)})
    _put(points, {f"{side}_ear": neck + 32 * trunk for side in ("left", "right")})
    _put(points, {f"{side}_eye": neck + 36 * trunk for side in ("left", "right")})
    for side, at in (("right", phase), ("left", phase + np.pi)):
        angles = _angles(at)
        truth |= {f"{side}_{name}_angle": values for name, values in angles.items()}
        truth |= _limbs(points, side, lean, angles, hip, neck)
    return _planted(points, phase), truth


def _angles(phase: Array) -> dict[str, Array]:
    return {
        "hip": 10 + 20 * np.cos(phase),
        "knee": 33 + 25 * np.cos(phase - 4.5),
        "ankle": 3 + 7 * np.cos(phase - 4.0),
        "shoulder": -4 - 25 * np.cos(phase),
        "elbow": 30 + 11 * np.cos(phase + 3.0),
    }


def _limbs(
    points: Array, side: str, lean: Array, angles: dict[str, Array], hip: Array, neck: Array
) -> dict[str, Array]:
    """Place a leg and an arm; return the directions of their segments."""
    thigh = -90 - lean + angles["hip"]
    shank = thigh - angles["knee"]
    foot = shank + 90 + angles["ankle"]
    arm = -90 - lean + angles["shoulder"]
    forearm = arm + angles["elbow"]
    knee = hip + _LONG["thigh"] * _along(thigh)
    ankle = knee + _LONG["shank"] * _along(shank)
    heel = ankle + 12 * _along(foot - 90) - 10 * _along(foot)
    elbow = neck + _LONG["arm"] * _along(arm)
    placed = {"hip": hip, "knee": knee, "ankle": ankle, "heel": heel, "shoulder": neck}
    placed |= {"big_toe": heel + 55 * _along(foot), "small_toe": heel + 50 * _along(foot)}
    placed |= {"elbow": elbow, "wrist": elbow + _LONG["forearm"] * _along(forearm)}
    _put(points, {f"{side}_{name}": at for name, at in placed.items()})
    found = {"thigh": thigh, "shank": shank, "foot": foot, "arm": arm, "forearm": forearm}
    return {f"{side}_{name}_direction": values for name, values in found.items()}


def _put(points: Array, places: dict[str, Array]) -> None:
    for name, at in places.items():
        points[:, HALPE26[name]] = at


def _planted(points: Array, phase: Array) -> Array:
    """Move the walker so that one toe after the other stands still on the floor."""
    carrying = np.where(np.mod(phase, 2 * np.pi) < np.pi, "right_big_toe", "left_big_toe")
    points, x = points.copy(), 200.0
    toes = [HALPE26[name] for name in carrying]
    shifts = []
    for row, toe in enumerate(toes):
        if row:
            x += points[row - 1, toe, 0] - points[row, toe, 0]
        shifts.append((x, FLOOR - points[row, toe, 1]))
    return np.asarray(points + np.array(shifts)[:, None])


def mirrored(points: Array, width: float = 1280.0) -> Array:
    """Return the same walker, who walks to the left of an image of that width."""
    return np.asarray(points * [-1, 1] + [width, 0])


def save(folder: Path, people: dict[int, Array], scores: Array | None = None) -> Path:
    """Write poses.jsonl with a person for each identity; return its path.

    people: (T, 26, 2) px.  scores: (T, 26) of everybody, 1 where it is None.
    """
    count = len(next(iter(people.values())))
    given = np.ones((count, 26)) if scores is None else scores
    saved = []
    for row in range(count):
        points = np.stack([each[row] for each in people.values()])
        joints = np.repeat(given[row][None], len(points), 0)
        who = People.of(None, np.ones(len(points)), points, joints, list(people))
        time = row / RATE
        saved.append(Result(who, HALPE26, (1280, 720), "walk.mp4", row, time, sequence="walk.mp4"))
    return write("jsonl", folder, saved)[0]
