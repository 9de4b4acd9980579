"""HRNet, its lite forms, Lite-HRNet, HRFormer and hourglass: counts, shapes, gradients, options."""

from __future__ import annotations

import pytest
import torch

from posewright.checkpoints import convert, foreign
from posewright.errors import UsageError
from posewright.models import create
from posewright.models.layers import DropPath
from posewright.models.lite_hrnet import shuffled

COUNTS = {
    "hrnet_w32": 28_536_113, "hrnet_w48": 63_595_745, "hrnet_w32_lite": 7_686_193,
    "hourglass_4": 13_020_612, "lite_hrnet_18": 1_130_769, "lite_hrnet_30": 1_763_717,
    "hrformer_s": 7_746_779, "hrformer_b": 43_211_777, "simple_baseline_r50": 33_999_697,
    "simple_baseline_r101": 52_991_825, "simple_baseline_r152": 68_635_473,
}  # fmt: skip


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        assert create(name).parameters_count == COUNTS[name]


def test_the_other_reading_of_lite_and_other_data_sets() -> None:
    with torch.device("meta"):
        assert create("hrnet_w32_lite", fourth_stage=True).parameters_count == 12_802_417
        assert create("hrnet_w32", skeleton="mpii16").parameters_count == 28_536_080
        wide, narrow = (create("naive_lite_hrnet_18", wide=w) for w in (True, False))
    assert wide.parameters_count > narrow.parameters_count


@pytest.mark.parametrize(
    "name", ["hrnet_w32_lite", "lite_hrnet_18", "naive_lite_hrnet_18", "hrformer_s", "hourglass_4"]
)
def test_forward_and_backward(name: str) -> None:
    torch.manual_seed(0)
    model = create(name, input_size=(64, 96), skeleton="coco17").train()
    outputs = model.compute(torch.rand(2, 3, 96, 64))
    assert outputs["heatmap"].shape == (2, 17, 24, 16)
    targets = {"heatmap": torch.zeros(2, 17, 24, 16), "weight": torch.ones(2, 17)}
    model.loss(outputs, targets).backward()
    # of the naive network's last exchange only the first branch is read
    unused = "stage2.1" if name.startswith("naive") else "none"
    rest = [p for n, p in model.named_parameters() if unused not in n]
    assert all(p.grad is not None and p.grad.isfinite().all() for p in rest)


def test_every_stack_of_an_hourglass_is_supervised() -> None:
    model = create("hourglass_4", input_size=(64, 64))
    outputs = model.compute(torch.rand(1, 3, 64, 64))
    assert sorted(outputs) == ["heatmap", "heatmap_1", "heatmap_2", "heatmap_3"]
    targets = {"heatmap": outputs["heatmap"].detach(), "weight": torch.ones(1, 17)}
    one = model.loss({"heatmap": outputs["heatmap"]}, targets)
    assert one == 0 and model.loss(outputs, targets) > 0
    with pytest.raises(UsageError, match="one heatmap per joint"):
        create("hourglass_4", codec="simcc")


def test_shuffle_takes_the_halves_in_turn() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffled(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_drop_path_keeps_the_mean_and_is_off_in_evaluation() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 1)
    found = drop.train()(x)
    assert abs(found.mean() - 1) < 0.05 and abs((found == 0).float().mean() - 0.25) < 0.03
    assert torch.equal(drop.eval()(x), x)


def test_hrformer_without_projections_merged_is_refused_and_biases_are_dropped() -> None:
    model = create("hrformer_s", input_size=(64, 64))
    state = {}
    for key, value in model.state_dict().items():
        key = key.replace(".ffn.", ".mlp.").replace("head.", "keypoint_head.")
        if ".qkv." in key:
            for name, part in zip("qkv", value.chunk(3), strict=True):
                state[key.replace(".qkv.", f".{name}_proj.")] = part
        elif ".attn.attn.proj." in key:
            state[key.replace(".proj.", ".out_proj.")] = value
        else:
            state[key] = value + 1 if key.endswith("bias_table") else value
    found = convert(state, foreign("hrformer"), model)
    ours = model.state_dict()
    assert all(torch.equal(found[k], ours[k]) for k in ours)  # tables of ours begin at 0
