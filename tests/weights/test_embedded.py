"""The embedded networks against the original graphs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from posewright import Pose
from posewright.codecs import DistributionBoxes
from posewright.runtimes import load_model
from posewright.runtimes.onnx import OnnxModel
from posewright.weights import EMBEDDED

RUNTIMES = [("onnxruntime", "auto"), ("openvino", "fp32")]


@pytest.mark.parametrize(("runtime", "precision"), RUNTIMES)
def test_thunder_equals_the_original(reference_dir: Path, runtime: str, precision: str) -> None:
    model = load_model(EMBEDDED["movenet-thunder"].path, runtime=runtime, precision=precision)
    with np.load(reference_dir / "movenet-thunder" / "reference.npz") as file:
        views, expected = file["rgb"], file["tf_keypoints_yxs"]
    codec = replace(model.codec, input_size=(256, 256), nearness=1.8)
    for people, answer in zip(codec.decode(model(views)), expected, strict=True):
        assert np.abs(people.keypoints[0] - answer[:, 1::-1] * 256).max() < 1e-3
        assert np.abs(people.scores[0] - answer[:, 2]).max() < 1e-5


@pytest.mark.parametrize(("runtime", "precision"), RUNTIMES)
def test_nanodet_equals_the_original(reference_dir: Path, runtime: str, precision: str) -> None:
    model = load_model(EMBEDDED["nanodet-g-person"].path, runtime=runtime, precision=precision)
    with np.load(reference_dir / "nanodet-g-person" / "reference.npz") as file:
        views, boxes, scores = file["rgb"], file["boxes"], file["scores"]
    codec = DistributionBoxes(threshold=1e-9, iou=1.0, max_people=10**6)
    for people, answer, truth in zip(codec.decode(model(views)), boxes, scores, strict=True):
        order, other = np.argsort(-people.box_scores)[:300], np.argsort(-truth)[:300]
        assert np.abs(people.box_scores[order] - truth[other]).max() < 1e-5
        likely = truth[other] > 0.01  # below, equal scores may come in another order
        assert likely.sum() > 20
        assert np.abs(people.boxes[order][likely] - answer[other][likely]).max() < 1e-3


@pytest.mark.parametrize("size", [(192, 256), (256, 192), (320, 320)])
def test_batched_equals_single_at_every_size(size: tuple[int, int]) -> None:
    width, height = size
    views = np.random.default_rng(0).integers(0, 256, (3, height, width, 3), np.uint8)
    for name in EMBEDDED:
        model = load_model(EMBEDDED[name].path, runtime="onnxruntime")
        assert isinstance(model, OnnxModel)
        together = model(views)
        for i in range(3):
            alone = model(views[i : i + 1])
            for key, array in together.items():
                assert np.abs(alone[key][0] - array[i]).max() < 1e-3, (name, key)


def test_bf16_moves_joints_by_little(reference_dir: Path) -> None:
    path = EMBEDDED["movenet-thunder"].path
    exact, fast = (load_model(path, runtime="openvino", precision=p) for p in ("fp32", "auto"))
    with np.load(reference_dir / "movenet-thunder" / "reference.npz") as file:
        views = file["rgb"]
    codec = replace(exact.codec, input_size=(256, 256))
    for a, b in zip(codec.decode(exact(views)), codec.decode(fast(views)), strict=True):
        sure = a.scores > 0.3
        assert sure.sum() > 8
        # exactly 0 on a processor without bf16, where fp32 is the default
        assert np.median(np.abs(a.keypoints - b.keypoints)[sure]) < 0.5


def test_default_pair_finds_the_person(data_dir: Path) -> None:
    result = Pose()(data_dir / "coco" / "images" / "000000000785.jpg")  # one skier
    assert len(result) == 1
    left, right = result.skeleton["left_shoulder"], result.skeleton["right_ankle"]
    x1, y1, x2, y2 = result.boxes[0]
    assert 250 < x1 < 350 and 450 < x2 < 550 and y1 < 100 and y2 > 350
    assert result.keypoints[0, left, 1] < result.keypoints[0, right, 1]
    assert result.plot().shape == (425, 640, 3)
