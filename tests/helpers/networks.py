"""A registry of the tests' own: tiny networks on a server of this machine, and their sums."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from posewright.weights import registry
from tests.helpers.faulty_server import Asked, FaultyServer, head, serving, whole

__all__ = ["Site", "dets_graph", "rtmo_graph", "simcc_graph", "site", "zipped"]

COLUMNS = registry._TABLE.read_text(encoding="utf-8").partition("\n")[0].split("\t")


def _graph(size: tuple[int, int], answers: dict[str, np.ndarray], batch: Any) -> bytes:
    """Return a graph that answers each view so; the input is read and counts for nothing."""
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["none"]),
        helper.make_node("Unsqueeze", ["none", "axes"], ["nil"]),
    ]
    constants = {"zero": np.zeros(1, np.float32), "axes": np.array([1, 2])}
    outs = []
    for name, answer in answers.items():
        floating = answer.dtype == np.float32
        constants[f"{name}_c"] = answer
        kind, inputs = ("Add", [f"{name}_c", "nil"]) if floating else ("Identity", [f"{name}_c"])
        nodes.append(helper.make_node(kind, inputs, [name]))
        element = TensorProto.FLOAT if floating else TensorProto.INT64
        shape = [batch if floating else 1, *answer.shape[1:]]
        outs.append(helper.make_tensor_value_info(name, element, shape))
    views = helper.make_tensor_value_info("input", TensorProto.FLOAT, [batch, 3, *size[::-1]])
    initial = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "tiny", [views], outs, initial)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def simcc_graph(joints: int = 17, size: tuple[int, int] = (48, 64)) -> bytes:
    """Return a pose network as RTMPose is published: joint k at 3 * k bins of either axis."""
    x, y = (np.zeros((1, joints, 2 * side), np.float32) for side in size)
    for k in range(joints):
        x[0, k, 3 * k % x.shape[2]] = y[0, k, 3 * k % y.shape[2]] = 0.8
    return _graph(size, {"simcc_x": x, "simcc_y": y}, "batch")


def dets_graph(side: int = 320) -> bytes:
    """Return a detector as RTMDet is published: one person."""
    dets = np.array([[[20, 20, 150, 170, 0.9]]], np.float32)
    return _graph((side, side), {"dets": dets, "labels": np.zeros((1, 1), np.int64)}, 1)


def rtmo_graph(side: int = 320) -> bytes:
    """Return a one-stage network as RTMO is published: one person."""
    dets = np.array([[[20, 20, 150, 170, 0.9]]], np.float32)
    joints = np.full((1, 1, 17, 3), 60, np.float32)
    joints[..., 2] = 0.8
    return _graph((side, side), {"dets": dets, "keypoints": joints}, 1)


def zipped(*members: tuple[str, bytes]) -> bytes:
    """Return an archive of the members, which may have one name."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, body in members:
            archive.writestr(zipfile.ZipInfo(name), body, zipfile.ZIP_DEFLATED)
    return made.getvalue()


class Site:
    """A server of files by path, and the table that names them."""

    def __init__(self, folder: Path) -> None:
        self.files: dict[str, bytes] = {}
        self.rows: list[dict[str, str]] = []
        self.table = folder / "table.tsv"
        self.server: FaultyServer

    @property
    def base(self) -> str:
        """The address below which the files are."""
        return f"http://127.0.0.1:{self.server.port}"

    @property
    def asked(self) -> list[str]:
        """The paths that were asked for, in their order."""
        return [asked.path for asked in self.server.asked]

    def answer(self, asked: Asked) -> list[bytes]:
        """Return the file of a path."""
        body = self.files.get(asked.path)
        if body is None:
            return [head("404 Not Found", Content_Length=0)]
        return [whole(body, asked)]

    def add(self, name: str, body: bytes, path: str = "", **columns: Any) -> None:
        """Name a file and serve it; columns: those of the table, as they are to differ."""
        path = path or f"/{name}.onnx"
        self.files[path] = zipped(("a/b/end2end.onnx", body)) if path.endswith(".zip") else body
        told = {
            "name": name,
            "kind": "pose",
            "addresses": self.base + path,
            "member": "end2end.onnx" if path.endswith(".zip") else "",
            "sha256": hashlib.sha256(body).hexdigest(),
            "bytes": len(body),
            "sources": 2,
            "layout": "simcc",
            "code_licence": "Apache-2.0",
            "licence": "Apache-2.0",
            "data": "COCO",
        }
        row = {column: str({**told, **columns}.get(column, "")) for column in COLUMNS}
        self.rows.append(row)
        lines = ["\t".join(each[column] for column in COLUMNS) for each in self.rows]
        self.table.write_text("\n".join(["\t".join(COLUMNS), *lines]) + "\n", encoding="utf-8")
        registry.entries.cache_clear()
        registry._by_alias.cache_clear()


@contextmanager
def site(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """Yield an empty site, whose table takes the place of the registry's."""
    made = Site(folder)
    made.table.write_text("\t".join(COLUMNS) + "\n", encoding="utf-8")
    monkeypatch.setattr(registry, "_TABLE", made.table)
    monkeypatch.setenv("POSEWRIGHT_HOME", str(folder / "home"))
    for name in ("POSEWRIGHT_MIRROR", "POSEWRIGHT_OFFLINE", "TORCH_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
    try:
        with serving(made.answer) as made.server:
            yield made
    finally:
        monkeypatch.undo()
        registry.entries.cache_clear()
        registry._by_alias.cache_clear()
