"""Segments of the body: their directions, zero and sign as Sports2D's, and their lengths.

A direction is the turn from +x to the segment, anticlockwise on the screen, of a person who faces
right; a person who faces left is mirrored first.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import numpy as np

from posewright.measure.angles import direction, wrap
from posewright.measure.joints import has_point, point
from posewright.people import Doubles
from posewright.skeletons import Skeleton

__all__ = ["LINES", "Facing", "mirrored", "segment_direction", "segment_length", "segments"]

Facing = Literal["left", "right"]

# name: from where to where, names of both sides without "left_" and "right_"
_SIDED = {
    "foot": ("heel", "big_toe"),
    "shank": ("knee", "ankle"),
    "thigh": ("hip", "knee"),
    "arm": ("shoulder", "elbow"),
    "forearm": ("elbow", "wrist"),
}
_MIDDLE = {
    "trunk": ("mid_hip", "neck"),
    "head": ("neck", "top_head"),
    "pelvis": ("right_hip", "left_hip"),
    "shoulders": ("right_shoulder", "left_shoulder"),
}
LINES = ("pelvis", "shoulders")  # without a direction: half a turn changes nothing


def _all() -> Iterator[tuple[str, tuple[str, str]]]:
    for name, (start, end) in _SIDED.items():
        for side in ("left", "right"):
            yield f"{side}_{name}", (f"{side}_{start}", f"{side}_{end}")
    yield from _MIDDLE.items()


def segments(skeleton: Skeleton) -> dict[str, tuple[str, str]]:
    """Return the segments that a skeleton has the keypoints for, with their two ends."""
    return {name: ends for name, ends in _all() if all(has_point(skeleton, e) for e in ends)}


def mirrored(points: Doubles, facing: Facing) -> Doubles:
    """Return points (..., 2) with x mirrored where the person faces left."""
    return points * [-1.0 if facing == "left" else 1.0, 1.0]


def segment_direction(points: Doubles, skeleton: Skeleton, name: str, facing: Facing) -> Doubles:
    """Return the direction of a segment in degrees: (..., K, 2) -> (...).

    In [-180, 180); in [-90, 90) for pelvis and shoulders.  NaN where an end is missing.
    """
    ends = (point(mirrored(points, facing), skeleton, end) for end in segments(skeleton)[name])
    turned = direction(*ends)
    return wrap(turned, 180) if name in LINES else turned


def segment_length(points: Doubles, skeleton: Skeleton, name: str) -> Doubles:
    """Return the length of a segment in the unit of the points: (..., K, 2) -> (...)."""
    start, end = (point(points, skeleton, end) for end in segments(skeleton)[name])
    return np.asarray(np.hypot(*np.moveaxis(end - start, -1, 0)))
