"""Runtimes with small files made here: our metadata, and the layouts that mmdeploy publishes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from posewright import Pose
from posewright.codecs import Boxes, DistributionBoxes, MoveNet, SimCC, codec_to_dict
from posewright.errors import MissingError, ModelError, UsageError
from posewright.people import Frame, People
from posewright.pipeline.estimate import estimate
from posewright.runtimes import load_model
from posewright.runtimes.info import METADATA_KEY, Input, ModelInfo
from posewright.skeletons import COCO17
from posewright.weights import EMBEDDED, find_model

RUNTIMES = ["onnxruntime", "openvino"]


def save(path: Path, nodes: list, inputs: list, outputs: list, constants: dict) -> Path:
    tensors = [numpy_helper.from_array(a, name) for name, a in constants.items()]
    graph = helper.make_graph(nodes, "small", inputs, outputs, tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path


def rtmpose_file(path: Path, joints: int = 17) -> Path:
    """SimCC of the green channel: where its column and row sums are largest, for every joint."""
    nodes = [
        helper.make_node("Slice", ["input", "one", "two", "one"], ["green"]),  # (B, 1, 256, 192)
        helper.make_node("ReduceSum", ["green", "rows"], ["cols"], keepdims=0),  # (B, 1, 192)
        helper.make_node("ReduceSum", ["green", "columns"], ["lines"], keepdims=0),
        helper.make_node("Resize", ["cols", "", "double"], ["x2"], mode="nearest"),
        helper.make_node("Resize", ["lines", "", "double"], ["y2"], mode="nearest"),
        helper.make_node("Tile", ["x2", "times"], ["simcc_x"]),
        helper.make_node("Tile", ["y2", "times"], ["simcc_y"]),
    ]
    constants = {
        "one": np.array([1]),
        "two": np.array([2]),
        "rows": np.array([2]),
        "columns": np.array([3]),
        "double": np.array([1, 1, 2], np.float32),
        "times": np.array([1, joints, 1]),
    }
    views = helper.make_tensor_value_info("input", TensorProto.FLOAT, ["batch", 3, 256, 192])
    outs = [
        helper.make_tensor_value_info("simcc_x", TensorProto.FLOAT, ["batch", joints, 384]),
        helper.make_tensor_value_info("simcc_y", TensorProto.FLOAT, ["batch", joints, 512]),
    ]
    return save(path, nodes, [views], outs, constants)


def detector_file(path: Path) -> Path:
    """Two fixed boxes, a person and a dog; the person's score is the mean of the first channel."""
    dets = np.array([[[64, 32, 320, 640, 0], [0, 0, 50, 50, 0.9]]], np.float32)
    mask = np.zeros((1, 2, 5), np.float32)
    mask[0, 0, 4] = 1
    nodes = [
        helper.make_node("Slice", ["input", "nil", "one", "one"], ["first"]),
        helper.make_node("ReduceMean", ["first"], ["mean"], axes=[1, 2, 3], keepdims=1),
        helper.make_node("Squeeze", ["mean", "one"], ["score"]),  # (B, 1, 1)
        helper.make_node("Mul", ["score", "mask"], ["part"]),
        helper.make_node("Add", ["part", "fixed"], ["dets"]),
        helper.make_node("Identity", ["kinds"], ["labels"]),
    ]
    constants = {
        "nil": np.array([0]),
        "one": np.array([1]),
        "mask": mask,
        "fixed": dets,
        "kinds": np.array([[0, 16]]),
    }
    views = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 640, 640])
    outs = [
        helper.make_tensor_value_info("dets", TensorProto.FLOAT, [1, 2, 5]),
        helper.make_tensor_value_info("labels", TensorProto.INT64, [1, 2]),
    ]
    return save(path, nodes, [views], outs, constants)


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_rtmpose_layout(tmp_path: Path, runtime: str) -> None:
    path = rtmpose_file(tmp_path / "rtmpose-m_coco_256x192.onnx")
    model = load_model(path, runtime=runtime, precision="auto")
    assert isinstance(model.codec, SimCC) and model.codec.split == 2.0
    assert model.codec.input_size == (192, 256) and model.skeleton == COCO17
    image = np.zeros((300, 400, 3), np.uint8)
    image[140:146, 200:206, 1] = 255
    people = People.of(boxes=[[100, 50, 280, 260], [150, 60, 260, 220]])
    found = estimate(model, Frame(image), people)
    assert found.keypoints.shape == (2, 17, 2)
    assert np.abs(found.keypoints - [202.5, 142.5]).max() < 3.5


def test_rtmpose_normalisation_is_in_rgb_order(tmp_path: Path) -> None:
    spec = load_model(rtmpose_file(tmp_path / "rtmpose.onnx"), runtime="onnxruntime").info.input
    views = np.full((1, 4, 5, 3), (124, 116, 104), np.uint8)
    prepared = spec.prepare(views)
    assert prepared.shape == (1, 3, 4, 5) and prepared.dtype == np.float32
    expected = (np.array([124, 116, 104]) - [123.675, 116.28, 103.53]) / [58.395, 57.12, 57.375]
    assert np.abs(prepared[0, :, 0, 0] - expected).max() < 1e-5


def test_skeleton_follows_the_number_of_joints(tmp_path: Path) -> None:
    model = load_model(rtmpose_file(tmp_path / "rtmpose-26.onnx", 26), runtime="onnxruntime")
    assert model.skeleton.name == "halpe26"
    with pytest.raises(ModelError, match="no skeleton is known for 7 joints"):
        load_model(rtmpose_file(tmp_path / "rtmpose-7.onnx", 7), runtime="onnxruntime")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("name", ["rtmdet-nano_person.onnx", "yolox_m_humanart.onnx"])
def test_detector_layouts(tmp_path: Path, runtime: str, name: str) -> None:
    model = load_model(detector_file(tmp_path / name), runtime=runtime, precision="auto")
    assert isinstance(model.codec, Boxes) and model.codec.input_size == (640, 640)
    image = np.zeros((320, 320, 3), np.uint8)  # half of the view's size
    image[..., 2] = 104 if "rtmdet" in name else 1  # blue is the first channel of both layouts
    found = estimate(model, Frame(image), None)
    if "yolox" in name:  # raw 0..255 in: the mean is 1, a sure person
        assert np.abs(found.boxes - [[32, 16, 160, 320]]).max() < 0.6
        assert found.keypoints.shape == (1, 0, 2)
    else:  # 104 is RTMDet's mean of blue: the normalised mean is 0, no person
        assert len(found) == 0


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_another_score_threshold(tmp_path: Path, runtime: str) -> None:
    model = load_model(detector_file(tmp_path / "yolox.onnx"), runtime=runtime, precision="auto")
    assert isinstance(model.codec, Boxes)
    lenient = model.with_threshold(0.0)
    image = np.zeros((320, 320, 3), np.uint8)  # the mean is 0, and so is the score
    assert len(estimate(model, Frame(image), None)) == 0
    assert len(estimate(lenient, Frame(image), None)) == 1
    assert lenient.runtime == model.runtime
    pose = load_model(rtmpose_file(tmp_path / "rtmpose.onnx"), runtime="onnxruntime")
    with pytest.raises(UsageError, match="no score threshold; set that of a detector"):
        pose.with_threshold(0.5)


def test_layout_of_a_nameless_detector_must_be_said(tmp_path: Path) -> None:
    path = detector_file(tmp_path / "end2end.onnx")
    with pytest.raises(ModelError, match=r"rtmdet:end2end.onnx or yolox:end2end.onnx"):
        load_model(path, runtime="onnxruntime")
    found, layout = find_model(f"yolox:{path}")
    assert (found, layout) == (path, "yolox")
    assert load_model(found, layout=layout, runtime="onnxruntime").info.input.color == "BGR"


def test_a_file_that_is_neither_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("Identity", ["input"], ["features"])
    views = helper.make_tensor_value_info("input", TensorProto.FLOAT, [1, 3, 64, 64])
    out = helper.make_tensor_value_info("features", TensorProto.FLOAT, [1, 3, 64, 64])
    path = save(tmp_path / "net.onnx", [node], [views], [out], {})
    with pytest.raises(ModelError, match="no posewright metadata"):
        load_model(path, runtime="onnxruntime")
    (tmp_path / "junk.onnx").write_bytes(b"junk")
    with pytest.raises(ModelError, match="not an ONNX file"):
        load_model(tmp_path / "junk.onnx", runtime="onnxruntime")


def test_metadata_round_trip() -> None:
    for codec, skeleton in (
        (MoveNet(nearness=4.0), COCO17),
        (SimCC(input_size=(288, 384)), COCO17),
    ):
        info = ModelInfo("net", codec, skeleton, Input("NCHW", "float32"), licence="MIT")
        assert ModelInfo.from_json(info.to_json(), "m.onnx") == info
    with pytest.raises(ModelError, match="did you mean 'movenet'"):
        ModelInfo.from_json('{"codec":{"kind":"movnet"}}', "m.onnx")
    with pytest.raises(ModelError, match="no field"):
        ModelInfo.from_json('{"codec":{"kind":"movenet","kernel":2}}', "m.onnx")
    assert codec_to_dict(DistributionBoxes())["strides"] == (8, 16, 32)


def test_metadata_with_numbers_beyond_all_integers() -> None:
    text = ModelInfo("net", MoveNet(), COCO17).to_json()
    for key in ("mirror", "links"):
        endless = json.loads(text)
        endless["skeleton"][key] = [1e999] if key == "mirror" else [[1e999, 1]]
        with pytest.raises(ModelError, match="metadata is invalid"):
            ModelInfo.from_json(json.dumps(endless), "m.onnx")


@pytest.mark.parametrize("name", sorted(EMBEDDED))
def test_embedded_files_describe_themselves(name: str) -> None:
    proto = onnx.load(EMBEDDED[name].path)
    texts = {p.key: p.value for p in proto.metadata_props}
    info = ModelInfo.from_json(texts[METADATA_KEY], "m.onnx")
    assert info.name == name and info.input.raw
    assert info.licence == "Apache-2.0" and "Copyright" in info.attribution
    assert {t.data_type for t in proto.graph.initializer if np.prod(t.dims) > 64} == {
        TensorProto.FLOAT16
    }


def test_what_is_asked_for_is_given_or_refused() -> None:
    path = EMBEDDED["movenet-thunder"].path
    with pytest.raises(MissingError, match="CUDAExecutionProvider"):
        load_model(path, runtime="onnxruntime", device="cuda")
    with pytest.raises(UsageError, match="did you mean 'cuda'"):
        load_model(path, runtime="onnxruntime", device="cudaa")
    with pytest.raises(UsageError, match="did you mean 'openvino'"):
        load_model(path, runtime="openvin")  # type: ignore[arg-type]
    with pytest.raises(MissingError, match="bf16 needs the openvino runtime"):
        load_model(path, runtime="onnxruntime", precision="bf16")
    with pytest.raises(UsageError, match="only the cpu"):
        load_model(path, runtime="openvino", device="cuda")
    with pytest.raises(UsageError, match="did you mean 'movenet-thunder'"):
        find_model("movenet-tunder")


def test_openvino_is_chosen_by_itself() -> None:
    path = EMBEDDED["movenet-thunder"].path
    assert load_model(path).runtime.startswith("openvino")  # type: ignore[attr-defined]
    plain = load_model(path, runtime="onnxruntime")
    assert plain.runtime.startswith("onnxruntime")  # type: ignore[attr-defined]


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_view_of_the_wrong_size_is_a_model_error(tmp_path: Path, runtime: str) -> None:
    model = load_model(detector_file(tmp_path / "rtmdet.onnx"), runtime=runtime)
    with pytest.raises(ModelError, match=r"failed on an input of shape \(1, 32, 32, 3\)"):
        model(np.zeros((1, 32, 32, 3), np.uint8))


def test_ctrl_c_after_openvino_models_have_come_and_gone_is_an_interrupt() -> None:
    code = """if True:
        import os, signal
        signal.signal(signal.SIGINT, signal.default_int_handler)  # a job in the background has none
        from posewright.runtimes import load_model
        from posewright.weights import EMBEDDED
        path = EMBEDDED["movenet-thunder"].path
        first, second = (load_model(path, runtime="openvino") for _ in range(2))
        del first
        del second
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            print("interrupted")
    """
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr


@pytest.mark.parametrize("device", [None, 3])
def test_a_device_is_a_name(device: Any) -> None:
    with pytest.raises(UsageError, match="is not the name of a device, such as cpu or cuda:1"):
        Pose(device=device)
