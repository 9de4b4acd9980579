"""RTMPose: sizes, shapes, options and training."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from posewright.codecs import Heatmap, SimCC
from posewright.errors import UsageError
from posewright.models import create
from posewright.models.parts.gau import GAU
from posewright.people import People


@pytest.mark.parametrize(
    ("name", "count"),
    [("t", 3_337_007), ("s", 5_473_251), ("m", 13_587_611), ("l", 27_660_339), ("x", 49_998_772)],
)
def test_parameters_are_as_many_as_mmposes(name: str, count: int) -> None:
    with torch.device("meta"):
        assert create(f"rtmpose_{name}").parameters_count == count


def test_x_is_that_of_mmposes_configuration() -> None:
    """rtmpose-x_8xb256-700e_body8-halpe26-384x288: the numbers that the count does not show."""
    with torch.device("meta"):
        model = create("rtmpose_x")
    assert model.codec == SimCC((288, 384), sigma=(6.0, 6.93)) and model.skeleton.name == "halpe26"
    assert [len(getattr(model.backbone, f"stage{i}")[-1].blocks) for i in (1, 2, 3, 4)] == [
        4,
        8,
        8,
        4,
    ]
    assert [b.shortcut for b in model.backbone.stage4[-1].blocks] == [False] * 4
    assert model.head.final_layer.in_channels == 1280
    assert model.head.final_layer.kernel_size == (7, 7)
    assert {m.eps for m in model.modules() if isinstance(m, torch.nn.BatchNorm2d)} == {1e-5}


@pytest.mark.parametrize(
    ("skeleton", "joints"), [("coco17", 17), ("halpe26", 26), ("coco133", 133)]
)
def test_skeleton_and_size_set_the_outputs(skeleton: str, joints: int) -> None:
    with torch.device("meta"):
        model = create("rtmpose_s", skeleton=skeleton, input_size=(288, 384))
        outputs = model.compute(torch.zeros(2, 3, 384, 288))
    assert outputs["x"].shape == (2, joints, 576)
    assert outputs["y"].shape == (2, joints, 768)


def test_sigma_follows_the_root_of_the_size_as_in_the_published_configurations() -> None:
    with torch.device("meta"):
        sigmas = [
            create("rtmpose_t", input_size=size).codec.sigma
            for size in ((192, 256), (288, 384), (256, 256))
        ]
    assert sigmas == [(4.9, 5.66), (6.0, 6.93), (5.66, 5.66)]


def test_it_learns_one_person(learn: Callable[..., list[float]]) -> None:
    torch.manual_seed(0)
    model = create("rtmpose_t", input_size=(64, 64)).train()
    joints = torch.rand(2, 17, 2).numpy() * 50 + 5
    targets = {
        key: torch.from_numpy(value)
        for key, value in model.codec.encode(People.of(keypoints=joints)).items()
    }
    views = torch.randint(0, 255, (2, 64, 64, 3), dtype=torch.uint8)
    losses = learn(model, views, targets, steps=16)
    assert losses[-1] < 0.5 * losses[0]


def test_a_batch_is_its_single_views_and_decodes() -> None:
    torch.manual_seed(1)
    model = create("rtmpose_t", input_size=(64, 96))
    views = torch.randint(0, 255, (3, 96, 64, 3), dtype=torch.uint8)
    with torch.inference_mode():
        batch = model(views)
        single = model(views[1:2])
    for key in ("x", "y"):
        assert (batch[key][1:2] - single[key]).abs().max() < 1e-4
    people = model.codec.decode(batch)
    assert [len(p) for p in people] == [1, 1, 1]
    assert people[0].keypoints.shape == (1, 17, 2)


def test_gau_treats_tokens_alike_without_positions() -> None:
    torch.manual_seed(2)
    unit, tokens = GAU(8, 16, 4), torch.randn(2, 5, 8)
    order = torch.tensor([3, 1, 4, 0, 2])
    plain = unit(tokens)
    assert torch.allclose(unit(tokens[:, order]), plain[:, order], atol=1e-5)
    assert not torch.allclose(unit(tokens, torch.randn(5, 4)), plain, atol=1e-3)


def test_options_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="multiples of 32"):
        create("rtmpose_t", input_size=(100, 128))
    with pytest.raises(UsageError, match="simcc"):
        create("rtmpose_t", codec=Heatmap())
    with torch.device("meta"):
        model = create("rtmpose_t", codec=SimCC((192, 256), split=1.0))
    assert model.head.cls_x.out_features == 192
