"""How large the network of an OpenVINO file is, counted from its graph; nothing is computed."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

from posewright.codecs.base import condition_shape
from posewright.runtimes.counts import Counts, Product
from posewright.runtimes.info import ModelInfo
from posewright.runtimes.openvino import the_core

__all__ = ["openvino_counts"]

_PRODUCTS = {
    "Convolution": "convolution",
    "GroupConvolution": "convolution",
    "DeformableConvolution": "convolution",
    "ConvolutionBackpropData": "transposed",
    "GroupConvolutionBackpropData": "transposed",
    "MatMul": "matrix",
    "Einsum": "",
}
_OF_WEIGHTS = ("f32", "f16", "bf16", "f64", "i8", "u8", "i4", "u4")


def openvino_counts(path: Path, info: ModelInfo) -> Counts | None:
    """Return the parameters and multiply-accumulates of one view of an .xml file.

    None where a shape depends on the pixels.  Branches and loops are not looked into.
    """
    model = the_core().read_model(path)
    views = _set_shapes(model, info)
    parameters, totals = 0, [0, 0]
    for op in model.get_ops():
        kind = op.get_type_name()
        if kind == "Constant":
            parameters += _numbers(op)
        elif kind in _PRODUCTS:
            product = _product(op, kind)
            if product is None:
                return None
            totals = [a + b for a, b in zip(totals, product.macs, strict=True)]
    return Counts(parameters, *(total // views for total in totals))


def _set_shapes(model: Any, info: ModelInfo) -> int:
    """Give the inputs of a graph the shapes of one view, unless it states how many it takes."""
    image = model.inputs[0]
    first, *_, last = image.get_partial_shape()
    views = first.get_length() if first.is_static else 1
    width, height = info.codec.input_size
    nhwc = last.is_static and last.get_length() == 3
    shapes = {image: [views, height, width, 3] if nhwc else [views, 3, height, width]}
    condition = condition_shape(info.codec, len(info.skeleton))
    for port in model.inputs[1:]:
        if condition is not None:
            shapes[port] = [views, *condition]
    model.reshape(shapes)
    return int(views)


def _numbers(constant: Any) -> int:
    """Return how many weights a constant holds: none if its numbers are of shapes and places."""
    shape = list(constant.get_output_shape(0))
    kind = constant.get_output_element_type(0).get_type_name()
    return prod(shape) if shape and kind in _OF_WEIGHTS else 0


def _product(op: Any, kind: str) -> Product | None:
    """Return an operation with its shapes; None where one is not known."""
    second = 2 if kind == "DeformableConvolution" else 1
    ports = [op.input(0), op.input(second), op.output(0)]
    partial = [port.get_partial_shape() for port in ports]
    if not all(shape.is_static for shape in partial):
        return None
    x, w, y = (list(shape.to_shape()) for shape in partial)
    told = op.get_attributes()
    name = _PRODUCTS[kind] or str(told["equation"])
    return Product(name, x, w, y, bool(told.get("transpose_a", False)))
