"""The joint orders of OpenPose, made from any skeleton that has the body joints of COCO."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from posewright.errors import UsageError
from posewright.people import Floats, People, triples
from posewright.skeletons import Skeleton, get_skeleton
from posewright.skeletons.whole_body import OPENPOSE

__all__ = ["Order", "face_and_hands", "reorder"]

Order = Literal["own", "coco18", "body25"]

_MEANS: dict[str, tuple[str, ...]] = {
    "neck": ("left_shoulder", "right_shoulder"),
    "mid_hip": ("left_hip", "right_hip"),
}

# The joints of LaPa's 106 that lie at those of 300-W's 68, in the usual conversion between them;
# the others have one name in both.
_DENSER = {f"jaw{i}": f"contour{2 * i - 1}" for i in range(1, 9)}
_DENSER |= {f"brow{i}": f"eyebrow{i}" for i in range(1, 6)}
_DENSER |= {"nostril1": "ala4", "nostril2": "ala5"}
_DENSER |= {f"eye_rim{i}": f"lid{j}" for i, j in zip(range(1, 7), (1, 2, 4, 5, 6, 8), strict=True)}
_MEANS |= {f"{s}_{a}": (f"{s}_{b}",) for s in ("left", "right") for a, b in _DENSER.items()}


def reorder(people: People, skeleton: Skeleton, order: Order) -> Floats:
    """(N, M, 3) x, y px, score of the joints in an order of OpenPose.

    Neck and middle of the hips are the mean of both sides, score included, where the skeleton does
    not have them; joints that it does not have at all are 0, 0, 0, which OpenPose writes for
    "missing".  UsageError for a skeleton without any joint of the order.
    """
    if order == "own":
        return triples(people)
    weights = _weights(skeleton, get_skeleton(order))
    if not weights.any():
        raise UsageError(
            f"skeleton {skeleton.name!r} has no body joint of the order {order!r}; write the "
            "skeleton's own order instead"
        )
    return np.asarray(np.einsum("mk,nkc->nmc", weights, triples(people)), np.float32)


def face_and_hands(people: People, skeleton: Skeleton) -> dict[str, Floats]:
    """Return (N, 70 or 21, 3) x, y px, score by OpenPose's name of the part.

    Parts that the skeleton has nothing of are left out; joints that it does not have, or that score
    0, are 0, 0, 0.
    """
    points = triples(people)
    points = points * (points[..., 2:] > 0)
    weights = {name: _weights(skeleton, part) for name, part in OPENPOSE.items()}
    return {
        name: np.asarray(np.einsum("mk,nkc->nmc", each, points), np.float32)
        for name, each in weights.items()
        if each.any()
    }


@lru_cache(maxsize=16)
def _weights(skeleton: Skeleton, order: Skeleton) -> NDArray[np.float32]:
    """(M, K) share of each joint of the skeleton in each joint of the order."""
    weights = np.zeros((len(order), len(skeleton)), np.float32)
    for row, joint in zip(weights, order.joints, strict=True):
        parts = (joint,) if joint in skeleton.joints else _MEANS.get(joint, ())
        if parts and all(part in skeleton.joints for part in parts):
            row[[skeleton[part] for part in parts]] = 1 / len(parts)
    return weights
