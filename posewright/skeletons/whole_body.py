"""Bodies with hands and faces: their skeletons joined, and the lists that files have for them."""

from __future__ import annotations

from dataclasses import replace

from posewright.skeletons.skeleton import Skeleton
from posewright.skeletons.table import COCO133, FACE68, HAND21, get_skeleton, list_skeletons

__all__ = ["OPENPOSE", "WHOLE_BODY", "joined", "of_side"]


def of_side(hand: Skeleton, side: str) -> Skeleton:
    """Return the skeleton of a hand with its joints named after a side."""
    bare = (joint.removeprefix("left_").removeprefix("right_") for joint in hand.joints)
    return Skeleton(hand.name, tuple(f"{side}_{j}" for j in bare), hand.links, hand.sigmas)


def joined(body: Skeleton, *parts: Skeleton) -> Skeleton:
    """Return the joints of a body followed by those of parts that it has not; links of all.

    A known skeleton where one has just these joints, as halpe136.  0.05 stands for the sigmas of a
    part that states none, as everywhere.
    """
    every = (body, *parts)
    joints = tuple(dict.fromkeys(joint for s in every for joint in s.joints))
    for known in map(get_skeleton, list_skeletons()):
        if known.joints == joints:
            return body if body.joints == joints else known
    where = {joint: number for number, joint in enumerate(joints)}
    sigmas = dict(zip(joints, (0.05,) * len(joints), strict=True))
    for s in reversed(every):
        sigmas |= dict(zip(s.joints, s.sigmas, strict=False))
    links = dict.fromkeys(
        (where[s.joints[a]], where[s.joints[b]]) for s in every for a, b in s.links
    )
    name = "+".join(dict.fromkeys(s.name for s in every))
    stated = tuple(sigmas.values()) if any(s.sigmas for s in every) else ()
    whole = Skeleton(name, joints, tuple(links), stated)
    if not body.mirror:
        return whole
    return replace(whole, mirror=(*body.mirror, *whole.named_mirror[len(body) :]))


# COCO-WholeBody's lists, beside which `keypoints` has COCO's joints alone.
WHOLE_BODY = {
    "keypoints": COCO133.joints[:17],
    "foot_kpts": COCO133.joints[17:23],
    "face_kpts": COCO133.joints[23:91],
    "lefthand_kpts": COCO133.joints[91:112],
    "righthand_kpts": COCO133.joints[112:],
}

# OpenPose's lists; its face is 300-W's with the pupils behind it, the person's right one first.
OPENPOSE = {
    "face_keypoints_2d": Skeleton("face70", (*FACE68.joints, "right_pupil", "left_pupil")),
    "hand_left_keypoints_2d": of_side(HAND21, "left"),
    "hand_right_keypoints_2d": of_side(HAND21, "right"),
}
