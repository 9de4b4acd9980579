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


def test_a_loss_without_sigmas_is_refused_and_new_weights_get_a_hint() -> None:
    with torch.device("meta"):
        simcc, yolo = create("simcc_mobilenetv2"), create("yoloxpose_tiny")
    with pytest.raises(UsageError, match=r"oks_width=4: the loss of simcc_.+ has no sigmas"):
        Widening(simcc, 4)
    assert Widening(simcc, 1).hint("") == ""
    assert "oks_width=4" in Widening(yolo, 1).hint("")
    assert Widening(yolo, 1).hint("coco.safetensors") == Widening(yolo, 4).hint("") == ""
