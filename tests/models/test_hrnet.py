"""HRNet, its lite forms, Lite-HRNet, HRFormer and hourglass: counts, shapes, gradients, options."""

from __future__ import annotations

import pytest
import torch

from posewright.checkpoints import convert, foreign
from posewright.codecs import Heatmap
from posewright.errors import ModelError, UsageError
from posewright.models import create
from posewright.models.lite_hrnet import shuffled
from posewright.models.parts.layers import ACTIVATIONS, DropPath

COUNTS = {
    "hrnet_w32": 28_536_113,
    "hrnet_w48": 63_595_745,
    "hrnet_w32_lite": 7_686_193,
    "hourglass_4": 13_020_612,
    "lite_hrnet_18": 1_130_769,
    "lite_hrnet_30": 1_763_717,
    "hrformer_s": 7_746_779,
    "hrformer_b": 43_211_777,
    "simple_baseline_r50": 33_999_697,
    "simple_baseline_r101": 52_991_825,
    "simple_baseline_r152": 68_635_473,
}


@pytest.mark.parametrize("name", COUNTS)
def test_parameters_are_as_many_as_published(name: str) -> None:
    with torch.device("meta"):
        assert create(name).parameters_count == COUNTS[name]


def test_the_other_reading_of_lite_and_other_data_sets() -> None:
    with torch.device("meta"):
        assert create("hrnet_w32_lite", fourth_stage=True).parameters_count == 12_802_417
        assert create("hrnet_w32", skeleton="mpii16").parameters_count == 28_536_080
        # the paper states 0.7 and 1.3 million
        assert create("naive_lite_hrnet_18").parameters_count == 760_365
        assert create("naive_lite_hrnet_18", wide=True).parameters_count == 1_318_625


WHOLE = {"fourth_stage": True, "fourth_branch": True, "input_size": (64, 64)}


def test_the_third_reading_of_lite_differs_from_hrnet_in_its_activations_alone() -> None:
    torch.manual_seed(0)
    hrnet = create("hrnet_w32", input_size=(64, 64))
    for module in hrnet.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.constant_(module.weight, 2.0)  # so that maps do not vanish with depth
    x = torch.rand(1, 3, 64, 64)
    found = {}
    for activation in ACTIVATIONS:
        lite = create("hrnet_w32_lite", activation=activation, **WHOLE)
        lite.load_state_dict(hrnet.state_dict())  # of the same names and shapes
        found[activation] = lite.compute(x)["heatmap"].detach()
        kinds = {type(m) for m in lite.backbone.modules() if type(m) is torch.nn.ReLU}
        assert bool(kinds) == (activation == "relu")
    assert torch.equal(found["relu"], hrnet.compute(x)["heatmap"])
    others = [found[name] for name in found]
    assert not any(torch.equal(a, b) for i, a in enumerate(others) for b in others[:i])


def test_lite_says_what_its_options_take() -> None:
    with pytest.raises(UsageError, match=r"did you mean 'silu'.*known: relu, leaky_relu"):
        create("hrnet_w32_lite", activation="silo")
    with pytest.raises(UsageError, match="add fourth_stage=True"):
        create("hrnet_w48_lite", fourth_branch=True)


# family, configuration of the original, parameters
VARIANTS = [
    ("hrnet", "w32_384x288", 28_536_113),
    ("hrnet", "w48_256x192", 63_595_745),
    ("hrnet", "w48_384x288", 63_595_745),
    ("hrnet", "mpii_w32_256x256", 28_536_080),
    ("hrnet", "dark_w32_128x96", 28_536_113),
    ("hrnet", "dark_hourglass_128x96", 13_020_612),
    ("hrnet_lite", "no_stage4", 7_686_193),
    ("hrnet_lite", "no_branch4", 12_802_417),
    ("lite_hrnet", "litehrnet_18_coco_256x192", 1_130_769),
    ("lite_hrnet", "litehrnet_30_coco_256x192", 1_763_717),
    ("hrformer", "hrt_small_coco_256x192", 7_746_779),
    ("hrformer", "hrt_base_coco_256x192", 43_211_777),
    ("mmpose_hrnet", "hrnet_w48", 63_595_745),
    ("mmpose_hrnet", "udp_reg_hrnet_w32", 28_537_235),
    ("mmpose_litehrnet", "litehrnet30", 1_763_717),
    ("mmpose_hrformer", "hrformer_b", 43_211_777),
]


@pytest.mark.parametrize(("family", "variant", "parameters"), VARIANTS)
def test_configurations_of_the_originals(family: str, variant: str, parameters: int) -> None:
    with torch.device("meta"):
        model = foreign(family).variants[variant]()
    assert model.parameters_count == parameters


def test_view_size_and_codec_are_those_of_the_configuration() -> None:
    with torch.device("meta"):
        small = foreign("hrnet").variants["dark_hourglass_8_128x96"]()
        large = foreign("hrformer").variants["hrt_small_coco_384x288"]()
    assert small.codec == Heatmap((96, 128), sigma=1, refine="dark", kernel=3)
    assert large.codec == Heatmap((288, 384), sigma=3, quantised=True)
    assert (len(small.skeleton), small.pixels.color, large.pixels.color) == (17, "BGR", "RGB")


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
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())


def test_every_stack_of_an_hourglass_is_supervised() -> None:
    model = create("hourglass_4", input_size=(64, 64))
    outputs = model.compute(torch.rand(1, 3, 64, 64))
    assert sorted(outputs) == ["heatmap", "heatmap_1", "heatmap_2", "heatmap_3"]
    targets = {"heatmap": outputs["heatmap"].detach(), "weight": torch.ones(1, 17)}
    one = model.loss({"heatmap": outputs["heatmap"]}, targets)
    assert one == 0 and model.loss(outputs, targets) > 0
    with pytest.raises(UsageError, match="one heatmap per joint"):
        create("hourglass_4", codec="simcc")
    for size in ((32, 64), (96, 100)):
        with pytest.raises(UsageError, match="multiples of 32, and at least 64"):
            create("hourglass_4", input_size=size)


def test_shuffle_takes_the_halves_in_turn() -> None:
    x = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffled(x).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_drop_path_keeps_the_mean_and_is_off_in_evaluation() -> None:
    torch.manual_seed(0)
    drop, x = DropPath(0.25), torch.ones(4000, 1)
    found = drop.train()(x)
    assert abs(found.mean() - 1) < 0.05 and abs((found == 0).float().mean() - 0.25) < 0.03
    assert torch.equal(drop.eval()(x), x)


def test_separate_projections_of_hrformer_are_merged_and_biases_dropped() -> None:
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
    cut = {k: v for k, v in state.items() if ".k_proj." not in k}
    with pytest.raises(ModelError, match="q_proj"):
        convert(cut, foreign("hrformer"), model)
