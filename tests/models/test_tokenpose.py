"""TokenPose: sizes, heads of both codecs, patches, positions."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from posewright.checkpoints import foreign
from posewright.errors import UsageError
from posewright.models import create
from posewright.models.tokenpose import Block, sine_positions

ORIGINAL = "coco/tokenpose/tokenpose_"


def picture(batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        (f"{ORIGINAL}t_256_192_patch1612_dim192_depth12_heads16", 5_865_600),
        (f"{ORIGINAL}s_v1_256_192_patch43_dim192_depth12_heads8", 6_669_888),
        (f"{ORIGINAL}s_v2_256_192_patch22_dim192_depth12_heads8", 6_374_976),
        (f"{ORIGINAL}b_256_192_patch43_dim192_depth12_heads8", 13_514_368),
        (f"{ORIGINAL}L_D24_256_192_patch43_dim192_depth24_heads12", 27_531_552),
        (f"{ORIGINAL}L_D24_384_288_patch64_dim192_depth24_heads12", 29_863_968),
        ("mpii/tokenpose/tokenpose_l_D6_256x256_patch44_dim192_depth6", 21_492_448),
    ],
)
def test_published_sizes(variant: str, parameters: int) -> None:
    with torch.device("meta"):
        model = foreign("tokenpose").variants[variant]()
    assert model.parameters_count == parameters


@pytest.mark.parametrize(
    ("name", "heads"),
    [("t", 16), ("s_v1", 8), ("s_v2", 8), ("b", 8), ("l_d6", 8), ("l_d24", 12)],
)
def test_heads(name: str, heads: int) -> None:
    """No tensor's shape shows them."""
    with torch.device("meta"):
        model = create(f"tokenpose_{name}")
    assert {m.heads for m in model.modules() if isinstance(m, Block)} == {heads}


@pytest.mark.parametrize(
    ("name", "patch"),
    [
        ("tokenpose_t", (16, 16)),
        ("tokenpose_s_v1", (4, 4)),
        ("tokenpose_s_v2", (2, 2)),
        ("tokenpose_b", (4, 4)),
        ("tokenpose_l_d6", (4, 4)),
    ],
)
def test_forward_and_backward(name: str, patch: tuple[int, int]) -> None:
    model = create(name, input_size=(64, 64), patch=patch, skeleton="mpii16").train()
    maps = model.compute(picture())["heatmap"]
    assert maps.shape == (2, 16, 16, 16)
    maps.square().mean().backward()
    idle = [k for k, p in model.named_parameters() if p.grad is None]
    assert idle == ["head.pos_embedding"]  # the sines are not trained


def test_bins_instead_of_maps() -> None:
    model = create("tokenpose_s_v1", input_size=(64, 64), patch=(4, 4), codec="simdr").train()
    found = model.compute(picture())
    assert {k: v.shape for k, v in found.items()} == {"x": (2, 17, 128), "y": (2, 17, 128)}
    targets = {k: v.detach().softmax(2) for k, v in found.items()}
    model.loss(found, {**targets, "weight": torch.ones(2, 17)}).backward()
    assert all(p.grad is not None for p in model.parameters() if p.requires_grad)


def test_simdr_has_the_published_size() -> None:
    with torch.device("meta"):
        model = create("tokenpose_s_v1", codec="simdr")
    assert 5_500_000 < model.parameters_count < 5_600_000  # "5.5 M" where maps make it 6.6 M


def test_views_do_not_mix_and_patches_reach_every_joint() -> None:
    model = create("tokenpose_t", input_size=(64, 64), patch=(16, 16))
    x = picture()
    changed = x.clone()
    changed[1, :, 48:, 48:] += 1  # the last patch of the second view
    with torch.inference_mode():
        before, after = model.compute(x)["heatmap"], model.compute(changed)["heatmap"]
    torch.testing.assert_close(before[0], after[0])
    assert ((before[1] - after[1]).abs().amax((1, 2)) > 0).all()


def test_patches_of_the_map_row_by_row() -> None:
    head = create("tokenpose_t", input_size=(64, 32), patch=(32, 16)).head
    x = torch.arange(32 * 64).view(1, 1, 32, 64).expand(1, 3, 32, 64)
    patches = head.patches(x)  # (1, 4, 16 * 32 * 3)
    assert patches.shape == (1, 4, 1536)
    assert patches[0, :, 0].tolist() == [0, 32, 16 * 64, 16 * 64 + 32]
    assert patches[0, 0, :6].tolist() == [0, 0, 0, 1, 1, 1]  # channels side by side


def test_positions_differ_and_grow_along_their_axis() -> None:
    table = sine_positions(3, 4, 192).view(4, 3, 192)
    assert len(table.view(12, 192).unique(dim=0)) == 12
    torch.testing.assert_close(table[:, 0, :96], table[:, 2, :96])  # rows in the first half
    torch.testing.assert_close(table[0, :, 96:], table[3, :, 96:])  # columns in the second
    slower = 10000 ** (-4 / 192)
    waves = torch.tensor([0.5, 0.5 * slower]) * math.pi  # the first of four rows
    torch.testing.assert_close(table[0, 1, :4], torch.stack([waves.sin(), waves.cos()], 1).view(4))


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(UsageError, match=r"patch=\(5, 4\): a map of \(48, 64\)"):
        create("tokenpose_b", patch=(5, 4))
    with pytest.raises(UsageError, match=r"\(190, 256\): sides must be multiples of 4"):
        create("tokenpose_b", input_size=(190, 256))
    with pytest.raises(UsageError, match=r"'integral': TokenPose takes"):
        create("tokenpose_b", codec="integral")
