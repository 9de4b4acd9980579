"""FastPose, SimplePose and SE-ResNet: sizes, pixels, training steps, foreign names."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from posewright.checkpoints import convert, foreign
from posewright.codecs import Combined, Integral
from posewright.errors import ModelError, UsageError
from posewright.models import PoseModel, create
from posewright.models.fastpose import DeformableConv, FastPose, FastPoseDUC
from posewright.models.parts.resnet import ResNet
from posewright.models.seresnet import SqueezeExcite
from posewright.people import People

# parameters of torchvision's ResNets without their classifiers
RESNETS = {18: 11_176_512, 34: 21_284_672, 50: 23_508_032, 101: 42_500_160, 152: 58_143_808}


def simple_pose(depth: int, head: str, gated: bool) -> int:
    """Parameters of SimplePose: ResNet, upsampling, 17 maps, and a gate at the head of each layer.

    A gate is two linear layers as wide as the map.
    """
    widths = (64, 128, 256, 512) if depth < 50 else (256, 512, 1024, 2048)
    gates = sum(2 * (width + 1) * width for width in widths) if gated else 0
    c = widths[-1] // 4  # after the first pixel shuffle
    if head == "dconv":
        upsampling = 16 * 256 * (4 * c + 256 + 256) + 3 * 512 + 17 * 257
    else:
        upsampling = 2 * c * (9 * c + 2) + c * (9 * c // 2 + 2) + 17 * (9 * c // 4 + 1)
    return RESNETS[depth] + upsampling + gates


# parameters that the original networks of AlphaPose and simple_pose have
SIZES = {
    "alphapose": {
        "fastpose_r50": 40_577_745,
        "fastpose_r50_dcn": 41_158_587,
        "fastpose_r101": 59_569_873,
        "fastpose_r152": 75_213_521,
        "fastpose_duc_r50_shuffle": 57_853_777,
        "fastpose_duc_r152": 83_199_825,
        "simplepose_r50": 33_999_697,
        "hrnet_w32": 28_536_113,
        "halpe26_fastpose_r50": 40_588_122,
        "halpe136_fastpose_r50_regression": 42_052_296,
        "halpe_coco_wholebody_136_dcn_combined": 42_633_138,
        "old_r101_320x256": 59_569_873 + 16 * (9 * 128 + 1),  # fastpose_r101's and 16 maps
    },
    "simple_pose": {
        **{
            f"{head}_r{depth}{gates}": simple_pose(depth, head, bool(gates))
            for head in ("dconv", "duc")
            for depth in RESNETS
            for gates in ("", "_se")
        },
        "duc_r50": 29_428_945,
        "duc_r50_se": 40_577_745,
        "dconv_r50": 33_999_697,
        "dconv_r50_se": 45_148_497,
    },
    "mindspore_fastpose": {"fastpose_r50": 29_428_945},
}
NETWORKS = [
    "alphapose_hrnet_w32",
    "alphapose_old_r101",
    "alphapose_simple_r50",
    "fastpose_duc_r50",
    "fastpose_r50",
    "fastpose_r50_dcn",
    "fastpose_r50_dcn_combined",
    "fastpose_r50_mindspore",
    "fastpose_r50_regression",
    "seresnet_50",
    "simple_pose_dconv",
    "simple_pose_dconv_se",
    "simple_pose_duc",
    "simple_pose_duc_se",
]


def built(family: str, variant: str) -> nn.Module:
    with torch.device("meta"):
        return foreign(family).variants[variant]()


@pytest.mark.parametrize(
    ("family", "variant"), [(f, v) for f, variants in SIZES.items() for v in variants]
)
def test_has_as_many_parameters_as_the_original(family: str, variant: str) -> None:
    model = built(family, variant)
    assert sum(p.numel() for p in model.parameters()) == SIZES[family][variant]


def test_the_formula_gives_the_sizes_of_the_originals() -> None:
    for variant, parameters in SIZES["simple_pose"].items():
        head, depth, *gates = variant.split("_")
        assert simple_pose(int(depth[1:]), head, bool(gates)) == parameters


@pytest.mark.parametrize("head", ["dconv", "duc_se"])
def test_simple_pose_runs_at_other_depths(head: str) -> None:
    model = create(f"simple_pose_{head}", depth=18, input_size=(64, 96))
    assert model.compute(torch.rand(1, 3, 96, 64))["heatmap"].shape == (1, 17, 24, 16)
    with pytest.raises(UsageError, match="no ResNet-42; known: 18, 34, 50, 101, 152"):
        create(f"simple_pose_{head}", depth=42)


def test_old_alphapose_drops_the_maps_of_mpii() -> None:
    """The weights have 33 maps; the first 17 leave the network, whatever the others are."""
    model = create("alphapose_old_r101", input_size=(64, 96))
    assert model.head.final_layer.out_channels == 33
    x = torch.rand(1, 3, 96, 64, generator=torch.Generator().manual_seed(0))
    before = model.compute(x)["heatmap"]
    with torch.no_grad():
        model.head.final_layer.bias[17:] += 1
    assert torch.equal(model.compute(x)["heatmap"], before)
    with torch.no_grad():
        model.head.final_layer.bias[:17] += 1
    torch.testing.assert_close(model.compute(x)["heatmap"], before + 1)
    for outputs in (20, 10**9):
        with pytest.raises(UsageError, match=r"; 26 joints take 26 to 1000 maps"):
            create("alphapose_old_r101", outputs=outputs, skeleton="halpe26")
    with pytest.raises(UsageError, match="use a heatmap codec"):
        create("alphapose_old_r101", codec="simcc")


def test_every_variant_of_the_originals_is_tested() -> None:
    for family, sizes in SIZES.items():
        assert set(foreign(family).variants) == set(sizes)


@pytest.mark.parametrize(("name", "depth"), [("50", 50), ("101", 101), ("152", 152)])
def test_seresnet_adds_two_linear_layers_to_every_block(name: str, depth: int) -> None:
    with torch.device("meta"):
        plain, gated = create(f"simple_baseline_r{name}"), create(f"seresnet_{name}")
    blocks = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}[depth]
    widths = (256, 512, 1024, 2048)
    gates = sum(n * (2 * c * c // 16 + c // 16 + c) for n, c in zip(blocks, widths, strict=True))
    assert gated.parameters_count == plain.parameters_count + gates


@pytest.mark.parametrize("name", NETWORKS)
def test_one_step_reaches_every_parameter(name: str) -> None:
    torch.manual_seed(0)
    model = create(name, input_size=(64, 96))
    joints = len(model.skeleton)
    rng = np.random.default_rng(0)
    people = People.of(keypoints=rng.uniform(8, 56, (2, joints, 2)))
    targets = {k: torch.from_numpy(v) for k, v in model.codec.encode(people).items()}  # type: ignore[attr-defined]
    outputs = model(torch.from_numpy(rng.integers(0, 256, (2, 96, 64, 3), np.uint8)))
    assert outputs["heatmap"].shape == (2, joints, 24, 16)
    assert model.loss is not None
    model.loss(outputs, targets).backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    found = model.codec.decode({k: v.detach() for k, v in outputs.items()})
    assert [p.keypoints.shape for p in found] == [(1, joints, 2)] * 2


def test_whole_body_networks_have_the_codecs_of_their_losses() -> None:
    with torch.device("meta"):
        regression, combined = (
            create("fastpose_r50_regression"),
            create("fastpose_r50_dcn_combined"),
        )
    assert regression.codec == Integral(normalise="sigmoid")
    assert combined.codec == Combined()
    assert len(regression.skeleton) == len(combined.skeleton) == 136


def normalised(name: str, pixel: tuple[float, float, float]) -> Tensor:
    model = create(name, input_size=(64, 64))
    return model.normalise(torch.tensor(pixel).expand(1, 2, 2, 3))[0, :, 0, 0]


def test_alphapose_subtracts_means_of_bgr_from_rgb_and_divides_by_255() -> None:
    for name in ("fastpose_r50", "alphapose_simple_r50", "alphapose_hrnet_w32"):
        values = normalised(name, (0.0, 255.0, 51.0))
        torch.testing.assert_close(values, torch.tensor([-0.406, 1 - 0.457, 0.2 - 0.480]))


def test_simple_pose_subtracts_the_means_of_imagenet_only() -> None:
    for name in ("simple_pose_duc", "simple_pose_dconv"):
        values = normalised(name, (0.0, 255.0, 51.0))
        torch.testing.assert_close(values, torch.tensor([-0.485, 1 - 0.456, 0.2 - 0.406]))


def test_mindspore_normalises_bgr_by_numbers_of_rgb() -> None:
    values = normalised("fastpose_r50_mindspore", (0.0, 255.0, 51.0))
    expected = [(0.2 - 0.485) / 0.229, (1 - 0.456) / 0.224, -0.406 / 0.225]
    torch.testing.assert_close(values, torch.tensor(expected), rtol=1e-5, atol=1e-5)


def test_gates_multiply_channels() -> None:
    gates = SqueezeExcite(4, 2)
    x = torch.rand(3, 4, 5, 6)
    expected = gates.fc(x.mean((2, 3)))[..., None, None] * x
    torch.testing.assert_close(gates(x), expected)
    assert ((gates(torch.ones(1, 4, 1, 1)) > 0) & (gates(torch.ones(1, 4, 1, 1)) < 1)).all()


def test_alphapose_gates_the_first_block_of_each_layer() -> None:
    with torch.device("meta"):
        gated = create("fastpose_r50").backbone.preact
    for layer in (gated.layer1, gated.layer2, gated.layer3, gated.layer4):
        assert [block.se is not None for block in layer] == [True] + [False] * (len(layer) - 1)


def test_no_convolution_of_the_shuffled_network_strides_but_shortcuts_and_stem() -> None:
    with torch.device("meta"):
        model = create("fastpose_duc_r50")
    strided = {
        name.removeprefix("backbone.preact.")
        for name, module in model.named_modules()
        if isinstance(module, nn.Conv2d) and module.stride != (1, 1)
    }
    assert strided == {"conv1", *(f"layer{i}.0.downsample.0" for i in (2, 3, 4))}


def test_sides_must_be_multiples_of_the_deepest_stride() -> None:
    for name in ("fastpose_r50", "fastpose_duc_r50", "simple_pose_duc"):
        with pytest.raises(UsageError, match=r"\(48, 64\).*multiples of 32"):
            create(name, input_size=(48, 64))
    with pytest.raises(UsageError, match="multiples of 32"):
        create("fastpose_r50", codec=Integral((40, 64)))


def test_backbones_stand_alone() -> None:
    x = torch.rand(1, 3, 64, 32)
    assert FastPose(ResNet(50), 32).eval()(x).shape == (1, 32, 16, 8)
    assert FastPoseDUC(ResNet(50)).eval()(x).shape == (1, 256, 16, 8)


@pytest.mark.parametrize(
    ("variant", "prefix"),
    [("hrnet_w32", ""), ("simplepose_r50", "preact."), ("old_r101_320x256", "")],
)
def test_alphapose_has_the_names_of_the_authors(variant: str, prefix: str) -> None:
    model = built("alphapose", variant)
    state = {}
    for key, value in model.state_dict().items():
        part, _, rest = key.partition(".")
        state[prefix + rest if part == "backbone" else rest] = value
    assert convert(state, foreign("alphapose"), model).keys() == model.state_dict().keys()


def test_deformable_convolutions_lie_beside_their_offsets_in_alphapose() -> None:
    model = built("alphapose", "fastpose_r50_dcn")
    assert sum(key.endswith(".offset.bias") for key in model.state_dict()) == 4 + 6 + 3
    state = {}
    for key, value in model.state_dict().items():
        name = key.replace("head.final_layer", "conv_out").removeprefix("backbone.")
        name = name.replace(".conv2.offset.", ".conv2_offset.").replace(".conv2.conv.", ".conv2.")
        state[name] = value
    assert convert(state, foreign("alphapose"), model).keys() == model.state_dict().keys()


def test_deformable_convolutions_begin_as_plain_ones() -> None:
    conv = DeformableConv(3, 4, 2)
    x = torch.rand(1, 3, 8, 10)
    plain = nn.functional.conv2d(x, conv.conv.weight, stride=2, padding=1)
    torch.testing.assert_close(conv(x), plain, atol=1e-5, rtol=1e-5)


def mindspore_state(model: PoseModel, wrapper: str = "") -> dict[str, Tensor]:
    """The state of our network under MindSpore's names, with what its optimiser keeps."""
    leaves = {"running_mean": "moving_mean", "running_var": "moving_variance"}
    affine = {"weight": "gamma", "bias": "beta"}
    norms = {n for n, m in model.named_modules() if isinstance(m, nn.BatchNorm2d)}
    state = {"global_step": torch.zeros(1), "learning_rate": torch.ones(1)}
    for key, value in model.state_dict().items():
        module, _, leaf = key.rpartition(".")
        if leaf == "num_batches_tracked":
            continue
        leaf = (affine | leaves).get(leaf, leaf) if module in norms else leaf
        name = f"{module}.{leaf}".removeprefix("backbone.")
        name = name.replace("head.final_layer", "conv_out")
        name = wrapper + name.replace(".downsample.", ".down_sample_layer.")
        state |= {name: value, f"moment1.{name}": value, f"moment2.{name}": value}
    return state


@pytest.mark.parametrize("wrapper", ["", "network.", "_backbone.network."])
def test_mindspore_names_are_mapped(wrapper: str) -> None:
    family = foreign("mindspore_fastpose")
    model = create("fastpose_r50_mindspore")
    state = mindspore_state(model, wrapper)
    assert f"{wrapper}preact.layer1.0.down_sample_layer.1.moving_variance" in state
    assert f"{wrapper}conv_out.bias" in state
    found = convert(state, family, model)
    for key, value in model.state_dict().items():
        assert torch.equal(found[key], value)
    with pytest.raises(ModelError, match=r"extra\.weight"):
        convert({**state, "extra.gamma": torch.ones(1)}, family, model)


@pytest.mark.parametrize("prefix", ["keypoint_head.", "head."])
def test_both_generations_of_mmpose_are_known(prefix: str) -> None:
    with torch.device("meta"):
        model = create("seresnet_50")
        state = {}
        for key, value in model.state_dict().items():
            name = key.replace(".se.fc.0.", ".se_layer.conv1.conv.")
            name = name.replace(".se.fc.2.", ".se_layer.conv2.conv.")
            name = prefix + name.removeprefix("head.") if name.startswith("head.") else name
            gate = name.endswith("conv.weight")
            state[name] = value[..., None, None] if gate else value
        assert convert(state, foreign("mmpose_seresnet"), model).keys() == model.state_dict().keys()
