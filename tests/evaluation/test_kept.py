"""eval --boxes truth,detector: both numbers by one command, the detector's boxes from a file."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from posewright.cli import main
from posewright.datasets.converting import convert
from posewright.datasets.synthetic import synth
from tests.helpers.layouts import network


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp("kept")
    convert(synth(base / "drawn", 4, seed=1), base / "coco", "coco", ratio=0.5)
    return base / "coco"


def run(*words: object) -> int:
    return main(["eval", "coco", *(str(word) for word in words)])


def test_both_kinds_of_boxes_and_a_kept_file(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "boxes.json"
    words = ["--ann", data, "-m", "movenet-thunder", "--boxes", "truth,detector"]
    words += ["--keep-boxes", file]
    assert run(*words, "--json") == 0
    both = json.loads(capsys.readouterr().out)
    assert list(both) == ["truth", "detector"] and both["truth"]["settings"]["boxes"] == "labels"
    alone = ["--ann", data, "-m", "movenet-thunder", "--boxes"]
    for way in ("truth", "detector"):
        assert run(*alone, way, "--json") == 0
        assert json.loads(capsys.readouterr().out)["AP"] == both[way]["AP"]
    kept = json.loads(file.read_text())
    assert {"image_id", "category_id", "bbox", "score"} <= kept[0].keys() if kept else True
    labels = json.loads((data / "annotations" / "person_keypoints_val2017.json").read_text())
    true = [{**{k: a[k] for k in ("image_id", "bbox")}, "score": 1} for a in labels["annotations"]]
    file.write_text(json.dumps(true))  # it is used, and the detector is not run
    assert run(*words) == 0
    line = capsys.readouterr().out.strip().splitlines()[-1]
    truth, detector = (part.strip() for part in line.split("|"))
    assert truth == f"gt AP: {both['truth']['AP']:.4f}" and detector.startswith("det AP: ")
    assert detector.split()[-1] == truth.split()[-1]
    file.write_text(json.dumps([{**true[0], "image_id": 987654}]))
    assert run(*words) == 3
    assert "boxes of other images" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--boxes", "truth", "--keep-boxes", "b.json"], "--keep-boxes is for --boxes detector"),
        (["--boxes", "truth,detector", "-o", "r.json"], "one kind of boxes"),
        (["--boxes", "truth,detector", "--report", "r"], "one kind of boxes"),
        (["--boxes", "truth,detectr"], "truth,detectr"),
    ],
)
def test_what_is_for_one_kind_of_boxes(
    data: Path, words: list[str], text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("--ann", data, "-m", "movenet-thunder", *words) in (2, 3)
    assert text in capsys.readouterr().err


def test_a_kept_file_of_fewer_images_is_told(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "boxes.json"
    labels = json.loads((data / "annotations" / "person_keypoints_val2017.json").read_text())
    first = labels["annotations"][0]
    file.write_text(
        json.dumps([{"image_id": first["image_id"], "bbox": first["bbox"], "score": 1}])
    )
    words = ["--ann", data, "-m", "movenet-thunder", "--boxes", "detector", "--keep-boxes", file]
    assert run(*words) == 0
    assert "no detector was run, and 1 of 2 images have none" in capsys.readouterr().err


def test_a_network_that_finds_people_by_itself_is_evaluated(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    keypoints = np.tile(np.float32([10, 10, 0.9]), (1, 1, 17, 1))
    boxes = np.float32([[[5, 5, 50, 60, 0.9]]])
    path = network(
        tmp_path / "rtmo.onnx", {"dets": boxes, "keypoints": keypoints}, (1, 3, 640, 640)
    )
    assert run("--ann", data, "-m", path, "--json") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["boxes"] == "none"
    assert run("--ann", data, "-m", path, "--boxes", "truth") == 2
    assert "finds people by itself" in capsys.readouterr().err
