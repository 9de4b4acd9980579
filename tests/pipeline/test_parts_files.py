"""--hands and --face end to end: files of networks, headers, resumption, tracking, options."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import onnx.parser
import pytest

from posewright.cli import main
from posewright.errors import UsageError
from posewright.pipeline.parts import hand_squares
from posewright.pose import Pose
from posewright.readers import read_results
from posewright.skeletons import COCO17, HAND21


def network(path: Path, joints: int, side: int = 256) -> Path:
    """Write a graph of RTMPose's form whose every joint is at bin 128 of x, 192 of y, scored 0.8.

    A joint's own blue level is added far below it, so that the outputs depend on the views.
    """
    bins = 2 * side
    text = f"""<ir_version: 8, opset_import: ["" : 17]>
    g (float[batch, 3, {side}, {side}] input)
      => (float[batch, {joints}, {bins}] simcc_x, float[batch, {joints}, {bins}] simcc_y)
    {{
      mean = ReduceMean<axes = [1, 2, 3], keepdims = 1>(input)
      three = Constant<value_ints = [-1]>()
      axis = Constant<value_ints = [1]>()
      flat = Squeeze(mean, axis)
      tiny = Constant<value_float = 0.0000001>()
      small = Mul(flat, tiny)
      size = Constant<value_ints = [1, {joints}, 1]>()
      tall = Expand(small, size)
      indices = Constant<value_ints = [{",".join(map(str, range(bins)))}]>()
      at_x = Constant<value_int = 128>()
      at_y = Constant<value_int = 192>()
      same_x = Equal(indices, at_x)
      same_y = Equal(indices, at_y)
      peak = Constant<value_float = 0.8>()
      hit_x = Cast<to = 1>(same_x)
      hit_y = Cast<to = 1>(same_y)
      row_x = Mul(hit_x, peak)
      row_y = Mul(hit_y, peak)
      simcc_x = Add(tall, row_x)
      simcc_y = Add(tall, row_y)
    }}"""
    model = onnx.parser.parse_model(text)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("networks")
    return {
        "hands": str(network(folder / "hand.onnx", 21)),
        "face": str(network(folder / "face.onnx", 106)),
    }


@pytest.fixture(scope="module")
def picture(data_dir: Path) -> str:
    return str(data_dir / "coco" / "images" / "000000000785.jpg")


def test_hands_and_face_of_a_real_image(files: dict[str, str], picture: str) -> None:
    pose = Pose(**files)
    result = pose(picture)
    plain = Pose()(picture)
    assert len(pose.skeleton) == 17 + 106 + 42 and result.skeleton is pose.skeleton
    assert len(result) == len(plain) > 0
    np.testing.assert_array_equal(result.keypoints[:, :17], plain.keypoints)
    for side in ("left", "right"):
        at = [pose.skeleton[f"{side}_{joint}"] for joint in HAND21.joints]
        for person, square in enumerate(hand_squares(plain.people, COCO17, side)):
            found, scores = result.keypoints[person, at], result.scores[person, at]
            if square[2] - square[0] < 8:
                assert (scores == 0).all()
                continue
            # bin 128 of 512 is pixel 64 of 256; the view is the square, its middle at 128
            unit = (square[2] - square[0]) / 256
            expected = (square[:2] + square[2:]) / 2 + np.array([64 - 128, 96 - 128]) * unit
            np.testing.assert_allclose(found, np.tile(expected, (21, 1)), atol=0.01)
            np.testing.assert_allclose(scores, 0.8, atol=1e-3)
    assert {"model", "detector", "hands", "face"} <= set(pose.run)
    assert pose.run["hands"]["sha256"] != pose.run["face"]["sha256"]
    assert set(map(Path, files.values())) <= set(pose.files)


def test_the_command_line_writes_and_tracks_them(
    files: dict[str, str], picture: str, tmp_path: Path
) -> None:
    image = cv2.imread(picture)
    for index in range(4):
        moved = np.roll(image, 3 * index, 1)
        (tmp_path / "walk").mkdir(exist_ok=True)
        cv2.imwrite(str(tmp_path / "walk" / f"{index}.jpg"), moved)
    words = ["predict", str(tmp_path / "walk"), "--hands", files["hands"], "--face", files["face"]]
    words += ["--track", "--det-every", "2", "--smooth", "one-euro", "--fps", "25"]
    words += ["--save", "jsonl,coco,openpose,images,csv", "--openpose-order", "body25"]
    assert main([*words, "-o", str(tmp_path / "out"), "--progress", "none"]) == 0
    results = list(read_results(tmp_path / "out" / "poses.jsonl"))
    assert [r.keypoints.shape[1] for r in results] == [165] * 4
    assert all(r.ids.tolist() == results[0].ids.tolist() != [] for r in results)
    assert {"hands", "face"} <= set(results[0].run)
    page = json.loads(next((tmp_path / "out" / "openpose").iterdir()).read_text())
    lengths = {k: len(v) for k, v in page["people"][0].items() if k.endswith("_2d")}
    assert lengths == {
        "pose_keypoints_2d": 75,
        "face_keypoints_2d": 210,
        "hand_left_keypoints_2d": 63,
        "hand_right_keypoints_2d": 63,
    }


def test_what_a_journal_depends_on(files: dict[str, str]) -> None:
    from posewright.pipeline.provenance import provenance

    def told(**options: Any) -> dict[str, Any]:
        found = provenance(Pose(**options), ["walk.mp4"], ["jsonl"], None, {}, False)
        assert found is not None
        return found.run

    runs = [told(), told(hands=files["hands"]), told(**files)]
    assert runs[0] != runs[1] != runs[2]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"hands": "movenet-thunder"}, "--hands a network that does"),
        ({"face": "hands"}, "does not find the joints of a face"),
        ({"hands": "nanodet-g-person"}, "does not find the joints of a hand"),
    ],
)
def test_other_networks_are_refused(
    options: dict[str, str], text: str, files: dict[str, str]
) -> None:
    with pytest.raises(UsageError, match=text):
        Pose(**{name: files.get(file, file) for name, file in options.items()})


def test_a_refusal_is_one_line_with_code_2(
    files: dict[str, str], picture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", picture, "--hands", files["face"], "-o", str(tmp_path / "out")]
    assert main(words) == 2
    said = capsys.readouterr().err.strip()
    assert "\n" not in said and "--hands" in said and not (tmp_path / "out").exists()
