"""Angles of the user's own: between three joints, or between two segments."""

from __future__ import annotations

import re
from dataclasses import dataclass

from posewright.errors import UsageError
from posewright.measure.angles import angle, between
from posewright.measure.clip import Person
from posewright.measure.joints import point
from posewright.measure.segments import Facing, mirrored
from posewright.people import Doubles

__all__ = ["OwnAngle", "parse_angle"]

_NAME, _JOINT = "[A-Za-z][A-Za-z0-9_]*", "[A-Za-z0-9_]+"
_THREE = re.compile(rf"({_NAME})=({_JOINT}),({_JOINT}),({_JOINT})")
_FOUR = re.compile(rf"({_NAME})=({_JOINT})-({_JOINT}),({_JOINT})-({_JOINT})")


@dataclass(frozen=True, slots=True)
class OwnAngle:
    """name: that of the quantity.  points: three, or the two ends of two segments."""

    name: str
    points: tuple[str, ...]

    def of(self, person: Person, facing: Facing) -> Doubles:
        """Return degrees (T,): of three points the angle at the second, 0 to 180.

        Of two segments the turn from the first to the second, anticlockwise for somebody who faces
        right, -180 to 180.  A UsageError suggests the nearest name of a joint.
        """
        points = mirrored(person.points, facing)
        found = [point(points, person.skeleton, name) for name in self.points]
        return angle(*found) if len(found) == 3 else between(*found, signed=True)


def parse_angle(text: str) -> OwnAngle:
    """Read "NAME=a,b,c" or "NAME=a-b,c-d"; UsageError for anything else."""
    match = _THREE.fullmatch(text.strip()) or _FOUR.fullmatch(text.strip())
    if match is None:
        raise UsageError(
            f"--angle takes NAME and three joints or two segments, as "
            f"bend=right_hip,right_knee,right_ankle or lean=mid_hip-neck,mid_hip-right_knee, "
            f"not {text!r}"
        )
    return OwnAngle(match[1], match.groups()[1:])
