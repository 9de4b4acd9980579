"""A name that is almost a joint's is an error, unless it is confirmed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.datasets import open_dataset
from posewright.datasets.check import check
from posewright.datasets.converting import convert
from posewright.datasets.misspelt import check_spelling
from posewright.datasets.naming import spellings
from posewright.errors import SourceError, UsageError
from posewright.training.data import check_validation

_PNG = cv2.imencode(".png", np.arange(3 * 80 * 100, dtype=np.uint8).reshape(80, 100, 3))[
    1
].tobytes()


def page(folder: Path, name: str, *joints: str, **more: Any) -> None:
    points = [
        {"label": joint, "shape_type": "point", "points": [[10 + 5 * i, 20]], "group_id": 1}
        for i, joint in enumerate(joints)
    ]
    data = {"shapes": points, "imagePath": f"{name}.png", "imageHeight": 80, "imageWidth": 100}
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({**data, **more}))


def slips(*names: str, confirmed: tuple[str, ...] = ()) -> str:
    try:
        check_spelling(names, spellings(names), confirmed, "labels")
    except SourceError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("left_kneee", "left_knee"),
        ("left_nkee", "left_knee"),
        ("letf_knee", "left_knee"),
        ("leftkneee", "left_knee"),
        ("Rigth Sholder", "right_shoulder"),
        ("R_Sholder", "right_shoulder"),
        ("noes", "nose"),
        ("right_wirst", "right_wrist"),
    ],
)
def test_slips_are_named_with_what_was_meant(typed: str, meant: str) -> None:
    assert f"{typed!r} occurs once; did you mean {meant}?" in slips("nose", typed)
    assert slips("nose", typed, confirmed=(typed,)) == ""


@pytest.mark.parametrize(
    "names",
    [
        "left_paw right_paw tail withers snout root_of_tail left_front_paw left_back_paw",
        "thumb1 thumb2 palm ring_finger joint_1 joint_2 tail_1 tail_2",
        "left_toe left_lip left_shin chin left_wing spine1 spine2 chest belly",
        "Left Knee|LKnee|knee_l|left_knee|Kopf|Hals",
    ],
)
def test_joints_of_ones_own_are_no_slips(names: str) -> None:
    assert slips(*(names.split("|") if "|" in names else names.split())) == ""


def test_own_names_are_compared_with_frequent_ones() -> None:
    assert "'tail_tipp' occurs once; did you mean tail_tip?" in slips(
        *["tail_tip"] * 10, "tail_tipp"
    )
    assert slips(*["tail_tip"] * 5, "tail_tipp") == ""


def test_data_verbs_and_labels_txt_confirm(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "in"
    page(folder, "a", "nose", "left_kneee", imageData=base64.b64encode(_PNG).decode())
    words = ["data", "convert", str(folder), str(tmp_path / "out")]
    assert main(words) == 3
    assert "did you mean left_knee?" in capsys.readouterr().err
    assert main([*words, "--joint", "left_kneee", "--ratio", "0"]) == 0
    with pytest.raises(SourceError, match="left_knee"):
        check(folder)
    (folder / "labels.txt").write_text("nose\nleft_kneee\n")
    assert open_dataset(folder).skeleton.joints == ("nose", "left_kneee")
    coco = tmp_path / "out" / "annotations" / "person_keypoints_all.json"
    with pytest.raises(UsageError, match="not checked"):
        open_dataset(coco, joints=["nose"])


def test_label_studio_names_are_checked(tmp_path: Path) -> None:
    value = {"x": 10, "y": 10, "keypointlabels": ["left_elbo"]}
    result = {"type": "keypointlabels", "value": value, "original_width": 9, "original_height": 9}
    tasks = [{"data": {"image": "a.png"}, "annotations": [{"result": [{**result, "id": "1"}]}]}]
    file = tmp_path / "export.json"
    file.write_text(json.dumps(tasks))
    with pytest.raises(SourceError, match="did you mean left_elbow"):
        open_dataset(file)
    assert "left_elbo" in open_dataset(file, joints=["left_elbo"]).skeleton.joints


def test_image_data_is_read_where_the_image_is_missing(tmp_path: Path) -> None:
    data = base64.b64encode(_PNG).decode()
    page(tmp_path / "in", "a", "nose", "left_hip", imageData=data)
    page(tmp_path / "in", "b", "nose", imageData=data, imagePath="..\\pictures\\b.png")
    dataset = open_dataset(tmp_path / "in")
    assert dataset.notes == () and [s.image.name for s in dataset] == ["a.png", "b.png"]
    assert dataset[0].load().image.shape == (80, 100, 3)
    assert check(tmp_path / "in").findings[-1].kind == "image twice"  # by content
    check_validation(dataset[:1])
    done = convert(dataset[:1], tmp_path / "out", "coco")
    assert done.notes == ()
    assert (tmp_path / "out" / "all" / "a.png").read_bytes() == _PNG


def test_a_file_counts_before_image_data_and_damage_is_told(tmp_path: Path) -> None:
    page(tmp_path, "a", "nose", imageData="no base64!")
    dataset = open_dataset(tmp_path)
    assert "not an image in base64" in dataset[0].load().message
    assert {f.kind for f in check(tmp_path).findings} >= {"broken image"}
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((80, 100, 3), np.uint8))
    assert open_dataset(tmp_path)[0].load().status == "ok"
