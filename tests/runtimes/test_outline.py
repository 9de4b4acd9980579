"""Shapes that are inferred from a graph without its weights, and files that are read in pieces."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto as T
from onnx import helper, numpy_helper

from posewright.errors import ModelError
from posewright.runtimes import load_model
from posewright.runtimes.outline import outline
from posewright.runtimes.weightcheck import has_nan

RUNTIMES = ("onnxruntime", "openvino")
SIDES = (64, 48)  # height, width


def flattened(path: Path, joints: int = 17, *, nan: int | None = None, **how: Any) -> Path:
    """SimCC vectors of an open batch and an open joint axis, of 2.4 MB of weights.

    nan: number of the weight that is NaN.
    """
    weights = np.zeros((joints, 3 * SIDES[0] * SIDES[1] * 2), np.float32)
    weights.reshape(-1)[[] if nan is None else [nan]] = np.nan
    stored = [
        numpy_helper.from_array(weights.reshape(-1, joints), "weights"),
        numpy_helper.from_array(np.array([-1, 3 * SIDES[0] * SIDES[1]]), "flat"),
        numpy_helper.from_array(np.array([joints, 1]), "rest"),
        *(
            numpy_helper.from_array(np.zeros((1, 1, 2 * side), np.float32), f"bins_{axis}")
            for axis, side in (("x", SIDES[1]), ("y", SIDES[0]))
        ),
    ]
    nodes = [
        helper.make_node("Reshape", ["input", "flat"], ["line"]),
        helper.make_node("Concat", ["line", "line"], ["lines"], axis=1),
        helper.make_node("MatMul", ["lines", "weights"], ["sums"]),
        helper.make_node("Shape", ["sums"], ["form"], start=0, end=1),
        helper.make_node("Concat", ["form", "rest"], ["wanted"], axis=0),
        helper.make_node("Reshape", ["sums", "wanted"], ["columns"]),
        *(helper.make_node("Add", ["columns", f"bins_{a}"], [f"simcc_{a}"]) for a in "xy"),
    ]
    graph = helper.make_graph(
        nodes,
        "flattened",
        [helper.make_tensor_value_info("input", T.FLOAT, ["batch", 3, *SIDES])],
        [
            helper.make_tensor_value_info("simcc_x", T.FLOAT, ["batch", "k", 2 * SIDES[1]]),
            helper.make_tensor_value_info("simcc_y", T.FLOAT, ["batch", "k", 2 * SIDES[0]]),
        ],
        stored,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path, **how)
    return path


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("joints", [17, 26])
def test_an_open_axis_is_inferred_without_a_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runtime: str, joints: int
) -> None:
    def run(*_: Any) -> None:
        pytest.fail("the graph has run")

    monkeypatch.setattr(onnxruntime.InferenceSession, "run", run)
    model = load_model(flattened(tmp_path / "net.onnx", joints), runtime=runtime)  # type: ignore[arg-type]
    assert len(model.skeleton) == joints


def test_an_outline_has_no_weights_and_the_given_shapes(tmp_path: Path) -> None:
    path = flattened(tmp_path / "net.onnx")
    data = outline(path, {"input": (1, 3, *SIDES)})
    assert len(data) < 4000 < path.stat().st_size
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    shapes = {port.name: port.shape for port in session.get_inputs()}
    assert shapes == {"input": [1, 3, *SIDES], "weights": [3 * SIDES[0] * SIDES[1] * 2, 17]}
    assert [o.shape for o in session.get_outputs()] == [[1, 17, 96], [1, 17, 128]]


def test_weights_of_another_size_than_their_shape_stay(tmp_path: Path) -> None:
    """So that the runtime, which would read past their end, refuses them."""
    path = flattened(tmp_path / "net.onnx")
    model = onnx.load(path)
    model.graph.initializer[0].dims[0] += 1
    onnx.save(model, path)
    assert len(outline(path, {})) > 1_000_000
    with pytest.raises(ModelError, match="not an ONNX file that onnxruntime can run"):
        load_model(path, runtime="onnxruntime")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("number", [0, 300_000, 17 * 3 * 64 * 48 * 2 - 1])
def test_nan_is_found_in_every_piece(tmp_path: Path, runtime: str, number: int) -> None:
    path = flattened(tmp_path / "net.onnx", nan=number)
    assert has_nan(path)
    model = load_model(path, runtime=runtime, precision="fp32")  # type: ignore[arg-type]
    outputs = model(np.zeros((2, *SIDES, 3), np.uint8))
    assert all(np.isnan(array).all() for array in outputs.values())


def test_a_name_that_is_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"netz\xff_64x48.onnx")
    try:
        path.write_bytes(flattened(tmp_path / "net.onnx").read_bytes())
    except OSError:
        pytest.skip("this file system takes no such name")
    assert len(load_model(path, runtime="onnxruntime").skeleton) == 17


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_file_of_weights_elsewhere_is_refused(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "inner").mkdir()
    path = flattened(
        tmp_path / "inner" / "net.onnx", save_as_external_data=True, location="net.bin"
    )
    (tmp_path / "inner" / "net.bin").rename(tmp_path / "net.bin")
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        for entry in tensor.external_data:
            if entry.key == "location":
                entry.value = "../net.bin"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"cannot be run|that onnxruntime can run"):
        load_model(path, runtime=runtime)  # type: ignore[arg-type]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("nan", [None, 300_000])
def test_weights_in_another_file_of_the_folder(
    tmp_path: Path, runtime: str, nan: int | None
) -> None:
    """The outline needs no file beside it, the weights of which are inputs as well."""
    how = {"save_as_external_data": True, "location": "other.bin"}
    path = flattened(tmp_path / "net.onnx", nan=nan, **how)
    model = load_model(path, runtime=runtime, precision="fp32")  # type: ignore[arg-type]
    outputs = model(np.zeros((2, *SIDES, 3), np.uint8))
    assert outputs["x"].shape == (2, 17, 96)
    assert all(np.isnan(array).all() == (nan is not None) for array in outputs.values())
