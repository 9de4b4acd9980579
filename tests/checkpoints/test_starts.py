"""Backbones in the layouts of those who publish them, each tensor with a value of its own name."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from posewright.checkpoints import starts as module
from posewright.checkpoints.starts import fill_backbone
from posewright.errors import ModelError, UsageError
from posewright.models import PoseModel, create
from posewright.models.parts.resnet import ResNet
from posewright.models.vitpose import ViT
from posewright.weights.starts import starts

State = dict[str, Tensor]
Rename = Callable[[str], str]


def network(name: str, **options: object) -> PoseModel:
    """A network whose tensors are all 0, without the time that random values take."""
    with torch.device("meta"):
        model = create(name, **options)
    model = model.to_empty(device="cpu")
    for value in model.state_dict().values():
        value.zero_()
    return model


def value_of(name: str) -> float:
    return 1 + zlib.crc32(name.encode()) % 100_000


def published(model: nn.Module, rename: Rename, root: str = "backbone.") -> State:
    """The backbone's tensors under names of others, each full of the value of its name in ours."""
    return {
        rename(key.removeprefix(root)): torch.full(value.shape, value_of(key), dtype=torch.float32)
        for key, value in model.state_dict().items()
        if key.startswith(root) and not key.endswith("num_batches_tracked")
    }


def check(model: nn.Module, but: str = "") -> None:
    """Every tensor of the backbone has the value of its name, except for those that match `but`."""
    for key, value in model.state_dict().items():
        if key.startswith("backbone.") and not key.endswith("num_batches_tracked"):
            skipped = bool(but) and re.search(but, key) is not None
            assert bool((value == (0 if skipped else value_of(key))).all()), key


def replaced(*pairs: tuple[str, str]) -> Rename:
    def rename(name: str) -> str:
        for pattern, new in pairs:
            name, count = re.subn(f"^{pattern}$", new, name)
            if count:
                break
        return name

    return rename


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refusal tries some networks instead of all that have a named start."""
    known = {name: starts()[name] for name in ("resnet50", "resnet101", "hrnet_w32", "mae_vit_s")}
    monkeypatch.setattr(module, "starts", lambda: known)


def same(name: str) -> str:
    return name


# --- each layout, two members --------------------------------------------------------------------

TORCHVISION_MOBILE = {
    **{f"conv1.{a}": f"features.0.{b}" for a, b in (("conv", 0), ("bn", 1))},
    **{f"conv2.{a}": f"features.18.{b}" for a, b in (("conv", 0), ("bn", 1))},
}
_BLOCKS = [(i, j) for i, count in enumerate((1, 2, 3, 4, 3, 3, 1), 1) for j in range(count)]


def torchvision_mobile(name: str) -> str:
    """torchvision numbers the blocks from 1 to 17; a block's last convolution has no part."""
    stem, _, leaf = name.rpartition(".")
    if stem in TORCHVISION_MOBILE:
        return f"{TORCHVISION_MOBILE[stem]}.{leaf}"
    i, j, part, kind = re.fullmatch(  # type: ignore[union-attr]
        r"layer(\d)\.(\d)\.conv\.(\d)\.(conv|bn)", stem
    ).groups()
    number = _BLOCKS.index((int(i), int(j))) + 1
    last = 1 if number == 1 else 2
    at = 0 if kind == "conv" else 1
    if int(part) == last:
        return f"features.{number}.conv.{last + at}.{leaf}"
    return f"features.{number}.conv.{part}.{at}.{leaf}"


def timm_mobile(name: str) -> str:
    stem, _, leaf = name.rpartition(".")
    outer = {"conv1.conv": "conv_stem", "conv1.bn": "bn1", "conv2.conv": "conv_head"}
    if not stem.startswith("layer"):
        return f"{outer.get(stem, 'bn2')}.{leaf}"
    i, j, part, kind = re.fullmatch(  # type: ignore[union-attr]
        r"layer(\d)\.(\d)\.conv\.(\d)\.(conv|bn)", stem
    ).groups()
    convs = ("conv_dw", "conv_pw") if i == "1" else ("conv_pw", "conv_dw", "conv_pwl")
    inner = convs[int(part)] if kind == "conv" else f"bn{int(part) + 1}"
    return f"blocks.{int(i) - 1}.{j}.{inner}.{leaf}"


MINDSPORE = (
    (r"(.*(?:bn\d|downsample\.1))\.weight", r"\1.gamma"),
    (r"(.*(?:bn\d|downsample\.1))\.bias", r"\1.beta"),
    (r"(.*)\.running_mean", r"\1.moving_mean"),
    (r"(.*)\.running_var", r"\1.moving_variance"),
)


def mindspore(shortcut: str) -> Rename:
    names = replaced(*MINDSPORE)
    return lambda name: names(name).replace("downsample", shortcut)


def megvii(name: str) -> str:
    found = re.fullmatch(r"stage(\d)\.(.*)", name)
    if not found:
        return f"backbone.backbone.{name}"
    rest = found[2]
    for number, ours in enumerate(("main_conv", "short_conv", "final_conv"), 1):
        rest = rest.replace(ours, f"conv{number}")
    return f"backbone.backbone.dark{int(found[1]) + 1}.{rest.replace('blocks', 'm')}"


mmpretrain_vit = replaced(
    (r"patch_embed\.proj\.(.*)", r"backbone.patch_embed.projection.\1"),
    (r"blocks\.(\d+)\.norm(\d)\.(.*)", r"backbone.layers.\1.ln\2.\3"),
    (r"blocks\.(\d+)\.attn\.(.*)", r"backbone.layers.\1.attn.\2"),
    (r"blocks\.(\d+)\.mlp\.fc1\.(.*)", r"backbone.layers.\1.ffn.layers.0.0.\2"),
    (r"blocks\.(\d+)\.mlp\.fc2\.(.*)", r"backbone.layers.\1.ffn.layers.1.\2"),
    (r"last_norm\.(.*)", r"backbone.ln1.\1"),
    (r"pos_embed", "backbone.pos_embed"),
)

CASES = {
    "torchvision resnet": ("simple_baseline_r50", same, {"fc.weight": (1000, 2048)}),
    "timm resnet in a wrapper": ("deeppose_r50", lambda n: f"model.{n}", {}),
    "torchvision in FastPose": ("fastpose_r50", lambda n: n.removeprefix("preact."), {}),
    "torchvision in deformable FastPose": (
        "fastpose_r50_dcn",
        lambda n: n.removeprefix("preact.").replace("conv2.conv.", "conv2."),
        {},
    ),
    "mmpretrain seresnet": (
        "seresnet_50",
        replaced(
            (r"(.*)\.se\.fc\.0\.(.*)", r"backbone.\1.se_layer.conv1.conv.\2"),
            (r"(.*)\.se\.fc\.2\.(.*)", r"backbone.\1.se_layer.conv2.conv.\2"),
            (r"(.*)", r"backbone.\1"),
        ),
        {"head.fc.weight": (1000, 2048)},
    ),
    "timm seresnet": (
        "seresnet_50",
        replaced(
            (r"(.*)\.se\.fc\.0\.(.*)", r"\1.se.fc1.\2"), (r"(.*)\.se\.fc\.2\.(.*)", r"\1.se.fc2.\2")
        ),
        {},
    ),
    "mindspore resnet": (
        "simple_baseline_r50",
        mindspore("down_sample_layer"),
        {"end_point.weight": (1001, 2048), "moments.conv1.weight": (64, 3, 7, 7)},
    ),
    "mindcv resnet": ("simple_baseline_r50", mindspore("down_sample"), {}),
    "torchvision mobilenet": ("simcc_mobilenetv2", torchvision_mobile, {}),
    "timm mobilenet": ("rle_mobilenetv2", timm_mobile, {"classifier.weight": (1000, 1280)}),
    "mmpretrain mobilenet": ("simcc_mobilenetv2", lambda n: f"backbone.{n}", {}),
    "hrnet": ("hrnet_w32", same, {"incre_modules.0.0.conv1.weight": (32, 32, 1, 1)}),
    "hrnet in TokenPose": ("tokenpose_b", same, {"stage4.0.branches.0.0.bn1.weight": (32,)}),
    "cspnext": ("rtmpose_s", lambda n: f"backbone.{n}", {"head.final_layer.weight": (17, 512)}),
    "cspnext without a prefix": ("rtmpose_t", same, {}),
    "mmdet yolox": ("yoloxpose_tiny", lambda n: f"backbone.{n}", {}),
    "megvii yolox": ("yoloxpose_tiny", megvii, {"head.stems.0.conv.weight": (96, 96, 1, 1)}),
    "dla": ("adaptivepose_dla34", lambda n: n.removeprefix("base."), {"fc.bias": (1000,)}),
    "yolov5": ("yolo_pose_s6", same, {}),
    "mmpose hrformer": ("hrformer_s", same, {}),
    "mmpretrain vit": ("vitpose_s", mmpretrain_vit, {}),
    "mae": ("vitpose_s", replaced((r"last_norm\.(.*)", r"norm.\1")), {"cls_token": (1, 1, 384)}),
    "dino": (
        "vitpose_s",
        lambda n: "teacher.backbone." + n.replace("last_norm", "norm"),
        {"student.head.mlp.0.weight": (4, 4)},
    ),
}
# parts that no backbone file of others has
OWN = {
    "torchvision in FastPose": r"\.duc\d\.|\.se\.",
    "torchvision in deformable FastPose": r"\.duc\d\.|\.se\.|\.offset\.",
    "dla": r"dla_up|ida_up",
}


@pytest.mark.parametrize("case", CASES)
def test_every_tensor_finds_its_place(case: str) -> None:
    name, rename, besides = CASES[case]
    model, own = network(name), OWN.get(case, "")
    state = published(model, rename)
    if own:
        state = {k: v for k, v in state.items() if not re.search(own, f".{k}")}
    count = len(state)
    filled = fill_backbone(model, {**state, **{k: torch.ones(s) for k, s in besides.items()}})
    check(model, own)
    assert len(filled.loaded) == count == filled.total - len(filled.fresh)
    assert bool(filled.fresh) == bool(own) and not any(filled.left.values())
    assert f"{count} of {filled.total} tensors of the backbone loaded" in str(filled)
    assert all(name.startswith("backbone.") for name in filled.loaded)


@pytest.mark.parametrize("fused", [False, True])
def test_projections_of_hrformer_may_be_separate(fused: bool) -> None:
    model = network("hrformer_s")
    state = published(model, lambda name: name.replace(".proj.", ".out_proj."))
    for key in [k for k in state if ".qkv." in k and not fused]:
        parts = state.pop(key).chunk(3)
        state |= {key.replace(".qkv.", f".{p}_proj."): v for p, v in zip("kvq", parts, strict=True)}
    filled = fill_backbone(model, state)
    assert not filled.fresh
    check(model, "" if fused else "relative_position_bias_table")  # never added by the authors


@pytest.mark.parametrize("prefix", ["", "vit."])
def test_transformers_has_separate_projections(prefix: str) -> None:
    model = network("vitpose_s")
    layer = prefix + r"encoder.layer.\1."
    rename = replaced(
        (r"pos_embed", f"{prefix}embeddings.position_embeddings"),
        (r"patch_embed\.proj\.(.*)", prefix + r"embeddings.patch_embeddings.projection.\1"),
        (r"blocks\.(\d+)\.norm1\.(.*)", layer + r"layernorm_before.\2"),
        (r"blocks\.(\d+)\.norm2\.(.*)", layer + r"layernorm_after.\2"),
        (r"blocks\.(\d+)\.attn\.qkv\.(.*)", layer + r"attention.attention.ALL.\2"),
        (r"blocks\.(\d+)\.attn\.proj\.(.*)", layer + r"attention.output.dense.\2"),
        (r"blocks\.(\d+)\.mlp\.fc1\.(.*)", layer + r"intermediate.dense.\2"),
        (r"blocks\.(\d+)\.mlp\.fc2\.(.*)", layer + r"output.dense.\2"),
        (r"last_norm\.(.*)", prefix + r"layernorm.\1"),
    )
    state = published(model, rename)
    for key in [k for k in state if ".ALL." in k]:
        parts = zip(("query", "key", "value"), state.pop(key).chunk(3), strict=True)
        state |= {key.replace("ALL", name): part for name, part in parts}
    assert not fill_backbone(model, state).fresh
    check(model)


def test_the_neck_of_a_detector_is_loaded_too() -> None:
    model = network("yoloxpose_tiny")
    necks = {k: v + 2 for k, v in model.state_dict().items() if k.startswith("neck.")}
    filled = fill_backbone(model, published(model, lambda n: f"backbone.{n}") | necks)
    check(model)
    assert bool((model.state_dict()["neck.reduce_layers.0.conv.weight"] == 2).all())
    assert "tensors of the neck loaded" in str(filled)


# --- the parts of a transformer ------------------------------------------------------------------


def vit(model: PoseModel) -> ViT:
    assert isinstance(model.backbone, ViT)
    return model.backbone


def mae(model: PoseModel, side: int = 14, patch: int = 16) -> State:
    """A file of MAE: a row for the class token, and positions that grow by 1 from row to row."""
    state = published(model, lambda n: n.replace("last_norm", "norm"))
    grid = torch.arange(side, dtype=torch.float32).repeat_interleave(side)
    rows = torch.cat([torch.tensor([100.0]), grid])
    state["pos_embed"] = rows[None, :, None].expand(1, -1, 384).clone()
    state["patch_embed.proj.weight"] = torch.ones(384, 3, patch, patch)
    return state


@pytest.mark.parametrize("size", [(192, 256), (288, 384)])
def test_positions_are_interpolated(size: tuple[int, int]) -> None:
    with_row, without = (
        network("vitpose_s", input_size=size, class_position=kept) for kept in (True, False)
    )
    state = mae(with_row)
    told = str(fill_backbone(with_row, state))
    fill_backbone(without, state)
    rows, columns = size[1] // 16, size[0] // 16
    assert f"positions interpolated from 14x14 to {columns}x{rows}" in told
    table = vit(with_row).pos_embed.detach()
    assert table.shape == (1, rows * columns + 1, 384) and bool((table[:, 0] == 100).all())
    grid = table[0, 1:, 0].unflatten(0, (rows, columns))
    assert torch.allclose(grid, grid[:, :1].expand_as(grid), atol=1e-4)  # the same along a row
    assert bool((grid[1:, 0] > grid[:-1, 0]).all()) and abs(float(grid.mean()) - 6.5) < 0.05
    # the network without a row has what the other adds in its forward
    assert torch.allclose(vit(without).pos_embed, table[:, 1:] + table[:, :1])


def test_positions_of_the_same_size_stay_as_they_are() -> None:
    model = network("vitpose_s", input_size=(224, 224))
    state = mae(model)
    assert "interpolated" not in str(fill_backbone(model, state))
    assert torch.equal(vit(model).pos_embed, state["pos_embed"])


def test_smaller_patches_are_padded_or_refused_by_their_size() -> None:
    """MAE's ViT-H has patches of 14; those of DINO's ViT-S/8 see another scale."""
    model = network("vitpose_s")
    told = str(fill_backbone(model, mae(model, side=16, patch=14)))
    weight = vit(model).patch_embed.proj.weight.detach()
    assert "patches of 14 px padded to 16" in told
    assert bool((weight[..., 1:-1, 1:-1] == 1).all()) and float(weight.sum()) == 384 * 3 * 14 * 14
    told = str(fill_backbone(network("vitpose_s"), mae(model, side=28, patch=8)))
    assert "patch_embed.proj.weight (384, 3, 8, 8) for (384, 3, 16, 16)" in told
    assert "randomly initialised: backbone.patch_embed.proj.weight" in told


def test_experts_take_their_part_of_the_shared_layer() -> None:
    plain, experts = network("vitpose_s"), network("vitpose_plus_s")
    state = mae(plain)
    state["blocks.3.mlp.fc2.weight"] = torch.arange(384.0)[:, None].expand(-1, 1536).clone()
    filled = fill_backbone(experts, state)
    assert not filled.fresh and not any(filled.left.values())
    mlp = vit(experts).blocks[3].mlp
    for expert in mlp.experts:
        whole = torch.cat([mlp.fc2.weight, expert.weight])
        assert torch.equal(whole, state["blocks.3.mlp.fc2.weight"])


def test_heads_of_a_small_transformer_are_an_option() -> None:
    torch.manual_seed(0)
    twelve, six = create("vitpose_s").eval(), create("vitpose_s", heads=6).eval()
    six.load_state_dict(twelve.state_dict())
    x = torch.rand(1, 3, 256, 192)
    with torch.inference_mode():
        assert not torch.allclose(twelve.backbone(x), six.backbone(x))
    with pytest.raises(UsageError, match="heads=5"):
        create("vitpose_s", heads=5)


# --- files of other networks ---------------------------------------------------------------------


class Own(nn.Module):
    """A network of one's own, as FILE.py:NAME may be."""

    def __init__(self, depth: int) -> None:
        super().__init__()
        self.backbone = ResNet(depth)


@pytest.mark.parametrize("depth", [18, 34])
def test_a_network_of_ones_own_takes_its_depth_alone(depth: int, few: None) -> None:
    model, other = Own(depth), Own(52 - depth)
    state = published(model, same)
    assert not fill_backbone(model, state).fresh
    check(model)
    with pytest.raises(ModelError, match=r"layer1 has \d blocks, not \d; nor for any"):
        fill_backbone(other, state)


def test_the_blocks_of_resnet_34_do_not_fit_those_of_50(few: None) -> None:
    with pytest.raises(ModelError, match=r"conv1\.weight is \(64, 64, 3, 3\) for \(64, 64, 1, 1\)"):
        fill_backbone(network("simple_baseline_r50"), published(Own(34), same))


@pytest.mark.parametrize(
    "source, target, why",
    [
        ("simple_baseline_r50", "simple_baseline_r101", "layer3 has 6 blocks, not 23"),
        ("simple_baseline_r101", "fastpose_r50", "layer3 has 23 blocks, not 6"),
        ("hrnet_w32", "hrnet_w48", r"transition1\.0\.0\.weight is \(32, 256, 3, 3\) for \(48, 256"),
        ("simple_baseline_r50", "simcc_mobilenetv2", "0 of 260 tensors of the backbone fit"),
        ("vitpose_s", "vitpose_b", r"\(1, 193, 384\) for \(1, 193, 768\)"),
    ],
)
def test_another_network_is_refused_with_those_that_fit(
    source: str, target: str, why: str, few: None
) -> None:
    model = network(target)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    with pytest.raises(ModelError, match=f"not a start for {target}: .*{why}") as raised:
        fill_backbone(model, published(network(source), same))
    assert source in str(raised.value).partition("it fits ")[2] and "\n" not in str(raised.value)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_a_network_without_a_backbone_takes_nothing() -> None:
    """TokenPose-T makes its tokens of the image itself."""
    with pytest.raises(ModelError, match="tokenpose_t: its backbone has no tensors; it fits hrnet"):
        fill_backbone(network("tokenpose_t"), published(network("hrnet_w32"), same))


@pytest.mark.parametrize("state", [{}, {"a.weight": torch.ones(3)}, {"norm.0": torch.ones(())}])
def test_a_file_of_something_else_fits_nothing(state: State, few: None) -> None:
    with pytest.raises(ModelError, match="0 of 260 tensors of the backbone fit; nor for any"):
        fill_backbone(network("simcc_mobilenetv2"), state)


@pytest.mark.parametrize("name", ["vitpose_s", "vitpose_plus_s", "hrformer_s"])
def test_tensors_of_absurd_shapes_are_refused(name: str, few: None) -> None:
    """No shape of a file reaches the caller as anything but one line."""
    model = network(name)
    names = [*published(model, same), "pos_embed", "x.q_proj.w", "x.k_proj.w", "x.v_proj.w"]
    names += [f"x.attention.attention.{part}.w" for part in ("query", "key", "value")]
    for shape in ((), (0,), (1, 0, 384), (1, 1, 1), (2, 0, 0, 0), (1, 3, 15, 15)):
        state = {key: torch.ones(shape) for key in names}
        state["x.k_proj.w"] = state["x.attention.attention.key.w"] = torch.ones(2, 2)
        with pytest.raises(ModelError, match=f"not a start for {name}"):
            fill_backbone(model, state)


def test_wrong_sizes_are_named() -> None:
    """PoseFix sees 17 heatmaps beside the image, so that its first layer stays as it is."""
    model = network("posefix_r50")
    state = published(model, same) | {"conv1.weight": torch.ones(64, 3, 7, 7)}
    told = str(fill_backbone(model, state))
    check(model, r"backbone\.conv1\.weight")
    assert "other sizes: conv1.weight (64, 3, 7, 7) for (64, 20, 7, 7)" in told
    assert "randomly initialised: backbone.conv1.weight" in told
