"""The side of the image to which a person looks, by a vote over time, and what decided it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posewright.measure.clip import Person
from posewright.measure.joints import has_point, point
from posewright.measure.segments import Facing
from posewright.people import Doubles

__all__ = ["Side", "side_of"]

_MOVED = 1.0  # lengths of the trunk that a person has to move by, to face where it goes


@dataclass(frozen=True, slots=True)
class Side:
    """facing: the side.  by: what decided.  share: of the frames that say so, NaN if not voted."""

    facing: Facing
    by: str
    share: float = float("nan")


def side_of(person: Person) -> Side:
    """Return the side that a person faces: by the feet, else by its way, else by the nose.

    Feet point forwards, so their toes are compared with their heels; then the hips' way over the
    clip counts if it is longer than the trunk; then the nose and the middle of the ears.  Right
    where nothing tells.
    """
    feet = _ahead(person, "left_big_toe", "left_heel") + _ahead(
        person, "right_big_toe", "right_heel"
    )
    if np.isfinite(feet).any():
        return _voted(feet, "feet")
    way = _way(person)
    if abs(way) > _MOVED:
        return Side("right" if way > 0 else "left", "way")
    ears = [_ahead(person, "nose", f"{side}_ear") for side in ("left", "right")]
    face = np.nansum(ears, 0)
    face[np.isnan(ears).all(0)] = np.nan
    if np.isfinite(face).any():
        return _voted(face, "nose")
    return Side("right", "default")


def _ahead(person: Person, front: str, back: str) -> Doubles:
    """Return (T,) how far to the right of another point a point is; NaN where one is missing."""
    if not all(has_point(person.skeleton, name) for name in (front, back)):
        return np.full(len(person.frames), np.nan)
    ends = (point(person.points, person.skeleton, name) for name in (front, back))
    ahead, behind = ends
    return np.asarray(ahead[:, 0] - behind[:, 0])


def _voted(ahead: Doubles, by: str) -> Side:
    signs = np.sign(ahead[np.isfinite(ahead)])
    right = signs.sum() >= 0
    return Side("right" if right else "left", by, float(np.mean(signs > 0 if right else signs < 0)))


def _way(person: Person) -> float:
    """Return the way of the hips to the right, in lengths of the trunk; 0 where unknown."""
    if not all(has_point(person.skeleton, name) for name in ("mid_hip", "neck")):
        return 0.0
    hip, neck = (point(person.points, person.skeleton, name) for name in ("mid_hip", "neck"))
    known = np.flatnonzero(np.isfinite(hip[:, 0]))
    trunks = np.hypot(*(neck - hip).T)
    if len(known) < 2 or not np.isfinite(trunks).any() or not np.nanmedian(trunks) > 0:
        return 0.0
    ends = hip[known[[0, -1]], 0]
    return float((ends[1] - ends[0]) / np.nanmedian(trunks))
