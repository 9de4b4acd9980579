"""Half bodies: views of the upper or the lower part of a person (HRNet, arXiv:1902.09212)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from posewright.augment.drawing import Draws
from posewright.people import Floats, People
from posewright.skeletons import Skeleton

__all__ = ["half_bodies", "halves"]

_UPPER = frozenset("nose eye ear head top_head neck thorax chest shoulder elbow wrist hand".split())
_LOWER = frozenset("hip mid_hip pelvis knee ankle foot toe big_toe small_toe heel".split())
# HRNet's code compares a normal draw with 0.5, so that this share and not half looks at the upper
_UPPER_SHARE = 0.6914624612740131
_GROW = 1.2  # with a crop's padding of 1.25, HRNet's 1.5


@lru_cache(maxsize=16)
def halves(skeleton: Skeleton) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return (K,) which joints are of the upper and of the lower body, by their names.

    Joints of neither, such as those of a face or a hand, are in none.
    """
    names = [joint.removeprefix("left_").removeprefix("right_") for joint in skeleton.joints]
    return np.array([n in _UPPER for n in names]), np.array([n in _LOWER for n in names])


def half_bodies(
    people: People, boxes: Floats, skeleton: Skeleton, share: float, most: int, draws: Draws
) -> Floats:
    """(N, 4) px -> (N, 4) px, a `share` of the boxes exchanged for one round half of the body.

    Only people with more than `most` labelled joints take part, and only where the skeleton's names
    tell upper from lower.  The box lies about the mean of the half's labelled joints, as in HRNet.
    """
    upper, lower = halves(skeleton)
    turn = draws.half < share
    if not turn.any() or not upper.any() or not lower.any():
        return boxes
    seen = people.scores > 0
    above, below = seen & upper, seen & lower
    take = ((draws.upper < _UPPER_SHARE) & (above.sum(1) > 2)) | (below.sum(1) <= 2)
    chosen = np.where(take[:, None], above, below)  # (N, K)
    count = chosen.sum(1)
    part = chosen[..., None]
    low = np.where(part, people.keypoints, np.float32(3e38)).min(1)
    high = np.where(part, people.keypoints, np.float32(-3e38)).max(1)
    turn &= (seen.sum(1) > most) & (count >= 2)
    span = np.where(turn[:, None], high - np.where(turn[:, None], low, high), 0)
    turn &= span.max(1) > 1  # pixel: joints in one place have no extent
    middle = np.where(part, people.keypoints, 0).sum(1) / np.maximum(count, 1)[:, None]
    half = span * (_GROW / 2)
    return np.where(turn[:, None], np.concatenate([middle - half, middle + half], 1), boxes).astype(
        np.float32
    )
