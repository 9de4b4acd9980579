"""The embedded network in the layout of RTMPose's files, which pipeline.py gives to rtmlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from posewright.weights import EMBEDDED

__all__ = ["rtmpose_layout"]


def rtmpose_layout(path: Path) -> Path:
    """The embedded network with RTMPose's input and outputs, as mmdeploy lays them out.

    Trained weights in that layout cannot be had without a download.  The vectors are the maxima of
    the heatmap over its rows and columns near the place where the middle cell's regression expects
    the joint, interpolated to two bins a pixel.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    model = onnx.load(EMBEDDED["movenet-thunder"].path)
    graph = model.graph
    nodes = [n for n in graph.node if n.output[0] not in ("offset", "centre")]
    turn = next(n for n in nodes if n.input[0] == "views")  # to planes, then to float
    cast = next(n for n in nodes if n.input[0] == turn.output[0])
    mean = np.array([123.675, 116.28, 103.53], np.float32).reshape(1, 3, 1, 1)
    std = np.array([58.395, 57.12, 57.375], np.float32).reshape(1, 3, 1, 1)
    pixels = cast.output[0]
    nodes = [n for n in nodes if n not in (turn, cast)]
    head = [
        helper.make_node("Mul", ["input", "std"], ["scaled"]),
        helper.make_node("Add", ["scaled", "mean"], [pixels]),
    ]
    tail = [
        helper.make_node("Slice", ["regression", "middle", "beyond", "axes"], ["rough"]),
        helper.make_node("Reshape", ["rough", "pairs"], ["dydx"]),  # (B, 17, 2)
        helper.make_node("Add", ["dydx", "middle_f"], ["yx"]),
        helper.make_node("Split", ["yx"], ["y", "x"], axis=2),
        *_near("y", "rows"),
        *_near("x", "columns"),
        helper.make_node("Unsqueeze", ["near_y", "last"], ["near_rows"]),  # (B, 17, 64, 1)
        helper.make_node("Unsqueeze", ["near_x", "third"], ["near_columns"]),
        helper.make_node("Mul", ["heatmap", "near_rows"], ["half_near"]),
        helper.make_node("Mul", ["half_near", "near_columns"], ["likely"]),
        helper.make_node("ReduceMax", ["likely"], ["best_x"], axes=[2], keepdims=0),
        helper.make_node("ReduceMax", ["likely"], ["best_y"], axes=[3], keepdims=0),
        helper.make_node("Resize", ["best_x", "", "times8"], ["simcc_x"], mode="linear"),
        helper.make_node("Resize", ["best_y", "", "times8"], ["simcc_y"], mode="linear"),
    ]
    rows, columns = (np.arange(n, dtype=np.float32).reshape(1, 1, n) for n in (64, 48))
    constants = {
        "mean": mean,
        "std": std,
        "times8": np.array([1, 1, 8], np.float32),
        "middle": np.array([32, 24]),
        "beyond": np.array([33, 25]),
        "axes": np.array([2, 3]),
        "pairs": np.array([0, 17, 2]),
        "middle_f": np.array([32, 24], np.float32),
        "rows": rows,
        "columns": columns,
        "fall": np.array(-1 / 50, np.float32),
        "last": np.array([3]),
        "third": np.array([2]),
    }
    tensors = [numpy_helper.from_array(a, name) for name, a in constants.items()]
    value = helper.make_tensor_value_info
    new = helper.make_graph(
        [*head, *nodes, *tail],
        "rtmpose",
        [value("input", TensorProto.FLOAT, ["batch", 3, 256, 192])],
        [
            value("simcc_x", TensorProto.FLOAT, ["batch", 17, 384]),
            value("simcc_y", TensorProto.FLOAT, ["batch", 17, 512]),
        ],
        [*graph.initializer, *tensors],
    )
    onnx.save(helper.make_model(new, opset_imports=model.opset_import, ir_version=8), path)
    return path


def _near(axis: str, cells: str) -> list[Any]:
    """Nodes of exp(-(cell - expected)^2 / 50) along one axis."""
    from onnx import helper

    return [
        helper.make_node("Sub", [cells, axis], [f"gap_{axis}"]),
        helper.make_node("Mul", [f"gap_{axis}", f"gap_{axis}"], [f"square_{axis}"]),
        helper.make_node("Mul", [f"square_{axis}", "fall"], [f"power_{axis}"]),
        helper.make_node("Exp", [f"power_{axis}"], [f"near_{axis}"]),
    ]
