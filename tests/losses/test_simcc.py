"""Losses of coordinate classification: by hand, true gradients, weights of joints."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from posewright.codecs import SimCC, codec_named
from posewright.losses import SimCCCrossEntropy, SimCCKL, loss_for
from posewright.people import People
from posewright.skeletons import COCO17

SIZE = (24, 32)
CODECS = {
    "rtmpose": SimCC(SIZE),
    "sa": SimCC(SIZE, sigma=4.0, normalised=True),
    "simdr": SimCC(SIZE, normalised=True, smoothing=0.1, score="max"),
}


def targets(codec: SimCC, people: int = 2, joints: int = 3, seed: int = 0) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    points = 4 + 16 * torch.rand(people, joints, 2, generator=random)  # far from the view's edge
    encoded = codec.encode(People.of(keypoints=points.numpy()))
    return {k: torch.from_numpy(v).double() for k, v in encoded.items()}


def logits(goal: dict[str, Tensor], seed: int = 1) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    return {
        k: torch.randn(goal[k].shape, generator=random, dtype=torch.float64) for k in ("x", "y")
    }


def of(codec: SimCC) -> nn.Module:
    loss = loss_for(codec, COCO17)
    assert loss is not None
    return loss


def test_each_kind_of_target_has_its_loss() -> None:
    rtmpose, sa = of(codec_named("simcc", SIZE)), of(codec_named("sa_simdr", SIZE))
    assert isinstance(rtmpose, SimCCKL) and (rtmpose.beta, rtmpose.label_softmax) == (10, True)
    assert isinstance(sa, SimCCKL) and (sa.beta, sa.label_softmax) == (1, False)
    assert isinstance(of(codec_named("simdr", SIZE)), SimCCCrossEntropy)


@pytest.mark.parametrize("kind", CODECS)
def test_gradients_are_true(kind: str) -> None:
    loss = of(CODECS[kind])
    goal = {
        k: v[:1, :2, ::6] if k != "weight" else v[:1, :2] for k, v in targets(CODECS[kind]).items()
    }
    start = logits(goal)

    def value(x: Tensor, y: Tensor) -> Tensor:
        return loss({"x": x, "y": y}, goal)

    assert torch.autograd.gradcheck(value, [start[k].requires_grad_() for k in ("x", "y")])


@pytest.mark.parametrize("kind", CODECS)
def test_the_target_itself_is_the_minimum(kind: str) -> None:
    codec, goal = CODECS[kind], targets(CODECS[kind])
    loss = of(codec)
    perfect = {k: goal[k].clone() if kind == "rtmpose" else goal[k].log() for k in ("x", "y")}
    at_best = {k: v.requires_grad_() for k, v in perfect.items()}
    best = loss(at_best, goal)
    best.backward()
    for v in at_best.values():
        assert v.grad.abs().max() < 1e-6
    if kind != "simdr":  # cross-entropy ends at the entropy of the target
        assert best.item() == pytest.approx(0, abs=1e-5)
    assert loss(logits(goal), goal) > best


def test_divergence_by_hand() -> None:
    goal = {"x": torch.tensor([[[0.5, 0.5]]]), "y": torch.tensor([[[1.0, 0.0, 0.0, 0.0]]])}
    goal["weight"] = torch.ones(1, 1)
    flat = {"x": torch.tensor([[[0.0, math.log(3)]]]), "y": torch.zeros(1, 1, 4)}
    x = (0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)) / 2  # mean over 2 bins
    y = math.log(4) / 4
    assert SimCCKL()(flat, goal).item() == pytest.approx(x + y)
    sharper = {k: v / 10 for k, v in flat.items()}
    assert SimCCKL(10.0)(sharper, goal).item() == pytest.approx(x + y)


def test_a_softmax_of_the_target() -> None:
    plain = {"x": torch.rand(1, 2, 5), "y": torch.rand(1, 2, 7), "weight": torch.ones(1, 2)}
    soft = {**plain, **{k: (plain[k] * 10).softmax(2) for k in ("x", "y")}}
    out = {"x": torch.rand(1, 2, 5), "y": torch.rand(1, 2, 7)}
    torch.testing.assert_close(
        SimCCKL(10.0, label_softmax=True)(out, plain), SimCCKL(10.0)(out, soft)
    )


def test_cross_entropy_of_a_network_that_knows_nothing() -> None:
    goal = targets(CODECS["simdr"])
    out = {k: torch.zeros_like(goal[k]) for k in ("x", "y")}
    expected = math.log(48) + math.log(64)
    assert SimCCCrossEntropy()(out, goal).item() == pytest.approx(expected, rel=1e-6)


def test_cross_entropy_is_torchs_where_views_agree() -> None:
    goal = {"x": torch.eye(6)[None, :3] * 0.9 + 0.02, "y": torch.eye(6)[None, :3] * 0.9 + 0.02}
    goal["weight"] = torch.ones(1, 3)
    out = {k: torch.randn(1, 3, 6, generator=torch.Generator().manual_seed(2)) for k in ("x", "y")}
    parts = [nn.functional.cross_entropy(out[k][0], goal[k][0]) for k in ("x", "y")]
    torch.testing.assert_close(SimCCCrossEntropy()(out, goal), parts[0] + parts[1])


@pytest.mark.parametrize("kind", CODECS)
def test_joints_without_weight_do_not_pull(kind: str) -> None:
    goal = targets(CODECS[kind])
    goal["weight"][0, 1] = 0
    out = {k: v.requires_grad_() for k, v in logits(goal).items()}
    of(CODECS[kind])(out, goal).backward()
    for v in out.values():
        assert v.grad[0, 1].abs().max() == 0
        assert (v.grad.abs().amax(2) > 0).sum() == 5


@pytest.mark.parametrize("kind", CODECS)
def test_a_batch_is_the_mean_of_its_views(kind: str) -> None:
    goal = targets(CODECS[kind])
    out, loss = logits(goal), of(CODECS[kind])
    views = [
        loss({k: v[i : i + 1] for k, v in out.items()}, {k: v[i : i + 1] for k, v in goal.items()})
        for i in range(2)
    ]
    torch.testing.assert_close(loss(out, goal), sum(views) / 2)
