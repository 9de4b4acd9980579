"""Every published layout: a known answer of a file arrives at the right place of the image."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from posewright.cli import main
from posewright.errors import ModelError
from posewright.people import Frame, People
from posewright.pipeline.estimate import estimate
from posewright.runtimes import load_model
from posewright.runtimes.forms import FORMS
from posewright.weights import LAYOUTS
from tests.helpers.layouts import network

RUNTIMES = ("onnxruntime", "openvino")
SIZE = (128, 96)  # of the image; views are 64 x 64
BOX = [30.0, 20.0, 70.0, 60.0]
PERSON = np.array([[10, 20, 30, 40, 0.9], [40, 8, 60, 40, 0.8], [0, 0, 8, 8, 0.1]], np.float32)
RGB = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
BGR = RGB[0][::-1], RGB[1][::-1]
BYTES = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
SHARES = (0.0, 0.0, 0.0), (255.0, 255.0, 255.0)


def letterbox(points: Any) -> Any:
    """View px -> image px: half the size, outer edges meet at -0.5."""
    return (np.asarray(points, np.float64) + 0.5) * 2 - 0.5


def stretched(shares: Any) -> Any:
    """Shares x, y, x, y ... -> image px, the first pixel's centre at 0."""
    shares = np.asarray(shares, np.float64)
    return shares * np.resize(SIZE, shares.shape[-1]) - 0.5


@dataclass
class Case:
    """A file of a layout and what it says of the image: boxes, or joints of each of BOX's people.

    joints: of one person, in image px.  colour: order, mean and std that the graph expects.
    """

    outputs: dict[str, Any]
    colour: tuple[str, Any, Any]
    boxes: Any = None
    joints: Any = None
    score: float = 0.9
    stem: str = "some"
    options: dict[str, Any] = field(default_factory=dict)

    def write(self, folder: Path, **changes: Any) -> Path:
        return network(folder / f"{self.stem}.onnx", self.outputs, **{**self.options, **changes})


def vectors(joints: int, depth: bool = False) -> dict[str, Any]:
    """Joint k at x = 2 + k and y = 3 + 2 k px of the view, as far as there is room."""
    xy = np.array([(2 + k % 50, 3 + 2 * (k % 25)) for k in range(joints)])
    x, y = np.zeros((2, 1, joints, 128), np.float32)
    x[0, np.arange(joints), 2 * xy[:, 0]] = 0.9
    y[0, np.arange(joints), 2 * xy[:, 1]] = 0.95
    if depth:
        return {"output": x, "1554": y, "1556": np.ones_like(x)}
    return {"simcc_x": x, "simcc_y": y}


def in_crop(points: Any) -> Any:
    """View px -> image px in the crop of BOX times 1.25, 50 px in 64."""
    return (np.asarray(points, np.float64) - 32) * 50 / 64 + (50, 40)


def rows_of(count: int, width: int, **rows: Any) -> np.ndarray:
    array = np.zeros((1, count, width), np.float32)
    for number, values in rows.items():
        array[0, int(number[1:]), : len(values)] = values
    return array


def nanodet() -> np.ndarray:
    """Stride 16, column 1, row 2: 1, 2, 1, 0 strides to the sides; a second class is better."""
    logits = np.full((4, 8), -30.0)
    logits[np.arange(4), [1, 2, 1, 0]] = 30
    cell = 64 + 2 * 4 + 1
    best = {f"r{cell}": [0.9, 0.95, *logits.ravel()], f"r{cell + 1}": [0.1, 0.99]}
    return rows_of(85, 34, **best)


def logits(classes: int, person: int) -> np.ndarray:
    array = np.full((1, 6, classes), -9.0, np.float32)
    array[0, 2, person] = np.log(9)  # .9
    array[0, 3, 1 - person] = 5  # something else
    return array


QUERIES = np.tile(np.array([0.5, 0.25, 0.25, 0.125], np.float32), (1, 6, 1))
SHARE_BOX = [0.375, 0.1875, 0.625, 0.3125]
POINTS = np.random.default_rng(0).uniform(0.1, 0.9, (1, 6, 17, 2)).astype(np.float32)
LABELS = np.array([[0, 5, 1, 0, 0, 0]])
SCORES = np.array([[0.1, 0.99, 0.9, 0.95, 0, 0]], np.float32)
TRIPLES = np.concatenate([64 * POINTS, np.full((1, 6, 17, 1), 0.7, np.float32)], 3)


def yolo_anchors() -> np.ndarray:
    array = np.zeros((1, 56, 84), np.float32)
    array[0, :, 30] = [20, 30, 20, 20, 0.9, *TRIPLES[0, 0].ravel()]
    array[0, :, 31] = [20.5, 30, 20, 20, 0.8, *TRIPLES[0, 1].ravel()]  # the same person
    return array


def yolo_classes() -> np.ndarray:
    """Of seven classes: two boxes of one person, and a box of another class."""
    array = np.zeros((1, 11, 84), np.float32)
    array[0, :5, 30] = [20, 30, 20, 20, 0.9]
    array[0, :5, 31] = [20.5, 30, 20, 20, 0.8]
    array[0, :6, 50] = [50, 30, 20, 20, 0.1, 0.95]
    return array


def centred(points: Any) -> Any:
    """View px from the outer edge -> image px, 8 px of margin above."""
    return (np.asarray(points, np.float64) - np.resize([0, 8], np.shape(points)[-1])) * 2 - 0.5


def rfdetr_points() -> dict[str, Any]:
    numbers = np.zeros((1, 6, 17, 8), np.float32)
    numbers[..., :2] = POINTS
    numbers[..., 2] = np.log(4)  # found: .8
    numbers[..., 4] = numbers[..., 6] = np.log(10)  # a variance of .01 on each axis
    return {"dets": QUERIES, "labels": logits(91, 0), "keypoints": numbers}


CELLS = np.array([(5 + k % 6, 6 + k % 5) for k in range(17)])


def heat() -> np.ndarray:
    """A Gaussian for each joint, away from the edge, where the blur would see it cut."""
    y, x = np.indices((16, 16))
    at = CELLS.tolist()
    maps = [np.exp(-((x - a) ** 2 + (y - b) ** 2) / 8) * 0.9 for a, b in at]
    return np.array([maps], np.float32)


SIMCC_17 = [(2 + k, 3 + 2 * k) for k in range(17)]
YOLOX_CELL = 3 * 8 + 2  # stride 8, column 2, row 3
MOVENET = np.concatenate([POINTS[:, :1, :, ::-1], np.full((1, 1, 17, 1), 0.9, np.float32)], 3)
MULTIPOSE = [*MOVENET[0, 0].ravel(), 0.3, 0.25, 0.7, 0.5, 0.9]
CASES = {
    "rtmpose": Case(vectors(17), ("RGB", *RGB), joints=in_crop(SIMCC_17)),
    "rtmw3d": Case(vectors(133, True), ("RGB", *RGB), joints=in_crop(SIMCC_17)),
    "rtmdet": Case(
        {"dets": PERSON[None], "labels": np.array([[0, 1, 0]])},
        ("BGR", *BGR),
        boxes=letterbox(PERSON[0, :4]),
        stem="rtmdet_tiny",
    ),
    "yolox": Case(
        {"dets": PERSON[None], "labels": np.array([[0, 1, 0]])},
        ("BGR", *BYTES),
        boxes=letterbox(PERSON[0, :4]),
        stem="yolox_tiny",
    ),
    "yolox raw": Case(
        {
            "output": rows_of(
                84,
                7,
                **{
                    f"r{YOLOX_CELL}": [0.5, 0.25, np.log(2), np.log(1.5), 0.95, 0.9, 0.1],
                    f"r{YOLOX_CELL + 1}": [-0.5, 0.25, np.log(2), np.log(1.5), 0.95, 0.8, 0.1],
                    "r5": [0.5, 0.25, 0.1, 0.1, 0.95, 0.1, 0.9],
                },
            )
        },
        ("BGR", *BYTES),
        boxes=letterbox([12, 20, 28, 32]),
        score=0.95 * 0.9,
        options={"name": "images"},
    ),
    "nanodet-plus": Case(
        {"output": nanodet()},
        ("BGR", BGR[0], RGB[1][::-1]),
        boxes=stretched(np.array([0, 0, 32, 32]) / 64),
    ),
    "rtmo": Case(
        {"dets": PERSON[None, ::2], "keypoints": TRIPLES[:, :2]},
        ("BGR", *BYTES),
        boxes=letterbox(PERSON[0, :4]),
        joints=letterbox(64 * POINTS[0, 0]),
    ),
    "yolov8-pose": Case(
        {"output0": yolo_anchors()},
        ("RGB", *SHARES),
        boxes=centred([10, 20, 30, 40]),
        joints=centred(64 * POINTS[0, 0]),
        options={"name": "images"},
    ),
    "yolov8-pose after NMS": Case(
        {
            "output0": rows_of(
                30,
                57,
                r0=[10, 20, 30, 40, 0.9, 0, *TRIPLES[0, 0].ravel()],
                r1=[1, 2, 3, 4, 0.9, 1, *TRIPLES[0, 1].ravel()],
            )
        },
        ("RGB", *SHARES),
        boxes=centred([10, 20, 30, 40]),
        joints=centred(64 * POINTS[0, 0]),
        options={"name": "images"},
    ),
    "yolov8": Case(
        {"output0": yolo_classes()},
        ("RGB", *SHARES),
        boxes=centred([10, 20, 30, 40]),
        options={"name": "images"},
    ),
    "yolov8 after NMS": Case(
        {"output0": rows_of(30, 6, r0=[10, 20, 30, 40, 0.9, 0], r1=[1, 2, 3, 4, 0.9, 1])},
        ("RGB", *SHARES),
        boxes=centred([10, 20, 30, 40]),
        options={"name": "images"},
    ),
    "movenet-multipose": Case(
        {"output_0": rows_of(6, 56, r0=MULTIPOSE, r1=[*MULTIPOSE[:-1], 0.1])},
        ("RGB", *BYTES),
        boxes=centred(64 * np.array([0.25, 0.3, 0.5, 0.7])) + 1,  # joints and boxes are of pixels
        joints=centred(64 * POINTS[0, 0]) + 1,
        options={"view": (1, 64, 64, 3), "dtype": "int32"},
    ),
    "movenet": Case(
        {"output_0": MOVENET},
        ("RGB", *BYTES),
        joints=in_crop(64 * POINTS[0, 0]),
        options={"view": (1, 64, 64, 3), "dtype": "int32"},
    ),
    "vitpose": Case(
        {"output_0": heat()},
        ("RGB", *RGB),
        # UDP: 50 px in 63, the middle at 31.5; the outer cells lie on the outer pixels
        joints=(CELLS * 63 / 15 - 31.5) * 50 / 63 + (50, 40),
        options={"name": "input_0"},
    ),
    "vitpose of several data sets": Case(
        {"heatmaps": heat()},
        ("RGB", *RGB),
        joints=(CELLS * 63 / 15 - 31.5) * 50 / 63 + (50, 40),
        options={"name": "pixel_values", "second": "dataset_index"},
    ),
    "heatmap": Case({"output": heat()}, ("RGB", *RGB), joints=in_crop(CELLS * 4), stem="hrnet_w32"),
    "dfine": Case(
        {"logits": logits(80, 0), "pred_boxes": QUERIES},
        ("RGB", *SHARES),
        boxes=stretched(SHARE_BOX),
        options={"name": "pixel_values"},
    ),
    "dfine of its authors": Case(
        {
            "labels": np.array([[5, 5, 0, 5, 0, 0]]),
            "boxes": np.tile(np.array(SHARE_BOX, np.float32), (1, 6, 1)),
            "scores": SCORES,
        },
        ("RGB", *SHARES),
        boxes=stretched(SHARE_BOX),
        options={"name": "images", "second": "orig_target_sizes"},
    ),
    "rfdetr": Case(
        {"logits": logits(91, 1), "pred_boxes": QUERIES},
        ("RGB", *RGB),
        boxes=stretched(SHARE_BOX),
        options={"name": "pixel_values"},
    ),
    "rfdetr of its authors": Case(
        {"dets": QUERIES, "labels": logits(91, 1)}, ("RGB", *RGB), boxes=stretched(SHARE_BOX)
    ),
    "rfdetr-pose": Case(
        rfdetr_points(),
        ("RGB", *RGB),
        boxes=stretched(SHARE_BOX),
        joints=stretched(POINTS[0, 2]),
        score=0.9 / (0.9 + 0.02**0.2),
    ),
    "detrpose": Case(
        {"scores": SCORES, "labels": LABELS, "keypoints": POINTS},
        ("RGB", *SHARES),
        joints=stretched(POINTS[0, 2]),
        stem="detrpose_s",
        options={"name": "images", "second": "orig_target_sizes"},
    ),
    "ecpose": Case(
        {"scores": SCORES, "labels": LABELS, "keypoints": POINTS},
        ("RGB", *RGB),
        joints=stretched(POINTS[0, 2]),
        stem="ecpose_s",
        options={"name": "images", "second": "orig_target_sizes"},
    ),
}
every_case = pytest.mark.parametrize("name", sorted(CASES))
both = pytest.mark.parametrize("runtime", RUNTIMES)


def test_every_layout_has_a_case() -> None:
    assert {name.split()[0] for name in CASES} == set(LAYOUTS)
    assert {form.layout for form in FORMS} == set(LAYOUTS)


@both
@every_case
def test_a_known_answer_arrives_at_its_place(tmp_path: Path, runtime: str, name: str) -> None:
    case = CASES[name]
    model = load_model(case.write(tmp_path), runtime=runtime, precision="fp32")  # type: ignore[arg-type]
    frame = Frame(np.zeros((SIZE[1], SIZE[0], 3), np.uint8))
    boxes = People.of(boxes=[BOX]) if model.codec.top_down else None
    people = estimate(model, frame, boxes)
    assert len(people) == 1
    assert (len(model.skeleton) > 0) == (LAYOUTS[name.split()[0]] == "pose")
    assert model.info.origin == f"not stated; layout {name.split()[0]}"
    if case.joints is not None:
        assert np.abs(people.keypoints[0, : len(case.joints)] - case.joints).max() < 0.02
    if case.boxes is not None:
        shown = np.clip(case.boxes, 0, np.resize(SIZE, 4))
        assert np.abs(people.boxes[0] - shown).max() < 0.02
    score = people.scores[0] if model.codec.top_down else people.box_scores
    assert score == pytest.approx(case.score, abs=1e-3)


@both
@every_case
def test_a_graph_gets_the_colours_that_it_was_trained_with(
    tmp_path: Path, runtime: str, name: str
) -> None:
    case = CASES[name]
    outputs = {key: np.zeros_like(value) for key, value in case.outputs.items()}
    path = replace(case, outputs=outputs).write(tmp_path, colour=1.0)
    model = load_model(path, runtime=runtime, precision="fp32")  # type: ignore[arg-type]
    views = np.zeros((1, 64, 64, 3), np.uint8)
    views[...] = 200, 100, 50
    order, mean, std = case.colour
    shown = np.array([200, 100, 50][:: 1 if order == "RGB" else -1])
    found = [a for a in model(views).values() if a.dtype == np.float32]
    first = [
        a
        for a in found
        if not (case.options.get("second") == "orig_target_sizes" and a.shape[-1] in (2, 4))
    ]
    assert first
    for array in first:
        assert np.allclose(array.ravel()[:3], (shown - mean) / std, atol=1e-3)


# a graph that is told sizes takes one view at a time, and an integer has no half precision
MANY = [
    (name, form)
    for name, case in sorted(CASES.items())
    for form in ("batch", "two", "half")
    if not (form == "two" and case.options.get("second") == "orig_target_sizes")
    if not (form == "half" and "dtype" in case.options)
]


@pytest.mark.parametrize(("name", "form"), MANY)
@both
def test_batches_and_half_precision(tmp_path: Path, name: str, runtime: str, form: str) -> None:
    """Three views through one call or several: of any number, of two, and of one in float16."""
    case = CASES[name]
    view = [*case.options.get("view", (1, 3, 64, 64))]
    view[0] = {"batch": "batch", "two": 2, "half": 1}[form]
    half = {"dtype": "float16"} if form == "half" else {}
    path = case.write(tmp_path, view=view, **half)
    model = load_model(path, runtime=runtime, precision="fp32")  # type: ignore[arg-type]
    views = np.zeros((3, 64, 64, 3), np.uint8)
    outputs = model(views)
    assert all(len(array) == 3 for array in outputs.values())
    assert all(array.dtype != np.float16 for array in outputs.values())
    single = model.codec.decode(model(views[:1]))[0]
    for people in model.codec.decode(outputs):
        assert len(people) == 1
        assert np.array_equal(people.boxes, single.boxes)
        assert np.array_equal(people.keypoints, single.keypoints)


class Counting:
    """A session that counts its calls."""

    def __init__(self, session: Any) -> None:
        self.session, self.calls = session, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def run(self, *args: Any) -> Any:
        self.calls += 1
        return self.session.run(*args)


@pytest.mark.parametrize(("batch", "calls"), [("batch", 1), (2, 2), (1, 3)])
def test_people_share_calls_where_the_graph_allows(
    tmp_path: Path, batch: int | str, calls: int
) -> None:
    path = CASES["vitpose"].write(tmp_path, view=(batch, 3, 64, 64))
    model = load_model(path, runtime="onnxruntime")
    session = Counting(model.session)  # type: ignore[attr-defined]
    boxes = People.of(boxes=[BOX, BOX, BOX])
    frame = Frame(np.zeros((96, 128, 3), np.uint8))
    assert len(estimate(replace(model, session=session), frame, boxes)) == 3  # type: ignore[type-var]
    assert session.calls == calls


@both
def test_a_graph_of_open_batch_may_answer_for_one_view(tmp_path: Path, runtime: str) -> None:
    """Its outputs are constants of one row: the views go in one by one."""
    text = (
        '<ir_version: 8, opset_import: ["": 17]> small (float[b,3,64,64] input_0) => '
        "(float[1,17,16,16] output_0) { all = ReduceMean <keepdims = 1> (input_0) "
        "form = Constant <value = int64[4] {1, 17, 16, 16}> () output_0 = Expand (all, form) }"
    )
    import onnx.parser

    onnx.save(onnx.parser.parse_model(text), tmp_path / "vitpose.onnx")
    model = load_model(tmp_path / "vitpose.onnx", runtime=runtime, precision="fp32")  # type: ignore[arg-type]
    views = np.zeros((2, 64, 64, 3), np.uint8)
    views[1] = 255
    first, second = model(views)["heatmap"]
    assert first.max() < second.min()


@pytest.mark.parametrize(
    "name", ["rtmo", "movenet", "movenet-multipose", "dfine", "yolov8-pose", "yolov8", "rtmdet"]
)
def test_coordinates_are_not_rounded_to_bf16(tmp_path: Path, name: str) -> None:
    model = load_model(CASES[name].write(tmp_path), runtime="openvino")
    assert model.runtime.endswith("fp32")


OPEN: dict[str, Callable[[Path], Path]] = {
    "dfine_s": lambda path: network(
        path,
        CASES["dfine"].outputs,
        ("b", "c", "h", "w"),
        "pixel_values",
        axes={"logits": ["b", 6, 80], "pred_boxes": ["b", 6, 4]},
    ),
    "rfdetr_medium": lambda path: network(
        path, CASES["rfdetr"].outputs, ("b", "c", "h", "w"), "pixel_values"
    ),
    "movenet_thunder": lambda path: network(
        path, CASES["movenet"].outputs, (1, "h", "w", 3), dtype="int32"
    ),
    "multipose": lambda path: network(
        path, CASES["movenet-multipose"].outputs, (1, "h", "w", 3), dtype="int32"
    ),
    "yolov8n_64x64": lambda path: network(
        path, CASES["yolov8"].outputs, ("b", 3, "h", "w"), "images", axes={"output0": "bcn"}
    ),
    "yolo11n-pose_64x64": lambda path: network(
        path, CASES["yolov8-pose"].outputs, ("b", 3, "h", "w"), "images", axes={"output0": "bcn"}
    ),
}


@both
@pytest.mark.parametrize(
    ("name", "side"),
    [
        ("dfine_s", 640),
        ("rfdetr_medium", 576),
        ("movenet_thunder", 256),
        ("multipose", 256),
        ("yolov8n_64x64", 64),
        ("yolo11n-pose_64x64", 64),
    ],
)
def test_open_sides(tmp_path: Path, runtime: str, name: str, side: int) -> None:
    model = load_model(OPEN[name](tmp_path / f"{name}.onnx"), runtime=runtime)  # type: ignore[arg-type]
    assert model.codec.input_size == (side, side)
    boxes = People.of(boxes=[BOX]) if model.codec.top_down else None
    assert len(estimate(model, Frame(np.zeros((96, 128, 3), np.uint8)), boxes)) == 1


@every_case
@both
def test_predict_on_an_image(tmp_path: Path, people_jpg: Path, name: str, runtime: str) -> None:
    case, out = CASES[name], tmp_path / "out"
    path = str(case.write(tmp_path))
    which = ["-m" if LAYOUTS[name.split()[0]] == "pose" else "-d", path]
    options = ["--runtime", runtime, "--save", "jsonl", "--min-score", "0", "--nms", "none"]
    assert main(["predict", str(people_jpg), *which, *options, "-o", str(out)]) == 0
    rows = [json.loads(line) for line in (out / "poses.jsonl").read_text().splitlines()]
    people = [person for row in rows for person in row.get("people", [])]
    assert people and all(len(person["keypoints"]) for person in people)


def test_lengths_that_no_form_has_are_refused(tmp_path: Path) -> None:
    """One cell too many, boxes of three numbers, vectors of another length ..."""
    wrong = {
        "cells": {"output": rows_of(83, 7)},
        "channels": {"output0": np.zeros((1, 4, 84), np.float32)},
        "maps": {"output_0": np.zeros((1, 17, 15, 16), np.float32)},
        "boxes": {"dets": np.zeros((1, 6, 3), np.float32), "labels": logits(91, 1)},
        "points": {"dets": PERSON[None], "keypoints": np.zeros((1, 3, 17, 4), np.float32)},
        "classes of the first DETR": {"logits": logits(92, 1), "pred_boxes": QUERIES},
    }
    for name, outputs in wrong.items():
        path = network(tmp_path / "file.onnx", outputs)
        with pytest.raises(ModelError, match="an unknown layout: inputs input"):
            load_model(path, runtime="onnxruntime")
            pytest.fail(name)
