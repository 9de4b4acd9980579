"""Good examples of the files that hold networks, checkpoints and matrices."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from posewright.codecs import DEKR, Heatmap, MoveNet, SimCC
from posewright.models.registry import create
from posewright.models.saving import save_model
from posewright.nms import PPoseNMS
from posewright.runtimes.info import METADATA_KEY, ModelInfo
from posewright.skeletons import COCO17

__all__ = ["networks"]


def networks(folder: Path) -> dict[str, list[Path]]:
    """Write a file of every form that holds weights; return them by kind."""
    torch.manual_seed(0)
    for kind in ("safetensors", "weights", "pickles", "zips", "graphs", "metadata", "mat", "state"):
        (folder / kind).mkdir()
    save_model(
        create("movenet_fire717", input_size=(96, 96)), folder / "safetensors" / "a.safetensors"
    )
    return {
        "safetensors": [folder / "safetensors" / "a.safetensors"],
        "weights": _weights(folder / "weights"),
        "pickles": _pickles(folder / "pickles", zipped=False),
        "zips": _pickles(folder / "zips", zipped=True),
        "graphs": _graphs(folder / "graphs"),
        "metadata": _metadata(folder / "metadata"),
        "mat": [_mat(folder / "mat" / "joints.mat")],
        "state": _state(folder / "state"),
        "openvino": [_openvino(folder / "graphs" / "a.onnx", folder / "openvino" / "a.xml")],
        **_foreign(folder),
    }


_SMALL = ModelInfo("small", SimCC(input_size=(48, 64), split=1.0), COCO17)


def _infos() -> list[ModelInfo]:
    codecs = [MoveNet(), SimCC(smoothing=0.1, normalised=True), Heatmap(refine="dark"), DEKR()]
    return [ModelInfo("net", codec, COCO17, ppose=PPoseNMS.wholebody()) for codec in codecs]


def _weights(folder: Path) -> list[Path]:
    """Write some tensors with our metadata, small enough for any of them to be damaged."""
    tensors = {"a.weight": torch.ones(2, 3), "a.bias": torch.ones(2), "n": torch.tensor(3)}
    told = {METADATA_KEY: _infos()[0].to_json(), "x": "y"}
    save_file(tensors, folder / "a.safetensors", told)
    save_file(tensors, folder / "plain.safetensors")
    return sorted(folder.iterdir())


def _pickles(folder: Path, zipped: bool) -> list[Path]:
    """Write a state dict in a wrapper, and a module, as torch.save did before 1.6 or does now."""
    weights = {"state_dict": {"a.weight": torch.ones(2, 3), "a.bias": torch.ones(2)}, "epoch": 3}
    for name, value in (("a.pth", weights), ("module.pth", torch.nn.Linear(2, 3))):
        torch.save(value, folder / name, _use_new_zipfile_serialization=zipped)
    return sorted(folder.iterdir())


def _graphs(folder: Path) -> list[Path]:
    """Write graphs: the mean rows and columns of the view as SimCC, the same for every joint.

    One has our metadata; the other none, as mmdeploy publishes RTMPose.
    """
    views = helper.make_tensor_value_info("views", TensorProto.UINT8, ["n", 64, 48, 3])
    model = _model(views, [1, 3], [2, 3])
    helper.set_model_props(model, {METADATA_KEY: _SMALL.to_json()})
    planes = helper.make_tensor_value_info("views", TensorProto.FLOAT, ["n", 3, 64, 48])
    onnx.save(model, folder / "a.onnx")
    onnx.save(_model(planes, [1, 2], [1, 3], "simcc_"), folder / "plain.onnx")
    return sorted(folder.iterdir())


def _openvino(graph: Path, path: Path) -> Path:
    """Write a graph again in OpenVINO's own form: XML, with the constants beside it."""
    from posewright.runtimes.openvino import ov, the_core

    path.parent.mkdir()
    model = the_core().read_model(graph)
    model.set_rt_info(_SMALL.to_json(), METADATA_KEY)
    ov.save_model(model, path)
    return path


def _model(
    views: onnx.ValueInfoProto, rows: list[int], columns: list[int], prefix: str = ""
) -> onnx.ModelProto:
    nodes = [
        helper.make_node("Cast", ["views"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["float"], ["xs"], axes=rows, keepdims=0),
        helper.make_node("ReduceMean", ["float"], ["ys"], axes=columns, keepdims=0),
        helper.make_node("Unsqueeze", ["xs", "one"], ["x1"]),
        helper.make_node("Unsqueeze", ["ys", "one"], ["y1"]),
        helper.make_node("Tile", ["x1", "times"], [f"{prefix}x"]),
        helper.make_node("Tile", ["y1", "times"], [f"{prefix}y"]),
    ]
    outputs = [
        helper.make_tensor_value_info(f"{prefix}{axis}", TensorProto.FLOAT, ["n", 17, size])
        for axis, size in (("x", 48), ("y", 64))
    ]
    constants = [
        numpy_helper.from_array(np.array(a), n) for n, a in (("one", [1]), ("times", [1, 17, 1]))
    ]
    graph = helper.make_graph(nodes, "small", [views], outputs, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _metadata(folder: Path) -> list[Path]:
    for info in _infos():
        (folder / f"{info.codec.kind}.json").write_text(info.to_json())
    return sorted(folder.iterdir())


def _state(folder: Path) -> list[Path]:
    facts = {"epoch": 3, "step": 7, "python": [3, [1, 2], None]}
    tensors = {"model.a": torch.ones(2, 3), "numpy": torch.ones(4)}
    save_file(tensors, folder / "state.safetensors", {"posewright.training": json.dumps(facts)})
    return [folder / "state.safetensors"]


def _element(kind: int, body: bytes) -> bytes:
    return struct.pack("<II", kind, len(body)) + body + b"\0" * (-len(body) % 8)


def _matrix(name: str, shape: tuple[int, ...], kind: int, content: bytes) -> bytes:
    head = _element(6, struct.pack("<II", kind, 0)) + _element(
        5, struct.pack(f"<{len(shape)}i", *shape)
    )
    return _element(14, head + _element(1, name.encode()) + content)


def _mat(path: Path) -> Path:
    """Write the joints of LSP's extension for three people, a text, a cell and a struct."""
    numbers = np.ones(14 * 3 * 3)
    joints = _matrix("joints", (14, 3, 3), 6, _element(9, numbers.tobytes()))
    text = _matrix("t", (1, 2), 4, _element(16, b"ab"))
    inner = _matrix("", (1, 1), 6, _element(9, struct.pack("<d", 7)))
    cell = _matrix("c", (1, 2), 1, inner + inner)
    fields = struct.pack("<HHi", 5, 4, 4) + _element(1, b"a\0\0\0b\0\0\0")
    record = _matrix("s", (1, 1), 2, fields + inner + inner)
    path.write_bytes(b"MATLAB 5.0".ljust(124) + b"\0\1IM" + joints + text + cell + record)
    return path


def _varint(n: int) -> bytes:
    return bytes([n]) if n < 128 else bytes([n & 127 | 128]) + _varint(n >> 7)


def _field(number: int, data: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _foreign(folder: Path) -> dict[str, list[Path]]:
    """Write a MindSpore checkpoint of one tensor, and a TF.js manifest with its weights."""
    tensor = b"\x08\x02\x08\x03" + _field(2, b"Float32") + _field(3, bytes(24))
    mindspore = folder / "mindspore" / "a.ckpt"
    manifest = folder / "tfjs" / "model.json"
    for file in (mindspore, manifest):
        file.parent.mkdir()
    mindspore.write_bytes(_field(1, _field(1, b"conv.weight") + _field(2, tensor)))
    (folder / "tfjs" / "a.bin").write_bytes(bytes(32))
    entries = [
        {"name": "a", "shape": [2, 3], "dtype": "float32"},
        {"name": "b", "shape": [4], "dtype": "float32", "quantization": {"dtype": "float16"}},
    ]
    manifest.write_text(json.dumps({"weightsManifest": [{"paths": ["a.bin"], "weights": entries}]}))
    return {"mindspore": [mindspore], "tfjs": [manifest]}
