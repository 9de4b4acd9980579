"""People with feet, hands and faces in every output format, and read back from it."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from posewright.errors import SourceError
from posewright.files.values import dumps
from posewright.people import People
from posewright.readers import read_results
from posewright.results import Result
from posewright.skeletons import (
    BODY25,
    COCO17,
    COCO133,
    FACE68,
    FACE106,
    HALPE26,
    HALPE136,
    HAND21,
    Skeleton,
    get_skeleton,
)
from posewright.skeletons.whole_body import WHOLE_BODY, joined
from posewright.writers import WRITERS
from tests.helpers.results import read_json, write

LEFT, RIGHT = (
    Skeleton(side, tuple(f"{side}_{j}" for j in HAND21.joints), HAND21.links)
    for side in ("left", "right")
)
HANDS = joined(COCO17, LEFT, RIGHT)
DENSE = joined(COCO17, FACE106, LEFT, RIGHT)
MORE = [HALPE26, HALPE136, COCO133, get_skeleton("vitpose25"), HANDS, DENSE]


def somebody(skeleton: Skeleton, count: int = 2) -> Result:
    rng = np.random.default_rng(4)
    points = rng.uniform(5, 60, (count, len(skeleton), 2))
    scores = rng.uniform(0.2, 1, (count, len(skeleton)))
    who = People.of(None, rng.uniform(0.3, 1, count), points, scores, np.arange(count) + 3)
    image = np.full((64, 80, 3), 90, np.uint8)
    return Result(who, skeleton, (80, 64), "clip.mp4", 0, image=image)


def triples(result: Result, joints: tuple[str, ...], person: int = 0) -> np.ndarray:
    """(M, 3) x, y, score of joints by name; 0, 0, 0 where the skeleton lacks them."""
    people, skeleton = result.people, result.skeleton
    rows = [
        (*people.keypoints[person, skeleton[j]], people.scores[person, skeleton[j]])
        if j in skeleton.joints
        else (0, 0, 0)
        for j in joints
    ]
    return np.array(rows, np.float32)


@pytest.mark.parametrize("skeleton", MORE, ids=lambda s: s.name)
@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_takes_them(name: str, skeleton: Skeleton, tmp_path: Path) -> None:
    [path, *_] = write(name, tmp_path, [somebody(skeleton)])
    assert path.exists()
    if name == "csv":
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert [row["joint"] for row in rows] == list(skeleton.joints) * 2


@pytest.mark.parametrize("skeleton", MORE, ids=lambda s: s.name)
@pytest.mark.parametrize("name", ["jsonl", "parquet"])
def test_results_come_back_whole(name: str, skeleton: Skeleton, tmp_path: Path) -> None:
    before = somebody(skeleton)
    [path] = write(name, tmp_path, [before])
    [after] = read_results(path)
    assert after.skeleton == skeleton
    np.testing.assert_array_equal(after.keypoints, before.keypoints)
    np.testing.assert_array_equal(after.scores, before.scores)


# --- COCO and AlphaPose --------------------------------------------------------------------------


def test_a_whole_body_stands_in_the_lists_of_coco_wholebody(tmp_path: Path) -> None:
    before = somebody(COCO133)
    [path] = write("coco", tmp_path, [before])
    entry = read_json(path)[0]
    for name, joints in WHOLE_BODY.items():
        expected = triples(before, joints)
        np.testing.assert_allclose(np.reshape(entry[name], (-1, 3)), expected, rtol=1e-6)
    assert sum(len(entry[name]) for name in WHOLE_BODY) == 3 * 133
    [after] = read_results(path)
    assert after.skeleton is COCO133
    np.testing.assert_array_equal(after.keypoints, before.keypoints)
    np.testing.assert_allclose(after.box_scores, before.box_scores, rtol=1e-5)


def test_hands_on_a_body_stand_in_their_lists_and_come_back(tmp_path: Path) -> None:
    before = somebody(HANDS)
    [path] = write("coco", tmp_path, [before])
    entry = read_json(path)[0]
    assert len(entry["keypoints"]) == 51 and len(entry["lefthand_kpts"]) == 63
    assert "foot_kpts" not in entry and "face_kpts" not in entry
    [after] = read_results(path)
    assert after.skeleton is COCO133 and after.scores[0, COCO133["chin"]] == 0
    back = COCO133.mapping(HANDS)
    np.testing.assert_array_equal(after.keypoints[:, back], before.keypoints)
    np.testing.assert_allclose(after.box_scores, before.box_scores, rtol=1e-5)


@pytest.mark.parametrize("skeleton", [HALPE26, HALPE136, DENSE], ids=lambda s: s.name)
@pytest.mark.parametrize("name", ["coco", "alphapose"])
def test_other_joints_stand_in_one_list(name: str, skeleton: Skeleton, tmp_path: Path) -> None:
    before = somebody(skeleton)
    [path] = write(name, tmp_path, [before])
    entry = read_json(path)[0]
    assert not set(WHOLE_BODY) & set(entry) - {"keypoints"}
    flat = np.reshape(entry["keypoints"], (-1, 3))
    np.testing.assert_allclose(flat, triples(before, skeleton.joints), rtol=1e-6)
    if skeleton is not DENSE:
        assert next(iter(read_results(path))).skeleton is skeleton


def test_alphapose_has_all_133_joints_in_one_list(tmp_path: Path) -> None:
    before = somebody(COCO133)
    [path] = write("alphapose", tmp_path, [before])
    entry = read_json(path)[0]
    flat = np.reshape(entry["keypoints"], (-1, 3))
    np.testing.assert_allclose(flat, triples(before, COCO133.joints), rtol=1e-6)


# --- OpenPose ------------------------------------------------------------------------------------


def openpose(result: Result, folder: Path, order: str = "body25") -> dict[str, np.ndarray]:
    [made] = write("openpose", folder, [result], openpose_order=order)
    [file] = made.iterdir()
    person = read_json(file)["people"][0]
    return {name: np.reshape(v, (-1, 3)) for name, v in person.items() if name.endswith("_2d")}


@pytest.mark.parametrize("skeleton", [HALPE26, COCO133, HALPE136], ids=lambda s: s.name)
def test_body25_has_the_feet(skeleton: Skeleton, tmp_path: Path) -> None:
    result = somebody(skeleton)
    found = openpose(result, tmp_path)["pose_keypoints_2d"]
    mean = {"neck": ("left_shoulder", "right_shoulder"), "mid_hip": ("left_hip", "right_hip")}
    for row, joint in zip(found, BODY25.joints, strict=True):
        parts = (joint,) if joint in skeleton.joints else mean[joint]
        np.testing.assert_allclose(row, triples(result, parts).mean(0), rtol=1e-5)
    toes = ["left_big_toe", "left_small_toe", "left_heel"]
    assert list(BODY25.joints[19:22]) == toes and (found[19:, 2] > 0).all()


@pytest.mark.parametrize("order", ["body25", "coco18"])
@pytest.mark.parametrize("skeleton", [COCO133, HALPE136, HANDS], ids=lambda s: s.name)
def test_hands_and_face_have_lists_of_their_own(
    skeleton: Skeleton, order: str, tmp_path: Path
) -> None:
    result = somebody(skeleton)
    found = openpose(result, tmp_path, order)
    for side, part in (("left", LEFT), ("right", RIGHT)):
        hand = found[f"hand_{side}_keypoints_2d"]
        np.testing.assert_allclose(hand, triples(result, part.joints), rtol=1e-6)
    face = found["face_keypoints_2d"]
    if skeleton is HANDS:
        assert face.size == 0
        return
    np.testing.assert_allclose(face[:68], triples(result, FACE68.joints), rtol=1e-6)
    assert (face[68:] == 0).all()  # the pupils, which 68 joints do not have


def test_a_face_of_106_joints_becomes_70(tmp_path: Path) -> None:
    result = somebody(DENSE)
    face = openpose(result, tmp_path)["face_keypoints_2d"]
    numbers = [FACE106.joints.index(f"right_contour{i}") for i in (1, 3, 5, 7, 9, 11, 13, 15)]
    lapa = [*numbers, 16, *range(18, 33, 2), *range(33, 38), *range(42, 47), *range(51, 55)]
    lapa += [58, 59, 60, 61, 62, 66, 67, 69, 70, 71, 73, 75, 76, 78, 79, 80, 82]
    lapa += [*range(84, 104), 104, 105]
    expected = triples(result, tuple(FACE106.joints[i] for i in lapa))
    np.testing.assert_allclose(face, expected, rtol=1e-6)
    assert FACE106.joints[104] == "right_pupil"


def test_the_own_order_keeps_everything_in_one_list(tmp_path: Path) -> None:
    result = somebody(COCO133)
    found = openpose(result, tmp_path, "own")
    np.testing.assert_allclose(
        found["pose_keypoints_2d"], triples(result, COCO133.joints), rtol=1e-6
    )
    assert found["hand_left_keypoints_2d"].size == found["face_keypoints_2d"].size == 0


def test_hands_that_were_not_seen_are_zeros(tmp_path: Path) -> None:
    result = somebody(HANDS)
    scores = result.scores.copy()
    scores[0, 17:38] = 0  # the left hand
    people = result.people.replace(scores=scores)
    found = openpose(result.replace(people=people), tmp_path)
    assert (found["hand_left_keypoints_2d"] == 0).all()
    assert (found["hand_right_keypoints_2d"] > 0).all()


def test_pose2sim_reads_26_joints_of_two_cameras(tmp_path: Path) -> None:
    triangulation = pytest.importorskip(
        "Pose2Sim.triangulation", reason="Pose2Sim is not installed"
    )
    from anytree import PreOrderIter
    from Pose2Sim.skeletons import HALPE_26

    nodes = [node for node in PreOrderIter(HALPE_26) if node.id is not None]
    numbers = [node.id for node in nodes]
    cameras = [somebody(HALPE26, count) for count in (2, 1)]
    files = []
    for number, result in enumerate(cameras):
        [folder] = write("openpose", tmp_path / f"cam{number}", [result])
        files += [str(path) for path in folder.iterdir()]
    x, y, scores = triangulation.extract_files_frame_f(files, numbers)
    assert x.shape == (2, 2, len(numbers)) and len(numbers) > 20
    for person, camera in ((0, 0), (1, 0), (0, 1)):
        people = cameras[camera].people
        where = people.keypoints[person, numbers]
        np.testing.assert_allclose(x[person, camera], where[:, 0], rtol=1e-6)
        np.testing.assert_allclose(y[person, camera], where[:, 1], rtol=1e-6)
        np.testing.assert_allclose(
            scores[person, camera], people.scores[person, numbers], rtol=1e-6
        )
    assert np.isnan(x[1, 1]).all()  # the second camera sees one person
    named = {node.name: HALPE26.joints[node.id] for node in nodes}
    assert named["RBigToe"] == "right_big_toe" and named["LHeel"] == "left_heel"


@pytest.mark.parametrize("skeleton", [COCO133, HANDS, DENSE], ids=lambda s: s.name)
def test_openpose_lists_of_hands_and_face_are_read_back(skeleton: Skeleton, tmp_path: Path) -> None:
    before = somebody(skeleton)
    write("openpose", tmp_path, [before], openpose_order="body25")
    [after] = read_results(tmp_path / "openpose")
    assert after.skeleton.joints[:25] == BODY25.joints
    for person in (0, 1):
        for part in (LEFT, RIGHT):
            np.testing.assert_allclose(
                triples(after, part.joints, person), triples(before, part.joints, person), rtol=1e-6
            )
    assert ("chin" in after.skeleton.joints) == (skeleton is not HANDS)
    assert len(after.skeleton.links) == len(BODY25.links) + 40


def test_somebody_without_the_lists_of_others_has_zeros(tmp_path: Path) -> None:
    [folder] = write("openpose", tmp_path, [somebody(HANDS)], openpose_order="body25")
    [file] = folder.iterdir()
    page = read_json(file)
    page["people"][0]["hand_left_keypoints_2d"] = []
    page["people"][1]["face_keypoints_2d"] = [1.0, 2.0, 3.0]  # not a face of 70
    file.write_text(dumps(page))
    [after] = read_results(folder)
    left = [after.skeleton[j] for j in LEFT.joints]
    assert after.keypoints.shape == (2, 25 + 42, 2)
    assert (after.scores[0, left] == 0).all() and (after.scores[1, left] > 0).all()


def test_broken_lists_are_told_in_one_line(tmp_path: Path) -> None:
    [folder] = write("openpose", tmp_path, [somebody(HANDS)], openpose_order="body25")
    [file] = folder.iterdir()
    page = read_json(file)
    page["people"][0]["hand_left_keypoints_2d"] = ["a", "b", "c"]
    file.write_text(dumps(page))
    with pytest.raises(SourceError, match="is not an OpenPose file"):
        list(read_results(folder))
