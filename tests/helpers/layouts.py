"""Tiny ONNX files in the layouts that others publish: fixed answers, plus the views' colours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto as T
from onnx import helper, numpy_helper

__all__ = ["network"]

_TYPES = {"float32": T.FLOAT, "float16": T.FLOAT16, "int32": T.INT32, "int64": T.INT64}


def network(
    path: Path,
    outputs: Mapping[str, NDArray[Any]],
    view: Sequence[Any] = (1, 3, 64, 64),
    name: str = "input",
    *,
    dtype: str = "float32",
    colour: float = 0.0,
    second: str = "",
    axes: Mapping[str, Sequence[Any]] | None = None,
) -> Path:
    """Write a graph whose outputs are `outputs` (1, ...), once for each view; return its path.

    colour: the mean of each channel of the input times this is added to an output's first numbers.
    dtype: of the input; half precision applies to the outputs as well.  second: name of a second
    input: boxes and keypoints are multiplied by `orig_target_sizes`, (B, 2) width and height, and
    all numbers by 1 + `dataset_index`, (B,).  axes: shapes that are declared instead of the real.
    """
    channels_last = dtype == "int32"
    nodes = [
        helper.make_node("Cast", [name], ["image"], to=T.FLOAT),
        helper.make_node(
            "ReduceMean", ["image"], ["means"], axes=[1, 2] if channels_last else [2, 3], keepdims=0
        ),
        helper.make_node("Mul", ["means", "colour"], ["tint"]),
    ]
    constants = {"colour": np.float32(colour)}
    declared = []
    for key, value in outputs.items():
        flat = np.asarray(value, np.float32).reshape(1, -1)
        constants |= {
            f"{key}_value": flat,
            f"{key}_pads": np.array([0, 0, 0, flat.shape[1] - 3]),
            f"{key}_shape": np.array([-1, *value.shape[1:]]),
        }
        kind = "float16" if dtype == "float16" and value.dtype == np.float32 else str(value.dtype)
        if second == "dataset_index":
            nodes += [
                helper.make_node("Cast", [second], [f"{key}_c"], to=T.FLOAT),
                helper.make_node("Unsqueeze", [f"{key}_c", "one"], [f"{key}_d"]),
                helper.make_node("Add", [f"{key}_d", "unit"], [f"{key}_index"]),
            ]
            constants |= {"one": np.array([1]), "unit": np.float32(1)}
        steps = [
            ("Pad", ["tint", f"{key}_pads"], {}),
            ("Add", [f"{key}_value"], {}),
            *([("Mul", [f"{key}_index"], {})] if second == "dataset_index" else []),
            ("Reshape", [f"{key}_shape"], {}),
        ]
        if second == "orig_target_sizes" and key in ("boxes", "keypoints"):
            repeats = np.array([1] * (value.ndim - 1) + [value.shape[-1] // 2])
            size = np.array([-1, *[1] * (value.ndim - 2), 2])
            constants |= {f"{key}_repeats": repeats, f"{key}_size": size}
            nodes += [
                helper.make_node("Cast", ["orig_target_sizes"], [f"{key}_a"], to=T.FLOAT),
                helper.make_node("Reshape", [f"{key}_a", f"{key}_size"], [f"{key}_b"]),
                helper.make_node("Tile", [f"{key}_b", f"{key}_repeats"], [f"{key}_scale"]),
            ]
            steps.append(("Mul", [f"{key}_scale"], {}))
        steps.append(("Cast", [], {"to": _TYPES[kind]}))
        before = ""
        for number, (operator, others, attributes) in enumerate(steps):
            after = key if operator == "Cast" else f"{key}_{number}"
            taken = [*([before] if before else []), *others]
            nodes.append(helper.make_node(operator, taken, [after], **attributes))
            before = after
        shape = (axes or {}).get(key, [view[0], *value.shape[1:]])
        declared.append(helper.make_tensor_value_info(key, _TYPES[kind], shape))
    given = [helper.make_tensor_value_info(name, _TYPES[dtype], view)]
    if second:
        axis = [view[0], 2] if second == "orig_target_sizes" else [view[0]]
        given.append(helper.make_tensor_value_info(second, T.INT64, axis))
    stored = [numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()]
    graph = helper.make_graph(nodes, "small", given, declared, stored)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)
    return path
