"""DEKR: sizes, one pass both ways, adaptive convolution, key tables, rescoring."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from posewright.checkpoints import convert, foreign
from posewright.cli import main
from posewright.codecs import DEKR
from posewright.errors import UsageError
from posewright.models import create
from posewright.models.dekr import AdaptBlock, RescoreNet
from posewright.models.parts.deform import deform_conv2d
from posewright.models.saving import save_model
from posewright.people import People
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.skeletons import COCO17, CROWDPOSE14


@pytest.mark.parametrize(
    ("name", "options", "count"),
    [
        ("dekr_w32", {}, 29_561_182),
        ("dekr_w48", {}, 65_684_590),
        ("dekr_w32", {"skeleton": "crowdpose14"}, 29_522_071),
        ("dekr_w48", {"skeleton": "crowdpose14"}, 65_634_631),
        ("dekr_w32", {"rescore": True}, 29_646_431),
    ],
)
def test_networks_have_the_published_number_of_parameters(name, options, count) -> None:
    with torch.device("meta"):
        assert create(name, **options).parameters_count == count


@pytest.mark.parametrize(
    ("family", "variant", "count"),
    [
        ("dekr", "coco/w48/w48_4x_reg03_bs5_640_adam_lr1e-3_coco_x140", 65_684_590),
        ("dekr", "crowdpose/w32/w32_4x_reg03_bs10_512_adam_lr1e-3_crowdpose_x300", 29_522_071),
        ("mmpose_dekr", "dekr_w32", 29_646_431),
    ],
)
def test_families_build_the_networks_of_their_configurations(family, variant, count) -> None:
    with torch.device("meta"):
        model = foreign(family).variants[variant]()
    assert sum(p.numel() for p in model.parameters()) == count


def test_a_step_reaches_every_parameter() -> None:
    torch.manual_seed(0)
    model = create("dekr_w32", input_size=(64, 64)).train()
    outputs = model.compute(torch.randn(2, 3, 64, 64))
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "heatmap": (2, 18, 16, 16),
        "offset": (2, 34, 16, 16),
    }
    points = np.random.default_rng(0).uniform(4, 60, (2, 17, 2)).astype(np.float32)
    assert isinstance(model.codec, DEKR)
    targets = model.codec.encode(People.of(keypoints=points))
    both = {k: torch.from_numpy(v).repeat(2, 1, 1, 1) for k, v in targets.items()}
    model.loss(outputs, both).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters())


def test_views_of_any_size_go_in() -> None:
    model = create("dekr_w32", skeleton="crowdpose14")
    with torch.inference_mode():
        found = model(torch.zeros(1, 64, 96, 3, dtype=torch.uint8))
    assert found["heatmap"].shape == (1, 15, 16, 24) and found["offset"].shape == (1, 28, 16, 24)


def published(block: dict[str, Tensor], x: Tensor) -> Tensor:
    """One joint's adaptive convolution and batch norm as the paper states them."""
    b, _, h, w = x.shape
    conv = torch.nn.functional.conv2d
    matrix = conv(
        x, block["transform_matrix_conv.weight"], block["transform_matrix_conv.bias"], padding=1
    )
    move = conv(x, block["translation_conv.weight"], block["translation_conv.bias"], padding=1)
    offset = x.new_zeros(b, 18, h, w)
    for tap in range(9):
        grid = block["regular_matrix"][:, tap]
        for axis in (0, 1):
            image = matrix[:, 2 * axis] * grid[0] + matrix[:, 2 * axis + 1] * grid[1]
            offset[:, 2 * tap + axis] = image - grid[axis] + move[:, axis]
    y = deform_conv2d(x, offset, block["adapt_conv.weight"], padding=1)
    y = y * (block["bn.weight"] / (block["bn.running_var"] + 1e-5).sqrt())[:, None, None]
    return (y + block["bn.bias"][:, None, None] + x).relu()


def authors_block(joint: int) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(joint)

    def rand(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) / 3

    grid = torch.cartesian_prod(torch.arange(-1.0, 2), torch.arange(-1.0, 2)).T
    return {
        "regular_matrix": grid.contiguous(),
        "transform_matrix_conv.weight": rand(4, 15, 3, 3),
        "transform_matrix_conv.bias": rand(4),
        "translation_conv.weight": rand(2, 15, 3, 3),
        "translation_conv.bias": rand(2),
        "adapt_conv.weight": rand(15, 15, 3, 3),
        "bn.weight": rand(15),
        "bn.bias": rand(15),
        "bn.running_mean": torch.zeros(15),
        "bn.running_var": rand(15).abs() + 1,
        "bn.num_batches_tracked": torch.tensor(0),
    }


def test_joints_as_groups_compute_what_joints_one_by_one_do() -> None:
    blocks = [authors_block(j) for j in range(3)]
    state = {
        f"offset_feature_layers.{j}.0.{key}": value
        for j, block in enumerate(blocks)
        for key, value in block.items()
    }
    prepare = foreign("dekr").prepare
    assert prepare is not None
    ours = AdaptBlock(3).eval()
    prefix = "offset_feature_layers.0."
    ours.load_state_dict({k.removeprefix(prefix): v for k, v in prepare(state).items()})
    x = torch.randn(2, 45, 6, 5)
    apart = [published(b, part) for b, part in zip(blocks, x.split(15, 1), strict=True)]
    with torch.inference_mode():
        torch.testing.assert_close(ours(x), torch.cat(apart, 1), atol=1e-4, rtol=1e-4)


def test_new_blocks_are_plain_convolutions() -> None:
    block = AdaptBlock(2).eval()
    x = torch.randn(1, 30, 5, 5)
    plain = torch.nn.functional.conv2d(x, block.adapt_conv.weight, padding=1, groups=2)
    torch.testing.assert_close(block(x), (plain / (1 + 1e-5) ** 0.5 + x).relu())


def test_mmpose_files_load_from_either_version() -> None:
    model = create("dekr_w32", rescore=True)
    family = foreign("mmpose_dekr")
    theirs = {}
    names = {
        "transition_heatmap.0": "heatmap_conv_layers.0.conv",
        "transition_heatmap.1": "heatmap_conv_layers.0.bn",
        "head_heatmap.0": "heatmap_conv_layers.1",
        "head_heatmap.1": "heatmap_conv_layers.2",
        "transition_offset.0": "displacement_conv_layers.0.conv",
        "transition_offset.1": "displacement_conv_layers.0.bn",
        "offset_feature_layers.0": "displacement_conv_layers.1",
        "offset_feature_layers.1": "displacement_conv_layers.2",
        "offset_final_layer": "displacement_conv_layers.3",
        "rescore_net": "rescore_net",
    }
    for key, value in model.state_dict().items():
        if key.startswith("head."):
            old = next(n for n in names if key.startswith(f"head.{n}."))
            key = key.replace(f"head.{old}", f"keypoint_head.{names[old]}")
            key = key.replace(".bn.", ".norm.") if "conv_layers.0" not in key else key
        theirs[key] = value[0] if key.endswith("regular_matrix") else value
    old = {}  # as in 0.x: centres first, offsets the other way, the rescoring network on its own
    for key, value in theirs.items():
        sign = -1 if "displacement_conv_layers.3." in key else 1
        value = value.roll(1, 0) if "heatmap_conv_layers.2." in key else value * sign
        key = key.replace("displacement_conv_layers", "offset_conv_layers")
        old[key.replace("keypoint_head.rescore_net", "rescore_net")] = value
    new = {key.replace("keypoint_head.", "head."): value for key, value in theirs.items()}
    for state in (old, new, theirs):
        found = convert(state, family, model)
        assert all(torch.equal(found[k], v) for k, v in model.state_dict().items())


def test_mmpose_networks_decode_offsets_that_lead_outward() -> None:
    with torch.device("meta"):
        codec = foreign("mmpose_dekr").variants["dekr_w32"]().codec
    assert codec == DEKR(outward=True)


@pytest.mark.parametrize(("skeleton", "features"), [(COCO17, 74), (CROWDPOSE14, 59)])
def test_rescoring_takes_limbs_in_units_of_the_body(skeleton, features) -> None:
    torch.manual_seed(0)
    net = RescoreNet(skeleton)
    assert net.l1.in_features == features
    points, scores = torch.randn(3, len(skeleton), 2) * 100, torch.rand(3, len(skeleton))
    found = net(points, scores)
    assert found.shape == (3,)
    torch.testing.assert_close(net(points * 3 + 50, scores), found)


@pytest.mark.parametrize("skeleton", [COCO17, CROWDPOSE14])
def test_rescoring_in_numpy_equals_the_network(skeleton, tmp_path) -> None:
    torch.manual_seed(1)
    net, rng = RescoreNet(skeleton), np.random.default_rng(1)
    torch.nn.init.constant_(net.l3.bias, 0.5)
    file = tmp_path / "final_rescore.pth"
    torch.save(net.state_dict(), file)
    assert main(["models", "convert", str(file), "-o", str(tmp_path / "oks.safetensors")]) == 0
    again = ["models", "convert", str(tmp_path / "oks.safetensors")]
    assert main([*again, "-o", str(tmp_path / "b.safetensors")]) == 2  # another's licence
    numpy = ExpectedOKS.load(tmp_path / "oks.safetensors")
    assert (numpy.skeleton.name, numpy.licence) == (skeleton.name, "MIT")
    points = rng.uniform(0, 400, (5, len(skeleton), 2)).astype(np.float32)
    scores = rng.uniform(0, 1, (5, len(skeleton))).astype(np.float32)
    people = People.of(None, np.linspace(0.2, 0.9, 5), points, scores)
    each = torch.from_numpy(scores * people.box_scores[:, None])
    with torch.inference_mode():
        expected = net(torch.from_numpy(points), each).clamp(0, 1).numpy()
    assert 0 < expected.min() and expected.max() < 1
    np.testing.assert_allclose(numpy(people), expected, atol=1e-5)
    changed = numpy.rescored(people)
    np.testing.assert_allclose(changed.box_scores, people.box_scores * expected, atol=1e-5)


def test_rescoring_is_read_from_the_file_of_mmposes_network(tmp_path) -> None:
    torch.manual_seed(2)
    model, path = (
        create("dekr_w32", skeleton="crowdpose14", rescore=True),
        tmp_path / "a.safetensors",
    )
    save_model(model, path)
    numpy, net = ExpectedOKS.load(path), model.head.rescore_net
    points = np.random.default_rng(2).uniform(0, 90, (2, 14, 2)).astype(np.float32)
    people = People.of(None, [0.5, 0.7], points, np.full((2, 14), 0.6))
    with torch.inference_mode():  # there, joint scores count alone
        expected = net(torch.from_numpy(points), torch.full((2, 14), 0.6)).clamp(0, 1).numpy()
    np.testing.assert_allclose(numpy(people), expected, atol=1e-5)


def test_other_codecs_are_refused() -> None:
    with pytest.raises(UsageError, match="codec='dekr'"):
        create("dekr_w32", codec="heatmap")
    with pytest.raises(UsageError, match="limbs"), torch.device("meta"):
        create("dekr_w32", skeleton="halpe26", rescore=True)
