"""Results as objects of other packages."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.extras import naming_extras
from posewright.people import Result

if TYPE_CHECKING:
    import supervision

__all__ = ["to_supervision"]


def to_supervision(result: Result) -> supervision.KeyPoints:
    """Return the people of a frame as `supervision.KeyPoints`; nobody stays nobody.

    xy (N, K, 2) px, confidence of the joints (N, K) and, where the installed version has a place
    for it, of the detections (N,); class_id 0; data["id"] (N,) the identities, -1 = none.
    MissingError without that package.
    """
    with naming_extras("to_supervision"):
        from supervision import KeyPoints
    people = result.people
    taken = inspect.signature(KeyPoints).parameters
    # 0.29 renamed "confidence" to "keypoint_confidence" and added the detections' own.
    joints = "keypoint_confidence" if "keypoint_confidence" in taken else "confidence"
    given: dict[str, Any] = {joints: people.scores.copy()}
    if "detection_confidence" in taken:
        given["detection_confidence"] = people.box_scores.copy()
    classes = np.zeros(len(people), int)
    return KeyPoints(
        people.keypoints.copy(), class_id=classes, data={"id": people.ids.copy()}, **given
    )
