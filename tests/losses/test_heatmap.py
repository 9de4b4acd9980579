"""Losses of heatmaps: gradients, weights, the hardest joints, discs and offsets."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from posewright.losses import CombinedTargetMSE, HeatmapMSE, StackedMSE


@pytest.mark.parametrize(
    ("loss", "channels"), [(HeatmapMSE(), 4), (HeatmapMSE(2), 4), (CombinedTargetMSE(), 12)]
)
def test_gradients(loss: nn.Module, channels: int) -> None:
    torch.manual_seed(0)
    maps = torch.rand(2, channels, 3, 5, dtype=torch.float64, requires_grad=True)
    targets = {
        "heatmap": torch.rand(2, channels, 3, 5, dtype=torch.float64),
        "weight": torch.rand(2, 4, dtype=torch.float64),
    }
    assert torch.autograd.gradcheck(lambda m: loss({"heatmap": m}, targets), maps)


def test_joints_without_weight_do_not_count() -> None:
    maps = torch.zeros(1, 2, 2, 2)
    found = torch.ones(1, 2, 2, 2)
    found[0, 1] = 9
    targets = {"heatmap": maps, "weight": torch.tensor([[1.0, 0.0]])}
    assert HeatmapMSE()({"heatmap": found}, targets) == 0.25  # half of one joint's 1, of two joints


def test_only_the_hardest_joints_count() -> None:
    maps = torch.zeros(1, 3, 1, 1)
    found = torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1)
    targets = {"heatmap": maps, "weight": torch.ones(1, 3)}
    assert HeatmapMSE(2)({"heatmap": found}, targets) == (9 + 4) / 2 / 2
    assert HeatmapMSE(8)({"heatmap": found}, targets) == HeatmapMSE()({"heatmap": found}, targets)


def test_stacks_add_up() -> None:
    maps = torch.rand(1, 3, 4, 4)
    targets = {"heatmap": torch.zeros(1, 3, 4, 4), "weight": torch.ones(1, 3)}
    one = HeatmapMSE()({"heatmap": maps}, targets)
    assert torch.isclose(StackedMSE()({"heatmap": maps, "heatmap_1": maps}, targets), 2 * one)


def test_offsets_count_inside_of_the_disc_only() -> None:
    target = torch.zeros(1, 3, 2, 2)
    target[0, 0, 0, 0] = 1
    targets = {"heatmap": target, "weight": torch.ones(1, 1)}
    found = target.clone()
    found[0, 1:, 1, 1] = 5
    assert CombinedTargetMSE()({"heatmap": found}, targets) == 0
    found[0, 1, 0, 0] = 2
    assert CombinedTargetMSE()({"heatmap": found}, targets) == 4 / 4 / 2
    assert CombinedTargetMSE()({"heatmap": found}, {**targets, "weight": torch.zeros(1, 1)}) == 0
