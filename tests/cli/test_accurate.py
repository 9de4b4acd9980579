"""--accurate and several detectors on the command line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from posewright.cli import main
from posewright.datasets.formats.coco_out import write_labels
from posewright.datasets.synthetic import synth
from posewright.weights import EMBEDDED


@pytest.fixture
def picture(tmp_path: Path, clip_frames: list[np.ndarray]) -> Path:
    path = tmp_path / "people.png"
    cv2.imwrite(str(path), clip_frames[0][..., ::-1])
    return path


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """The embedded detector under another name."""
    path = tmp_path / "with,comma.onnx"
    path.write_bytes(EMBEDDED["nanodet-g-person"].path.read_bytes())
    return path


def predict(picture: Path, out: Path, *words: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Run predict in fp32; return the header and the row of the image."""
    more = ["--save", "jsonl", "--progress", "none", "--precision", "fp32", *words]
    assert main(["predict", str(picture), "-o", str(out), *more]) == 0
    head, row = (out / "poses.jsonl").read_text(encoding="utf-8").splitlines()
    return json.loads(head), json.loads(row)


def test_accurate_moves_joints_a_little(picture: Path, tmp_path: Path) -> None:
    plain_head, plain = predict(picture, tmp_path / "plain")
    head, row = predict(picture, tmp_path / "accurate", "--accurate")
    assert (plain_head["settings"]["accurate"], head["settings"]["accurate"]) == (False, True)
    assert (plain_head["settings"]["nms"], head["settings"]["nms"]) == ("oks", "average")
    a, b = (np.array([p["keypoints"] for p in r["people"]]) for r in (plain, row))
    assert a.shape == b.shape and len(a)
    far = np.abs(a[..., :2] - b[..., :2])[a[..., 2] > 0.5]
    assert 0 < np.median(far) < 5  # px
    _, chosen = predict(picture, tmp_path / "chosen", "--accurate", "--nms", "oks")
    assert len(chosen["people"]) == len(a)


def test_several_detectors_stand_in_the_header(
    picture: Path, second: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, alone = predict(picture, tmp_path / "alone", "-d", str(second))  # a comma in a file's name
    second = second.rename(tmp_path / "second.onnx")
    both = f"nanodet-g-person,{second}"
    head, row = predict(picture, tmp_path / "both", "-d", both, "--accurate")
    assert head["detector"]["sha256"] == head["detector_2"]["sha256"]
    assert len(row["people"]) == len(alone["people"])  # each twice before averaging
    _, double = predict(picture, tmp_path / "double", "-d", both, "--nms", "none")
    assert len(double["people"]) == 2 * len(alone["people"])
    _, fewer = predict(
        picture, tmp_path / "few", "-d", both, "--det-score", "0.99", "--nms", "none"
    )
    assert len(fewer["people"]) < len(double["people"])
    for words, said in (
        ("nanodet-g-person,nanodet-g-person", "each of them named once"),
        (f"{second},whole-image", "whole-image is no detector network"),
        (f"{second},auto", "auto is no detector network"),
        (f"{second},movenet-thunder", "movenet-thunder is a pose model"),
    ):
        out = str(tmp_path / "refused")
        assert main(["predict", str(picture), "-o", out, "-d", words]) == 2
        assert said in capsys.readouterr().err


def test_eval_takes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    labels = tmp_path / "labels.json"
    write_labels(synth(tmp_path, 3, 1), labels)
    words = ["eval", "coco", "--ann", str(labels), "-m", "movenet-thunder", "--json"]
    found = []
    for more in ([], ["--accurate"], ["--accurate", "--boxes", "detector"]):
        assert main([*words, *more]) == 0
        found.append(json.loads(capsys.readouterr().out))
    told = [one["settings"] for one in found]
    assert [one.get("accurate", False) for one in told] == [False, True, True]
    assert [one["duplicates"] for one in told] == ["none", "none", "average_duplicates"]
    assert main([*words, "-d", "yolox-tiny"]) == 2
    assert "-d yolox-tiny has no effect without --boxes detector" in capsys.readouterr().err
