"""Detectors and pose networks of one family, which the length of an axis tells apart; MultiPose."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright import Pose
from posewright.cli import main
from posewright.errors import ModelError, UsageError
from posewright.people import Frame
from posewright.pipeline.estimate import estimate
from posewright.runtimes import load_model
from tests.helpers.layouts import network

RUNTIMES = ("onnxruntime", "openvino")
WIDE, TALL = (128, 64), (64, 128)  # width, height of views
CELLS = 16 * 8 + 8 * 4 + 4 * 2


def rows(channels: int, **cells: Any) -> dict[str, Any]:
    """Numbers of each cell of a view of 128 x 64 before NMS."""
    array = np.zeros((1, channels, CELLS), np.float32)
    for name, numbers in cells.items():
        array[0, : len(numbers), int(name[1:])] = numbers
    return {"output0": array}


def written(path: Path, outputs: dict[str, Any], size: tuple[int, int] = WIDE, **how: Any) -> Path:
    return network(path, outputs, (how.pop("batch", 1), 3, *size[::-1]), "images", **how)


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("batch", [1, 2, "batch"])
@pytest.mark.parametrize("dtype", ["float32", "float16"])
@pytest.mark.parametrize("classes", [1, 2, 80])
def test_boxes_in_views_and_images_that_are_not_square(
    tmp_path: Path, runtime: str, batch: int | str, dtype: str, classes: int
) -> None:
    person = [40, 32, 20, 40, 0.75, *[0.5][: classes - 1]]
    other = [100, 32, 20, 40, 0.125, *[0.875][: classes - 1]]
    path = written(
        tmp_path / "file.onnx", rows(4 + classes, c9=person, c99=other), batch=batch, dtype=dtype
    )
    model = load_model(path, runtime=runtime, precision="fp32")  # type: ignore[arg-type]
    assert model.codec.task == "boxes" and not len(model.skeleton)
    # 90 x 60 px are 96 x 64 in the view, 16 px from its sides
    found = estimate(model, Frame(np.zeros((60, 90, 3), np.uint8)))
    expected = np.array([(30 - 16) / 64 * 60, 12 / 64 * 60, (50 - 16) / 64 * 60, 52 / 64 * 60])
    assert np.allclose(found.boxes, [expected - 0.5], atol=0.02)
    assert found.box_scores == pytest.approx(0.75)
    assert [len(p) for p in model.codec.decode(model(np.zeros((3, 64, 128, 3), np.uint8)))] == [
        1,
        1,
        1,
    ]


@pytest.mark.parametrize("count", [300, 100, 7])
def test_rows_after_nms_are_kept_as_they_are(tmp_path: Path, count: int) -> None:
    array = np.zeros((1, count, 6), np.float32)
    array[0, :3] = [[10, 20, 30, 60, 0.9, 0], [11, 20, 30, 60, 0.8, 0], [10, 20, 30, 60, 0.9, 2]]
    model = load_model(written(tmp_path / "file.onnx", {"output0": array}, TALL))
    found = estimate(model, Frame(np.zeros((128, 64, 3), np.uint8)))
    assert np.allclose(found.boxes, [[9.5, 19.5, 29.5, 59.5], [10.5, 19.5, 29.5, 59.5]])


@pytest.mark.parametrize(
    ("channels", "stem", "layout"),
    [
        (56, "model", "yolov8-pose"),  # 17 joints, not 52 classes
        (8, "model", "yolov8"),  # four classes: no skeleton has one joint
        (11, "yolov8n-pose", "yolov8"),  # nor two
        (47, "hockey-pose", "yolov8-pose"),  # 14 joints or 43 classes: the name tells
        (47, "yolov8n_custom", "yolov8"),
        (68, "yolo11s", "yolov8"),  # 21 joints or 64 classes
        (68, "yolo11s-pose", "yolov8-pose"),
    ],
)
def test_the_number_of_channels_tells_joints_from_classes(
    tmp_path: Path, channels: int, stem: str, layout: str
) -> None:
    model = load_model(written(tmp_path / f"{stem}.onnx", rows(channels)))
    assert model.info.origin == f"not stated; layout {layout}"


@pytest.mark.parametrize("channels", [47, 68])
def test_a_file_that_may_be_either_is_refused_until_it_is_told(
    tmp_path: Path, channels: int
) -> None:
    path = written(tmp_path / "model.onnx", rows(channels))
    with pytest.raises(
        ModelError, match=r"of the layouts yolov8 or yolov8-pose, .* --layout"
    ) as no:
        load_model(path)
    assert "yolov8:model.onnx or yolov8-pose:model.onnx" in str(no.value)
    assert "\n" not in str(no.value)
    assert load_model(path, layout="yolov8").codec.task == "boxes"
    assert load_model(path, layout="yolov8-pose").codec.task == "people"


def test_a_named_skeleton_and_layout_decide(tmp_path: Path) -> None:
    path = written(tmp_path / "model.onnx", rows(56))
    assert load_model(path, layout="yolov8").codec.task == "boxes"
    path = written(tmp_path / "hands.onnx", rows(68))
    assert load_model(path, skeleton="hand21").skeleton.name == "hand21"
    with pytest.raises(UsageError, match="is a detector, which has no joints"):
        load_model(written(tmp_path / "detector.onnx", rows(84)), skeleton="coco17")


def test_predict_with_such_a_detector(tmp_path: Path, people_jpg: Path) -> None:
    path = written(tmp_path / "model.onnx", rows(84, c9=[64, 32, 40, 60, 0.9]))
    out = tmp_path / "out"
    assert main(["predict", str(people_jpg), "-d", str(path), "-o", str(out)]) == 0
    model = written(tmp_path / "open.onnx", rows(47))
    assert main(["predict", str(people_jpg), "-d", str(model), "-o", str(out)]) == 4
    options = ["--layout", "yolov8", "--overwrite"]
    assert main(["predict", str(people_jpg), "-d", str(model), "-o", str(out), *options]) == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("view", [(1, 64, 128, 3), ("batch", 64, 128, 3), (1, "h", "w", 3)])
def test_multipose_in_images_that_are_not_square(
    tmp_path: Path, runtime: str, view: tuple[Any, ...]
) -> None:
    rng = np.random.default_rng(0)
    people = np.zeros((1, 6, 56), np.float32)
    people[..., :51] = rng.uniform(0.3, 0.7, (1, 6, 51))
    people[0, :, 51:] = [0.25, 0.25, 0.75, 0.5, 0]
    people[0, [1, 4], 55] = 0.8, 0.5
    path = network(tmp_path / "multipose_64x128.onnx", {"output_0": people}, view, dtype="int32")
    model = load_model(path, runtime=runtime)  # type: ignore[arg-type]
    assert model.skeleton.name == "coco17" and model.info.input.dtype == "int32"
    assert model.codec.input_size == WIDE
    found = estimate(model, Frame(np.zeros((60, 90, 3), np.uint8)))
    assert found.box_scores == pytest.approx([0.8, 0.5])
    share, joints = 60 / 64, people[0, [1, 4], :51].reshape(2, 17, 3)
    # 16 px on each side; the middle of a view's pixel is that of 60 / 64 px of the image
    x, y = (
        (joints[..., 1] * 128 - 16 + 0.5) * share - 0.5,
        (joints[..., 0] * 64 + 0.5) * share - 0.5,
    )
    assert np.allclose(found.keypoints, np.stack([x, y], 2), atol=0.01)
    assert np.allclose(found.scores, joints[..., 2])
    pose = Pose(path, runtime=runtime, nms="none", min_score=0)  # type: ignore[arg-type]
    assert len(pose(np.zeros((60, 90, 3), np.uint8), color="rgb")) == 2  # type: ignore[arg-type]


def test_other_rows_of_integers_are_refused(tmp_path: Path) -> None:
    for width in (5, 55, 57):
        path = network(
            tmp_path / "file.onnx",
            {"output_0": np.zeros((1, 6, width), np.float32)},
            (1, 64, 64, 3),
            dtype="int32",
        )
        with pytest.raises(ModelError, match="an unknown layout: inputs input"):
            load_model(path, runtime="onnxruntime")
