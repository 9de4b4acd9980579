"""Integral losses: the symmetric gradient by its rule, true gradients, weights of joints."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posewright.codecs import Combined, Heatmap, Integral
from posewright.errors import UsageError
from posewright.losses import CombinedLoss, HeatmapMSE, IntegralL1, loss_for
from posewright.losses.integral import SymmetricMean
from posewright.people import People
from posewright.skeletons import COCO17, COCO133, HALPE26, HALPE136

KINDS = ["softmax", "sigmoid", "sum"]


def maps(*shape: int, seed: int = 0) -> Tensor:
    """Positive, so that "sum" is far from a division by 0."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def targets(b: int, k: int, seed: int = 1) -> dict[str, Tensor]:
    return {"points": maps(b, k, 2, seed=seed) - 0.5, "weight": torch.ones(b, k).double()}


def test_the_mean_is_the_mean() -> None:
    weights = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.25, 0.75]])
    torch.testing.assert_close(SymmetricMean.apply(weights), torch.tensor([1.0, 1.75]))


@pytest.mark.parametrize(
    ("weights", "signs"),
    [
        ([0.1, 0.2, 0.4, 0.3], [-1, -1, 1, 1]),  # mean 1.9
        ([0.0, 0.0, 1.0, 0.0], [-1, -1, 1, 1]),  # mean 2: cell 2 is not before it
        ([1.0, 0.0, 0.0, 0.0], [1, 1, 1, 1]),  # mean 0: nothing is before it
        ([0.0, 0.0, 0.0, 1.0], [-1, -1, -1, 1]),
        ([0.0, 0.0, 0.0, 2.0], [1, 1, 1, 1]),  # mean 6, beyond the map of 4 cells
    ],
)
def test_the_symmetric_gradient_is_two_away_from_the_mean(
    weights: list[float], signs: list[int]
) -> None:
    w = torch.tensor([weights], requires_grad=True)
    (SymmetricMean.apply(w) * 3).sum().backward()
    torch.testing.assert_close(w.grad, 3.0 * 2 * torch.tensor([signs], dtype=torch.float32))


def test_the_symmetric_gradient_of_a_whole_map() -> None:
    x, t = maps(1, 1, 4, 6).requires_grad_(), targets(1, 1)
    loss = IntegralL1("sigmoid", symmetric=True)({"heatmap": x}, t)
    loss.backward()
    s = 1 / (1 + np.exp(-x.detach().numpy()[0, 0]))
    p = s / s.sum()
    at = np.array([p.sum(0) @ np.arange(6), p.sum(1) @ np.arange(4)])
    pull = np.sign(at / [6, 4] - 0.5 - t["points"][0, 0].numpy()) / [6, 4]
    signs = [np.where(np.arange(n) < a, -2, 2) for n, a in zip((6, 4), at, strict=True)]
    dp = pull[0] * signs[0][None] + pull[1] * signs[1][:, None]  # (4, 6)
    ds = (dp - (dp * p).sum()) / s.sum()
    torch.testing.assert_close(x.grad[0, 0], torch.from_numpy(ds * s * (1 - s)))


@pytest.mark.parametrize("kind", KINDS)
def test_the_true_gradient(kind: str) -> None:
    loss = IntegralL1(kind)  # type: ignore[arg-type]
    t = targets(2, 3)
    x = maps(2, 3, 4, 5).requires_grad_()
    assert torch.autograd.gradcheck(lambda m: loss({"heatmap": m}, t), (x,))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("symmetric", [False, True])
def test_value_is_the_sum_of_distances_over_views(kind: str, symmetric: bool) -> None:
    x, t = maps(2, 3, 4, 5), targets(2, 3)
    one, two = ({k: v[i : i + 1] for k, v in t.items()} for i in range(2))
    loss = IntegralL1(kind, symmetric=symmetric)  # type: ignore[arg-type]
    each = [loss({"heatmap": x[i : i + 1]}, part) for i, part in enumerate((one, two))]
    torch.testing.assert_close(loss({"heatmap": x}, t), sum(each) / 2)
    flat = torch.ones_like(x)  # its mean is half a cell before the middle
    if kind == "sum":
        expected = (torch.tensor([-0.5 / 5, -0.5 / 4]) - t["points"]).abs().sum() / 2
        torch.testing.assert_close(loss({"heatmap": flat}, t), expected)


@pytest.mark.parametrize("symmetric", [False, True])
def test_joints_without_weight_have_no_gradient(symmetric: bool) -> None:
    x, t = maps(1, 3, 4, 5).requires_grad_(), targets(1, 3)
    t["weight"][0, 1] = 0
    IntegralL1("sigmoid", symmetric=symmetric)({"heatmap": x}, t).backward()
    assert not x.grad[0, 1].any() and x.grad[0, 0].any()


def test_body_joints_count_twice_and_targets_stay_as_they_are() -> None:
    x, t = maps(1, 3, 4, 5), targets(1, 3)
    parts = [
        IntegralL1("sum")({"heatmap": x[:, part]}, {k: v[:, part] for k, v in t.items()})
        for part in (slice(2), slice(2, 3))
    ]
    loss = IntegralL1("sum", body=2)({"heatmap": x}, t)
    torch.testing.assert_close(loss, 2 * parts[0] + parts[1])
    assert (t["weight"] == 1).all()


def test_combined_is_a_hundred_squares_and_a_hundredth_of_distances() -> None:
    x, t = maps(2, 5, 4, 5), targets(2, 3)
    t["heatmap"], t["weight"] = maps(2, 2, 4, 5, seed=3), torch.ones(2, 5).double()
    t["weight"][0, 0] = t["weight"][1, 4] = 0
    squares = (x[:, :2] - t["heatmap"]).square().mean((2, 3)) * t["weight"][:, :2]
    distances = IntegralL1("sigmoid")(
        {"heatmap": x[:, 2:]}, {"points": t["points"], "weight": t["weight"][:, 2:]}
    )
    loss = CombinedLoss(3)({"heatmap": x}, t)
    torch.testing.assert_close(loss, 100 * squares.mean() + 0.01 * distances)


@pytest.mark.parametrize(
    ("codec", "steps", "rate"),
    [(Integral((32, 32)), 100, 5.0), (Integral((32, 32), normalise="sigmoid"), 300, 100.0)],
    ids=["true", "symmetric"],
)
def test_descent_moves_joints_to_their_targets(codec: Integral, steps: int, rate: float) -> None:
    people = People.of(keypoints=[[[20.0, 8.0], [6.0, 18.0]]])
    encoded = {k: torch.from_numpy(v) for k, v in codec.encode(people).items()}
    loss = loss_for(codec, COCO17)
    x = torch.zeros(1, 2, 8, 8, requires_grad=True)
    assert loss is not None
    for step in range(steps):
        (gradient,) = torch.autograd.grad(loss({"heatmap": x}, encoded), x)
        with torch.no_grad():
            x -= rate * (1 - step / steps) * gradient
    (found,) = codec.decode({"heatmap": x.detach()})
    assert np.abs(found.keypoints - people.keypoints).max() < 0.5


def test_codecs_have_their_losses() -> None:
    ipr = loss_for(Integral(), HALPE136)
    assert isinstance(ipr, IntegralL1)
    assert (ipr.normalise, ipr.symmetric, ipr.body) == ("softmax", False, 0)
    for skeleton, body in ((HALPE136, 26), (COCO133, 23), (COCO17, 0), (HALPE26, 0)):
        loss = loss_for(Integral(normalise="sigmoid"), skeleton)
        assert isinstance(loss, IntegralL1)
        assert (loss.normalise, loss.symmetric, loss.body) == ("sigmoid", True, body)
    combined = loss_for(Combined(integrals=42), HALPE136)
    assert isinstance(combined, CombinedLoss) and combined.integrals == 42
    assert isinstance(loss_for(Heatmap(), COCO17), HeatmapMSE)
    with pytest.raises(UsageError, match="coco17 has 17 joints, of which 110"):
        loss_for(Combined(), COCO17)
