"""PoseFix's loss: gradients, its least value, joints without weight."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posewright.codecs import PoseFix
from posewright.losses import PoseFixLoss, loss_for
from posewright.people import People
from posewright.skeletons import COCO17

CODEC = PoseFix((32, 32))


def targets(seed: int = 0, people: int = 2, joints: int = 3) -> dict[str, Tensor]:
    points = np.random.default_rng(seed).random((people, joints, 2)) * 28
    encoded = CODEC.encode(People.of(keypoints=points))
    return {key: torch.from_numpy(value).double() for key, value in encoded.items()}


def maps(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_gradients_are_right() -> None:
    wanted = targets()
    x = maps(2, 3, 8, 8).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: PoseFixLoss()({"heatmap": m}, wanted), x)


def test_the_target_itself_has_the_least_loss() -> None:
    wanted = targets()
    share = wanted["heatmap"]
    entropy = -torch.special.xlogy(share, share).sum((2, 3)).mean()
    ideal = share.clamp(min=1e-12).log()
    assert PoseFixLoss()({"heatmap": ideal}, wanted).item() == pytest.approx(entropy.item(), 1e-4)
    worse = PoseFixLoss()({"heatmap": ideal + maps(2, 3, 8, 8)}, wanted)
    assert worse > entropy


def test_it_is_cross_entropy_plus_distance_in_cells() -> None:
    heat = torch.zeros(1, 1, 8, 8)
    heat[0, 0, 2, 5] = 1
    wanted = {"heatmap": heat, "points": torch.tensor([[[5.0, 2.0]]]), "weight": torch.ones(1, 1)}
    loss = PoseFixLoss()({"heatmap": torch.zeros(1, 1, 8, 8)}, wanted)
    assert loss.item() == pytest.approx(np.log(64) + (1.5 + 1.5) / 2, abs=1e-5)


def test_joints_without_weight_do_not_count() -> None:
    wanted = targets()
    x = maps(2, 3, 8, 8)
    whole = PoseFixLoss()({"heatmap": x}, wanted)
    wanted["weight"][0, 0] = 0
    wanted["heatmap"][0, 0] = 0
    part = PoseFixLoss()({"heatmap": x}, wanted)
    x[0, 0] = 99 * maps(8, 8)
    assert PoseFixLoss()({"heatmap": x}, wanted) == part < whole


def test_the_codec_names_its_loss() -> None:
    assert isinstance(loss_for(CODEC, COCO17), PoseFixLoss)
