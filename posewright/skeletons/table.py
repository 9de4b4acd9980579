"""The skeletons of data sets and tools, and the look-up by name."""

from __future__ import annotations

import re
from collections.abc import Sequence

from posewright.errors import UsageError, nearest
from posewright.skeletons.skeleton import Skeleton

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
    "MPII16",
    "OCHUMAN",
    "POSETRACK15",
    "POSETRACK17",
    "VITPOSE25",
    "for_joints",
    "get_skeleton",
    "list_skeletons",
]


def _joints(text: str) -> tuple[str, ...]:
    """Expand "r_brow1-3 l_brow3-1 chin" to right_brow1, right_brow2, right_brow3, left_brow3 ..."""
    names: list[str] = []
    for word in text.split():
        part, first, last = re.fullmatch(r"(\D+)(\d*)-?(\d*)", word).groups()  # type: ignore[union-attr]
        part = re.sub("^l_", "left_", re.sub("^r_", "right_", part))
        begin, end = int(first or 0), int(last or first or 0)
        step = 1 if end >= begin else -1
        names += [f"{part}{i or ''}" for i in range(begin, end + step, step)]
    return tuple(names)


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(map(float, text.split()))


def _skeleton(
    name: str, joints: tuple[str, ...], links: str = "", sigmas: Sequence[float] = ()
) -> Skeleton:
    """Build a skeleton; links: "nose-left_eye ..."."""
    where = {j: i for i, j in enumerate(joints)}
    pairs = tuple((where[a], where[b]) for a, b in (link.split("-") for link in links.split()))
    return Skeleton(name, joints, pairs, tuple(sigmas))


def _tree(parts: Sequence[str], side: str = "") -> str:
    """Return the links of a hand: from the root to each finger's tip."""
    tips = [side + p for p in parts]
    return " ".join(f"{tips[0 if i % 4 == 1 else i - 1]}-{tips[i]}" for i in range(1, len(tips)))


_LEGS = "left_ankle-left_knee left_knee-left_hip right_ankle-right_knee right_knee-right_hip "
_ARMS = (
    "left_shoulder-left_elbow right_shoulder-right_elbow left_elbow-left_wrist "
    "right_elbow-right_wrist "
)
_TRUNK = (
    "left_hip-right_hip left_shoulder-left_hip right_shoulder-right_hip "
    "left_shoulder-right_shoulder "
)
_EYES = "nose-left_eye nose-right_eye left_eye-left_ear right_eye-right_ear "
_EARS = "left_ear-left_shoulder right_ear-right_shoulder "
_NECK = "neck-left_shoulder neck-right_shoulder "
_FEET = " ".join(
    f"{s}_ankle-{s}_{part}" for s in ("left", "right") for part in ("big_toe", "small_toe", "heel")
)
_LIMBS = _LEGS + _TRUNK + _ARMS

# COCO: joints and sigmas of the official evaluator (cocodataset.org).
_COCO_JOINTS = _joints(
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow "
    "right_elbow left_wrist right_wrist left_hip right_hip left_knee right_knee left_ankle "
    "right_ankle"
)
_COCO_SIGMAS = _numbers(
    ".026 .025 .025 .035 .035 .079 .079 .072 .072 .062 .062 .107 .107 .087 .087 .089 .089"
)
COCO17 = _skeleton("coco17", _COCO_JOINTS, _LIMBS + _EYES + _EARS, _COCO_SIGMAS)

# OCHuman (arXiv:1803.10683) labels COCO's joints in COCO's order.
OCHUMAN = COCO17

# CrowdPose (arXiv:1812.00324): order and sigmas of its evaluator.
CROWDPOSE14 = _skeleton(
    "crowdpose14",
    _joints(
        "l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist l_hip r_hip l_knee r_knee l_ankle "
        "r_ankle top_head neck"
    ),
    _LIMBS + "top_head-neck " + _NECK,
    _numbers(".079 .079 .072 .072 .062 .062 .107 .107 .087 .087 .089 .089 .079 .079"),
)

# AI Challenger (arXiv:1711.06475): sigmas are half of the deltas of its evaluator.
AIC14 = _skeleton(
    "aic14",
    _joints(
        "r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist r_hip r_knee r_ankle l_hip l_knee "
        "l_ankle top_head neck"
    ),
    _LIMBS + "top_head-neck " + _NECK,
    _numbers(
        ".01388152 .01515228 .01057665 .01417709 .01497891 .01402144 .03909642 .03686941 "
        ".01981803 .03843971 .03412318 .02415081 .01291456 .01236173"
    ),
)

# Leeds Sports Pose and its extension (Johnson and Everingham 2010, 2011); no OKS is defined for it.
_LSP_JOINTS = _joints(
    "r_ankle r_knee r_hip l_hip l_knee l_ankle r_wrist r_elbow r_shoulder l_shoulder l_elbow "
    "l_wrist neck top_head"
)
LSP14 = _skeleton("lsp14", _LSP_JOINTS, _LIMBS + "top_head-neck " + _NECK)

# MPII (Andriluka et al. 2014).  It is measured by PCKh; these sigmas are mmpose's (Apache-2.0),
# made from COCO's, the odd .083 and .179 included.
MPII16 = _skeleton(
    "mpii16",
    _joints(
        "r_ankle r_knee r_hip l_hip l_knee l_ankle mid_hip thorax neck top_head r_wrist r_elbow "
        "r_shoulder l_shoulder l_elbow l_wrist"
    ),
    _LEGS + _ARMS + _NECK + "left_hip-mid_hip right_hip-mid_hip mid_hip-thorax thorax-neck "
    "neck-top_head",
    _numbers(".089 .083 .107 .107 .083 .089 .026 .026 .026 .026 .062 .072 .179 .179 .072 .062"),
)

# PoseTrack (arXiv:1710.10000): the 15 joints of its evaluator, and the 17 of the 2018 files, whose
# ears are never labelled; sigmas of the latter as in mmpose, by place those of COCO.
_NOSE = "nose-neck nose-top_head "
POSETRACK15 = _skeleton(
    "posetrack15", (*_LSP_JOINTS[:12], "neck", "nose", "top_head"), _LIMBS + _NECK + _NOSE
)
POSETRACK17 = _skeleton(
    "posetrack17",
    ("nose", "neck", "top_head", *_COCO_JOINTS[3:]),
    _LIMBS + _NECK + _NOSE,
    _COCO_SIGMAS,
)

# A hand (OneHand10K, COCO-WholeBody) and a face (300-W; right is the person's own right side), with
# the sigmas of COCO-WholeBody's evaluator (arXiv:2007.11858).
_HAND_JOINTS = _joints(
    "hand_root thumb1-4 forefinger1-4 middle_finger1-4 ring_finger1-4 pinky_finger1-4"
)
_HAND_SIGMAS = _numbers(
    ".029 .022 .035 .037 .047 .026 .025 .024 .035 .018 .024 .022 .026 .017 .021 .021 .032 "
    ".02 .019 .022 .031"
)
HAND21 = _skeleton("hand21", _HAND_JOINTS, _tree(_HAND_JOINTS), _HAND_SIGMAS)

_LIPS = (
    " r_lip1-3 lip_top l_lip3-1 l_lip4-5 lip_bottom r_lip5-4 "
    "r_mouth1-2 mouth_top l_mouth2-1 l_mouth3 mouth_bottom r_mouth3"
)
_FACE_JOINTS = _joints(
    "r_jaw1-8 chin l_jaw8-1 r_brow1-5 l_brow5-1 nose_bridge1-4 r_nostril1-2 nose_base "
    "l_nostril2-1 r_eye_rim1-6 l_eye_rim4-1 l_eye_rim6-5" + _LIPS
)
_FACE_SIGMAS = _numbers(
    ".042 .043 .044 .043 .04 .035 .031 .025 .02 .023 .029 .032 .037 .038 .043 .041 .045 "
    ".013 .012 .011 .011 .012 .012 .011 .011 .013 .015 .009 .007 .007 .007 .012 .009 .008 "
    ".016 .01 .017 .011 .009 .011 .009 .007 .013 .008 .011 .012 .01 .034 .008 .008 .009 "
    ".008 .008 .007 .01 .008 .009 .009 .009 .007 .007 .008 .011 .008 .008 .008 .01 .008"
)
FACE68 = _skeleton("face68", _FACE_JOINTS, "", _FACE_SIGMAS)

# LaPa (Liu et al., AAAI 2020), which RTMPose's face models use; its contour, brows, nose and lids
# are sampled more densely than FACE68's and have names of their own.
FACE106 = _skeleton(
    "face106",
    _joints(
        "r_contour1-16 chin l_contour16-1 r_eyebrow1-9 l_eyebrow5-1 l_eyebrow9-6 nose_bridge1-4 "
        "r_ala1-5 nose_base l_ala5-1 r_lid1-8 r_eye_middle l_lid5-1 l_lid8-6 l_eye_middle"
        + _LIPS
        + " r_pupil l_pupil"
    ),
)

_HANDS = tuple(f"{side}_{part}" for side in ("left", "right") for part in _HAND_JOINTS)
_HAND_LINKS = " ".join(_tree(_HAND_JOINTS, side) for side in ("left_", "right_"))

# COCO-WholeBody (arXiv:2007.11858): order and sigmas of its evaluator.
COCO133 = _skeleton(
    "coco133",
    _COCO_JOINTS
    + _joints("l_big_toe l_small_toe l_heel r_big_toe r_small_toe r_heel")
    + _FACE_JOINTS
    + _HANDS,
    f"{_LIMBS + _EYES + _EARS + _FEET} {_HAND_LINKS}",
    (*_COCO_SIGMAS, 0.068, 0.066, 0.066, 0.092, 0.094, 0.094, *_FACE_SIGMAS, *_HAND_SIGMAS * 2),
)

# Halpe full body (arXiv:2211.03375): order of its documentation, sigmas of its evaluator as stated
# by mmpose (Apache-2.0), where the 26 and the 136 joints differ from number 17 on.
_HALPE_JOINTS = _COCO_JOINTS + _joints(
    "top_head neck mid_hip l_big_toe r_big_toe l_small_toe r_small_toe l_heel r_heel"
)
_HALPE_LINKS = (
    f"{_LEGS + _ARMS + _NECK + _EYES + _EARS + _FEET} top_head-neck neck-mid_hip "
    "left_hip-mid_hip right_hip-mid_hip"
)
HALPE26 = _skeleton(
    "halpe26", _HALPE_JOINTS, _HALPE_LINKS, (*_COCO_SIGMAS, 0.026, 0.026, 0.066, *[0.079] * 6)
)
HALPE136 = _skeleton(
    "halpe136",
    _HALPE_JOINTS + _FACE_JOINTS + _HANDS,
    f"{_HALPE_LINKS} {_HAND_LINKS}",
    (*_COCO_SIGMAS, *[0.08] * 3, *[0.089] * 6, *[0.015] * 110),
)

# OpenPose (arXiv:1812.08008): its two body orders; it publishes no sigmas.
_OPENPOSE_ARMS = "nose neck r_shoulder r_elbow r_wrist l_shoulder l_elbow l_wrist "
_OPENPOSE_LEGS = "r_hip r_knee r_ankle l_hip l_knee l_ankle r_eye l_eye r_ear l_ear "
COCO18 = _skeleton(
    "coco18",
    _joints(_OPENPOSE_ARMS + _OPENPOSE_LEGS),
    _LEGS + _ARMS + _NECK + _EYES + "neck-left_hip neck-right_hip neck-nose",
)
BODY25 = _skeleton(
    "body25",
    _joints(
        _OPENPOSE_ARMS
        + "mid_hip "
        + _OPENPOSE_LEGS
        + "l_big_toe l_small_toe l_heel r_big_toe r_small_toe r_heel"
    ),
    f"{_LEGS + _ARMS + _NECK + _EYES + _FEET} neck-nose neck-mid_hip left_hip-mid_hip "
    "right_hip-mid_hip",
)

# easy_ViTPose's 25 (Apache-2.0): joints of COCO and COCO-WholeBody's feet with neck and mid hips in
# an order of their own.  It publishes no sigmas; these are those of the same joints elsewhere.
VITPOSE25 = _skeleton(
    "vitpose25",
    _joints(
        "nose l_eye r_eye l_ear r_ear neck l_shoulder r_shoulder l_elbow r_elbow l_wrist r_wrist "
        "l_hip r_hip mid_hip l_knee r_knee l_ankle r_ankle l_big_toe l_small_toe l_heel r_big_toe "
        "r_small_toe r_heel"
    ),
    f"{_LEGS + _ARMS + _NECK + _EYES + _FEET} neck-nose neck-mid_hip left_hip-mid_hip "
    "right_hip-mid_hip",
    _numbers(
        ".026 .025 .025 .035 .035 .026 .079 .079 .072 .072 .062 .062 .107 .107 .066 .087 .087 "
        ".089 .089 .068 .066 .066 .092 .094 .094"
    ),
)

# AP-10K (arXiv:2108.12617): animals, not people; sigmas as in mmpose (Apache-2.0).
AP10K17 = _skeleton(
    "ap10k17",
    _joints(
        "l_eye r_eye nose neck root_of_tail l_shoulder l_elbow l_front_paw r_shoulder r_elbow "
        "r_front_paw l_hip l_knee l_back_paw r_hip r_knee r_back_paw"
    ),
    "left_eye-right_eye nose-neck neck-root_of_tail "
    + " ".join(
        f"{s}_eye-nose neck-{s}_shoulder {s}_shoulder-{s}_elbow {s}_elbow-{s}_front_paw "
        f"root_of_tail-{s}_hip {s}_hip-{s}_knee {s}_knee-{s}_back_paw"
        for s in ("left", "right")
    ),
    _numbers(
        ".025 .025 .026 .035 .035 .079 .072 .062 .079 .072 .062 .107 .087 .089 .107 .087 .089"
    ),
)

# Where several share a number of joints, the first is the one whose networks are most published.
_EACH = (
    COCO17,
    HALPE26,
    COCO133,
    HALPE136,
    CROWDPOSE14,
    MPII16,
    HAND21,
    FACE106,
    FACE68,
    COCO18,
    BODY25,
    VITPOSE25,
    POSETRACK15,
    AIC14,
    LSP14,
    POSETRACK17,
    AP10K17,
)
_ALL = {s.name: s for s in _EACH} | {"ochuman": OCHUMAN}


def list_skeletons() -> list[str]:
    """Return the names of the known skeletons."""
    return sorted(_ALL)


def get_skeleton(name: str) -> Skeleton:
    """Return a known skeleton; a UsageError suggests the nearest name."""
    if name not in _ALL:
        raise UsageError(f"no skeleton {name!r}{nearest(name, _ALL)}; known: {list_skeletons()}")
    return _ALL[name]


def for_joints(count: int) -> Skeleton | None:
    """Return the skeleton that published networks with so many joints mean; None if none is."""
    return next((s for s in _EACH if len(s) == count), None)
