"""A PoseFix file small enough for the tests: it sees the pose that is given, and the image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from posewright.codecs import PoseFix
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import get_skeleton

__all__ = ["small_refiner"]


def small_refiner(path: Path, skeleton: str = "coco17", pull: float = 0.02) -> Path:
    """Write an .onnx file whose maps are the pose's Gaussians, changed by the pixels.

    pull: how much a bright pixel of 255 counts beside a Gaussian of 255.
    """
    codec = PoseFix((32, 48))
    width, height = codec.input_size
    joints, (w, h) = len(get_skeleton(skeleton)), codec.map_size
    views = helper.make_tensor_value_info("views", TensorProto.UINT8, ["n", height, width, 3])
    given = helper.make_tensor_value_info(
        "condition", TensorProto.FLOAT, ["n", joints, height, width]
    )
    maps = helper.make_tensor_value_info("heatmap", TensorProto.FLOAT, ["n", joints, h, w])
    pooling = {"kernel_shape": [4, 4], "strides": [4, 4]}
    nodes = [
        helper.make_node("Cast", ["views"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["float"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("ReduceMean", ["planes"], ["grey"], axes=[1], keepdims=1),
        helper.make_node("AveragePool", ["grey"], ["seen"], **pooling),
        helper.make_node("Mul", ["seen", "pull"], ["pulled"]),
        helper.make_node("AveragePool", ["condition"], ["pose"], **pooling),
        helper.make_node("Mul", ["pose", "share"], ["shared"]),
        helper.make_node("Add", ["shared", "pulled"], ["heatmap"]),
    ]
    numbers = {"pull": np.float32(pull), "share": np.float32(0.05)}
    constants = [numpy_helper.from_array(np.array(v), n) for n, v in numbers.items()]
    graph = helper.make_graph(nodes, "small", [views, given], [maps], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    info = ModelInfo("small-posefix", codec, get_skeleton(skeleton), outputs=("heatmap",))
    helper.set_model_props(model, {METADATA_KEY: info.to_json()})
    onnx.save(model, path)
    return path
