"""Networks that do not go together, runs that find nobody, and options that are given twice."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from posewright import Pose
from posewright.cli import main
from posewright.codecs import AdaptivePose, DistributionBoxes, SimCC
from posewright.codecs.base import logit
from posewright.runtimes.info import ModelInfo
from posewright.skeletons import Skeleton, get_skeleton, list_skeletons

DOG = Skeleton("dog", ("left_ear_base", "right_ear_base", "tail_start"))


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "grey.png"
    cv2.imwrite(str(path), np.full((120, 160, 3), 90, np.uint8))
    return path


def of_people(*joints: str) -> bool:
    return ModelInfo("net", SimCC(), Skeleton("own", joints)).of_people


def test_whose_joints_they_are() -> None:
    others = {"ap10k17", "hand21", "face68", "face106"}
    for name in list_skeletons():
        assert of_people(*get_skeleton(name).joints) == (name not in others), name
    for joints in (
        ("LShoulder", "RShoulder"),
        ("leftshoulder", "rightshoulder"),
        ("shoulder_l", "Elbow.R"),
        ("Left Hip", "Right Hip"),
        ("head", "neck", "racket_tip"),
    ):
        assert of_people(*joints)
    for joints in (
        ("left_front_paw", "left_knee", "left_elbow"),
        ("joint_0", "joint_1"),
        ("headlight_left", "headlight_right"),
        ("ship_bow", "ship_stern"),
        ("head", "tail", "neck"),
    ):
        assert not of_people(*joints)


@pytest.fixture(scope="module")
def dog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    from posewright.models import create
    from posewright.models.saving import save_model

    path = tmp_path_factory.mktemp("models") / "dog.safetensors"
    save_model(create("rtmpose_t", skeleton=DOG, input_size=(64, 64)), path)
    return path


def predict(picture: Path, out: Path, *options: str) -> int:
    line = ["predict", str(picture), "-o", str(out), "--save", "jsonl", "--progress", "none"]
    return main([*line, *options])


def test_a_model_of_animals_says_what_fits(
    tmp_path: Path, picture: Path, dog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert predict(picture, tmp_path / "a", "-m", str(dog)) == 0
    told = capsys.readouterr().err.splitlines()
    assert "finds the joints of dog (left_ear_base" in told[0] and "-d whole-image" in told[0]
    assert told[1].startswith("note: no person was found in 1 frame: rtmpose_t finds")
    assert predict(picture, tmp_path / "b", "-m", str(dog), "-d", "whole-image") == 0
    assert "person detector" not in capsys.readouterr().err


def test_boxes_of_a_file_fit_every_model(
    tmp_path: Path, picture: Path, dog: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    boxes = tmp_path / "boxes.json"
    boxes.write_text(
        '[{"image_id": "grey.png", "category_id": 1, "bbox": [1, 1, 50, 50], "score": 1}]', "utf-8"
    )
    predict(picture, tmp_path / "out", "-m", str(dog), "--boxes", str(boxes))
    assert "person detector" not in capsys.readouterr().err


def test_a_run_without_anybody_ends_with_a_hint(tmp_path: Path, picture: Path) -> None:
    summary = Pose(runtime="onnxruntime").predict_to(picture, tmp_path / "a")
    assert summary.exit_code == 0
    hint = "no person was found in 1 frame; try a lower --det-score or --min-score"
    assert hint in summary.notes[-1]
    alone = Pose(detector="whole-image", min_score=1.0, runtime="onnxruntime")
    assert "try a lower --min-score" in alone.predict_to(picture, tmp_path / "b").notes[-1]
    found = Pose(detector="whole-image", min_score=0, runtime="onnxruntime")
    assert found.predict_to(picture, tmp_path / "c").notes == []


def test_torch_is_asked_for_the_network_that_it_can_run(dog: Path) -> None:
    pose = Pose(dog, runtime="torch", precision="fp32")
    assert pose.model.runtime.startswith("torch")
    assert not pose.detector.runtime.startswith("torch")  # type: ignore[union-attr]


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_the_ends_of_a_threshold(tmp_path: Path, picture: Path, share: float) -> None:
    assert logit(share) == (np.inf if share else -np.inf) and logit(0.5) == 0
    assert predict(picture, tmp_path, "--det-score", str(share), "--runtime", "onnxruntime") == 0
    for codec in (DistributionBoxes(threshold=share), AdaptivePose(threshold=share)):
        assert codec.threshold == share


@pytest.mark.parametrize(
    "line",
    [
        ["compare", "movenet-thunder", "--data", "a.json", "--data", "b.json"],
        ["eval", "coco", "--ann", "a.json", "--ann", "b.json", "--predictions", "c.json"],
        ["eval", "coco", "--ann", "a.json", "--predictions", "b.json", "--predictions", "c.json"],
        ["eval", "coco", "--ann", "a.json", "-m", "movenet-thunder", "-m", "b.onnx"],
    ],
)
def test_a_second_input_is_refused(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(line)
    assert caught.value.code == 2
    assert "is given twice; run the command once for each" in capsys.readouterr().err
