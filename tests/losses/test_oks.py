"""YOLO-Pose's loss and its assignment of people to anchors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posewright.codecs import YoloPose
from posewright.errors import ModelError
from posewright.losses import YoloPoseLoss, loss_for
from posewright.losses.oks import answers, complete_iou
from posewright.nms import oks as pose_similarity
from posewright.people import People
from posewright.skeletons import COCO17

CODEC = YoloPose((192, 128), max_people=4)


def targets_of(*boxes: tuple[float, float, float, float]) -> dict[str, Tensor]:
    rng = np.random.default_rng(0)
    low, high = np.split(np.array(boxes, np.float32).reshape(-1, 1, 4), 2, 2)
    points = low + (high - low) * rng.random((len(boxes), 17, 2), np.float32)
    people = People.of(boxes, None, points, np.ones((len(boxes), 17)))
    return {k: torch.from_numpy(v) for k, v in CODEC.encode(people).items()}


def outputs_for(targets: dict[str, Tensor]) -> dict[str, Tensor]:
    """What a network emits that is right at all anchors that answer."""
    places, pairs = torch.tensor(CODEC.locations), answers(targets, CODEC)
    n, views = len(places), len(targets["boxes"])
    outputs = {k: torch.zeros(views, n, c) for k, c in (("box", 4), ("keypoints", 34))}
    outputs |= {k: torch.full((views, n, 1), -30.0) for k in ("cls", "objectness")}
    outputs["visibility"] = torch.full((views, n, 17), 30.0)
    at, who = (pairs.view, pairs.anchor), (pairs.view, pairs.person)
    cell, stride, anchor = (places[pairs.anchor][:, i:j] for i, j in ((0, 2), (2, 3), (3, 5)))
    boxes = targets["boxes"][who]
    middle, sides = (boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]
    outputs["box"][at] = torch.cat([(middle - cell) / stride, sides / anchor], 1)
    points = (targets["keypoints"][who] - cell[:, None]) / stride[:, None]
    outputs["keypoints"][at] = points.flatten(1)
    outputs["objectness"][at] = outputs["cls"][at] = 30.0
    return outputs


def test_anchors_of_similar_size_in_three_cells_answer() -> None:
    # 40 x 50 is near enough to the anchors of stride 8, to two of 16 and to none of 32
    pairs = answers(targets_of((41, 36, 81, 86)), CODEC)  # the middle is at 61, 61
    assert len(pairs.view) == 3 * 3 + 2 * 3 and not pairs.view.any() and not pairs.person.any()
    places = torch.tensor(CODEC.locations)[pairs.anchor]
    cells = [{tuple(p) for p in places[pairs.level == i, :2].tolist()} for i in (0, 1)]
    assert cells == [{(56, 56), (64, 56), (56, 64)}, {(48, 48), (64, 48), (48, 64)}]
    ratio = places[:, 3:] / torch.tensor([40.0, 50.0])
    assert ((ratio < 4) & (ratio > 0.25)).all()


def test_cells_outside_of_the_view_do_not_answer() -> None:
    pairs = answers(targets_of((0, 0, 6, 7)), CODEC)  # the middle is nearest to the corner
    places = torch.tensor(CODEC.locations)[pairs.anchor]
    assert len(places) == 1 and places[0].tolist() == [0, 0, 8, 19, 27]
    assert len(answers(targets_of(), CODEC).view) == 0


def test_complete_overlap_is_known() -> None:
    box = torch.tensor([0.0, 0, 10, 10])
    assert complete_iou(box, box).item() == pytest.approx(1)
    beside = torch.tensor([10.0, 0, 20, 10])
    assert complete_iou(box, beside).item() == pytest.approx(-(10**2) / (20**2 + 10**2))
    wide = torch.tensor([0.0, 2.5, 10, 7.5])  # half of the square, about its middle
    aspect = 4 / np.pi**2 * (np.arctan(1) - np.arctan(2)) ** 2
    expected = 0.5 - aspect**2 / (0.5 + aspect)
    assert complete_iou(box, wide).item() == pytest.approx(expected, abs=1e-6)


def test_right_outputs_cost_nothing_and_wrong_ones_something() -> None:
    targets = targets_of((41, 35, 81, 85), (100, 20, 160, 120))
    loss, outputs = YoloPoseLoss(CODEC, COCO17.oks_sigmas), outputs_for(targets)
    assert loss(outputs, targets).item() == pytest.approx(0, abs=1e-5)
    for key in outputs:
        wrong = {**outputs, key: outputs[key] + (1 if key in ("box", "keypoints") else -35.0)}
        assert loss(wrong, targets) > 0.01, key


def test_key_point_term_is_one_minus_oks() -> None:
    targets = targets_of((100, 20, 160, 120))
    loss, outputs = YoloPoseLoss(CODEC, COCO17.oks_sigmas), outputs_for(targets)
    moved = {k: v.clone() for k, v in outputs.items()}
    stride = torch.tensor(CODEC.locations)[:, 2]
    moved["keypoints"] += 3 / stride[:, None]
    box, points = targets["boxes"][0, :1].numpy(), targets["keypoints"][0, :1].numpy()
    half = box.copy()  # of half the area
    half[:, 2] = half[:, 0] + (half[:, 2] - half[:, 0]) / 2
    one, two = (People.of(half, None, p, np.ones((1, 17))) for p in (points, points + 3))
    expected = 0.1 * (1 - pose_similarity(one, two, COCO17.oks_sigmas)[0, 0])
    levels = len(answers(targets, CODEC).level.unique())
    assert loss(moved, targets).item() == pytest.approx(levels * expected, rel=1e-4)


def test_unlabelled_joints_do_not_pull() -> None:
    targets = targets_of((100, 20, 160, 120))
    targets["weight"][0, 0, :5] = 0
    outputs = {k: v.requires_grad_() for k, v in outputs_for(targets).items()}
    far = {**outputs, "keypoints": outputs["keypoints"] + 0.1}
    YoloPoseLoss(CODEC, COCO17.oks_sigmas)(far, targets).backward()
    gradient = outputs["keypoints"].grad
    assert gradient is not None
    assert not gradient[..., :10].any() and gradient[..., 10:].any()


def test_nobody_and_batches() -> None:
    loss = YoloPoseLoss(CODEC, COCO17.oks_sigmas)
    nobody, somebody = targets_of(), targets_of((41, 35, 81, 85))
    outputs = outputs_for(somebody)
    empty = loss(outputs, nobody)
    assert empty.isfinite() and empty > 0.01
    twice = {k: torch.cat([v, v]) for k, v in somebody.items()}
    wrong = {**outputs, "keypoints": outputs["keypoints"] + 0.2}
    double = {k: torch.cat([v, v]) for k, v in wrong.items()}
    assert loss(double, twice).item() == pytest.approx(loss(wrong, somebody).item(), rel=1e-5)


def test_gradients_are_right() -> None:
    codec = YoloPose((64, 64), strides=(32,), anchors=(20.0, 30.0), max_people=1)
    loss = YoloPoseLoss(codec, COCO17.oks_sigmas[:2], balance=(1.0,)).double()
    people = People.of([[8, 4, 38, 50]], None, [[[20, 20], [30, 40]]], [[1, 1]])
    targets = {k: torch.from_numpy(v).double() for k, v in codec.encode(people).items()}
    torch.manual_seed(0)
    shapes = {"objectness": 1, "cls": 1, "keypoints": 4, "visibility": 2}
    given = {k: torch.rand(1, 4, n, dtype=torch.float64) for k, n in shapes.items()}
    # the person's aspect: where it differs, the trade-off of CIoU is a constant for the gradient
    box = torch.tensor([0.4, 0.5, 1.2, 1.2 * 20 / 30 * 46 / 30], dtype=torch.float64)
    box = box.expand(1, 4, 4).clone()

    def f(*values: Tensor) -> Tensor:
        return loss({"box": box, **dict(zip(given, values, strict=True))}, targets)

    assert torch.autograd.gradcheck(f, [v.requires_grad_() for v in given.values()])
    corners = torch.rand(3, 4, dtype=torch.float64) + torch.tensor([0.0, 0, 2, 2])
    same = corners + torch.tensor([0.3, 0.1, 0.3, 0.1])
    assert torch.autograd.gradcheck(lambda x: complete_iou(x, same), corners.requires_grad_())


def test_it_is_the_codecs_loss_and_refuses_other_sizes() -> None:
    loss = loss_for(CODEC, COCO17)
    assert isinstance(loss, YoloPoseLoss)
    outputs = {k: v[:, :-1] for k, v in outputs_for(targets_of()).items()}
    with pytest.raises(ModelError, match="anchors"):
        loss(outputs, targets_of())
