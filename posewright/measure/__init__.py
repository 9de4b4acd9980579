"""Measurements on keypoints: angles of joints and segments, with missing joints as NaN.

angles      the angle of three points, of two segments, of a segment to the horizontal; wrapping
joints      the table of joint angles by name, for any skeleton that has their keypoints
segments    directions and lengths of segments
clip        people of results as series over time
mending     gaps, outliers and the filter
space       metres and the floor
facing      the side that a person faces
quantities  everything that is measured of each frame
own, steps  angles of the user's own; contacts of the feet, cadence
summary     range of motion, symmetry
tables, opensim, pages  the files
run         from a file of results to a folder of measurements
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
