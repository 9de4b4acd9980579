"""One routine tells the side of a joint by its name, and one table says what it must find."""

from __future__ import annotations

import pytest

from posewright.datasets.naming import canonical, canonical_all, skeleton_of, spellings
from posewright.skeletons import COCO17, Skeleton

SPELLINGS = [
    ("Right Shoulder", "right_shoulder"),
    ("rShoulder", "right_shoulder"),
    ("RShoulder", "right_shoulder"),
    ("LShoulder", "left_shoulder"),
    ("LEye", "left_eye"),
    ("REar", "right_ear"),
    ("leftshoulder", "left_shoulder"),
    ("LEFTSHOULDER", "left_shoulder"),
    ("LEFT_EYE", "left_eye"),
    ("shoulder_l", "left_shoulder"),
    ("Shoulder.L", "left_shoulder"),
    ("Shoulder (L)", "left_shoulder"),
    ("l_shoulder", "left_shoulder"),
    ("left-shoulder", "left_shoulder"),
    ("Left Shoulder", "left_shoulder"),
    ("left.shoulder", "left_shoulder"),
    ("shoulderLeft", "left_shoulder"),
    ("shoulderleft", "left_shoulder"),
    ("ShoulderL", "left_shoulder"),
    ("shoulder left", "left_shoulder"),
    ("leftbigtoe", "left_big_toe"),
    ("LBigToe", "left_big_toe"),
    ("leftEar", "left_ear"),
    ("medial_right_bow", "right_medial_bow"),
    ("left_1", "left_1"),
    ("eye_right_2", "right_eye_2"),
    ("Head-top", "top_head"),
    ("Upper-neck", "neck"),
    ("pelvis", "mid_hip"),
    ("tail 2", "tail_2"),
    ("l", "l"),
    ("left", "left"),
    ("lip", "lip"),
    ("rear", "rear"),
    ("lower_lip", "lower_lip"),
    ("ring_finger", "ring_finger"),
    ("RIGHT", "right"),
    ("cleft_lip", "cleft_lip"),
    ("upright", "upright"),
    ("left_to_right", "left_to_right"),
    ("lumbar", "lumbar"),
    ("heel", "heel"),
    ("Schulter links", "schulter_links"),
    ("鼻", "鼻"),
]


@pytest.mark.parametrize(("name", "spelling"), SPELLINGS)
def test_one_name_by_itself(name: str, spelling: str) -> None:
    assert canonical(name) == spelling


PAIRS = [
    ("leye", "reye"),
    ("lear", "rear"),
    ("lpaw", "rpaw"),
    ("shoulderl", "shoulderr"),
    ("L1", "R1"),
    ("eye_l1", "eye_r1"),
    ("finger_l_2", "finger_r_2"),
    ("lefteye1", "righteye1"),
    ("leftpaw", "rightpaw"),
    ("pawleft", "pawright"),
    ("LPaw", "RPaw"),
    ("PAW_L", "PAW_R"),
    ("paw.l", "paw.r"),
    ("Paw-Left", "Paw-Right"),
    ("l paw", "r paw"),
    ("leftmost", "rightmost"),
    ("mixamorig:LeftArm", "mixamorig:RightArm"),
    ("left_1", "right_1"),
    ("1_left", "1_right"),
    ("hand_left_thumb", "hand_right_thumb"),
    ("left", "right"),
    ("L", "R"),
    ("LEYE", "REYE"),
]


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_of_a_set(pair: tuple[str, str]) -> None:
    skeleton = skeleton_of(["nose", *pair, "ring_finger", "lower_lip"])
    assert skeleton.flip_index.tolist() == [0, 2, 1, 3, 4]
    assert [skeleton.side(i) for i in range(1, 3)] == ["left", "right"] or pair in (
        ("left", "right"),
        ("L", "R"),
    )


@pytest.mark.parametrize(
    "names",
    [
        ["lip", "rear", "lower_lip", "ring_finger", "left"],
        ["lip", "right_lip_corner"],
        ["rear", "ear", "front"],
        ["leg", "arm", "reg2"],
        ["left_to_right", "right_to_left"],
        ["tail", "tair_end"],
        ["Links", "Rechts"],
    ],
)
def test_names_that_only_look_like_sides_have_no_mirror_image(names: list[str]) -> None:
    assert skeleton_of(names).flip_index.tolist() == list(range(len(names)))


STYLES = {
    "LShoulder": lambda s, p: s[0].upper() + p.title().replace("_", ""),
    "lshoulder": lambda s, p: s[0] + p,
    "leftshoulder": lambda s, p: s + p,
    "shoulder_l": lambda s, p: f"{p}_{s[0]}",
    "Shoulder.L": lambda s, p: f"{p.title()}.{s[0].upper()}",
    "l_shoulder": lambda s, p: f"{s[0]}_{p}",
    "left-shoulder": lambda s, p: f"{s}-{p}",
    "Left Shoulder": lambda s, p: f"{s} {p}".title(),
    "shoulderLeft": lambda s, p: p + s.title(),
    "shoulderleft": lambda s, p: p + s,
    "ShoulderL": lambda s, p: p.title() + s[0].upper(),
    "SHOULDER_LEFT": lambda s, p: f"{p}_{s}".upper(),
    "(l) shoulder": lambda s, p: f"({s[0]}) {p}",
}


@pytest.mark.parametrize("style", STYLES)
def test_cocos_joints_in_any_spelling_are_cocos_skeleton(style: str) -> None:
    names = []
    for joint in COCO17.joints:
        side, _, part = joint.partition("_")
        names.append(STYLES[style](side, part) if part else joint.title())
    assert skeleton_of(names) is COCO17


def test_what_two_names_share_stays_as_it_is_and_the_others_are_spelt() -> None:
    assert canonical_all(["Left Eye", "left_eye", "Right Ear"]) == (
        "Left Eye",
        "left_eye",
        "right_ear",
    )
    assert spellings(n for n in ("leye", "reye")) == {"leye": "left_eye", "reye": "right_eye"}


def test_a_table_of_ones_own_counts_before_the_names() -> None:
    own = skeleton_of(["a", "b", "c"], mirror=[2, 1, 0])
    assert own.flip_index.tolist() == [2, 1, 0] and own.side(0) == "middle"
    plain = skeleton_of(["left_paw", "right_paw"], mirror=[0, 1])
    assert plain.flip_index.tolist() == [0, 1]
    assert skeleton_of(list(COCO17.joints), mirror=COCO17.flip_index.tolist()) is COCO17
    kept = skeleton_of(list(COCO17.joints), name="mine", mirror=list(range(17)))
    assert kept.flip_index.tolist() == list(range(17)) and kept.sigmas == COCO17.sigmas
    with pytest.raises(ValueError, match="must pair its 3 joints"):
        skeleton_of(["a", "b", "c"], mirror=[1, 2, 0])


def test_a_table_travels_with_the_skeleton_and_names_need_none() -> None:
    own = skeleton_of(["a", "b", "c"], mirror=[2, 1, 0])
    assert Skeleton.from_dict(own.to_dict()) == own
    assert "mirror" not in COCO17.to_dict()  # files of known skeletons stay the same
    with pytest.raises(ValueError, match="must pair"):
        Skeleton.from_dict(own.to_dict() | {"mirror": [5, 1, 0]})


def test_a_skeleton_of_ones_own_has_mirror_pairs_and_sigmas() -> None:
    own = skeleton_of(["tail", "Left Paw", "rightPaw", "left hip", "right hip"])
    assert own.joints == ("tail", "left_paw", "right_paw", "left_hip", "right_hip")
    assert own.flip_index.tolist() == [0, 2, 1, 4, 3]
    assert own.sigmas == (0.05, 0.05, 0.05, 0.107, 0.107)
    assert skeleton_of(["a", "b"], stated=[0.1, 0.2]).sigmas == (0.1, 0.2)
    assert skeleton_of(["a", "b"], stated=[0.1, -1]).sigmas == (0.05, 0.05)


def test_a_file_may_have_sigmas_of_its_own_for_known_joints() -> None:
    names = list(COCO17.joints)
    assert skeleton_of(names, stated=list(COCO17.sigmas)) is COCO17
    own = skeleton_of(names, name="own", stated=[0.1] * 17)
    assert (own.name, own.sigmas, own.links) == ("own", (0.1,) * 17, COCO17.links)


@pytest.mark.parametrize(
    ("names", "spelt"),
    [
        (("lknee", "right_knee"), ("left_knee", "right_knee")),
        (("Left Big Toe", "rbigtoe"), ("left_big_toe", "right_big_toe")),
        (("01_left_hip", "02_right_hip"), ("left_hip", "right_hip")),
        (("0:nose", "1:lEye", "2:rEye"), ("nose", "left_eye", "right_eye")),
        (("Lft Knee", "Rgt Knee"), ("left_knee", "right_knee")),
        (("LtShoulder", "RtShoulder"), ("left_shoulder", "right_shoulder")),
        (("\uff2c\uff25\uff39\uff25", "\uff32\uff25\uff39\uff25"), ("left_eye", "right_eye")),
        (("1_toe", "2_toe"), ("1_toe", "2_toe")),
        (("1", "2"), ("1", "2")),
        (("0 nose", "tail"), ("0_nose", "tail")),
        (("lip", "rear"), ("lip", "rear")),
        (("belt", "heart"), ("belt", "heart")),
    ],
)
def test_sides_and_numbers_as_tools_write_them(
    names: tuple[str, ...], spelt: tuple[str, ...]
) -> None:
    assert tuple(spellings(names).values()) == spelt
