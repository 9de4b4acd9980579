"""DeepPose, RLE and integral pose regression: sizes, heads, training steps."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posewright.checkpoints import foreign
from posewright.codecs import Regression
from posewright.errors import UsageError
from posewright.models import create
from posewright.models.regression import IntegralHead, NormedLinear, RegressionHead, RLEHead


def picture(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 96, 64, generator=torch.Generator().manual_seed(0))


def goal(batch: int = 2) -> dict[str, Tensor]:
    return {"coordinates": torch.full((batch, 17, 2), 0.3), "weight": torch.ones(batch, 17)}


@pytest.mark.parametrize(
    ("family", "variant", "parameters"),
    [
        ("rle", "res50_256x192", 23_701_148),
        ("mmpose_regression", "deeppose_res50", 23_577_698),
        ("mmpose_regression", "rle_res50", 23_701_148),
        ("mmpose_regression", "rle_res152", 23_701_148 + 58_143_808 - 23_508_032),
        ("mmpose_regression", "ipr_res50", 33_999_825),
    ],
)
def test_sizes(family: str, variant: str, parameters: int) -> None:
    with torch.device("meta"):
        model = foreign(family).variants[variant]()
    assert model.parameters_count == parameters


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("deeppose_r50", {}),
        ("rle_r50", {}),
        ("rle_r50", {"codec": "mmpose_rle"}),
        ("rle_mobilenetv2", {}),
        ("ipr_r50", {}),
    ],
)
def test_forward_backward_and_people(name: str, options: dict[str, str]) -> None:
    torch.manual_seed(0)
    model = create(name, input_size=(64, 96), **options)
    outputs = model.compute(picture())
    assert outputs["coordinates"].shape == (2, 17, 2)
    people = model.codec.decode(outputs)
    assert [len(p) for p in people] == [1, 1]
    assert model.loss is not None
    loss = model.loss(outputs, goal())
    loss.backward()
    assert torch.isfinite(loss)
    used = [p for p in model.parameters() if p.requires_grad]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in used)


@pytest.mark.parametrize("name", ["deeppose_r101", "deeppose_r152", "rle_r101", "rle_r152"])
def test_deeper_networks_run(name: str) -> None:
    model = create(name, input_size=(64, 64))
    with torch.no_grad():
        assert model.compute(picture(1)[..., :64, :])["coordinates"].shape == (1, 17, 2)


def test_heads_follow_the_codec() -> None:
    with torch.device("meta"):
        heads = [create("rle_r50", codec=c).head for c in ("rle", "mmpose_rle", "regression")]
    assert isinstance(heads[0], RLEHead) and isinstance(heads[1], RegressionHead)
    assert heads[1].sigma and not heads[2].sigma
    with pytest.raises(UsageError, match="heatmap"):
        create("rle_r50", codec="heatmap")


def test_normed_layer_divides_by_the_length_but_for_the_bias() -> None:
    layer = NormedLinear(4, 3)
    x = torch.randn(2, 4)
    torch.testing.assert_close(layer(x), layer(5 * x))
    expected = x @ layer.weight.T / x.norm(dim=1, keepdim=True) + layer.bias
    torch.testing.assert_close(layer(x), expected)
    torch.testing.assert_close(layer(torch.zeros(1, 4))[0], layer.bias)


def test_integral_head_finds_the_middle_of_a_flat_map() -> None:
    head = IntegralHead(8, 2, (16, 24))
    torch.nn.init.zeros_(head.final_layer.weight)
    found = head(torch.randn(1, 8, 3, 2))["coordinates"]
    expected = torch.tensor([7.5 / 16, 11.5 / 24]).expand(1, 2, 2)
    torch.testing.assert_close(found, expected)
    assert not head.linspace_x.requires_grad


def test_integral_coordinates_are_those_of_the_codec() -> None:
    model = create("ipr_r50", input_size=(64, 96))
    assert model.codec == Regression((64, 96))
    with torch.no_grad():
        (person,) = model.codec.decode(model.compute(picture(1)))
    assert np.all(person.keypoints >= 0) and np.all(person.keypoints <= [64, 96])
    with pytest.raises(UsageError, match="multiples of 32"):
        create("ipr_r50", input_size=(60, 96))
