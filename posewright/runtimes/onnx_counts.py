"""How large the network of an ONNX file is, counted from its graph; nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

from posewright.codecs.base import condition_shape
from posewright.runtimes.batching import batch_size, second_input
from posewright.runtimes.counts import Counts, Product
from posewright.runtimes.info import ModelInfo
from posewright.runtimes.onnx import inferred, open_unoptimised
from posewright.runtimes.outline import integers
from posewright.runtimes.protobuf import Part, message_of

__all__ = ["onnx_counts"]

# fields of a model, a graph, a node, an attribute and a tensor
_GRAPH, _FUNCTIONS, _NODE, _WEIGHTS = 7, 25, 1, 5
_INPUT, _OUTPUT, _KIND, _ATTRIBUTE = 1, 2, 4, 5
_NAME, _NUMBER, _TEXT, _TENSOR = 1, 3, 4, 5
_DIMS, _TYPE, _TENSOR_NAME = 1, 2, 8
# element types of weights: floats of 32, 16 and 64 bits, bfloat16, whole numbers of 8 and 4 bits
_OF_WEIGHTS = (1, 10, 11, 16, 2, 3, 21, 22)
# operations that multiply: their kind, and which of their inputs is the second factor
_PRODUCTS = {
    "Conv": ("convolution", 1),
    "FusedConv": ("convolution", 1),
    "DeformConv": ("convolution", 1),
    "ConvInteger": ("convolution", 1),
    "QLinearConv": ("convolution", 3),
    "ConvTranspose": ("transposed", 1),
    "MatMul": ("matrix", 1),
    "MatMulInteger": ("matrix", 1),
    "QLinearMatMul": ("matrix", 3),
    "Gemm": ("matrix", 1),
    "FusedMatMul": ("matrix", 1),
    "Einsum": ("", 1),
}


@dataclass
class _Graph:
    """weights: shape of each tensor by name.  made: names of what nodes compute.  products: kind,
    names of x, w and y, and whether x is transposed."""

    parameters: int = 0
    weights: dict[str, Sequence[int]] = field(default_factory=dict)
    made: set[str] = field(default_factory=set)
    products: list[tuple[str, tuple[str, str, str], bool]] = field(default_factory=list)


def onnx_counts(path: Path, info: ModelInfo) -> Counts | None:
    """Return the parameters and multiply-accumulates of one view of a graph.

    None where a shape depends on the pixels, or the work is in functions of the file.  Branches and
    loops are not looked into.
    """
    try:
        with message_of(path) as model:
            fields = list(model.fields())
            if any(number == _FUNCTIONS for number, _ in fields):
                return None
            graph = _read(next(v for n, v in fields if n == _GRAPH and isinstance(v, Part)))
    except (IndexError, ValueError, StopIteration):  # onnxruntime reads what this cannot
        return None
    session = open_unoptimised(path)
    shapes = _input_shapes(session, info)
    wanted = {name for _, names, _ in graph.products for name in names} & graph.made
    further = sorted(wanted - {port.name for port in session.get_outputs()})
    found = inferred(path, shapes, further)
    if found is None:
        return None
    known = {**graph.weights, **shapes, **found}
    if not all(name in known for _, names, _ in graph.products for name in names):
        return None
    macs, at_outputs = 0, 0
    for kind, (x, w, y), transposed in graph.products:
        here, there = Product(kind, known[x], known[w], known[y], transposed).macs
        macs, at_outputs = macs + here, at_outputs + there
    views = next(iter(shapes.values()))[0]
    return Counts(graph.parameters, macs // views, at_outputs // views)


def _input_shapes(session: Any, info: ModelInfo) -> dict[str, tuple[int, ...]]:
    """Return the shapes of what goes in for one view, or for as many as the graph takes."""
    image, *further = session.get_inputs()
    views, (width, height) = batch_size(info, image.shape) or 1, info.codec.input_size
    nhwc = image.shape[-1] == 3
    image_shape = (views, height, width, 3) if nhwc else (views, 3, height, width)
    shapes: dict[str, tuple[int, ...]] = {image.name: image_shape}
    condition = condition_shape(info.codec, len(info.skeleton))
    for port in further:
        second = second_input(port.name, views, info.codec.input_size).shape
        shapes[port.name] = second if condition is None else (views, *condition)
    return shapes


def _read(graph: Part) -> _Graph:
    """Return the weights of a graph, and its operations that multiply."""
    found = _Graph()
    for number, value in graph.fields():
        if not isinstance(value, Part):
            continue
        if number == _WEIGHTS:
            _keep(found, _text(value, _TENSOR_NAME), value)
        elif number == _NODE:
            _add(found, value)
    return found


def _keep(graph: _Graph, name: str, tensor: Part) -> None:
    """Note the shape of weights, and count them unless they are whole numbers for shapes."""
    graph.weights[name] = shape = list(integers(tensor, _DIMS))
    if tensor.first(_TYPE) in _OF_WEIGHTS and shape:
        graph.parameters += prod(shape)


def _add(graph: _Graph, node: Part) -> None:
    """Note what a node computes; weights may be constants, too."""
    inputs, outputs = _texts(node, _INPUT), _texts(node, _OUTPUT)
    graph.made.update(outputs)
    kind = _text(node, _KIND)
    if kind == "Constant":
        tensor = _attribute(node, "value", _TENSOR)
        if isinstance(tensor, Part):
            _keep(graph, outputs[0], tensor)
    elif kind in _PRODUCTS:
        name, second = _PRODUCTS[kind]
        if kind == "Einsum":
            equation = _attribute(node, "equation", _TEXT)
            name = bytes(equation.data).decode() if isinstance(equation, Part) else ""
        transposed = _attribute(node, "transA", _NUMBER) == 1
        graph.products.append((name, (inputs[0], inputs[second], outputs[0]), transposed))


def _attribute(node: Part, name: str, number: int) -> int | Part | None:
    """Return the value of a node's attribute; None without it."""
    for key, value in node.fields():
        if key == _ATTRIBUTE and isinstance(value, Part) and _text(value, _NAME) == name:
            return value.first(number)
    return None


def _texts(message: Part, number: int) -> list[str]:
    return [
        bytes(value.data).decode()
        for key, value in message.fields()
        if key == number and isinstance(value, Part)
    ]


def _text(message: Part, number: int) -> str:
    return next(iter(_texts(message, number)), "")
