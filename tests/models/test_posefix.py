"""PoseFix: its second input, sizes, a training step, a published state dict."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posewright.checkpoints import foreign
from posewright.codecs import PoseFix
from posewright.errors import UsageError
from posewright.losses import PoseFixLoss
from posewright.models import create
from posewright.people import People


def people(count: int = 2) -> People:
    points = np.random.default_rng(0).random((count, 17, 2)) * 60
    return People.of(keypoints=points)


@pytest.mark.parametrize(
    ("variant", "count"),
    [("r50_384x288", 34_051_473), ("r152_384x288", 68_687_249), ("r50_256x192", 34_051_473)],
)
def test_sizes(variant: str, count: int) -> None:
    with torch.device("meta"):
        model = foreign("posefix").variants[variant]()
    assert model.parameters_count == count
    assert model.codec.input_size == ((288, 384) if "384" in variant else (192, 256))


def test_training_steps_lower_the_loss() -> None:
    torch.manual_seed(0)
    model = create("posefix_r50", input_size=(64, 64))
    codec, truth = model.codec, people()
    assert isinstance(codec, PoseFix) and isinstance(model.loss, PoseFixLoss)
    condition = torch.from_numpy(codec.condition(codec.synthesise(truth, np.random.default_rng(0))))
    wanted = {key: torch.from_numpy(value) for key, value in codec.encode(truth).items()}
    views = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    model.train()
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3)
    losses = []
    for _ in range(12):
        loss = PoseFixLoss()(model(views, condition), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert all(p.grad is not None for p in model.parameters())
    assert losses[-1] < 0.8 * losses[0]


def test_the_pose_that_goes_in_matters() -> None:
    torch.manual_seed(0)
    model = create("posefix_r50", input_size=(64, 64))
    views = torch.zeros(2, 64, 64, 3, dtype=torch.uint8)
    maps = torch.from_numpy(PoseFix((64, 64)).condition(people()))
    with torch.inference_mode():
        a = model(views, maps)["heatmap"]
        b = model(views, torch.zeros_like(maps))["heatmap"]
    assert a.shape == (2, 17, 16, 16) and model.codec == PoseFix((64, 64))
    assert not torch.allclose(a, b)
    found = model.codec.decode({"heatmap": a})
    assert [p.keypoints.shape for p in found] == [(1, 17, 2)] * 2


def test_other_skeletons_change_the_stem() -> None:
    with torch.device("meta"):
        model = create("posefix_r50", input_size=(64, 64), skeleton="crowdpose14")
    assert model.backbone.conv1.weight.shape == (64, 17, 7, 7)
    assert model.head.final_layer.out_channels == 14


def test_sides_must_suit_the_backbone() -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        create("posefix_r50", input_size=(60, 64))


def test_a_pose_must_be_given() -> None:
    model = create("posefix_r50", input_size=(64, 64))
    with pytest.raises(UsageError, match="posefix_r50 refines poses"):
        model(torch.zeros(1, 64, 64, 3, dtype=torch.uint8))
