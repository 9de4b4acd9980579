"""Measurements on keypoints: angles of joints and segments, with missing joints as NaN.

angles  the angle of three points, of two segments, of a segment to the horizontal; wrapping
joints  the table of joint angles by name, for any skeleton that has their keypoints
"""

from posewright.measure.angles import angle, between, direction, unwrap, wrap
from posewright.measure.joints import (
    JOINTS,
    JointAngle,
    joint_angle,
    joint_angles,
    point,
    present,
)

__all__ = [
    "JOINTS",
    "JointAngle",
    "angle",
    "between",
    "direction",
    "joint_angle",
    "joint_angles",
    "point",
    "present",
    "unwrap",
    "wrap",
]
