"""Skeletons: facts of the published tables, mirrors, mappings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posewright.errors import UsageError
from posewright.skeletons import (
    AIC14,
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
    Skeleton,
    for_joints,
    get_skeleton,
    list_skeletons,
)

NAMES = list_skeletons()


@pytest.mark.parametrize("name", NAMES)
def test_mirroring_twice_is_the_identity(name: str) -> None:
    skeleton = get_skeleton(name)
    np.testing.assert_array_equal(skeleton.flip_index[skeleton.flip_index], range(len(skeleton)))
    for i, j in enumerate(skeleton.flip_index):
        assert {skeleton.side(i), skeleton.side(int(j))} in ({"left", "right"}, {"middle"})


@pytest.mark.parametrize("name", NAMES)
def test_tables_are_whole(name: str) -> None:
    skeleton = get_skeleton(name)
    assert name == "ochuman" or name.endswith(str(len(skeleton)))
    assert len(skeleton.sigmas) in (0, len(skeleton))
    assert skeleton.oks_sigmas.shape == (len(skeleton),) and (skeleton.oks_sigmas > 0).all()
    assert all(
        0 <= a < len(skeleton) and 0 <= b < len(skeleton) and a != b for a, b in skeleton.links
    )
    assert len({frozenset(link) for link in skeleton.links}) == len(skeleton.links)
    assert Skeleton.from_dict(json.loads(json.dumps(skeleton.to_dict()))) == skeleton


@pytest.mark.parametrize("name", NAMES)
def test_links_are_symmetric(name: str) -> None:
    skeleton = get_skeleton(name)
    links = {frozenset(link) for link in skeleton.links}
    mirrored = {frozenset(int(skeleton.flip_index[j]) for j in link) for link in links}
    assert links == mirrored


@pytest.mark.parametrize("name", NAMES)
def test_sigmas_of_body_joints_are_symmetric(name: str) -> None:
    skeleton = get_skeleton(name)
    body = [i for i, joint in enumerate(skeleton.joints) if joint in COCO17.joints]
    if name not in ("aic14",):  # the one data set that measured both sides apart
        ours = skeleton.oks_sigmas
        np.testing.assert_array_equal(ours[body], ours[skeleton.flip_index[body]])


@pytest.mark.parametrize(
    ("skeleton", "a", "b"),
    [
        (COCO17, 5, 6),
        (CROWDPOSE14, 0, 1),
        (MPII16, 0, 5),
        (MPII16, 10, 15),
        (AIC14, 0, 3),
        (LSP14, 6, 11),
        (HALPE26, 20, 21),
        (HALPE136, 26, 42),
        (HALPE136, 94, 115),
        (COCO133, 17, 20),
        (COCO133, 23, 39),
        (COCO133, 91, 112),
        (COCO133, 111, 132),
        (COCO18, 2, 5),
        (BODY25, 19, 22),
        (POSETRACK17, 3, 4),
        (POSETRACK15, 0, 5),
        (FACE68, 36, 45),
        (FACE68, 40, 47),
        (FACE68, 48, 54),
        (FACE68, 59, 55),
        (FACE68, 60, 64),
        (FACE68, 31, 35),
        (FACE68, 17, 26),
        (FACE106, 33, 46),
        (FACE106, 38, 50),
        (FACE106, 71, 82),
        (FACE106, 74, 83),
        (FACE106, 101, 103),
        (FACE106, 104, 105),
    ],
)
def test_published_pairs_are_mirror_images(skeleton: Skeleton, a: int, b: int) -> None:
    assert skeleton.flip_index[a] == b and skeleton.flip_index[b] == a


@pytest.mark.parametrize(
    ("skeleton", "middle"),
    [
        (COCO17, [0]),
        (CROWDPOSE14, [12, 13]),
        (MPII16, [6, 7, 8, 9]),
        (HALPE26, [0, 17, 18, 19]),
        (FACE68, [8, 27, 28, 29, 30, 33, 51, 57, 62, 66]),
        (FACE106, [16, 51, 52, 53, 54, 60, 87, 93, 98, 102]),
    ],
)
def test_middle_joints_are_their_own_mirror_image(skeleton: Skeleton, middle: list[int]) -> None:
    own = np.flatnonzero(skeleton.flip_index == np.arange(len(skeleton)))
    np.testing.assert_array_equal(own, middle)


@pytest.mark.parametrize(
    ("skeleton", "number", "name"),
    [
        (HALPE26, 17, "top_head"),
        (HALPE26, 18, "neck"),
        (HALPE26, 19, "mid_hip"),
        (HALPE26, 25, "right_heel"),
        (COCO133, 19, "left_heel"),
        (COCO133, 31, "chin"),
        (COCO133, 91, "left_hand_root"),
        (COCO133, 132, "right_pinky_finger4"),
        (HALPE136, 115, "right_hand_root"),
        (MPII16, 6, "mid_hip"),
        (MPII16, 7, "thorax"),
        (BODY25, 8, "mid_hip"),
        (BODY25, 21, "left_heel"),
        (COCO18, 1, "neck"),
        (COCO18, 17, "left_ear"),
        (AIC14, 12, "top_head"),
        (POSETRACK17, 2, "top_head"),
        (HAND21, 8, "forefinger4"),
        (LSP14, 13, "top_head"),
        (POSETRACK15, 13, "nose"),
    ],
)
def test_published_numbers(skeleton: Skeleton, number: int, name: str) -> None:
    assert skeleton.joints[number] == name and skeleton[name] == number


def test_mapping() -> None:
    missing = COCO17.mapping(CROWDPOSE14)
    assert [CROWDPOSE14.joints[i] for i in np.flatnonzero(missing == -1)] == ["top_head", "neck"]
    np.testing.assert_array_equal(missing[:12], range(5, 17))
    np.testing.assert_array_equal(COCO133.mapping(COCO17), range(17))
    np.testing.assert_array_equal(HALPE136.mapping(HALPE26), range(26))
    assert (HALPE136.mapping(COCO133) >= 0).all()
    assert (HALPE26.mapping(BODY25) >= 0).all()
    assert (HALPE26.mapping(LSP14) >= 0).all() and (AIC14.mapping(CROWDPOSE14) >= 0).all()
    assert [MPII16.joints[i] for i in np.flatnonzero(HALPE26.mapping(MPII16) == -1)] == ["thorax"]


def test_parts_of_whole_body_have_their_own_sigmas() -> None:
    np.testing.assert_array_equal(COCO133.sigmas[:17], COCO17.sigmas)
    np.testing.assert_array_equal(COCO133.sigmas[23:91], FACE68.sigmas)
    np.testing.assert_array_equal(COCO133.sigmas[112:], HAND21.sigmas)
    assert COCO133.sigmas[17:24] == (0.068, 0.066, 0.066, 0.092, 0.094, 0.094, 0.042)
    assert COCO133.sigmas[-1] == 0.031 and HALPE136.sigmas[26:] == (0.015,) * 110


@pytest.mark.parametrize(
    ("count", "name"),
    [
        (17, "coco17"),
        (26, "halpe26"),
        (133, "coco133"),
        (21, "hand21"),
        (14, "crowdpose14"),
        (136, "halpe136"),
        (16, "mpii16"),
        (106, "face106"),
        (68, "face68"),
        (18, "coco18"),
        (25, "body25"),
        (15, "posetrack15"),
    ],
)
def test_for_joints(count: int, name: str) -> None:
    assert for_joints(count) is get_skeleton(name)


def test_for_joints_does_not_guess() -> None:
    assert for_joints(0) is None and for_joints(19) is None


def test_aliases_and_suggestions() -> None:
    assert get_skeleton("ochuman") is OCHUMAN is COCO17
    with pytest.raises(UsageError, match=r"'crowdpose'.*did you mean 'crowdpose14'"):
        get_skeleton("crowdpose")
    with pytest.raises(KeyError, match=r"did you mean 'left_knee'"):
        COCO17["left_kne"]


def test_a_skeleton_that_contradicts_itself_is_refused() -> None:
    with pytest.raises(ValueError, match="twice"):
        Skeleton("x", ("a", "a"))
    with pytest.raises(ValueError, match="2 joints, 1 sigmas"):
        Skeleton("x", ("a", "b"), (), (0.1,))


def test_without_sigmas_there_is_one_for_all() -> None:
    np.testing.assert_array_equal(LSP14.oks_sigmas, np.full(14, 0.05, np.float32))


def test_a_joint_without_its_other_side_stays() -> None:
    one_sided = Skeleton("x", ("left_hand", "nose"))
    np.testing.assert_array_equal(one_sided.flip_index, [0, 1])


def labels(path: Path, *fields: str) -> np.ndarray:
    """(N, K, 3) x, y, visibility of a labelled file whose joints are spread over `fields`."""
    people = json.loads(path.read_text())["annotations"]
    rows = [np.concatenate([p[f] for f in fields]) for p in people if all(f in p for f in fields)]
    return np.array(rows, float).reshape(len(rows), -1, 3)


def test_names_agree_with_labelled_whole_bodies(data_dir: Path) -> None:
    parts = ("keypoints", "foot_kpts", "face_kpts", "lefthand_kpts", "righthand_kpts")
    whole = labels(data_dir / "formats/coco/test_coco_wholebody.json", *parts)
    halpe = labels(data_dir / "formats/halpe/test_halpe.json", "keypoints")
    twins = [
        ("left_eye", "left_eye_rim1"),
        ("left_wrist", "left_hand_root"),
        ("left_ankle", "left_heel"),
        ("left_ear", "left_jaw1"),
    ]
    seen = 0
    for skeleton, people in ((COCO133, whole), (HALPE136, halpe)):
        assert people.shape[1] == len(skeleton)
        for near, far in twins:
            trio = [skeleton[near], skeleton[far], skeleton.flip_index[skeleton[near]]]
            xy = people[(people[:, trio, 2] > 0).all(1)][:, trio, :2]
            own, across = (np.linalg.norm(xy[:, 1] - xy[:, i], axis=1) for i in (0, 2))
            assert len(xy) == 0 or np.median(across - own) > 0
            seen += len(xy)
    assert seen >= 10


@pytest.mark.parametrize(
    ("file", "skeleton"),
    [
        ("coco/test_coco.json", COCO17),
        ("ochuman/test_ochuman.json", OCHUMAN),
        ("crowdpose/test_crowdpose.json", CROWDPOSE14),
        ("aic/test_aic.json", AIC14),
        ("mhp/test_mhp.json", MPII16),
        ("posetrack18/annotations/test_posetrack18_val.json", POSETRACK17),
    ],
)
def test_order_is_that_of_the_published_files(
    data_dir: Path, file: str, skeleton: Skeleton
) -> None:
    ours = {
        "head": "top_head",
        "head_top": "top_head",
        "head_bottom": "neck",
        "upper_neck": "neck",
        "pelvis": "mid_hip",
    }
    content = json.loads((data_dir / "formats" / file).read_text())
    joints = content["categories"][0]["keypoints"]
    names = [j.lower().replace(" ", "_").replace("-", "_") for j in joints]
    assert [ours.get(n, n) for n in names] == list(skeleton.joints)
