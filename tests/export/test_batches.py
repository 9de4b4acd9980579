"""A file for any number of views takes any number: no network makes a constant of it."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import posewright.models
from posewright.codecs import Heatmap
from posewright.errors import ModelError
from posewright.export import agreement as module
from posewright.export.agreement import BATCHES, agreement
from posewright.export.export import export
from posewright.models import PoseModel, create

SOURCES = sorted(Path(posewright.models.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_no_network_takes_the_length_of_a_tensor(path: Path) -> None:
    """len(x) is a constant for torch.export; x.shape[0] is not.  A graph's length never changes."""
    found = []
    for function in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef):
            annotated = [a for a in function.args.args if a.annotation is not None]
            given = {a.arg for a in annotated if _text(a.annotation) == "Tensor"} - {"graph"}
            found += [
                call.lineno
                for call in ast.walk(function)
                if isinstance(call, ast.Call)
                and _text(call.func) in ("len", "int")
                and any(isinstance(a, ast.Name) and a.id in given for a in call.args)
            ]
    assert found == []


def _text(node: ast.expr | None) -> str:
    return node.id if isinstance(node, ast.Name) else ""


TOKENS = {"input_size": (48, 64), "patch": (12, 16)}
SMALL: list[tuple[str, dict[str, object]]] = [
    ("tokenpose_t", TOKENS),
    ("tokenpose_t", {**TOKENS, "codec": "simcc"}),
    ("tokenpose_s_v1", {"input_size": (48, 64), "patch": (3, 4)}),
    ("rtmpose_t", {"input_size": (64, 64)}),
]


@pytest.mark.parametrize(("name", "options"), SMALL, ids=[f"{n}-{len(o)}" for n, o in SMALL])
def test_networks_of_tokens_keep_the_batch_open(name: str, options: dict[str, object]) -> None:
    torch.manual_seed(0)
    model = create(name, **options)
    model.loss = None
    width, height = model.codec.input_size
    views = torch.zeros(2, height, width, 3, dtype=torch.uint8)
    program = torch.export.export(
        model.requires_grad_(False), (views,), dynamic_shapes=({0: torch.export.Dim("n", min=1)},)
    )
    for count in BATCHES:
        x = torch.randint(0, 255, (count, height, width, 3), dtype=torch.uint8)
        found = program.module()(x)
        for key, value in model(x).items():
            assert found[key].shape == value.shape and torch.allclose(
                found[key], value, atol=1e-4, rtol=1e-3
            )


class Counting(nn.Module):
    """A head whose maps depend on the number of views, as a constant of the graph."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = nn.functional.avg_pool2d(x, 4).mean(1, keepdim=True).expand(-1, 17, -1, -1)
        return {"heatmap": maps * len(x)}


def counting() -> PoseModel:
    model = PoseModel(nn.Identity(), Counting(), Heatmap(input_size=(48, 64)), "coco17")
    model.name = "counting"
    return model


def test_a_graph_of_one_batch_is_refused_and_not_kept(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    with pytest.raises(ModelError, match="only with a fixed batch of 2 views"):
        export(counting(), path, check=False)
    assert list(tmp_path.iterdir()) == []


class Even:
    """Emits the right maps for calls of `sizes` views, and zeros for others."""

    codec = Heatmap(input_size=(48, 64))

    def __init__(self, sizes: tuple[int, ...]) -> None:
        self.sizes, self.calls = sizes, list[int]()

    def __call__(self, views: np.ndarray, condition: None = None) -> dict[str, np.ndarray]:
        self.calls.append(len(views))
        value = 0.5 if len(views) in self.sizes else 0.0
        return {"heatmap": np.full((len(views), 17, 16, 12), value, np.float32)}


def test_every_size_of_call_is_compared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "real_crops", lambda codec: np.zeros((8, 64, 48, 3), np.uint8))
    ours, theirs = Even(BATCHES), Even(BATCHES)
    check = agreement(ours, theirs, BATCHES)  # type: ignore[arg-type]
    assert theirs.calls == [1, 2, 3, 7] and (check.error, check.people) == (0, 8)
    for wrong in BATCHES:
        some = Even(tuple(size for size in BATCHES if size != wrong))
        assert agreement(ours, some, BATCHES).error > 0.9  # type: ignore[arg-type]
    fixed = Even((3,))
    assert agreement(Even((3,)), fixed, (3,)).error == 0  # type: ignore[arg-type]
    assert fixed.calls == [3, 3, 3]
