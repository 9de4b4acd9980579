"""A loss whose sigmas are wider at first, and RTMO's second stage."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import pytest
import torch

from posewright.errors import UsageError
from posewright.losses.yolox import RTMOLoss
from posewright.models import PoseModel, create
from posewright.recipes.groups import STNSettings
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.training.loss_schedule import Stages


def stages(model: PoseModel, settings: Mapping[str, object] = MappingProxyType({})) -> Stages:
    """Stages of a recipe whose settings about the loss are these alone."""
    plain = recipe_for(model.name).with_overrides(["epochs=100", "oks_loss.width=1"])
    chosen = [f"{key}={value}" for key, value in {"rtmo.teach_from": 0, **settings}.items()]
    return Stages(model, plain.with_overrides(chosen))


@pytest.mark.parametrize("name", ["yoloxpose_tiny", "yolo_pose_s6", "rtmo_t"])
def test_sigmas_fall_to_their_own_at_half_of_the_training(name: str) -> None:
    model = create(name, input_size=(64, 64))
    own = model.loss.sigmas.clone()
    wide = stages(model, {"oks_loss.width": 4})
    for epoch, factor in ((0, 4), (25, 2), (50, 1), (90, 1), (0, 4)):
        wide.at(epoch)
        torch.testing.assert_close(model.loss.sigmas, own * factor)


def test_rtmo_teaches_from_the_epoch_on() -> None:
    model = create("rtmo_t", input_size=(64, 64))
    assert isinstance(model.loss, RTMOLoss)
    late = stages(model, {"rtmo.teach_from": 40})
    for epoch, expected in ((0, False), (39.9, False), (40, True), (99, True), (0, False)):
        late.at(epoch)
        assert model.loss.teach is expected
    stages(model).at(99)
    assert model.loss.teach is False


def test_the_published_second_stage_moves_with_the_epochs() -> None:
    recipe = recipe_for("rtmo_s")
    assert (recipe.epochs, recipe.rtmo.teach_from) == (600, 280)
    assert recipe.with_overrides(["epochs=60"]).rtmo.teach_from == 28


@pytest.mark.parametrize("name", ["simcc_mobilenetv2", "adaptivepose_dla34"])
def test_what_a_loss_does_not_have_is_refused(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    with pytest.raises(UsageError, match=f"oks_loss.width=4: {name} does not learn joints by OKS"):
        stages(model, {"oks_loss.width": 4})
    with pytest.raises(UsageError, match=f"rtmo.teach_from=3: {name} is not RTMO"):
        stages(model, {"rtmo.teach_from": 3})
    assert stages(model).hint == ""


def test_new_weights_get_a_hint() -> None:
    with torch.device("meta"):
        yolo = create("yoloxpose_tiny")
    assert "oks_loss.width=4" in stages(yolo).hint
    assert stages(yolo, {"weights": "coco.safetensors"}).hint == ""
    assert stages(yolo, {"oks_loss.width": 4}).hint == ""


def test_a_recipe_of_a_transformer_that_is_not_there_is_refused() -> None:
    with pytest.raises(UsageError, match="stn has no effect without --stn"):
        Stages(create("rtmpose_t"), Recipe(stn=STNSettings(loss_weight=5)))
