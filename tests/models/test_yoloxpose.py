"""YOLOX-Pose: sizes, shapes and training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from posewright.errors import ModelError, UsageError
from posewright.models import create
from posewright.models.parts.cspnext import SPPBottleneck
from posewright.people import People


@pytest.mark.parametrize(("name", "count"), [("tiny", 6_045_339), ("s", 10_729_963)])
def test_parameters_are_as_many_as_mmposes(name: str, count: int) -> None:
    with torch.device("meta"):
        assert create(f"yoloxpose_{name}").parameters_count == count


@pytest.mark.parametrize("name", ["m", "l"])
def test_larger_ones_have_the_arrays_of_the_codec(name: str) -> None:
    with torch.device("meta"):
        model = create(f"yoloxpose_{name}", skeleton="crowdpose14", input_size=(128, 64))
        outputs = model.compute(torch.zeros(2, 3, 64, 128))
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "cls": (2, 168, 1),
        "objectness": (2, 168, 1),
        "box": (2, 168, 4),
        "keypoints": (2, 168, 28),
        "visibility": (2, 168, 14),
    }
    assert len(model.codec.locations) == 168


def test_views_go_in_as_blue_green_red_from_0_to_255() -> None:
    model = create("yoloxpose_tiny", input_size=(64, 64))
    view = torch.tensor([10, 20, 250], dtype=torch.uint8).expand(1, 64, 64, 3)
    assert model.normalise(view)[0, :, 0, 0].tolist() == [250, 20, 10]


def test_it_learns_one_person(
    learn: Callable[..., list[float]], near_the_middle: Callable[..., People]
) -> None:
    torch.manual_seed(0)
    model = create("yoloxpose_tiny", input_size=(64, 64)).train()
    model.loss.sigmas.mul_(4)  # as oks_loss.width=4 does at the start of a training
    target = model.codec.encode(near_the_middle(64, 64))
    targets = {k: torch.from_numpy(v).expand(2, *v.shape[1:]) for k, v in target.items()}
    views = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    losses = learn(model, views, targets, steps=18, rate=8e-3)
    assert losses[-1] < 0.8 * losses[0]


def test_three_pools_of_5_are_pools_of_5_9_and_13() -> None:
    x = torch.randn(1, 2, 20, 17)
    pool = SPPBottleneck(4, torch.nn.BatchNorm2d).pool
    assert torch.equal(pool(pool(x)), torch.nn.functional.max_pool2d(x, 9, 1, 4))
    assert torch.equal(pool(pool(pool(x))), torch.nn.functional.max_pool2d(x, 13, 1, 6))


def test_a_new_network_sees_nobody_and_a_batch_is_its_single_views() -> None:
    torch.manual_seed(1)
    model = create("yoloxpose_tiny", input_size=(64, 64))
    views = torch.randint(0, 255, (3, 64, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        batch, single = model(views), model(views[1:2])
    for key, value in batch.items():
        assert (value[1:2] - single[key]).abs().max() < 1e-4
    assert [len(p) for p in model.codec.decode(batch)] == [0, 0, 0]


def test_sizes_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        create("yoloxpose_s", input_size=(640, 500))
    model = create("yoloxpose_tiny", input_size=(64, 64))
    with torch.inference_mode(), pytest.raises(ModelError, match="84"):
        outputs = model.compute(torch.zeros(1, 3, 96, 96))
        model.loss(outputs, {})
