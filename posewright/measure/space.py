"""From pixels to metres on a level floor: the scale of the image, and the line of the floor.

x stays the right of the image and y stays down, as all angles expect; in metres the origin lies on
the floor under the left edge of the image, so that what is above the floor has a negative y.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from posewright.errors import UsageError
from posewright.measure.clip import Person
from posewright.measure.joints import has_point, joint_angle, joint_angles, point
from posewright.measure.quantities import changes
from posewright.people import Doubles

__all__ = [
    "Floor",
    "Scaling",
    "Space",
    "floor_of",
    "parse_distance",
    "parse_floor",
    "parse_height",
    "pixels_of",
]

_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)"
_OUT_OF_PLANE = 1.063  # height over what is seen of it, and
_SKULL = 1.008  # of head top to shoulders: Sports2D's factors
_NOSE = 1.5  # from the nose to the head top, if the nose is all that is known
_ANKLE = 0.039  # of the height: from the floor to an ankle (Winter 2009)
_SLOW = 0.3  # heights a second, below which a foot stands
_MOST = 600  # points of which pairs make the line


@dataclass(frozen=True, slots=True)
class Floor:
    """degrees: of the floor, positive where it rises to the right.  y: px at the left edge.

    by: what told.
    """

    degrees: float
    y: float
    by: str


@dataclass(frozen=True, slots=True)
class Space:
    """scale: metres of a pixel, None where nothing is told.  floor: None to leave points alone."""

    scale: float | None = None
    scale_by: str = ""
    floor: Floor | None = None

    def facts(self) -> dict[str, float | str]:
        """Return what is known, by name."""
        told: dict[str, float | str] = {}
        if self.scale is not None:
            told |= {"metres_per_px": self.scale, "scale_by": self.scale_by}
        if self.floor is None and self.scale is not None:
            told["floor_by"] = "unknown"
        if self.floor is not None:
            floor = self.floor
            told |= {"floor_deg": floor.degrees, "floor_y_px": floor.y, "floor_by": floor.by}
        return told

    def placed(self, person: Person) -> Person:
        """Return a person on a level floor, in metres where the scale is known."""
        points, floor = person.points, self.floor
        if floor is not None:
            turn = np.radians(floor.degrees)
            axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
            points = (points - [0, floor.y]) @ axes + [0, 0 if self.scale else floor.y]
        if self.scale is None:
            return replace(person, points=points)
        return replace(person, points=points * self.scale, unit="m")


@dataclass(frozen=True, slots=True)
class Scaling:
    """What is known of the image's space.

    height: a person (None for the one seen longest) and its metres.  distance: metres of a pixel.
    floor: "auto" to estimate it, None to leave points where they are.
    """

    height: tuple[int | None, float] | None = None
    distance: float | None = None
    floor: Floor | Literal["auto"] | None = None

    def space(self, people: Sequence[Person]) -> Space:
        """Return the space in which people of one image move.

        UsageError: the height of somebody who is not there, or whose length is not seen.
        """
        floor = floor_of(people) if self.floor == "auto" else self.floor
        if self.height is None:
            by = "" if self.distance is None else "a distance"
            return Space(self.distance, by, floor)
        identity, metres = self.height
        known = [person for person in people if identity in (None, person.id)]
        if not known:
            raise UsageError(f"--height names person {identity}, who is not among those measured")
        who = max(known, key=lambda person: int(person.seen.sum()))
        pixels = pixels_of(who)
        if not pixels > 0:
            raise UsageError(
                f"the height of person {who.id} in pixels is unknown, as legs, shoulders and head "
                "are never seen together; give --distance"
            )
        return Space(metres / pixels, f"the height of person {who.id}", floor)


def parse_height(text: str) -> tuple[int | None, float]:
    """Read "1.75" or "3=1.75", the metres of a person; UsageError for anything else."""
    match = re.fullmatch(rf"(?:(\d{{1,18}})=)?({_NUMBER})", text.strip())
    if match is None or not 0.2 <= float(match[2]) <= 3:
        raise UsageError(f"--height takes metres from 0.2 to 3, as 1.75 or 3=1.75, not {text!r}")
    return (None if match[1] is None else int(match[1])), float(match[2])


def parse_distance(text: str) -> float:
    """Read "X1,Y1,X2,Y2=M" -> metres of a pixel; UsageError for anything else."""
    match = re.fullmatch(",".join([rf"({_NUMBER})"] * 4) + rf"=({_NUMBER})", text.replace(" ", ""))
    x1, y1, x2, y2, metres = map(float, match.groups()) if match else (0.0,) * 5
    pixels = float(np.hypot(x2 - x1, y2 - y1))
    if not (pixels > 0 and metres > 0):
        raise UsageError(
            f"--distance takes two points in pixels and the metres between them, as "
            f"100,500,900,500=4.2, not {text!r}"
        )
    return metres / pixels


def parse_floor(text: str) -> Floor | Literal["auto"]:
    """Read "DEGREES,Y" or "auto"; UsageError for anything else."""
    if text == "auto":
        return "auto"
    match = re.fullmatch(rf"({_NUMBER}),({_NUMBER})", text.replace(" ", ""))
    if match is None or not abs(float(match[1])) < 45:
        raise UsageError(
            f"--floor takes auto, or degrees below 45 and the pixel row of the floor at the left "
            f"edge, as 1.5,640, not {text!r}"
        )
    return Floor(float(match[1]), float(match[2]), "given")


def pixels_of(person: Person) -> float:
    """Return the height of a person in pixels; NaN where legs, trunk or head are not seen.

    The lengths of foot, shank, thigh, trunk and head are added up in each frame in which hips and
    knees are bent by less than 90 degrees in the mean, and the middle half of the sums is averaged
    (Sports2D's way).  Without heels an ankle is .039 of the height above the floor.
    """
    sides = ("left", "right")
    if not all(has_point(person.skeleton, f"left_{name}") for name in ("hip", "knee", "ankle")):
        return float("nan")
    parts = [
        _mean([_length(person, f"{side}_{a}", f"{side}_{b}") for side in sides])
        for a, b in (("ankle", "knee"), ("knee", "hip"), ("hip", "shoulder"))
    ]
    skull = _SKULL * _length(person, "neck", "top_head")
    if not np.isfinite(skull).any():
        skull = _NOSE * _length(person, "neck", "nose")
    total = np.sum([*parts, skull], 0)
    foot = _mean([_length(person, f"{side}_ankle", f"{side}_heel") for side in sides])
    total = np.where(np.isfinite(foot), total + foot, total / (1 - _ANKLE))
    bent = [
        np.abs(joint_angle(person.points, person.skeleton, name))
        for name in joint_angles(person.skeleton)
        if name.endswith(("_knee", "_hip"))
    ]
    sums = np.sort(total[np.isfinite(total) & (_mean(bent) < 90)])
    if not len(sums):
        return float("nan")
    quarter = len(sums) // 4
    return float(_OUT_OF_PLANE * np.mean(sums[quarter : len(sums) - quarter]))


def _length(person: Person, start: str, end: str) -> Doubles:
    """Return (T,) px between two points; NaN where the skeleton lacks one."""
    if not all(has_point(person.skeleton, name) for name in (start, end)):
        return np.full(len(person.frames), np.nan)
    ends = (point(person.points, person.skeleton, name) for name in (start, end))
    return np.asarray(np.hypot(*np.subtract(*ends).T))


def _mean(series: Sequence[Doubles]) -> Doubles:
    """Return the mean of what is known of several series (T,); NaN where nothing is."""
    known = np.isfinite(series)
    return np.asarray(
        np.where(known, series, 0).sum(0) / np.where(known.any(0), known.sum(0), np.nan)
    )


def floor_of(people: Sequence[Person]) -> Floor | None:
    """Return the floor on which people stand, by a robust line through feet that do not move.

    Big toes, else ankles, lowered by .039 of the height.  The line is that of Theil and Sen: the
    median of the slopes of pairs.  Level where standing feet span less than half a height; None
    where no foot stands still.
    """
    stood = [at for person in people for at in _standing(person)]
    places = np.concatenate(stood) if stood else np.zeros((0, 2))
    if not len(places):
        return None
    if len(places) > _MOST:
        places = places[np.linspace(0, len(places) - 1, _MOST).astype(int)]
    least = 0.5 * float(np.nanmedian([pixels_of(person) for person in people]))
    first, second = np.triu_indices(len(places), 1)
    across = places[second] - places[first]
    far = np.abs(across[:, 0]) > max(least / 2, 1)
    level = np.ptp(places[:, 0]) < least or not far.any()
    slope = 0.0 if level else float(np.median(across[far, 1] / across[far, 0]))
    y = float(np.median(places[:, 1] - slope * places[:, 0]))
    return Floor(float(-np.degrees(np.arctan(slope))) + 0.0, y, "feet, level" if level else "feet")


def _standing(person: Person) -> list[Doubles]:
    """Return the places (N, 2) on the floor of each foot while it does not move."""
    height = pixels_of(person)
    names = [f"{side}_big_toe" for side in ("left", "right")]
    lower = 0.0
    if not all(has_point(person.skeleton, name) for name in names):
        names, lower = [f"{side}_ankle" for side in ("left", "right")], _ANKLE * height
    found = []
    for name in names:
        if np.isfinite(height) and has_point(person.skeleton, name):
            at = point(person.points, person.skeleton, name)
            speed = np.hypot(*(changes(values, person.times) for values in at.T))
            found.append(at[speed < _SLOW * height] + [0, lower])
    return found
