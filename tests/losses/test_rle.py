"""RLE's loss: the flow is a density, gradients are true, residual densities as documented."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from posewright.codecs import codec_named
from posewright.losses import CoordinateL1, PoseurLoss, RLELoss, loss_for
from posewright.losses.rle import RealNVP, residual_loss
from posewright.skeletons import COCO17


def shaken(module: nn.Module, seed: int = 0, scale: float = 0.3) -> nn.Module:
    """Give weights that are far from the start, where the flow is almost a normal distribution."""
    random = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            p.copy_(torch.randn(p.shape, generator=random, dtype=p.dtype) * scale)
    return module.double()


def numbers(*shape: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=random, dtype=torch.float64) * 0.8 + 0.1


def grid(step: float = 0.2, reach: float = 12.0) -> Tensor:
    line = torch.arange(-reach, reach, step, dtype=torch.float64)
    return torch.stack(torch.meshgrid(line, line, indexing="ij"), -1).view(-1, 2)


@pytest.mark.parametrize("seed", [0, 1])
def test_probabilities_add_up_to_one(seed: int) -> None:
    flow = shaken(RealNVP(), seed, 0.15)
    assert isinstance(flow, RealNVP)
    with torch.no_grad():
        values = flow.log_prob(grid())
    assert values.exp().sum().item() * 0.2**2 == pytest.approx(1, abs=1e-3)
    assert not torch.allclose(values, RealNVP().double().log_prob(grid()), atol=0.1)


def test_flow_begins_as_the_normal_distribution() -> None:
    torch.manual_seed(0)
    points = torch.tensor([[0.0, 0.0], [1.0, 2.0]])
    normal = -points.square().sum(1) / 2 - math.log(2 * math.pi)
    torch.testing.assert_close(RealNVP().log_prob(points), normal, atol=0.6, rtol=0)


@pytest.mark.parametrize(("density", "total"), [("laplace", 1.0), ("official", 2 / math.pi**0.5)])
def test_residual_densities_add_up_to_what_is_said(density: str, total: float) -> None:
    flow = shaken(RealNVP())
    assert isinstance(flow, RealNVP)
    at = torch.arange(-8, 8, 0.002, dtype=torch.float64)
    made = {
        k: torch.stack([x, x], 1)[:, None]
        for k, x in (("coordinates", at), ("sigma", 0 * at + 0.3))
    }
    target = torch.zeros(len(at), 1, 2, dtype=torch.float64)
    with torch.no_grad():
        rest = residual_loss(flow, made, target, density) - residual_loss(flow, made, target)
    assert (-rest[..., 0]).exp().sum().item() * 0.002 == pytest.approx(total, rel=1e-3)


@pytest.mark.parametrize("density", ["official", "laplace"])
def test_gradients_of_rle(density: str) -> None:
    loss = shaken(RLELoss(density))
    made, sigma, goal = (numbers(2, 3, 2, seed=i).requires_grad_(i < 2) for i in range(3))
    weight = torch.tensor([[1.0, 0, 1], [1, 1, 1]], dtype=torch.float64)

    def value(a: Tensor, b: Tensor) -> Tensor:
        out: Tensor = loss({"coordinates": a, "sigma": b}, {"coordinates": goal, "weight": weight})
        return out

    assert gradcheck(value, (made, sigma))
    value(made, sigma).backward()
    assert made.grad is not None and not made.grad[0, 1].any() and made.grad[0, 2].any()
    assert all(p.grad is not None for p in loss.parameters())


def test_rle_is_a_sum_over_joints_and_a_mean_over_views() -> None:
    loss = shaken(RLELoss())
    joint = {"coordinates": numbers(1, 1, 2), "sigma": numbers(1, 1, 2, seed=1)}
    goal = {"coordinates": numbers(1, 1, 2, seed=2), "weight": torch.ones(1, 1).double()}
    one = loss(joint, goal)
    views = [{k: v.expand(4, 3, *v.shape[2:]) for k, v in d.items()} for d in (joint, goal)]
    torch.testing.assert_close(loss(*views), 3 * one)


def test_a_vanished_sigma_is_finite() -> None:
    made = {"coordinates": torch.zeros(1, 2, 2), "sigma": torch.zeros(1, 2, 2)}
    goal = {"coordinates": torch.full((1, 2, 2), 0.5), "weight": torch.ones(1, 2)}
    torch.manual_seed(0)
    assert torch.isfinite(RLELoss("laplace")(made, goal))


def test_poseur_adds_the_coarse_coordinates_and_every_round() -> None:
    loss = shaken(PoseurLoss())
    assert isinstance(loss, PoseurLoss)
    made, sigma = numbers(2, 4, 3, 2), numbers(2, 4, 3, 2, seed=1)
    goal = {
        "coordinates": numbers(2, 3, 2, seed=2),
        "weight": torch.tensor([[1.0, 0, 1], [1, 1, 1]], dtype=torch.float64),
    }
    single = RLELoss().double()
    total = torch.zeros((), dtype=torch.float64)
    for i in range(4):
        single.flow = loss.enc_flow if i == 0 else loss.dec_flow
        total = total + single({"coordinates": made[:, i], "sigma": sigma[:, i]}, goal)
    outputs = {"round_coordinates": made, "round_sigma": sigma}
    torch.testing.assert_close(loss(outputs, goal), total)
    last = {"coordinates": made[:, 3], "sigma": sigma[:, 3]}
    torch.testing.assert_close(loss(last, goal), single(last, goal))


def test_coordinate_losses_by_hand_and_their_gradients() -> None:
    goal = {
        "coordinates": torch.zeros(1, 2, 2).double(),
        "weight": torch.tensor([[1.0, 0]]).double(),
    }
    made = torch.tensor([[[0.5, -2.0], [9.0, 9.0]]], dtype=torch.float64, requires_grad=True)
    assert CoordinateL1(beta=0)({"coordinates": made}, goal).item() == pytest.approx(2.5 / 4)
    assert CoordinateL1()({"coordinates": made}, goal).item() == pytest.approx((0.125 + 1.5) / 4)
    for loss in (CoordinateL1(), CoordinateL1(beta=0)):
        assert gradcheck(lambda x, f=loss: f({"coordinates": x}, goal), (made,))


def test_the_codec_chooses_the_loss() -> None:
    official, laplace = (
        loss_for(codec_named(n, (192, 256)), COCO17) for n in ("rle", "mmpose_rle")
    )
    assert isinstance(official, RLELoss) and official.density == "official"
    assert isinstance(laplace, RLELoss) and laplace.density == "laplace"
    assert isinstance(loss_for(codec_named("regression", (192, 256)), COCO17), CoordinateL1)
