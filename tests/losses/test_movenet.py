"""MoveNet's loss."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posewright.codecs import MoveNet, MoveNetMulti
from posewright.losses import MoveNetLoss, loss_for
from posewright.people import People
from posewright.skeletons import COCO17, Skeleton

SINGLE, MULTI = MoveNet((48, 64)), MoveNetMulti((48, 64), slots=3)


def encoded(codec: MoveNet | MoveNetMulti, count: int = 2) -> dict[str, Tensor]:
    points = np.random.default_rng(0).uniform(2, 46, (count, 17, 2)).astype(np.float32)
    return {k: torch.from_numpy(a) for k, a in codec.encode(People.of(keypoints=points)).items()}


def right(targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a network emits that is right wherever the loss looks."""
    b, _, h, w = targets["heatmap"].shape
    outputs = {key: targets[key].clone() for key in ("centre", "heatmap")}
    cells = {"regression": targets["cell"][..., None].expand_as(targets["joint_cell"])}
    for key in ("box_scale", "box_offset"):
        if key in targets:
            cells[key] = targets["cell"][..., None]
    for key, index in cells.items():
        joints = index.shape[2]
        maps = torch.zeros(b, joints, 2, h * w)
        values = targets[key].view(b, -1, joints, 2)
        real = targets["weight"].any(2)
        for view, slot in real.nonzero().tolist():
            at = torch.arange(joints)
            maps[view, at, :, index[view, slot]] = values[view, slot]
        outputs[key] = maps.view(b, 2 * joints, h, w)
    outputs["offset"] = offsets(targets, h, w)
    return outputs


def offsets(targets: dict[str, Tensor], h: int, w: int) -> Tensor:
    """Return maps that lead from each cell to the nearest of the people's joints."""
    b, _, joints = targets["joint_cell"].shape
    maps = torch.zeros(b, joints, 2, h, w)
    for view, joint, y, x in np.ndindex(b, joints, h, w):
        here = torch.tensor([y, x])
        cells = targets["joint_cell"][view, :, joint]
        places = torch.stack([cells // w, cells % w], 1)
        gap = (places - here).square().sum(1).float()
        gap[targets["weight"][view, :, joint] == 0] = torch.inf
        slot = int(gap.argmin())
        if gap[slot] < torch.inf:
            way = places[slot] - here + targets["offset"][view, slot, joint]
            maps[view, joint, :, y, x] = way
    return maps.view(b, 2 * joints, h, w)


def test_offsets_lead_from_the_cells_around_a_joint_but_no_further() -> None:
    targets = encoded(SINGLE, 1)
    outputs = {k: v.clone().requires_grad_() for k, v in right(targets).items()}
    (MoveNetLoss(COCO17)({**outputs, "offset": outputs["offset"] + 1}, targets)).backward()
    pulled = outputs["offset"].grad.view(17, 2, 16, 12)[:, 0] != 0
    y, x = targets["joint_cell"][0, 0] // 12, targets["joint_cell"][0, 0] % 12
    for joint in range(17):
        rows, columns = pulled[joint].nonzero().T
        assert (rows - y[joint]).abs().max() == 1 and (columns - x[joint]).abs().max() == 1
        assert pulled[joint, y[joint], x[joint]]


@pytest.mark.parametrize("codec", [SINGLE, MULTI])
def test_right_outputs_cost_nothing_and_wrong_ones_something(codec: MoveNet) -> None:
    targets = encoded(codec)
    outputs, loss = right(targets), MoveNetLoss(COCO17)
    assert loss(outputs, targets).item() == pytest.approx(0, abs=1e-6)
    for key in outputs:
        assert loss({**outputs, key: outputs[key] + 0.1}, targets) > 0.1, key


def test_terms_are_the_formulas() -> None:
    targets = encoded(SINGLE)
    outputs, loss = right(targets), MoveNetLoss(Skeleton("two", ("a", "b"), ((0, 1),)))
    centre = outputs["centre"] + 0.1
    expected = (0.01 * (8 * targets["centre"] + 1)).sum() / 2
    assert loss({**outputs, "centre": centre}, targets).item() == pytest.approx(
        expected.item(), rel=1e-4
    )
    moved = {**outputs, "regression": outputs["regression"] + 0.25}
    assert loss(moved, targets).item() == pytest.approx(0.5, rel=1e-4)  # of both axes
    heatmap = outputs["heatmap"].clone()
    heatmap[:, 0] += 0.1
    squares = (0.01 * (8 * targets["heatmap"][:, 0] + 1)).sum() / (2 * 17)
    bone = 0.1 * (2 * 16 * 12) ** 0.5 / 2
    assert loss({**outputs, "heatmap": heatmap}, targets).item() == pytest.approx(
        squares.item() + bone, rel=1e-4
    )


def test_joints_without_weight_and_empty_slots_do_not_pull() -> None:
    targets = encoded(MULTI, 1)
    targets["weight"][0, 0, 3] = 0
    loss = MoveNetLoss(COCO17)
    outputs = {k: (v + 0.1).requires_grad_() for k, v in right(targets).items()}
    loss(outputs, targets).backward()
    gradient = outputs["regression"].grad
    assert gradient is not None
    assert not gradient[0, 6:8].any() and gradient[0, 8:10].any()
    assert (gradient[0, 0] != 0).sum() == 1  # the person's own cell
    nobody = {k: torch.zeros_like(v) for k, v in targets.items()}
    assert loss({k: torch.zeros_like(v) for k, v in outputs.items()}, nobody) == 0


def test_gradients_are_right() -> None:
    codec = MoveNetMulti((16, 12), slots=2)
    points = [[[3, 5], [10, 8]], [[14, 2], [5, 9]]]
    targets = codec.encode(People.of(None, None, points, [[1, 1], [1, 1]]))
    wanted = {k: torch.from_numpy(a) for k, a in targets.items()}
    wanted = {k: a.double() if a.is_floating_point() else a for k, a in wanted.items()}
    torch.manual_seed(0)
    shapes = {
        "centre": 1,
        "heatmap": 2,
        "regression": 4,
        "offset": 4,
        "box_scale": 2,
        "box_offset": 2,
    }
    given = [torch.rand(1, n, 3, 4, dtype=torch.float64).requires_grad_() for n in shapes.values()]
    loss = MoveNetLoss(Skeleton("two", ("a", "b"), ((0, 1),)))
    assert torch.autograd.gradcheck(
        lambda *values: loss(dict(zip(shapes, values, strict=True)), wanted), given
    )


def test_it_is_the_codecs_loss_and_needs_no_links() -> None:
    assert isinstance(loss_for(SINGLE, COCO17), MoveNetLoss)
    assert isinstance(loss_for(MULTI, COCO17), MoveNetLoss)
    targets = encoded(SINGLE)
    outputs = right(targets)
    assert MoveNetLoss(Skeleton("none", COCO17.joints))(outputs, targets).item() < 1e-6
