"""AdaptivePose: sizes, one pass both ways, order of joints, key tables."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from posewright.checkpoints import foreign
from posewright.codecs import AdaptivePose
from posewright.codecs.adaptivepose import parts_of
from posewright.errors import UsageError
from posewright.models import create
from posewright.models.adaptivepose import Sampler
from posewright.people import People
from posewright.skeletons import COCO17, CROWDPOSE14


@pytest.mark.parametrize(
    ("variant", "count"),
    [
        ("hrnet_32", 29_623_214),
        ("hrnet_48", 64_756_302),
        ("hrnet_32_crowdpose", 29_622_824),
        ("dla_34", 21_626_446),
    ],
)
def test_networks_have_the_published_number_of_parameters(variant: str, count: int) -> None:
    with torch.device("meta"):
        model = foreign("adaptivepose").variants[variant]()
    assert sum(p.numel() for p in model.parameters()) == count


@pytest.mark.parametrize("name", ["adaptivepose_hrnet_w32", "adaptivepose_dla34"])
def test_a_step_reaches_every_parameter_that_is_used(name: str) -> None:
    torch.manual_seed(0)
    model = create(name, input_size=(64, 64)).train()
    outputs = model.compute(torch.randn(2, 3, 64, 64))
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "centre": (2, 1, 16, 16),
        "offset": (2, 34, 16, 16),
        "points": (2, 14, 16, 16),
    }
    points = np.random.default_rng(0).uniform(4, 60, (2, 17, 2)).astype(np.float32)
    assert isinstance(model.codec, AdaptivePose)
    targets = model.codec.encode(People.of(keypoints=points))
    both = {k: torch.from_numpy(np.repeat(v, 2, 0)) for k, v in targets.items()}
    model.loss(outputs, both).backward()
    unused = {n for n, p in model.named_parameters() if p.grad is None}
    # the original's trees of trees have these too, and read them no more than we do
    assert all(
        n.startswith(("backbone.base.level3.project", "backbone.base.level4.project"))
        for n in unused
    )
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_views_of_any_size_go_in() -> None:
    model = create("adaptivepose_hrnet_w32", skeleton="crowdpose14")
    with torch.inference_mode():
        found = model(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
    assert found["offset"].shape == (1, 28, 16, 24) and found["centre"].shape == (1, 1, 16, 24)


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_joints_come_in_the_order_of_the_skeleton(skeleton) -> None:
    sampler = Sampler(skeleton).eval()
    with torch.no_grad():
        for part, conv in zip(parts_of(skeleton), sampler.pred_kps_list, strict=True):
            conv.weight.zero_()
            conv.bias.copy_(torch.tensor([[j, -j] for j in part]).flatten())
        sampler.searcher.bias.copy_(torch.arange(14) * 100)
        found = sampler(torch.zeros(1, 256, 2, 2), torch.zeros(1, 256, 2, 2))["offset"]
    pairs = found[0, :, 0, 0].view(-1, 2).tolist()
    for point, part in enumerate(parts_of(skeleton)):
        for joint in part:
            assert pairs[joint] == [200 * point + joint, 200 * point + 100 - joint]


def test_new_networks_put_all_points_at_the_centre() -> None:
    torch.manual_seed(0)
    model = create("adaptivepose_hrnet_w32", input_size=(64, 64))
    with torch.inference_mode():
        outputs = model.compute(torch.randn(1, 3, 64, 64))
    assert (outputs["points"] == 0).all() and outputs["offset"].abs().max() < 1


def test_pixels_are_centernets() -> None:
    with torch.device("meta"):
        pixels = create("adaptivepose_hrnet_w32").pixels
    assert pixels.color == "BGR"
    np.testing.assert_allclose(np.array(pixels.mean) / 255, [0.408, 0.447, 0.470], atol=1e-3)
    np.testing.assert_allclose(np.array(pixels.std) / 255, [0.289, 0.274, 0.278], atol=1e-3)


def test_what_it_cannot_be_is_refused() -> None:
    with pytest.raises(UsageError, match="codec='adaptivepose'"):
        create("adaptivepose_hrnet_w32", codec="heatmap")
    with pytest.raises(UsageError, match="halpe26"):
        create("adaptivepose_hrnet_w32", skeleton="halpe26")
