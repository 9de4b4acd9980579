"""Losses of one-pass networks: their assignment against loops, their gradients, their minimum."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from posewright.codecs import RTMO, YoloxPose
from posewright.errors import ModelError
from posewright.losses.yolox import (
    RTMOLoss,
    RTMOStage,
    YoloxPoseLoss,
    assign,
    box_iou,
    in_pixels,
    oks,
    varifocal,
)
from posewright.models.rtmo import DCC
from posewright.nms import box_iou as numpy_iou
from posewright.nms import oks as numpy_oks
from posewright.people import People

K = 3
SIGMAS = np.array([0.05, 0.08, 0.1], np.float32)


def people(seed: int, count: int = 3, size: int = 64) -> People:
    rng = np.random.default_rng(seed)
    corner = rng.uniform(0, size - 30, (count, 2))
    boxes = np.hstack([corner, corner + rng.uniform(14, 30, (count, 2))])
    points = corner[:, None] + rng.uniform(2, 14, (count, K, 2))
    scores = (rng.random((count, K)) < 0.8).astype(np.float32)
    return People.of(boxes, None, points, scores)


def targets_of(
    codec: Any, *crowds: People, dtype: torch.dtype = torch.float32
) -> dict[str, Tensor]:
    encoded = [codec.encode(c) for c in crowds]
    return {
        k: torch.from_numpy(np.concatenate([e[k] for e in encoded])).to(dtype) for k in encoded[0]
    }


def predictions(seed: int, crowd: People, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log scores (1, N), boxes (1, N, 4) and points (1, N, K, 2) near to somebody of the crowd."""
    g = torch.Generator().manual_seed(seed)
    n = len(cells)
    who = torch.randint(len(crowd), (n,), generator=g)
    boxes = torch.from_numpy(crowd.boxes)[who] + torch.randn(n, 4, generator=g) * 2
    points = torch.from_numpy(crowd.keypoints)[who] + torch.randn(n, K, 2, generator=g) * 2
    return torch.randn(1, n, generator=g) - 2, boxes[None], points[None]


def by_loops(
    scores: Tensor, boxes: Tensor, points: Tensor, cells: Tensor, crowd: People, sigmas: Tensor
) -> set[tuple[int, int]]:
    """SimOTA of one view person by person, as its paper tells it -> (cell, person) pairs."""
    n, p = len(cells), len(crowd)
    cost, alike, usable = np.full((n, p), np.inf), np.zeros((n, p)), np.zeros(n, bool)
    for j in range(p):
        x1, y1, x2, y2 = crowd.boxes[j]
        area, weight = max(0.53 * (x2 - x1) * (y2 - y1), 1), crowd.scores[j] > 0
        for i, (x, y, s) in enumerate(cells.tolist()):
            inside = x1 < x < x2 and y1 < y < y2
            near = abs(x - (x1 + x2) / 2) < 2.5 * s and abs(y - (y1 + y2) / 2) < 2.5 * s
            usable[i] |= inside or near
            squares = ((points[0, i].numpy() - crowd.keypoints[j]) ** 2).sum(1)
            joint = np.exp(-squares / (8 * sigmas.numpy() ** 2 * area))
            alike[i, j] = (joint * weight).sum() / max(weight.sum(), 1e-8)
            overlap = numpy_iou(boxes[0, i : i + 1].numpy(), crowd.boxes[j : j + 1])[0, 0]
            cost[i, j] = -3 * np.log(overlap + 1e-7) - 3 * np.log(alike[i, j] + 1e-7)
            cost[i, j] += -float(scores[0, i]) + (0 if inside and near else 1e5)
    cost[~usable], alike[~usable] = np.inf, 0
    claims: dict[int, list[int]] = {}
    for j in range(p):
        count = max(int(np.sort(alike[:, j])[-10:].sum()), 1)
        for i in np.argsort(cost[:, j], kind="stable")[:count]:
            if np.isfinite(cost[i, j]):
                claims.setdefault(int(i), []).append(j)
    return {(i, js[0] if len(js) == 1 else int(cost[i].argmin())) for i, js in claims.items()}


@pytest.mark.parametrize("seed", range(6))
def test_assignment_is_simota_done_by_loops(seed: int) -> None:
    codec, crowd = YoloxPose((64, 64), max_people=5), people(seed)
    cells, sigmas = torch.tensor(codec.locations), torch.tensor(SIGMAS)
    scores, boxes, points = predictions(seed, crowd, cells)
    matches = assign(scores, boxes, points, cells, targets_of(codec, crowd), sigmas)
    pairs = set(zip(matches.cell.tolist(), matches.person.tolist(), strict=True))
    assert pairs == by_loops(scores, boxes, points, cells, crowd, sigmas)
    assert len(pairs) > 3


def test_views_are_assigned_independently_and_padding_gets_no_cell() -> None:
    codec = YoloxPose((64, 64), max_people=6)
    cells, sigmas = torch.tensor(codec.locations), torch.tensor(SIGMAS)
    crowds = [people(11), People.empty(K), people(12, 1)]
    made = [predictions(i, c if len(c) else people(1), cells) for i, c in enumerate(crowds)]
    scores, boxes, points = (torch.cat(parts) for parts in zip(*made, strict=True))
    both = assign(scores, boxes, points, cells, targets_of(codec, *crowds), sigmas)
    assert 1 not in both.view
    for i in (0, 2):
        alone = assign(*made[i], cells, targets_of(codec, crowds[i]), sigmas)
        assert alone.cell.tolist() == both.cell[both.view == i].tolist()
        assert alone.person.tolist() == both.person[both.view == i].tolist()


def test_similarities_are_those_of_nms() -> None:
    a, b = people(20), people(20)
    moved = b.replace(keypoints=b.keypoints + 1.5, scores=np.ones_like(b.scores))
    area = torch.from_numpy((a.boxes[:, 2:] - a.boxes[:, :2]).prod(1))
    ours = oks(
        torch.from_numpy(a.keypoints), torch.from_numpy(moved.keypoints), area, torch.tensor(SIGMAS)
    )
    assert np.allclose(ours.mean(1), np.diag(numpy_oks(a, moved, SIGMAS)), atol=1e-4)
    shifted = torch.from_numpy(a.boxes + 3)
    assert np.allclose(
        box_iou(torch.from_numpy(a.boxes), shifted),
        np.diag(numpy_iou(a.boxes, a.boxes + 3)),
        atol=1e-5,
    )


def test_varifocal_weighs_people_by_their_quality_and_the_rest_by_its_score() -> None:
    logits, targets = torch.tensor([0.3, -1.0, 2.0]), torch.tensor([0.8, 0.0, 0.4])
    p = logits.sigmoid()
    expected = [
        -0.8 * (0.8 * p[0].log() + 0.2 * (1 - p[0]).log()),
        -0.75 * p[1] ** 2 * (1 - p[1]).log(),
        -0.4 * (0.4 * p[2].log() + 0.6 * (1 - p[2]).log()),
    ]
    assert torch.allclose(varifocal(logits, targets), torch.stack(expected), atol=1e-6)


def grid_outputs(
    codec: YoloxPose, views: int, dtype: torch.dtype, seed: int = 0
) -> dict[str, Tensor]:
    g, n = torch.Generator().manual_seed(seed), len(codec.locations)
    widths = {"cls": 1, "objectness": 1, "box": 4, "keypoints": 2 * K, "visibility": K}
    made = {k: torch.randn(views, n, c, generator=g, dtype=dtype) for k, c in widths.items()}
    made["box"][..., 2:] = made["box"][..., 2:] / 2 + 1
    return made


def perfect(codec: YoloxPose, crowd: People) -> dict[str, Tensor]:
    """Every cell answers for the person whose middle is the nearest."""
    cells, outputs = codec.locations, grid_outputs(codec, 1, torch.float32)
    middles = (crowd.boxes[:, :2] + crowd.boxes[:, 2:]) / 2
    who = np.abs(cells[:, None, :2] - middles).sum(2).argmin(1)
    box, place, stride = crowd.boxes[who], cells[:, :2], cells[:, 2:]
    sides = np.log((box[:, 2:] - box[:, :2]) / stride)
    outputs["box"] = torch.from_numpy(np.hstack([(middles[who] - place) / stride, sides]))[None]
    points = (crowd.keypoints[who] - place[:, None]) / stride[:, None]
    outputs["keypoints"] = torch.from_numpy(points.reshape(1, -1, 2 * K))
    outputs["visibility"] = torch.from_numpy(np.where(crowd.scores[who] > 0, 20, -20)[None]).float()
    return outputs


def test_perfect_outputs_have_almost_no_loss_and_worse_ones_more() -> None:
    codec, boxes = YoloxPose((64, 64), max_people=4), np.array([[4, 4, 28, 36], [34, 20, 62, 58]])
    points = boxes[:, None, :2] + np.array([[3, 4], [20, 9], [12, 30]])
    crowd = People.of(boxes, None, points, [[1, 1, 0], [1, 1, 1]])
    loss, targets = YoloxPoseLoss(codec, SIGMAS), targets_of(codec, crowd)
    outputs = perfect(codec, crowd)
    cells = torch.tensor(codec.locations)
    made = in_pixels(outputs, cells)
    taken = assign(torch.zeros(1, len(cells)), *made, cells, targets, torch.tensor(SIGMAS)).cell
    for key in ("cls", "objectness"):
        outputs[key] = torch.full_like(outputs[key], -25.0)
        outputs[key][0, taken] = 25.0
    best = loss(outputs, targets).item()
    assert best < 0.05
    for key in outputs:
        worse = {**outputs, key: outputs[key] * 0.7 if key != "visibility" else -outputs[key]}
        worse["cls"] = worse["cls"] * (-1 if key == "cls" else 1)
        worse["objectness"] = worse["objectness"] * (-1 if key == "objectness" else 1)
        assert loss(worse, targets).item() > best + 0.05, key


def test_padding_does_not_change_the_loss() -> None:
    small, large = (YoloxPose((64, 64), max_people=n) for n in (3, 9))
    outputs = grid_outputs(small, 2, torch.float32)
    crowds = people(41), people(42)
    values = [YoloxPoseLoss(c, SIGMAS)(outputs, targets_of(c, *crowds)) for c in (small, large)]
    assert torch.allclose(*values)


# targets that follow from predictions are constants to autograd but not to finite differences: cls
# of 0 has the same loss for every target, and so has a power of 0
@pytest.mark.parametrize("free", [("cls", "objectness"), ("box", "keypoints", "visibility")])
def test_gradients_of_yolox_pose(free: tuple[str, ...]) -> None:
    codec = YoloxPose((32, 32), max_people=2)
    loss, crowd = YoloxPoseLoss(codec, SIGMAS), people(51, 2, 40)
    targets = targets_of(codec, crowd, dtype=torch.float64)
    outputs = grid_outputs(codec, 1, torch.float64)
    if "cls" not in free:
        outputs["cls"].zero_()
    inputs = tuple(outputs[k].requires_grad_() for k in free)
    assert torch.autograd.gradcheck(
        lambda *a: loss({**outputs, **dict(zip(free, a, strict=True))}, targets), inputs
    )


def rtmo_case(
    dtype: torch.dtype, side: int = 64
) -> tuple[RTMO, DCC, dict[str, Tensor], dict[str, Tensor]]:
    """A codec of few cells, a classifier, outputs of train() and targets."""
    torch.manual_seed(61)
    codec, crowd = RTMO((side, side), max_people=3), people(62, 2, side + 8)
    dcc = DCC(6, K, width=8, key=4).to(dtype).eval()
    cells = torch.tensor(codec.locations)
    log_scores, boxes, points = predictions(63, crowd, cells)
    outputs = {
        "scores": log_scores,
        "boxes": boxes,
        "proxy": points,
        "visibility": torch.randn(1, len(cells), K),
        "pose": torch.randn(1, len(cells), 6),
    }
    return (
        codec,
        dcc,
        {k: v.to(dtype) for k, v in outputs.items()},
        targets_of(codec, crowd, dtype=dtype),
    )


@pytest.mark.parametrize("joint_centres", [True, False])
def test_gradients_of_rtmo(joint_centres: bool) -> None:
    codec, dcc, outputs, targets = rtmo_case(torch.float64, 32)
    loss = RTMOLoss(codec, SIGMAS, dcc, joint_centres=joint_centres, first=RTMOStage(power=0.0))
    keys = list(outputs)
    inputs = tuple(v.requires_grad_() for v in outputs.values())
    assert torch.autograd.gradcheck(
        lambda *a: loss(dict(zip(keys, a, strict=True)), targets), inputs
    )


def test_the_second_stage_teaches_the_proxy_and_the_score() -> None:
    codec, dcc, outputs, targets = rtmo_case(torch.float32)
    same = RTMOStage(mle=5.0, oks=10.0, power=1.0)
    loss = RTMOLoss(codec, SIGMAS, dcc, first=same, second=same)
    before = loss(outputs, targets)
    loss.teach = True
    taught = loss(outputs, targets)
    assert taught.isfinite()
    assert not torch.allclose(before, taught)
    outputs = {k: v.requires_grad_() for k, v in outputs.items()}
    loss(outputs, targets).backward()
    assert all(v.grad is not None and v.grad.isfinite().all() for v in outputs.values())


def test_the_likelihood_is_greatest_where_probability_and_joint_meet() -> None:
    codec, _, outputs, targets = rtmo_case(torch.float32)

    def loss_at(shift: float) -> float:
        def classifier(pose: Tensor, boxes: Tensor, cells: Tensor) -> Any:
            at = torch.arange(-20.0, 90.0).expand(len(pose), -1)
            goal = targets["keypoints"][0, 0] + shift
            chance = [torch.softmax(-((at[:, None] - goal[:, i, None]) ** 2), 2) for i in (0, 1)]
            sigma = torch.full((len(pose), K), 0.05)
            points = goal.expand(len(pose), K, 2)
            return points, (at, at), (chance[0], chance[1]), sigma

        one = {k: v[:, :1] for k, v in targets.items()}
        loss = RTMOLoss(codec, SIGMAS, classifier)
        return loss(outputs, one).item()

    assert loss_at(0.0) < loss_at(3.0) < loss_at(9.0)


def test_views_without_people_and_wrong_outputs() -> None:
    codec, dcc, outputs, _ = rtmo_case(torch.float32)
    nobody = targets_of(codec, People.empty(K))
    loss = RTMOLoss(codec, SIGMAS, dcc)
    assert loss(outputs, nobody) == varifocal(outputs["scores"], torch.zeros(1, 20)).sum()
    grid = YoloxPose((64, 64))
    raw = grid_outputs(grid, 1, torch.float32)
    value = YoloxPoseLoss(grid, SIGMAS)(raw, targets_of(grid, People.empty(K)))
    assert torch.allclose(value, torch.nn.functional.softplus(raw["objectness"]).sum())
    with pytest.raises(ModelError, match="input size"):
        loss({k: v[:, :5] for k, v in outputs.items()}, nobody)
    with pytest.raises(ModelError, match="train"):
        loss({k: v for k, v in outputs.items() if k != "pose"}, nobody)
