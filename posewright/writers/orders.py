"""The joint orders of OpenPose, made from any skeleton that has the body joints of COCO."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from posewright.errors import UsageError
from posewright.people import Floats, People, triples
from posewright.skeletons import Skeleton, get_skeleton

__all__ = ["Order", "reorder"]

Order = Literal["own", "coco18", "body25"]

_MEANS = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}


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


def _weights(skeleton: Skeleton, order: Skeleton) -> NDArray[np.float32]:
    """(M, K) share of each joint of the skeleton in each joint of the order."""
    weights = np.zeros((len(order), len(skeleton)), np.float32)
    for row, joint in zip(weights, order.joints, strict=True):
        parts = (joint,) if joint in skeleton.joints else _MEANS.get(joint, ())
        if parts and all(part in skeleton.joints for part in parts):
            row[[skeleton[part] for part in parts]] = 1 / len(parts)
    return weights
