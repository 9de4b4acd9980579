"""Parameter groups, learning rates, frozen parts and starting from other weights."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import nn

from posewright.errors import ModelError, UsageError
from posewright.models import PoseModel, create
from posewright.models.saving import save_model
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.training.optim import freeze, learning_rate, make_optimizer
from posewright.training.transfer import start_from

MANY = (
    "simple_baseline_r50",
    "hrnet_w32",
    "fastpose_r50_dcn",
    "vitpose_s",
    "vitpose_plus_b",
    "hrformer_s",
    "tokenpose_s_v1",
    "lite_hrnet_18",
    "rtmpose_s",
    "rtmo_s",
    "rle_r50",
    "poseur_r50",
    "dekr_w32",
    "yolo_pose_s6",
    "movenet_thunder",
    "posefix_r50",
)


def empty(name: str) -> PoseModel:
    """A network without numbers, which is quick to build."""
    with torch.device("meta"):
        return create(name)


def groups_of(model: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, dict]:
    """The group of each parameter; fails where one is in none or in two."""
    found: dict[int, dict] = {}
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            assert id(parameter) not in found
            found[id(parameter)] = group
    return {n: found[id(p)] for n, p in model.named_parameters() if p.requires_grad}


@pytest.mark.parametrize("name", MANY)
def test_every_parameter_is_in_exactly_one_group(name: str) -> None:
    model, recipe = empty(name), recipe_for(name)
    optimizer = make_optimizer(model, recipe)
    groups = groups_of(model, optimizer)
    trained = [p for p in model.parameters() if p.requires_grad]  # a sine table is not
    assert len(groups) == len(trained) >= len(list(model.parameters())) - 1
    assert sum(len(g["params"]) for g in optimizer.param_groups) == len(groups)
    assert all(0 < g["base_lr"] <= recipe.lr for g in optimizer.param_groups)
    spared = {"norm", "bias"} <= set(recipe.no_decay)
    for key, parameter in model.named_parameters():
        decay = groups[key]["weight_decay"] if parameter.requires_grad else 0
        if spared and parameter.ndim == 1 and "scale" not in key and "gamma" not in key:
            assert decay == 0, key
        if parameter.ndim == 4:
            assert decay == recipe.weight_decay, key


def test_layers_of_a_vision_transformer_learn_slower_the_earlier_they_are() -> None:
    model = empty("vitpose_s")
    groups = groups_of(model, make_optimizer(model, recipe_for("vitpose_s")))
    rates = {name: group["base_lr"] / 5e-4 for name, group in groups.items()}
    assert rates["backbone.pos_embed"] == pytest.approx(0.8**13)
    assert rates["backbone.patch_embed.proj.weight"] == pytest.approx(0.8**13)
    assert rates["backbone.blocks.0.attn.qkv.weight"] == pytest.approx(0.8**12)
    assert rates["backbone.blocks.11.mlp.fc1.bias"] == pytest.approx(0.8)
    assert rates["backbone.last_norm.weight"] == rates["head.final_layer.weight"] == 1
    assert groups["backbone.pos_embed"]["weight_decay"] == 0
    assert groups["backbone.blocks.0.norm1.weight"]["weight_decay"] == 0
    assert groups["head.deconv_layers.1.weight"]["weight_decay"] == 0  # a batch norm's
    assert groups["backbone.blocks.0.attn.qkv.weight"]["weight_decay"] == 0.1


def test_layer_decay_needs_blocks() -> None:
    with pytest.raises(UsageError, match="layer_decay needs"):
        make_optimizer(empty("hrnet_w32"), Recipe(layer_decay=0.8))


def test_multipliers_reach_parts_by_name_and_the_longest_counts() -> None:
    model = empty("rtmo_s")
    recipe = replace(recipe_for("rtmo_s"), lr_multipliers={"neck": 0.5, "neck.encoder": 0.05})
    rates = {
        n: g["base_lr"] / 4e-3 for n, g in groups_of(model, make_optimizer(model, recipe)).items()
    }
    assert all(r == pytest.approx(0.05) for n, r in rates.items() if n.startswith("neck.encoder."))
    assert rates["neck.input_proj.0.conv.weight"] == 0.5
    assert rates["head.dcc.y_fc.weight"] == 1
    poseur = empty("poseur_r50")
    groups = groups_of(poseur, make_optimizer(poseur, recipe_for("poseur_r50")))
    slow = [n for n, g in groups.items() if g["base_lr"] < 1e-3]
    assert slow == [n for n in groups if "sampling_offsets" in n] != []


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"lr_multipliers": {"nek": 1}}, "no parameter is called 'nek'; did you mean 'neck'"),
        ({"no_decay": ["pos_embe"]}, "did you mean 'pos_embed'"),
    ],
)
def test_parts_that_are_not_there(settings: dict, says: str) -> None:
    model = empty("rtmo_s") if "lr_multipliers" in settings else empty("vitpose_s")
    with pytest.raises(UsageError, match=says):
        make_optimizer(model, Recipe(**settings))


def test_the_loss_own_parameters_are_trained() -> None:
    model = create("rle_mobilenetv2")
    optimizer = make_optimizer(model, recipe_for("rle_mobilenetv2"))
    before = [p.detach().clone() for p in model.loss.parameters()]
    assert before
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert all(not torch.equal(a, b) for a, b in zip(before, model.loss.parameters(), strict=True))


@pytest.mark.parametrize(
    ("settings", "kind", "options"),
    [
        ({"optimizer": "adam", "betas": (0.8, 0.9)}, torch.optim.Adam, {"betas": (0.8, 0.9)}),
        ({"optimizer": "adamw", "betas": (0.8, 0.9)}, torch.optim.AdamW, {"betas": (0.8, 0.9)}),
        (
            {"optimizer": "sgd", "momentum": 0.7},
            torch.optim.SGD,
            {"momentum": 0.7, "nesterov": True},
        ),
        ({"optimizer": "sgd", "momentum": 0}, torch.optim.SGD, {"momentum": 0, "nesterov": False}),
        ({"optimizer": "rmsprop", "momentum": 0.3}, torch.optim.RMSprop, {"momentum": 0.3}),
    ],
)
def test_optimizers(settings: dict, kind: type, options: dict) -> None:
    optimizer = make_optimizer(empty("movenet_fire717"), Recipe(lr=0.02, **settings))
    assert type(optimizer) is kind
    assert {key: optimizer.param_groups[0][key] for key in options} == options
    assert optimizer.param_groups[0]["lr"] == 0.02


# --- frozen parts -------------------------------------------------------------------------------


def test_frozen_parts_stay_as_they_are() -> None:
    model = create("movenet_fire717")
    frozen = freeze(model, ["backbone"])
    model.train()
    for module in frozen:
        module.eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    optimizer = make_optimizer(model, Recipe(lr=0.1))
    outputs = model(torch.randint(0, 256, (2, 192, 192, 3), dtype=torch.uint8))
    sum(o.square().mean() for o in outputs.values()).backward()
    optimizer.step()
    changed = {k for k, v in model.state_dict().items() if not torch.equal(v, before[k])}
    assert changed and not any(k.startswith("backbone.") for k in changed)


def test_a_single_parameter_can_be_frozen() -> None:
    model = empty("vitpose_s")
    assert freeze(model, ["backbone.pos_embed"]) == []
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["backbone.pos_embed"]
    assert len(groups_of(model, make_optimizer(model, recipe_for("vitpose_s")))) == 156


def test_freezing_errors() -> None:
    model = empty("movenet_fire717")
    with pytest.raises(UsageError, match="no part is called 'bakbone'; did you mean 'backbone'"):
        freeze(model, ["bakbone"])
    with pytest.raises(UsageError, match="no part is called 'back'"):
        freeze(model, ["back"])
    freeze(model, ["backbone", "head"])
    with pytest.raises(UsageError, match="leaves no parameter"):
        make_optimizer(model, Recipe(freeze=("backbone", "head")))


# --- the learning rate --------------------------------------------------------------------------


def test_steps_are_torchs() -> None:
    recipe = Recipe(epochs=12, milestones=(4, 9), lr=2.0, gamma=0.5)
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 2.0)
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, [4 * 7, 9 * 7], 0.5)
    for step in range(12 * 7):
        assert recipe.lr * learning_rate(recipe, step, 7) == pytest.approx(
            optimizer.param_groups[0]["lr"]
        )
        optimizer.step()
        schedule.step()


def test_warm_up_is_linear_in_steps() -> None:
    recipe = Recipe(warmup=500, warmup_factor=0.001)
    assert learning_rate(recipe, 0, 100) == pytest.approx(0.001)
    assert learning_rate(recipe, 250, 100) == pytest.approx(0.5005)
    assert learning_rate(recipe, 500, 100) == 1
    during = replace(recipe, milestones=(1,))  # both factors count
    assert learning_rate(during, 250, 100) == pytest.approx(0.05005)


def test_warm_up_is_at_most_a_tenth_of_a_short_run() -> None:
    recipe = Recipe(epochs=20, warmup=500, schedule="constant", warmup_factor=0)
    assert [learning_rate(recipe, s, 5) for s in (0, 5, 10, 99)] == [0, 0.5, 1, 1]


def test_a_restart_forgets_the_milestones_before_it() -> None:
    recipe = recipe_for("fastpose_r50")
    at = [learning_rate(recipe, epoch * 10, 10) for epoch in (0, 90, 120, 139, 140, 160, 190)]
    assert at == pytest.approx([1, 0.1, 0.01, 0.01, 1, 0.1, 0.01])


def test_rtmpose_is_flat_then_cosine() -> None:
    recipe = recipe_for("rtmpose_m")
    at = [learning_rate(recipe, e * 100, 100) for e in (11, 209, 210, 315, 420)]
    assert at == pytest.approx([1, 1, 1, 0.525, 0.05])
    quarter = 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi / 4))
    assert learning_rate(recipe, 26250, 100) == pytest.approx(quarter)


def test_cosine_ends_where_it_should() -> None:
    recipe = replace(recipe_for("yoloxpose_s"), warmup=0)
    assert [learning_rate(recipe, e * 9, 9) for e in (0, 5, 280, 299)] == pytest.approx(
        [1, 1, 0.05, 0.05]
    )


def test_linear_and_constant() -> None:
    linear = Recipe(schedule="linear", epochs=10, final_factor=0.2)
    assert [learning_rate(linear, s, 2) for s in (0, 10, 20)] == pytest.approx([1, 0.6, 0.2])
    assert learning_rate(replace(linear, schedule="constant"), 19, 2) == 1


@given(
    st.sampled_from(["step", "cosine", "linear", "constant"]),
    st.integers(1, 50),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 60),
    st.integers(0, 400),
    st.integers(1, 9),
    st.floats(0, 1),
)
def test_rates_stay_between_nothing_and_the_peak(
    schedule: str,
    epochs: int,
    begin: int,
    end: int,
    restart: int,
    step: int,
    size: int,
    share: float,
) -> None:
    recipe = Recipe(
        schedule=schedule,
        epochs=epochs,
        cosine_from=begin,
        cosine_until=end,
        restart=restart,
        milestones=(begin, end),
        warmup=end,
        warmup_factor=share,
        final_factor=share,
    )
    assert 0 <= learning_rate(recipe, step, size) <= 1 + 1e-12


# --- starting from other weights ----------------------------------------------------------------


def test_the_same_network_takes_everything(tmp_path: Path) -> None:
    source, model = create("movenet_fire717"), create("movenet_fire717")
    save_model(source, tmp_path / "a.safetensors")
    report = start_from(model, tmp_path / "a.safetensors")
    assert report.share == 1 and not report.left and not report.fresh and not report.notes
    assert all(torch.equal(v, model.state_dict()[k]) for k, v in source.state_dict().items())
    assert "100.0% of the parameters" in str(report)


def test_another_skeleton_keeps_its_own_head(tmp_path: Path) -> None:
    source = create("rle_mobilenetv2", skeleton="coco17")
    model = create("rle_mobilenetv2", skeleton="mpii16")
    own = {k: v.clone() for k, v in model.state_dict().items()}
    save_model(source, tmp_path / "a.safetensors")
    report = start_from(model, str(tmp_path / "a.safetensors"))
    assert 0.5 < report.share < 1 and report.left and set(report.left) == set(report.fresh)
    assert all(name.startswith("head.") for name in report.fresh)
    now = model.state_dict()
    assert all(torch.equal(now[k], own[k]) for k in report.fresh)
    assert all(torch.equal(now[k], source.state_dict()[k]) for k in report.loaded)
    assert "(68, 1280) for (64, 1280)" in str(report) and "randomly initialised: head." in str(
        report
    )


def test_as_many_other_joints_are_told(tmp_path: Path) -> None:
    save_model(create("movenet_fire717", skeleton="coco17"), tmp_path / "a.safetensors")
    report = start_from(
        create("movenet_fire717", skeleton="posetrack17"), tmp_path / "a.safetensors"
    )
    assert "coco17 and posetrack17 have the same number of joints, but different ones" in str(
        report
    )


def test_another_network_gives_its_backbone(tmp_path: Path) -> None:
    save_model(create("rle_mobilenetv2"), tmp_path / "a.safetensors")
    report = start_from(create("simcc_mobilenetv2"), tmp_path / "a.safetensors")
    assert report.loaded and all(name.startswith("backbone.") for name in report.loaded)
    assert any("has no counterpart" in why for why in report.left.values())


def test_positions_of_another_input_size_stay_out(tmp_path: Path) -> None:
    source = create("tokenpose_t")
    save_model(source, tmp_path / "a.safetensors")
    report = start_from(create("tokenpose_t", input_size=(96, 128)), tmp_path / "a.safetensors")
    assert "head.pos_embedding" in report.fresh and "head.pos_embedding" in report.left


def test_files_that_are_no_start(tmp_path: Path) -> None:
    model = create("movenet_fire717")
    with pytest.raises(ModelError, match="no such file"):
        start_from(model, tmp_path / "none.safetensors")
    (tmp_path / "b.safetensors").write_bytes(b"not one")
    with pytest.raises(ModelError, match="not a safetensors file"):
        start_from(model, tmp_path / "b.safetensors")
    save_file({"conv.weight": torch.zeros(3)}, tmp_path / "c.safetensors")
    with pytest.raises(ModelError, match="no tensor matches movenet_fire717"):
        start_from(model, tmp_path / "c.safetensors")
