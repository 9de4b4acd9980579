"""Skeletons: the meaning of joint indices.  No other part of the package defines it.

One name per joint in all of them, so that `Skeleton.mapping` works between any two: what data
sets call head, head top or top of the head is top_head; upper neck, head bottom and neck are neck;
pelvis, hip and MidHip are mid_hip.  The number in a skeleton's name is its number of joints.

skeleton  the kind: names, limbs, mirror pairs and sigmas
table     those of data sets and tools, by name
"""

from posewright.skeletons.skeleton import MOST_JOINTS, Skeleton, is_mirror
from posewright.skeletons.table import (
    AIC14,
    AP10K17,
    BODY25,
    COCO17,
    COCO18,
    COCO133,
    CROWDPOSE14,
    FACE68,
    FACE106,
    HALPE26,
    HALPE136,
    HAND21,
    LSP14,
    MPII16,
    OCHUMAN,
    POSETRACK15,
    POSETRACK17,
    VITPOSE25,
    for_joints,
    get_skeleton,
    list_skeletons,
)

__all__ = [
    "AIC14",
    "AP10K17",
    "BODY25",
    "COCO17",
    "COCO18",
    "COCO133",
    "CROWDPOSE14",
    "FACE68",
    "FACE106",
    "HALPE26",
    "HALPE136",
    "HAND21",
    "LSP14",
    "MOST_JOINTS",
    "MPII16",
    "OCHUMAN",
    "POSETRACK15",
    "POSETRACK17",
    "VITPOSE25",
    "Skeleton",
    "for_joints",
    "get_skeleton",
    "is_mirror",
    "list_skeletons",
]
