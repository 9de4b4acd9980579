"""Angles of the body's joints by name, zero in the position and positive in the sense named here.

The definitions are those of sagittal gait analysis, as Sports2D 0.8 has them (BSD-3; facts alone):
flexion is positive for a person who is seen from the side, whichever side that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from posewright.errors import UsageError, nearest
from posewright.measure.angles import angle, between, wrap
from posewright.people import Doubles
from posewright.skeletons import Skeleton

__all__ = [
    "JOINTS",
    "JointAngle",
    "has_point",
    "joint_angle",
    "joint_angles",
    "point",
    "present",
]


@dataclass(frozen=True)
class JointAngle:
    """How a joint is measured, on a person who faces right in the image.

    points: three, for the angle at the second one, or four, for that between the segments of the
    first two and the last two; names without "left_" and "right_".  offset, sign: the result is
    sign * (turn + offset).  zero: the position in which it is 0.  positive: what makes it grow.
    """

    points: tuple[str, ...]
    offset: float
    sign: int
    zero: str
    positive: str


_TRUNK = ("mid_hip", "neck")
JOINTS = {
    "ankle": JointAngle(
        ("knee", "ankle", "big_toe", "heel"),
        90,
        1,
        "foot square to the shank",
        "dorsiflexion: toes towards the shin",
    ),
    "knee": JointAngle(
        ("ankle", "knee", "hip"), -180, 1, "leg straight", "flexion: heel towards the buttock"
    ),
    "hip": JointAngle(
        ("knee", "hip", *_TRUNK), 0, -1, "thigh in line with the trunk", "flexion: knee forwards"
    ),
    "shoulder": JointAngle(
        ("elbow", "shoulder", *_TRUNK), 0, -1, "arm along the trunk", "flexion: arm forwards"
    ),
    "elbow": JointAngle(
        ("wrist", "elbow", "shoulder"), 180, -1, "arm straight", "flexion: hand forwards"
    ),
}
# Points between two joints, for skeletons that have no joint of that name.
_MEANS = {"mid_hip": ("left_hip", "right_hip"), "neck": ("left_shoulder", "right_shoulder")}
_SIDES = ("left", "right")


def _needed(side: str, joint: str) -> Iterator[str]:
    """Yield the names of the points that a joint's angle is measured at."""
    for name in JOINTS[joint].points:
        yield name if name in _MEANS else f"{side}_{name}"


def has_point(skeleton: Skeleton, name: str) -> bool:
    """Tell whether `point` knows a name in a skeleton: a joint, or the middle of two joints."""
    parts = _MEANS.get(name, (name,))
    return name in skeleton.joints or all(part in skeleton.joints for part in parts)


def joint_angles(skeleton: Skeleton) -> list[str]:
    """Return the names of the angles that a skeleton has the keypoints for: "right_knee" ..."""
    return [
        f"{side}_{joint}"
        for joint in JOINTS
        for side in _SIDES
        if all(has_point(skeleton, name) for name in _needed(side, joint))
    ]


def present(
    keypoints: ArrayLike,
    scores: ArrayLike | None = None,
    *,
    min_score: float = 0.3,
    pixel_aspect: float = 1.0,
) -> Doubles:
    """Return keypoints in square pixels, with NaN for the missing ones.

    keypoints: (..., K, 2) px.  scores: (..., K), or None where every finite keypoint counts.  A
    keypoint is missing where x, y or its score is not finite, or its score is below min_score.
    pixel_aspect: width of a pixel over its height, by which x is multiplied.
    """
    points = np.array(keypoints, np.float64)
    known = np.isfinite(points).all(-1)
    if scores is not None:
        given = np.asarray(scores, np.float64)
        if given.shape != known.shape:
            raise UsageError(f"scores must have shape {known.shape}, not {given.shape}")
        known &= np.isfinite(given) & (given >= min_score)
    points[~known] = np.nan
    points[..., 0] *= pixel_aspect
    return points


def point(keypoints: ArrayLike, skeleton: Skeleton, name: str) -> Doubles:
    """Return one joint of all people: (..., K, 2) px -> (..., 2) px.

    mid_hip is the mean of both hips and neck that of both shoulders, in a skeleton that has no
    joint of that name; NaN where one of the two is missing.  A UsageError suggests the nearest
    name.
    """
    points = np.asarray(keypoints, np.float64)
    if points.shape[-2:] != (len(skeleton), 2):
        raise UsageError(
            f"keypoints of {skeleton.name} must have shape (..., {len(skeleton)}, 2), not "
            f"{points.shape}"
        )
    if not has_point(skeleton, name):
        known = [*skeleton.joints, *(mean for mean in _MEANS if has_point(skeleton, mean))]
        raise UsageError(f"{skeleton.name} has no joint {name!r}{nearest(name, known)}")
    joints = (name,) if name in skeleton.joints else _MEANS[name]
    return np.asarray(np.mean([points[..., skeleton[joint], :] for joint in joints], 0))


def joint_angle(
    keypoints: ArrayLike,
    skeleton: Skeleton,
    name: str,
    *,
    facing: Literal["left", "right"] = "right",
    scores: ArrayLike | None = None,
    min_score: float = 0.3,
    pixel_aspect: float = 1.0,
) -> Doubles:
    """Return the flexion of a joint in degrees, zero and positive as `JOINTS` says.

    keypoints: (..., K, 2) px, for instance (T, N, K, 2) of T frames and N people.  name: of
    `joint_angles(skeleton)`, such as "right_knee".  facing: the side of the image to which the
    person looks; with the wrong one the angle has the opposite sign, and an ankle has 180 minus its
    angle.  scores, min_score, pixel_aspect: as for `present`.

    The result (...) lies in [-180, 180), and is NaN where one of its keypoints is missing.  A
    UsageError names the keypoints that the skeleton lacks, or suggests the nearest name.
    """
    if facing not in _SIDES:
        raise UsageError(f"facing={facing!r}; give 'left' or 'right'")
    side, _, joint = name.partition("_")
    if side not in _SIDES or joint not in JOINTS:
        known = joint_angles(skeleton)
        raise UsageError(f"no angle {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    needed = [*_needed(side, joint)]
    lacking = [one for one in needed if not has_point(skeleton, one)]
    if lacking:
        raise UsageError(
            f"{name} needs {', '.join(lacking)}, which {skeleton.name} does not have; choose a "
            f"network with these keypoints"
        )
    points = present(keypoints, scores, min_score=min_score, pixel_aspect=pixel_aspect)
    points = points * [1.0 if facing == "right" else -1.0, 1.0]
    found = [point(points, skeleton, one) for one in needed]
    turned = angle(*found, signed=True) if len(found) == 3 else between(*found, signed=True)
    return wrap(JOINTS[joint].sign * (turned + JOINTS[joint].offset))
