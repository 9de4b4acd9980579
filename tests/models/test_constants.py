"""What no weight's shape shows: the table of constants is that of the built networks."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.checkpoints import foreigns
from posewright.models import PoseModel, create, variants
from tools.network_constants import COLUMNS, LAYERS, calls, constants, table

ROOT = Path(__file__).parents[2]
NETWORKS = tuple(variants(None))
TABLE = table()


@pytest.mark.parametrize("name", NETWORKS)
def test_the_table_is_that_of_the_networks(name: str) -> None:
    """A difference is a change of what published weights compute: read the original first."""
    assert name in TABLE, "read its constants in the original and add a line to constants.tsv"
    with torch.device("meta"):
        found = constants(create(name))
    assert {column: TABLE[name][column] for column in COLUMNS} == found


@pytest.mark.parametrize("family", LAYERS)
def test_the_table_is_that_of_the_layers(family: str) -> None:
    for variant, build in foreigns()[family].variants.items():
        with torch.device("meta"):
            found = constants(build().eval(), LAYERS[family])
        assert {c: TABLE[f"{family}:{variant}"][c] for c in COLUMNS} == found


def test_the_table_names_nothing_else_and_says_where_each_was_read() -> None:
    layers = [f"{family}:{v}" for family in LAYERS for v in foreigns()[family].variants]
    assert set(TABLE) == {*NETWORKS, *layers}
    assert all(row["read"] for row in TABLE.values())


def test_layers_of_foreign_families_are_all_looked_at() -> None:
    """A family whose variants are no networks would otherwise escape the table."""
    with torch.device("meta"):
        kinds = {
            name: isinstance(next(iter(family.variants.values()))(), PoseModel)
            for name, family in foreigns().items()
            if family.variants
        }
    assert {name for name, network in kinds.items() if not network} == set(LAYERS)


class One(nn.Module):
    """Two blocks of a transformer between convolutions, in which each constant can be changed."""

    def __init__(self, eps: float = 1e-6, heads: int = 2, scale: float | None = None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, 2, 1)
        self.batch, self.layer = nn.BatchNorm2d(8), nn.LayerNorm(8, eps=eps)
        self.heads, self.scale = heads, scale
        self.act: Callable[[Tensor], Tensor] = F.gelu
        self.before = True
        self.number = 0.5

    def forward(self, x: Tensor) -> Tensor:
        x = self.act(self.batch(self.conv(x)))
        t = x.flatten(2).transpose(1, 2)
        for _ in range(2):
            t = t + self.mixed(self.layer(t)) if self.before else self.layer(t + self.mixed(t))
        return t * self.number

    def mixed(self, t: Tensor) -> Tensor:
        q = t.unflatten(2, (self.heads, -1)).transpose(1, 2)
        return F.scaled_dot_product_attention(q, q, q, scale=self.scale).transpose(1, 2).flatten(2)


def told(model: nn.Module, column: str) -> str:
    return calls(model.eval().to("meta"), torch.zeros(1, 3, 8, 8, device="meta"))[column]


def tanh_gelu(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


def pooled(x: Tensor) -> Tensor:
    return F.max_pool2d(x, 2)


def changed(name: str, value: object) -> One:
    model = One()
    setattr(model, name, value)
    return model


@pytest.mark.parametrize(
    ("column", "usual", "other", "said"),
    [
        ("norms", "batch 1e-05; layer 1e-06; before layers", One(eps=1e-12), "layer 1e-12"),
        ("norms", "before layers", changed("before", False), "after shortcuts"),
        ("norms", "batch 1e-05", changed("batch", nn.BatchNorm2d(8, eps=1e-3)), "batch 0.001"),
        ("norms", "batch", changed("batch", nn.GroupNorm(4, 8)), "4 groups 1e-05"),
        ("attention", "2 heads, scores / sqrt 4", One(heads=4), "4 heads, scores / sqrt 2"),
        ("attention", "sqrt 4", One(scale=8**-0.5), "2 heads, scores / sqrt 8"),
        ("activations", "gelu", changed("act", tanh_gelu), "gelu tanh"),
        ("activations", "gelu", changed("act", lambda x: F.leaky_relu(x, 0.1)), "leaky_relu 0.1"),
        ("activations", "gelu", changed("act", nn.SiLU()), "silu"),
        ("numbers", "mul 0.5", changed("number", 0.25), "mul 0.25"),
        ("convolutions", "3x3/2", changed("conv", nn.Conv2d(3, 8, 3, 2, 0)), "3x3/2 pad 0"),
        ("convolutions", "3x3/2", changed("conv", nn.Conv2d(3, 8, 3, 1, 2, 2)), "dilation 2"),
        ("pools", "", changed("act", pooled), "max 2/2"),
        (
            "resizing",
            "",
            changed("act", lambda x: F.interpolate(x, scale_factor=2.0, mode="bilinear")),
            "bilinear",
        ),
        (
            "resizing",
            "",
            changed("act", nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=True)),
            "bilinear corners",
        ),
    ],
)
def test_every_constant_is_seen(column: str, usual: str, other: One, said: str) -> None:
    assert usual in told(One(), column) and said not in told(One(), column)
    assert said in told(other, column)


def test_nothing_but_the_constants_of_the_three_that_were_wrong_would_tell() -> None:
    """Shapes of weights are the same for other heads, activations and divisors."""
    with torch.device("meta"):
        small, large = create("tokenpose_l_d6"), create("tokenpose_l_d24")
    assert "8 heads" in constants(small)["attention"]
    assert "12 heads" in constants(large)["attention"]
    assert "silu x2" in TABLE["yolo_pose_s6_ti_lite"]["activations"]
    assert "div 2176" in TABLE["gau:squared_relu_ns"]["numbers"] and 17 * 128 == 2176


def test_the_page_shows_the_table() -> None:
    code = "import tools.write_models_page as page; print(page.constants_section(), end='')"
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    assert page.endswith(run.stdout), "run: python tools/write_models_page.py"
