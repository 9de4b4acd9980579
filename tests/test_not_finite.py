"""NaN and infinity in weights and outputs are told, frame by frame, and end with exit code 3."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from posewright.cli import main
from posewright.codecs import Boxes, Embedding, Heatmap, PoseFix
from posewright.people import Frame, People
from posewright.pipeline.crowd import estimate_all as crowd_estimate_all
from posewright.pipeline.embedder import Embedder
from posewright.pipeline.estimate import estimate_all
from posewright.pipeline.pipeline import Pipeline
from posewright.pipeline.refiner import Refiner
from posewright.runtimes import load_model
from posewright.runtimes.info import NO_JOINTS, ModelInfo
from posewright.runtimes.weightcheck import has_nan
from posewright.skeletons import COCO17
from posewright.trackers import create_tracker
from posewright.weights import EMBEDDED

RUNTIMES = ("onnxruntime", "openvino")


def spoiled(name: str, path: Path, number: int, value: float = np.nan) -> Path:
    """Write an embedded network with one bad weight in its tensor of that number."""
    model = onnx.load(EMBEDDED[name].path)
    large = [t for t in model.graph.initializer if np.prod(t.dims) > 64]
    array = numpy_helper.to_array(large[number]).copy()
    array.flat[3] = value
    large[number].CopyFrom(numpy_helper.from_array(array, large[number].name))
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for name in ("a.png", "b.png"):
        cv2.imwrite(str(folder / name), rng.integers(0, 255, (90, 120, 3), np.uint8))
    return folder


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize(("task", "number"), [("pose", 0), ("pose", -1), ("detector", 0)])
def test_nan_in_weights_is_a_status_and_exit_code_3(
    tmp_path: Path, pictures: Path, runtime: str, task: str, number: int
) -> None:
    if task == "pose":
        path = spoiled("movenet-thunder", tmp_path / "bad.onnx", number)
        options, name = ["-m", str(path), "-d", "whole-image"], "movenet-thunder"
    else:
        path = spoiled("nanodet-g-person", tmp_path / "bad.onnx", number)
        options, name = ["-d", str(path)], "nanodet-g-person"
    out = tmp_path / "out"
    line = ["predict", str(pictures), "-o", str(out), "--save", "jsonl", "--runtime", runtime]
    assert main([*line, *options]) == 3
    rows = [json.loads(text) for text in (out / "poses.jsonl").read_text("utf-8").splitlines()]
    rows = [row for row in rows if "status" in row]
    assert [row["status"] for row in rows] == ["model_error"] * 2
    assert all(f"{name} returned NaN or infinity for 1 view" in row["message"] for row in rows)


def test_nan_is_found_wherever_a_file_has_it(tmp_path: Path) -> None:
    assert not has_nan(EMBEDDED["movenet-thunder"].path)
    for number in (0, 17, -1):
        assert has_nan(spoiled("movenet-thunder", tmp_path / "bad.onnx", number))
    floats = onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [2], [1.0, np.nan])
    doubles = onnx.helper.make_tensor("w", onnx.TensorProto.DOUBLE, [1], [np.nan])
    output = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [2])
    for tensor in (floats, doubles):
        node = onnx.helper.make_node("Constant", [], ["y"], value=tensor)
        onnx.save(
            onnx.helper.make_model(onnx.helper.make_graph([node], "g", [], [output])),
            tmp_path / "constant.onnx",
        )
        assert has_nan(tmp_path / "constant.onnx")
    (tmp_path / "cut.onnx").write_bytes(EMBEDDED["movenet-thunder"].path.read_bytes()[:5000])
    assert not has_nan(tmp_path / "cut.onnx")


def holding(kind: str, value: float) -> onnx.ModelProto:
    """A graph in which a number lies where that kind of file has it."""
    proto, helper = onnx.TensorProto, onnx.helper
    output = helper.make_tensor_value_info("y", proto.FLOAT, None)
    numbers = [1.0, -2.0, value]
    graph = helper.make_graph([], "g", [], [output])
    types = {
        "float16": proto.FLOAT16,
        "bfloat16": proto.BFLOAT16,
        "e4m3": proto.FLOAT8E4M3FN,
        "e5m2": proto.FLOAT8E5M2,
    }
    name, _, raw = kind.partition(" ")
    if name in types:
        graph.initializer.append(helper.make_tensor("w", types[name], [3], numbers))
        if raw:
            array = numpy_helper.to_array(graph.initializer[0])
            del graph.initializer[0].int32_data[:]
            graph.initializer[0].raw_data = array.tobytes()
    elif kind in ("value_float", "value_floats", "alpha"):
        node = "LeakyRelu" if kind == "alpha" else "Constant"
        given = {kind: numbers if kind == "value_floats" else value}
        graph.node.append(helper.make_node(node, ["x"] if kind == "alpha" else [], ["y"], **given))
    elif kind == "sparse":
        values = helper.make_tensor("w", proto.FLOAT, [3], numbers)
        places = helper.make_tensor("i", proto.INT64, [3], [0, 1, 2])
        graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [9]))
    else:
        inner = holding("value_floats", value).graph
        calm = holding("value_floats", 0.0).graph
        given = {"If": {"then_branch": calm, "else_branch": inner}, "Loop": {"body": inner}}[kind]
        graph.node.append(helper.make_node(kind, ["c"], ["y"], **given))
    return helper.make_model(graph)


KINDS = [
    "float16",
    "float16 raw",
    "bfloat16",
    "bfloat16 raw",
    "e4m3",
    "e4m3 raw",
    "e5m2",
    "value_float",
    "value_floats",
    "alpha",
    "sparse",
    "If",
    "Loop",
]


@pytest.mark.parametrize("kind", KINDS)
def test_nan_is_found_in_every_form(tmp_path: Path, kind: str) -> None:
    for value, bad in ((np.nan, True), (3.0, False)):
        onnx.save(holding(kind, value), tmp_path / "net.onnx")
        assert has_nan(tmp_path / "net.onnx") == bad


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_nan_is_found_beside_the_file(tmp_path: Path, runtime: str) -> None:
    network = onnx.load(spoiled("movenet-thunder", tmp_path / "one.onnx", 3))
    path, beside = tmp_path / "net.onnx", tmp_path / "net.onnx.data"
    apart: dict[str, Any] = {"save_as_external_data": True, "location": beside.name}
    onnx.save(network, path, **apart)
    assert has_nan(path)
    weights = beside.read_bytes()
    beside.unlink()
    assert not has_nan(path)  # it was there
    beside.write_bytes(weights)
    found = load_model(path, runtime=runtime, precision="fp32")  # type: ignore[arg-type]
    views = np.zeros((1, *found.codec.input_size[::-1], 3), np.uint8)
    assert all(np.isnan(a).all() for a in found(views).values() if a.dtype.kind == "f")
    beside.unlink()  # else it would be appended to
    good = onnx.load(EMBEDDED["movenet-thunder"].path)
    onnx.save(good, path, **apart)
    assert not has_nan(path)


MAPS, BOXES = Heatmap(input_size=(48, 64)), Boxes(input_size=(64, 64))
OF_MAPS, OF_BOXES = ModelInfo("maps", MAPS, COCO17), ModelInfo("boxes", BOXES, NO_JOINTS)


@dataclass(frozen=True)
class Maps:
    """A pose network whose maps are `bad` in views that are all white."""

    bad: float
    codec: Any = MAPS
    skeleton: Any = COCO17
    runtime: str = "numpy"
    info: Any = OF_MAPS

    def __call__(self, views: np.ndarray, condition: None = None) -> dict[str, np.ndarray]:
        maps = np.zeros((len(views), 17, 16, 12), np.float32)
        maps[:, :, 8, 6] = 0.9
        maps[views.min((1, 2, 3)) > 250, 3, 2, 1] = self.bad
        return {"heatmap": maps}


class TwoBoxes:
    def people(self, frame: Frame) -> People:
        return People.of(boxes=[[10, 10, 40, 50], [60, 10, 90, 50]])


@pytest.mark.parametrize(
    "said",
    [
        {"length": str(1 << 60)},
        {"length": "-5"},
        {"offset": "-5"},
        {"offset": str(1 << 62)},
        {"length": "one"},
        {"location": "a" * 5000},
        {"location": "a\0b"},
    ],
    ids=str,
)
def test_numbers_that_are_not_beside_the_file_are_none(
    tmp_path: Path, said: dict[str, str]
) -> None:
    """onnxruntime opens such a file where its graph does not take them."""
    network = onnx.load(EMBEDDED["movenet-thunder"].path)
    unused = network.graph.initializer.add(name="unused", data_type=1, dims=[4], data_location=1)
    for key, value in {"location": "net.onnx.data", "length": "16", **said}.items():
        unused.external_data.add(key=key, value=value)
    (tmp_path / "net.onnx").write_bytes(network.SerializeToString())
    (tmp_path / "net.onnx.data").write_bytes(b"\xff" * 16)
    assert not has_nan(tmp_path / "net.onnx")


def frames() -> list[Frame]:
    """Both people can be seen; the second cannot; neither can."""
    images = [np.full((60, 100, 3), 100, np.uint8) for _ in range(3)]
    images[1][:, 50:], images[2][:] = 255, 255
    return [Frame(image, i, name=f"{i}.png") for i, image in enumerate(images)]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("estimate", [estimate_all, crowd_estimate_all])
@pytest.mark.parametrize("window", [1, 3])
def test_good_people_and_frames_stay(bad: float, estimate: Any, window: int) -> None:
    def run(value: float) -> list[Any]:
        pipeline = Pipeline(Maps(value), TwoBoxes(), estimate=estimate, window=window)
        return list(pipeline.run(frames()))

    good, found = run(0.0), run(bad)
    assert [r.message for r in good] == ["", "", ""]
    assert np.array_equal(found[0].keypoints, good[0].keypoints) and found[0].message == ""
    assert found[1].message.startswith("maps returned NaN or infinity for 1 view;")
    assert found[2].message.startswith("maps returned NaN or infinity for 2 views;")
    if np.isnan(bad) and estimate is estimate_all:
        assert [r.status for r in found] == ["ok", "ok", "model_error"]
        assert np.array_equal(found[1].keypoints, good[1].keypoints[:1])


@dataclass(frozen=True)
class Detector:
    """Finished boxes: one good row, and one of NaN or infinity."""

    bad: float
    good: bool
    codec: Any = BOXES
    skeleton: Any = NO_JOINTS
    runtime: str = "numpy"
    info: Any = OF_BOXES

    def __call__(self, views: np.ndarray, condition: None = None) -> dict[str, np.ndarray]:
        row = [[8, 8, 40, 40, 0.9 if self.good else 0.0], [8, 8, 40, self.bad, 0.9]]
        return {"dets": np.array([row] * len(views), np.float32)}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("good", [True, False])
def test_a_detector_that_returns_nan(bad: float, good: bool) -> None:
    pipeline = Pipeline(Maps(0.0), Detector(bad, good))
    for result in pipeline.run(frames()):
        assert result.message.startswith("boxes returned NaN or infinity for 1 view;")
        assert (len(result), result.status) == ((1, "ok") if good else (0, "model_error"))


MOVES, LOOKS = PoseFix(input_size=(48, 64)), Embedding(input_size=(16, 32))
OF_MOVES, OF_LOOKS = ModelInfo("moves", MOVES, COCO17), ModelInfo("looks", LOOKS, NO_JOINTS)


@dataclass(frozen=True)
class Moves:
    """A network that refines poses, whose maps are `bad` in views that are all white."""

    bad: float
    codec: Any = MOVES
    skeleton: Any = COCO17
    runtime: str = "numpy"
    info: Any = OF_MOVES

    def __call__(self, views: np.ndarray, condition: Any = None) -> dict[str, np.ndarray]:
        maps = np.zeros((len(views), 17, *MOVES.map_size[::-1]), np.float32)
        maps[views.min((1, 2, 3)) > 250, 3, 2, 1] = self.bad
        return {"heatmap": maps}


@pytest.mark.parametrize("bad", [np.nan, np.inf])
@pytest.mark.parametrize("pose", [0.0, np.nan])
def test_a_refiner_that_returns_nan(bad: float, pose: float) -> None:
    def run(refine: Any) -> list[Any]:
        return list(Pipeline(Maps(pose), TwoBoxes(), refine=refine).run(frames()))

    given, good, found = run(None), run(Refiner(Moves(0.0))), run(Refiner(Moves(bad)))
    assert [r.message for r in good] == [r.message for r in given]
    assert np.array_equal(found[0].keypoints, good[0].keypoints) and found[0].message == ""
    if pose:  # those who are not known cannot be refined
        assert [r.status for r in found] == ["ok", "ok", "model_error"]
        assert all(r.message.startswith("maps returned NaN") for r in found[1:])
        return
    assert [r.status for r in found] == ["ok"] * 3
    assert found[1].message.startswith("moves returned NaN or infinity for 1 view;")
    assert found[2].message.startswith("moves returned NaN or infinity for 2 views;")
    assert not np.array_equal(good[1].keypoints[1], given[1].keypoints[1])
    assert np.array_equal(found[1].keypoints[0], good[1].keypoints[0])
    assert np.array_equal(found[1].keypoints[1], given[1].keypoints[1])


@dataclass(frozen=True)
class Looks:
    """A network that tells people apart, whose features are `bad` for views that are all white."""

    bad: float
    codec: Any = LOOKS
    skeleton: Any = NO_JOINTS
    runtime: str = "numpy"
    info: Any = OF_LOOKS

    def __call__(self, views: np.ndarray, condition: None = None) -> dict[str, np.ndarray]:
        features = np.ones((len(views), 8), np.float32)
        features[views.min((1, 2, 3)) > 250, 5] = self.bad
        return {"features": features}


@pytest.mark.parametrize("bad", [np.nan, -np.inf])
@pytest.mark.parametrize("det_every", [1, 2])
def test_a_network_that_tells_people_apart_returns_nan(bad: float, det_every: int) -> None:
    def run(value: float) -> list[Any]:
        embed = Embedder(Looks(value))
        tracker = create_tracker("appearance", skeleton=COCO17, embed=embed)
        pipeline = Pipeline(Maps(0.0), TwoBoxes(), tracker=tracker, det_every=det_every)
        return list(pipeline.run([*frames(), replace(frames()[0], index=3)]))

    assert [r.message for r in run(1.0)] == [""] * 4
    found = run(bad)
    assert found[0].message == found[3].message == ""
    assert found[1].message.startswith("looks returned NaN or infinity for 1 view;")
    assert found[2].message.startswith("looks returned NaN or infinity for 2 views;")
    assert [len(r) for r in found] == [2] * 4


def test_the_tracker_does_not_take_a_failed_frame_for_an_empty_one() -> None:
    seen: list[int] = []

    class Tracker:
        def __call__(self, frame: Frame, people: People) -> People:
            seen.append(frame.index)
            return people

    tracker: Any = Tracker()
    list(Pipeline(Maps(np.nan), TwoBoxes(), tracker=tracker).run(frames()))
    assert seen == [0, 1]


def test_weights_of_torch(tmp_path: Path, pictures: Path) -> None:
    torch = pytest.importorskip("torch")
    from posewright.models import create
    from posewright.models.saving import save_model

    model = create("simple_baseline_r50", input_size=(32, 32))
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] = torch.nan
    save_model(model, tmp_path / "bad.safetensors")
    out = tmp_path / "out"
    model_file = str(tmp_path / "bad.safetensors")
    line = ["predict", str(pictures / "a.png"), "-m", model_file, "-d", "whole-image"]
    assert main([*line, "-o", str(out), "--save", "jsonl"]) == 3
    assert '"status":"model_error"' in (out / "poses.jsonl").read_text("utf-8").replace(" ", "")


def test_evaluation_tells_and_counts_them(tmp_path: Path) -> None:
    from posewright.datasets.synthetic import synth
    from posewright.evaluation.evaluate import evaluate

    dataset = synth(tmp_path / "set", 4, 0)
    clean = evaluate(Maps(0.0), dataset)  # type: ignore[arg-type]
    assert clean.failed == ()

    @dataclass(frozen=True)
    class Broken(Maps):
        def __call__(self, views: np.ndarray, condition: None = None) -> dict[str, np.ndarray]:
            return {"heatmap": np.full((len(views), 17, 16, 12), self.bad, np.float32)}

    found = evaluate(Broken(np.nan), dataset)  # type: ignore[arg-type]
    assert len(found.failed) == 4 and found.unreadable == ()
    assert "returned NaN or infinity" in found.failed[0]
    assert found.scoring.more["labelled"] == clean.scoring.more["labelled"]


def test_a_result_with_a_message_is_counted_as_bad(tmp_path: Path) -> None:
    """Somebody of the frame is lost, so the run does not end with 0."""
    from posewright import Pose

    pose = Pose(detector=TwoBoxes(), runtime="onnxruntime")
    pose.pipeline.model = Maps(np.nan)  # type: ignore[assignment]
    image = tmp_path / "1.png"
    cv2.imwrite(str(image), frames()[1].image)
    summary = pose.predict_to(image, tmp_path / "out")
    assert (summary.frames, summary.people, summary.exit_code) == (1, 1, 3)
    assert summary.bad[0][1].startswith("maps returned NaN")
