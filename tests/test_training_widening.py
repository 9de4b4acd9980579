"""Sigmas of an OKS loss that are wider at first."""

from __future__ import annotations

import pytest
import torch

from posewright.errors import UsageError
from posewright.models import create
from posewright.training.widening import Widening


@pytest.mark.parametrize("name", ["yoloxpose_tiny", "yolo_pose_s6", "rtmo_t"])
def test_sigmas_fall_to_their_own_at_half_of_the_training(name: str) -> None:
    model = create(name, input_size=(64, 64))
    own = model.loss.sigmas.clone()
    widening = Widening(model, 4)
    for done, factor in ((0, 4), (0.25, 2), (0.5, 1), (0.9, 1), (0, 4)):
        widening.at(done)
        torch.testing.assert_close(model.loss.sigmas, own * factor)


@pytest.mark.parametrize("name", ["simcc_mobilenetv2", "adaptivepose_dla34"])
def test_what_does_not_learn_by_oks_alone_is_refused(name: str) -> None:
    with torch.device("meta"):
        model = create(name)
    with pytest.raises(UsageError, match=f"oks_width=4: {name} does not learn joints by OKS"):
        Widening(model, 4)
    assert Widening(model, 1).hint("") == ""


def test_new_weights_get_a_hint() -> None:
    with torch.device("meta"):
        yolo = create("yoloxpose_tiny")
    assert "oks_width=4" in Widening(yolo, 1).hint("")
    assert Widening(yolo, 1).hint("coco.safetensors") == Widening(yolo, 4).hint("") == ""
