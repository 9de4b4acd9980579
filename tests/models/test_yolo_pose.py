"""YOLO-Pose: sizes, published names, shapes and training."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from posewright.checkpoints import convert, foreign
from posewright.codecs import YoloPose
from posewright.errors import ModelError, UsageError
from posewright.models import create
from posewright.models.counting import count
from posewright.models.yolo_pose import SPP, YoloPoseBackbone
from posewright.people import People


@pytest.mark.parametrize(
    ("variant", "parameters"),
    [
        ("yolov5s6_kpts", 15_114_860),
        ("yolov5m6_kpts", 35_755_404),
        ("yolov5l6_kpts", 77_047_852),
    ],
)
def test_parameters_are_as_many_as_the_originals(variant: str, parameters: int) -> None:
    with torch.device("meta"):
        assert foreign("yolo_pose").variants[variant]().parameters_count == parameters


@pytest.mark.parametrize(
    ("name", "size", "gmacs"),
    [
        ("yolo_pose_s6", 640, 10.2),
        ("yolo_pose_s6", 960, 22.8),
        ("yolo_pose_m6", 960, 66.3),
        ("yolo_pose_l6", 960, 145.6),
        ("yolo_pose_m6_ti_lite", 960, 58.7),
    ],
)
def test_it_computes_as_much_as_published(name: str, size: int, gmacs: float) -> None:
    with torch.device("meta"):
        model = create(name, input_size=(size, size))
        assert count(model).gmacs == pytest.approx(gmacs, rel=0.012)  # theirs adds batch norm


@pytest.mark.parametrize("size", ["s", "m", "l"])
def test_lite_networks_have_silu_in_their_pools_alone(size: str) -> None:
    """The originals replace the activation everywhere but in the block of pools."""
    with torch.device("meta"):
        plain, lite = (create(f"yolo_pose_{size}6{end}") for end in ("", "_ti_lite"))
    acts = {k: type(m) for k, m in lite.named_modules() if k.endswith(".act")}
    silu = [k for k, kind in acts.items() if kind is torch.nn.SiLU]
    assert silu == ["backbone.model.10.cv1.act", "backbone.model.10.cv2.act"]
    assert {acts[k] for k in acts if k not in silu} == {torch.nn.ReLU}
    assert "Focus" not in {type(m).__name__ for m in lite.modules()}
    assert {"SiLU", "Focus"} <= {type(m).__name__ for m in plain.modules()}


def test_focus_puts_pixels_of_a_block_side_by_side() -> None:
    stem = YoloPoseBackbone((8, 8, 8, 8, 8, 8), 1, torch.nn.Identity).model["0"]
    stem.conv = torch.nn.Identity()
    x = torch.arange(2 * 3 * 4 * 4.0).view(2, 3, 4, 4)
    found = stem(x)  # (2, 12, 2, 2)
    assert found.shape == (2, 12, 2, 2)
    assert found[0, ::3, 0, 0].tolist() == [x[0, 0, i, j].item() for i in (0, 1) for j in (0, 1)]


def test_pools_after_each_other_are_larger_pools() -> None:
    torch.manual_seed(0)
    layer, x = SPP(4, (3, 5, 7), torch.nn.Identity), torch.randn(1, 4, 9, 9)
    layer.cv1, layer.cv2 = torch.nn.Identity(), torch.nn.Identity()
    pools = [torch.nn.functional.max_pool2d(x, k, 1, k // 2) for k in (3, 5, 7)]
    assert torch.equal(layer(x), torch.cat([x, *pools], 1))


def published(lite: bool) -> tuple[torch.nn.Module, dict[str, torch.Tensor]]:
    """A network and its tensors under the authors' names."""
    with torch.device("meta"):
        model = create("yolo_pose_s6_ti_lite" if lite else "yolo_pose_s6")
    state = {
        key.replace("backbone.model", "model")
        .replace("neck.model", "model")
        .replace("head.", "model.33."): value
        for key, value in model.state_dict().items()
    }
    anchors = torch.tensor(YoloPose().anchors).view(4, 1, 3, 1, 1, 2)
    return model, {**state, "model.33.anchors": anchors, "model.33.anchor_grid": anchors}


@pytest.mark.parametrize("lite", [False, True])
def test_published_names_fit_whatever_the_first_layer_is_called(lite: bool) -> None:
    model, state = published(lite)
    renamed = {key.replace("model.0.slice", "model.0.down"): v for key, v in state.items()}
    for given in (state, renamed):
        assert convert(given, foreign("yolo_pose"), model).keys() == model.state_dict().keys()


def test_other_anchors_are_refused() -> None:
    model, state = published(False)
    state["model.33.anchor_grid"] = state["model.33.anchor_grid"] * 1.1
    with pytest.raises(ModelError, match="custom anchors"):
        convert(state, foreign("yolo_pose"), model)


def test_anchors_are_channels_of_both_branches_one_after_the_other() -> None:
    model = create("yolo_pose_s6", input_size=(64, 64))
    head = model.head
    for conv in head.m:
        torch.nn.init.zeros_(conv.weight)
        conv.bias.data.copy_(torch.arange(18.0))
    for branch in head.m_kpt:
        torch.nn.init.zeros_(branch[-1].weight)
        branch[-1].bias.data.copy_(torch.arange(18.0, 171.0))
    with torch.inference_mode():
        outputs = model.compute(torch.zeros(1, 3, 64, 64))
    # cells of 8 x 8, 4 x 4, 2 x 2 and 1 x 1; the first anchor of the first level, then the second
    assert outputs["objectness"][0, [0, 63, 64, 128], 0].tolist() == [4, 4, 61, 118]
    assert outputs["visibility"][0, 0, 0] == 8 and outputs["visibility"][0, 64, 16] == 113
    assert outputs["keypoints"][0, -1, -1] == 2 * 169 - 0.5


def test_arrays_are_those_of_the_codec() -> None:
    with torch.device("meta"):
        model = create("yolo_pose_m6", skeleton="crowdpose14", input_size=(128, 64))
        outputs = model.compute(torch.zeros(2, 3, 64, 128))
    assert isinstance(model.codec, YoloPose)
    anchors = len(model.codec.locations)
    assert anchors == 3 * (16 * 8 + 8 * 4 + 4 * 2 + 2)
    assert {k: tuple(v.shape) for k, v in outputs.items()} == {
        "box": (2, anchors, 4),
        "objectness": (2, anchors, 1),
        "cls": (2, anchors, 1),
        "keypoints": (2, anchors, 28),
        "visibility": (2, anchors, 14),
    }


def test_sides_must_be_multiples_of_64() -> None:
    with pytest.raises(UsageError, match="multiples of 64"):
        create("yolo_pose_s6", input_size=(672, 640))


@pytest.mark.parametrize("name", ["yolo_pose_s6", "yolo_pose_s6_ti_lite"])
def test_it_learns_one_person(
    name: str, learn: Callable[..., list[float]], near_the_middle: Callable[..., People]
) -> None:
    torch.manual_seed(0)
    model = create(name, input_size=(128, 64)).train()
    rng = np.random.default_rng(0)
    model.loss.sigmas.mul_(4)  # as oks_loss.width=4 does at the start of a training
    target = model.codec.encode(near_the_middle(128, 64))
    targets = {k: torch.from_numpy(v).expand(2, *v.shape[1:]) for k, v in target.items()}
    views = torch.from_numpy(rng.integers(0, 256, (2, 64, 128, 3), np.uint8))
    losses = learn(model, views, targets, steps=12, rate=4e-3)
    assert losses[-1] < 0.8 * losses[0]
