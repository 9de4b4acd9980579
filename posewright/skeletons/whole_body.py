"""The lists of COCO-WholeBody's files, beside which `keypoints` holds COCO's joints alone."""

from __future__ import annotations

from posewright.skeletons.table import COCO133

__all__ = ["WHOLE_BODY"]

WHOLE_BODY = {
    "keypoints": COCO133.joints[:17],
    "foot_kpts": COCO133.joints[17:23],
    "face_kpts": COCO133.joints[23:91],
    "lefthand_kpts": COCO133.joints[91:112],
    "righthand_kpts": COCO133.joints[112:],
}
