"""RTMO: sizes, the coordinate classifier and training."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from posewright.errors import ModelError, UsageError
from posewright.models import create
from posewright.models.rtmo import DCC
from posewright.people import People


def test_parameters_are_as_many_as_mmposes() -> None:
    with torch.device("meta"):
        assert create("rtmo_s").parameters_count == 9_868_899


@pytest.mark.parametrize("name", ["t", "m", "l"])
def test_others_have_the_arrays_of_the_codec(name: str) -> None:
    with torch.device("meta"):
        model = create(f"rtmo_{name}", skeleton="crowdpose14", input_size=(128, 64), candidates=9)
        outputs = model.compute(torch.zeros(2, 3, 64, 128))
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "scores": (2, 9),
        "boxes": (2, 9, 4),
        "keypoints": (2, 9, 14, 2),
        "visibility": (2, 9, 14),
    }


def literal(dcc: DCC, pose: Tensor, boxes: Tensor, cells: Tensor) -> Tensor:
    """The paper's formulas one by one: encoded bins, times tokens, softmax, mean of positions."""
    tokens = dcc.pose_to_kpts(pose).reshape(len(pose), dcc.joints, -1)
    tokens = dcc.gau(tokens, dcc.pos_enc)
    points = []
    for axis, (count, layer) in enumerate(((192, dcc.x_fc), (256, dcc.y_fc))):
        side = (boxes[:, axis + 2] - boxes[:, axis]) * 1.25
        middle = (boxes[:, axis + 2] + boxes[:, axis]) / 2
        bins = torch.linspace(-0.5, 0.5, count) * side[:, None] + middle[:, None]  # (P, bins)
        wavelengths = 300.0 ** (torch.arange(64) / 64)
        angle = (bins - cells[:, axis, None])[..., None] / wavelengths
        codes = layer(torch.cat([angle.cos(), angle.sin()], 2))  # (P, bins, 128)
        chance = torch.softmax(tokens @ codes.transpose(1, 2), 2)
        points.append((chance * bins[:, None]).sum(2))
    return torch.stack(points, 2)


def test_coordinates_are_those_of_the_formulas() -> None:
    torch.manual_seed(0)
    dcc = DCC(24, 5).eval()
    pose, corner = torch.randn(7, 24), torch.rand(7, 2) * 500
    boxes = torch.cat([corner, corner + 20 + torch.rand(7, 2) * 100], 1)
    cells = corner + 10
    points, at, chance, sigma = dcc(pose, boxes, cells)
    assert (points - literal(dcc, pose, boxes, cells)).abs().max() < 1e-2
    assert [a.shape for a in at] == [(7, 192), (7, 256)]
    assert all(torch.allclose(c.sum(2), torch.ones(7, 5), atol=1e-5) for c in chance)
    assert ((sigma > 0) & (sigma < 0.1)).all()


def test_points_lie_in_the_padded_box_of_the_best_cells() -> None:
    torch.manual_seed(1)
    model = create("rtmo_t", input_size=(64, 64), candidates=6)
    with torch.inference_mode():
        outputs = model.compute(torch.randn(2, 3, 64, 64) * 50)
        every = create("rtmo_t", input_size=(64, 64))
        every.load_state_dict(model.state_dict())
        assert every.compute(torch.randn(1, 3, 64, 64))["scores"].shape == (1, 20)
    assert (outputs["scores"].diff(dim=1) <= 0).all()
    low, high = outputs["boxes"][..., :2], outputs["boxes"][..., 2:]
    points, reach = outputs["keypoints"], (high - low)[:, :, None] * 0.125 + 1e-2
    assert (points > low[:, :, None] - reach).all()
    assert (points < high[:, :, None] + reach).all()


def test_it_learns_one_person_alone(
    learn: Callable[..., list[float]], near_the_middle: Callable[..., People]
) -> None:
    torch.manual_seed(2)
    model = create("rtmo_t", input_size=(64, 64)).train()
    model.loss.sigmas.mul_(4)  # as oks_loss.width=4 does at the start of a training
    target = model.codec.encode(near_the_middle(64, 64))
    targets = {k: torch.from_numpy(v).expand(2, *v.shape[1:]) for k, v in target.items()}
    views = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    losses = learn(model, views, targets, steps=20, rate=8e-3)
    assert losses[-1] < 0.9 * losses[0]


def test_one_pose_vector_can_be_trained_on() -> None:
    dcc = DCC(24, 5).train()
    points = dcc(torch.randn(1, 24), torch.tensor([[0.0, 0, 40, 80]]), torch.zeros(1, 2))[0]
    points.sum().backward()
    assert points.isfinite().all()


def test_the_loss_shares_the_head_and_adds_nothing_to_a_state_dict() -> None:
    model = create("rtmo_t", input_size=(64, 64))
    twin = copy.deepcopy(model)
    assert twin.loss.classifier[0] is twin.head.dcc
    assert twin.head.dcc is not model.head.dcc
    assert not [k for k in model.state_dict() if k.startswith("loss")]
    with torch.inference_mode(), pytest.raises(ModelError, match="train"):
        model.loss(model.compute(torch.zeros(1, 3, 64, 64)), {})


def test_pixels_are_single_precision_in_a_half_precision_network() -> None:
    torch.manual_seed(3)
    model = create("rtmo_t", input_size=(64, 64), candidates=4)
    x = torch.randn(1, 3, 64, 64) * 50
    with torch.inference_mode():
        outputs = model.bfloat16().compute(x.bfloat16())
    assert outputs["boxes"].dtype == outputs["keypoints"].dtype == torch.float32
    assert all(v.isfinite().all() for v in outputs.values())


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        create("rtmo_s", input_size=(640, 500))
