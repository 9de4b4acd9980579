"""Losses of networks that find people by their centres."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from posewright.codecs import DEKR, AdaptivePose
from posewright.losses import AdaptivePoseLoss, DEKRLoss, loss_for
from posewright.losses.centre import focal
from posewright.people import People
from posewright.skeletons import COCO17, CROWDPOSE14


def targets_of(codec: DEKR | AdaptivePose, joints: int = 17, people: int = 2) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    points = rng.uniform(4, 60, (people, joints, 2)).astype(np.float32)
    found = (
        codec.encode(People.of(keypoints=points)) if people else codec.encode(People.empty(joints))
    )
    return {key: _double(torch.from_numpy(a)) for key, a in found.items()}  # type: ignore[arg-type]


def _double(tensor: Tensor) -> Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def rand(*shape: int) -> Tensor:
    torch.manual_seed(0)
    return torch.randn(*shape, dtype=torch.float64).requires_grad_()


DEKR64 = DEKR(input_size=(64, 64))
ADAPTIVE64 = AdaptivePose(input_size=(64, 64), slots=4)


def test_dekr_loss_is_what_a_loop_makes() -> None:
    t = targets_of(DEKR64)
    heatmap, offset = rand(1, 18, 16, 16), rand(1, 34, 16, 16)
    maps = ((heatmap - t["heatmap"]) ** 2 * t["heatmap_weight"]).mean().item()
    total, count = 0.0, 0
    for o, to, w in zip(
        offset.flatten().tolist(),
        t["offset"].flatten().tolist(),
        t["offset_weight"].flatten().tolist(),
        strict=True,
    ):
        far = abs(o - to)
        total += w * (4.5 * far**2 if far < 1 / 9 else far - 1 / 18)
        count += w > 0
    found = DEKRLoss()({"heatmap": heatmap, "offset": offset}, t)
    assert found.item() == pytest.approx(maps + 0.03 * total / count)


def test_dekr_loss_is_zero_at_the_targets_and_finite_without_people() -> None:
    t = targets_of(DEKR64)
    assert float(DEKRLoss()(t, t)) == 0
    empty = targets_of(DEKR64, people=0)
    outputs = {"heatmap": rand(1, 18, 16, 16), "offset": rand(1, 34, 16, 16)}
    assert math.isfinite(DEKRLoss()(outputs, empty).item())


def test_dekr_loss_has_the_right_gradients() -> None:
    t = {key: v[..., 4:8, 4:8] for key, v in targets_of(DEKR64, 3).items()}
    loss = DEKRLoss()
    assert torch.autograd.gradcheck(
        lambda h, o: loss({"heatmap": h, "offset": o}, t), [rand(1, 4, 4, 4), rand(1, 6, 4, 4)]
    )


def test_focal_follows_its_definition() -> None:
    logits = rand(1, 1, 4, 5)
    target = torch.rand(1, 1, 4, 5, dtype=torch.float64) * 0.9
    target[0, 0, 1, 2] = target[0, 0, 3, 3] = 1
    total = 0.0
    for z, y in zip(logits.flatten().tolist(), target.flatten().tolist(), strict=True):
        p = 1 / (1 + math.exp(-z))
        near = -math.log(p) * (1 - p) ** 2
        total += near if y == 1 else -math.log(1 - p) * p**2 * (1 - y) ** 4
    assert focal(logits, target).item() == pytest.approx(total)
    assert torch.autograd.gradcheck(lambda z: focal(z, target), [logits])


def test_focal_is_finite_for_sure_logits() -> None:
    logits = torch.tensor([-200.0, 200.0, 200.0, -200.0], requires_grad=True)
    loss = focal(logits, torch.tensor([1.0, 1.0, 0.0, 0.0]))
    loss.backward()
    assert loss.item() == 400 and torch.isfinite(logits.grad).all()


def adaptive_outputs(joints: int = 17) -> dict[str, Tensor]:
    return {"centre": rand(1, 1, 16, 16), "offset": rand(1, 2 * joints, 16, 16)}


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_adaptivepose_loss_is_what_a_loop_makes(skeleton) -> None:
    k = len(skeleton)
    t, outputs = targets_of(ADAPTIVE64, k), adaptive_outputs(k)
    t["weight"][0, 1, :5] = 0
    l1, oks = 0.0, 0.0
    for s in range(2):
        row, column = divmod(int(t["cell"][0, s]), 16)
        at = outputs["offset"][0, :, row, column].view(k, 2).detach()
        gap, weight = at - t["joints"][0, s], t["weight"][0, s]
        l1 += float((gap.abs().sum(1) * weight).sum())
        scale = 2 * (2 * torch.tensor(skeleton.oks_sigmas)) ** 2 * t["area"][0, s]
        oks += 1 - float((torch.exp(-(gap**2).sum(1) / scale) * weight).sum() / weight.sum())
    expected = focal(outputs["centre"], t["centre"]).item() / 2
    expected += l1 / (2 * float(t["weight"].sum()) + 1e-4) + 5 * oks / 2
    found = AdaptivePoseLoss(skeleton)(outputs, t)
    assert found.item() == pytest.approx(expected, rel=1e-6)


def test_adaptivepose_loss_has_the_right_gradients() -> None:
    t = targets_of(ADAPTIVE64, 17)
    loss = AdaptivePoseLoss(COCO17).double()
    offset = rand(1, 34, 16, 16)
    centre = t["centre"] - 0.5

    def run(part: Tensor) -> Tensor:
        whole = torch.cat([part, offset[:, 4:].detach()], 1)
        return loss({"centre": centre, "offset": whole}, t)

    assert torch.autograd.gradcheck(run, [offset[:, :4].detach().requires_grad_()])


def test_adaptivepose_loss_is_finite_without_people() -> None:
    t, outputs = targets_of(ADAPTIVE64, people=0), adaptive_outputs()
    loss = AdaptivePoseLoss(COCO17)(outputs, t)
    loss.backward()
    assert math.isfinite(loss.item()) and torch.isfinite(outputs["offset"].grad).all()


def test_codecs_name_their_losses() -> None:
    assert isinstance(loss_for(DEKR64, COCO17), DEKRLoss)
    assert isinstance(loss_for(ADAPTIVE64, COCO17), AdaptivePoseLoss)
    assert not AdaptivePoseLoss(COCO17).state_dict()
