"""Poseur: sizes, rounds of refinement, the attention, training steps."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from posewright.checkpoints import foreign
from posewright.codecs import Regression
from posewright.errors import UsageError
from posewright.models import create
from posewright.models.poseur import ChannelMapper, PoseurHead, SampledAttention, sine_embedding

SIZES = [(16, 12), (8, 6), (4, 3), (2, 2)]


def maps(batch: int = 1, seed: int = 0) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(batch, 256, h, w, generator=random) for h, w in SIZES]


@pytest.mark.parametrize(
    ("variant", "parameters", "size"),
    [
        ("poseur_res50_coco_256x192", 33_256_408, (192, 256)),
        ("poseur_hrnet_w32_coco_256x192", 38_193_752, (192, 256)),
        ("poseur_hrnet_w48_coco_384x288", 74_274_776, (288, 384)),
        ("poseur_mobilenetv2_coco_256x192", 11_355_800, (192, 256)),
    ],
)
def test_sizes(variant: str, parameters: int, size: tuple[int, int]) -> None:
    with torch.device("meta"):
        model = foreign("poseur").variants[variant]()
    assert model.parameters_count == parameters
    assert model.codec == Regression(size, sigma=True)


def test_forward_backward_and_people() -> None:
    torch.manual_seed(0)
    model = create("poseur_mobilenetv2", input_size=(64, 96)).train()
    x = torch.randn(2, 3, 96, 64)
    outputs = model.compute(x)
    assert outputs["round_coordinates"].shape == outputs["round_sigma"].shape == (2, 7, 17, 2)
    goal = {"coordinates": torch.full((2, 17, 2), 0.3), "weight": torch.ones(2, 17)}
    assert model.loss is not None
    model.loss(outputs, goal).backward()
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        found = model.compute(x)
        alone = model.compute(x[1:])
    assert set(found) == {"coordinates", "sigma"}
    torch.testing.assert_close(found["coordinates"][1:], alone["coordinates"], atol=1e-5, rtol=0)
    assert [len(p) for p in model.codec.decode(found)] == [1, 1]


@pytest.mark.parametrize("name", ["poseur_r50", "poseur_hrnet_w32", "poseur_hrnet_w48"])
def test_other_backbones_run(name: str) -> None:
    model = create(name, input_size=(64, 64))
    with torch.no_grad():
        assert model.compute(torch.randn(1, 3, 64, 64))["coordinates"].shape == (1, 17, 2)


def test_a_new_head_keeps_the_coarse_coordinates() -> None:
    torch.manual_seed(0)
    head = PoseurHead(17, SIZES)
    torch.nn.init.constant_(head.encoder.fc_coord.bias, 0.5)
    with torch.no_grad():
        coordinates, _ = head.rounds(maps())
    torch.testing.assert_close(
        coordinates[:, 1:], coordinates[:, :1].clamp(1e-5, 1 - 1e-5).expand(-1, 6, -1, -1)
    )


def test_other_views_than_the_head_was_made_for_are_refused() -> None:
    with pytest.raises(UsageError, match="input_size"):
        PoseurHead(17, SIZES).rounds([x[..., :-1] for x in maps()])
    with pytest.raises(UsageError, match="multiples of 32"):
        create("poseur_r50", input_size=(200, 256))


def test_attention_is_what_grid_sampling_and_projection_give() -> None:
    torch.manual_seed(0)
    attention = SampledAttention()
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    query, places = torch.randn(1, 5, 256), torch.rand(1, 5, 2) * 1.4 - 0.2
    xs = maps()
    values = torch.cat([x.flatten(2).transpose(1, 2) for x in xs], 1)
    offsets = attention.sampling_offsets(query).view(5, 8, 4, 4, 2)
    weights = attention.attention_weights(query).view(5, 8, 16).softmax(2).view(5, 8, 4, 4)
    picked = torch.zeros(5, 8, 256)
    for level, (x, (h, w)) in enumerate(zip(xs, SIZES, strict=True)):
        at = places[0, :, None, None] + offsets[:, :, level] / torch.tensor([w, h])
        grid = (at * 2 - 1).view(1, 40, 4, 2)
        found = functional.grid_sample(x, grid, align_corners=False)[0].view(256, 5, 8, 4)
        picked += torch.einsum("cqmp,qmp->qmc", found, weights[:, :, level])
    heads = [
        picked[:, m] @ attention.value_proj_weight[256 * m : 256 * (m + 1)]
        + attention.value_proj_bias[m]
        for m in range(8)
    ]
    expected = attention.output_proj(torch.cat(heads, 1))[None]
    torch.testing.assert_close(
        attention(query, places, values, SIZES), expected, atol=1e-4, rtol=1e-4
    )


def test_heads_of_a_new_attention_look_eight_ways() -> None:
    at = SampledAttention().sampling_offsets.bias.view(8, 4, 4, 2)
    torch.testing.assert_close(at[1, 0, 2], torch.tensor([3.0, 3.0]))
    torch.testing.assert_close(at[4, 3, 0], torch.tensor([-1.0, 0.0]), atol=1e-6, rtol=0)


def test_sine_embedding_by_hand() -> None:
    found = sine_embedding(torch.tensor([[0.25, 0.0]]), 4)
    slow = 2 * math.pi * 0.25 / 100
    expected = torch.tensor([[1.0, 0.0, math.sin(slow), math.cos(slow), 0.0, 1.0, 0.0, 1.0]])
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_mapper_gives_every_map_the_same_channels() -> None:
    found = ChannelMapper((8, 16))([torch.randn(1, 8, 4, 4), torch.randn(1, 16, 2, 2)])
    assert [tuple(x.shape) for x in found] == [(1, 256, 4, 4), (1, 256, 2, 2)]
