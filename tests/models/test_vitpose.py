"""ViTPose and ViTPose+: sizes, both forms of positions, experts, heads, other layouts of keys."""

from __future__ import annotations

import re

import pytest
import torch
from torch import Tensor

from posewright.checkpoints import convert, foreign
from posewright.errors import ModelError, UsageError
from posewright.models import PoseModel, create

SMALL = {"input_size": (64, 96)}  # 4 x 6 patches


def picture(seed: int = 0, batch: int = 2) -> Tensor:
    return torch.randn(batch, 3, 96, 64, generator=torch.Generator().manual_seed(seed))


def heatmap(model: PoseModel, seed: int = 0) -> Tensor:
    with torch.inference_mode():
        return model.compute(picture(seed))["heatmap"]


@pytest.mark.parametrize(
    ("family", "variant", "parameters"),
    [
        ("vitpose", "small", 24_290_577),
        ("vitpose", "small_simple", 24_290_577),  # the authors' file repeats the classic one
        ("vitpose", "base", 89_994_513),
        ("vitpose", "large", 308_544_785),
        ("vitpose", "huge", 637_208_849),
        ("vitpose", "base_simple", 85_912_337),
        ("vitpose", "large_simple", 303_453_201),
        ("vitpose", "plus_small", 41_996_817),
        ("vitpose", "plus_base", 125_395_473),
        ("mmpose_vitpose", "vitpose_s", 24_290_193),
        ("mmpose_vitpose", "vitpose_b", 89_993_745),
        ("mmpose_vitpose", "vitpose_l", 308_543_761),
        ("mmpose_vitpose", "vitpose_h", 637_207_569),
        # the backbone of vitpose_s and a 3x3 convolution to 17 maps
        ("mmpose_vitpose", "vitpose_s_simple", 21_722_129),
        ("vitpose_hf", "vitpose-base", 89_994_513),
        ("vitpose_hf", "vitpose-base-simple", 85_912_337),
        ("vitpose_hf", "vitpose-plus-base", 125_395_473),
    ],
)
def test_published_sizes(family: str, variant: str, parameters: int) -> None:
    with torch.device("meta"):
        model = foreign(family).variants[variant]()
    assert model.parameters_count == parameters


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("vitpose_s", {}),
        ("vitpose_s", {"simple": True}),
        ("vitpose_plus_s", {"expert": 3}),
    ],
)
def test_forward_and_backward(name: str, options: dict[str, object]) -> None:
    model = create(name, **SMALL, **options).train()
    maps = model.compute(picture())["heatmap"]
    assert maps.shape == (2, 17, 24, 16)
    maps.square().mean().backward()
    idle = {k for k, p in model.named_parameters() if p.grad is None}
    others = {k for k in idle if re.search(r"\.experts\.[^3]\.", k)}
    assert idle == others
    assert len(idle) == (12 * 5 * 2 if "expert" in options else 0)


def test_views_do_not_mix() -> None:
    model = create("vitpose_s", **SMALL)
    x = picture()
    with torch.inference_mode():
        both, first = model.compute(x)["heatmap"], model.compute(x[:1])["heatmap"]
    torch.testing.assert_close(both[:1], first, atol=1e-5, rtol=1e-5)


def test_mmposes_positions_are_the_authors_without_the_class_row() -> None:
    ours, theirs = create("vitpose_s", **SMALL), create("vitpose_s", **SMALL, class_position=False)
    state = ours.state_dict()
    positions = state["backbone.pos_embed"]
    assert positions.shape == (1, 25, 384)
    state["backbone.pos_embed"] = positions[:, 1:] + positions[:, :1]
    theirs.load_state_dict(state)
    torch.testing.assert_close(heatmap(ours), heatmap(theirs))


def test_an_expert_makes_a_difference_and_only_its_own() -> None:
    models = [create("vitpose_plus_s", **SMALL, expert=i) for i in (0, 5)]
    state = models[0].state_dict()
    models[1].load_state_dict(state)
    first, last = (heatmap(m) for m in models)
    assert not torch.allclose(first, last)
    for key in state:
        if ".experts.0." in key:
            state[key.replace(".0.weight", ".5.weight").replace(".0.bias", ".5.bias")] = state[key]
    models[1].load_state_dict(state)
    torch.testing.assert_close(heatmap(models[1]), first)


def test_an_expert_joined_to_the_shared_layer_is_plain_vitpose() -> None:
    plus, plain = create("vitpose_plus_s", **SMALL, expert=2), create("vitpose_s", **SMALL)
    state = plus.state_dict()
    for key in [k for k in state if ".mlp.fc2." in k]:
        state[key] = torch.cat([state[key], state[key.replace("fc2", "experts.2")]])
    plain.load_state_dict({k: v for k, v in state.items() if ".experts." not in k})
    torch.testing.assert_close(heatmap(plain), heatmap(plus), atol=1e-5, rtol=1e-4)


def test_drop_acts_in_training_only() -> None:
    model = create("vitpose_s", **SMALL, drop=0.5)
    torch.testing.assert_close(heatmap(model), heatmap(model))
    backbone = model.backbone.train()
    with torch.inference_mode():
        assert not torch.equal(backbone(picture()), backbone(picture()))
    still = create("vitpose_s", **SMALL, drop=0.0).backbone.train()
    with torch.inference_mode():
        torch.testing.assert_close(still(picture()), still(picture()))


def test_codecs_of_other_kinds() -> None:
    model = create("vitpose_s", **SMALL, codec="simdr")
    with torch.inference_mode():
        found = model.compute(picture())
    assert {k: v.shape for k, v in found.items()} == {"x": (2, 17, 128), "y": (2, 17, 192)}


def hugging_face(model: PoseModel) -> dict[str, Tensor]:
    """The model's tensors as transformers names and splits them."""
    names = {
        "backbone.pos_embed": "backbone.embeddings.position_embeddings",
        "backbone.patch_embed.proj": "backbone.embeddings.patch_embeddings.projection",
        "backbone.blocks": "backbone.encoder.layer",
        "attn.proj": "attention.output.dense",
        "norm1": "layernorm_before",
        "norm2": "layernorm_after",
        "backbone.last_norm": "backbone.layernorm",
        "head.deconv_layers.0": "head.deconv1",
        "head.deconv_layers.1": "head.batchnorm1",
        "head.deconv_layers.3": "head.deconv2",
        "head.deconv_layers.4": "head.batchnorm2",
        "head.final_layer": "head.conv",
    }
    state = {}
    for key, value in model.state_dict().items():
        for ours, theirs in names.items():
            key = key.replace(ours, theirs)
        if "attn.qkv" in key:
            for part, rows in zip(("query", "key", "value"), value.chunk(3), strict=True):
                state[key.replace("attn.qkv", f"attention.attention.{part}")] = rows
        else:
            state[key] = value
    return state


@pytest.mark.parametrize("name", ["vitpose_s", "vitpose_plus_s"])
def test_transformers_layout(name: str) -> None:
    model, fresh = create(name, **SMALL), create(name, **SMALL)
    fresh.load_state_dict(convert(hugging_face(model), foreign("vitpose_hf"), fresh))
    torch.testing.assert_close(heatmap(fresh), heatmap(model))


def test_an_incomplete_transformers_file_is_refused() -> None:
    model = create("vitpose_s", **SMALL)
    state = hugging_face(model)
    del state["backbone.encoder.layer.7.attention.attention.key.bias"]
    with pytest.raises(ModelError, match=r"missing keys: backbone\.blocks\.7\.attn\.qkv\.bias"):
        convert(state, foreign("vitpose_hf"), model)


def test_heads_of_other_data_sets_are_left_out() -> None:
    model = create("vitpose_plus_s", **SMALL)
    state = {k.replace("head.", "keypoint_head.", 1): v for k, v in model.state_dict().items()}
    state["associate_keypoint_heads.0.final_layer.bias"] = torch.zeros(14)
    assert convert(state, foreign("vitpose"), model).keys() == model.state_dict().keys()


def test_errors_say_what_is_wrong() -> None:
    with pytest.raises(UsageError, match=r"expert=6; known: 0 coco, .* 5 coco-wholebody"):
        create("vitpose_plus_s", expert=6)
    with pytest.raises(UsageError, match=r"\(200, 256\): sides must be multiples of 16"):
        create("vitpose_s", input_size=(200, 256))
