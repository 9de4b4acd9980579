"""The parallel branch of RMPE (arXiv:1612.00137): it teaches a spatial transformer to centre."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from posewright.codecs import Codec
from posewright.errors import ModelError
from posewright.models.base import PoseModel
from posewright.people import People
from posewright.training.batches import Batch

__all__ = ["Parallel", "centred", "in_own_crops"]


class Parallel:
    """A frozen copy of a network that sees what its transformer chooses, and finds centred poses.

    Its loss is low only where the person is in the middle of what the transformer chooses.  The
    gradient goes through the copy into the transformer, and nowhere else; the copy never changes,
    is in no file and does not run at inference.  weight: factor of its loss.  cropped: it finds
    poses as the codec would have cut them out of the labelled box, at that size, too.  ModelError:
    the network has no transformer.
    """

    def __init__(self, model: PoseModel, weight: float, *, cropped: bool = False) -> None:
        if model.stn is None:
            raise ModelError(f"{model.name} has no spatial transformer for a parallel branch")
        self.stn, self.weight = model.stn, weight
        self.labels = in_own_crops if cropped else centred
        self.network = copy.deepcopy(model)
        self.network.stn = None
        self.network.eval().requires_grad_(False)

    def targets(self, batch: Batch, device: str | torch.device) -> dict[str, Tensor]:
        """Return what the codec asks for where everybody is centred."""
        if not isinstance(batch.people, People):
            raise ModelError("a parallel branch needs a view of one person each")
        people = self.labels(batch.people, self.network.codec)
        return replace(batch, people=people).targets(self.network.codec, device)

    def loss(self, views: Tensor, theta: Tensor, targets: dict[str, Tensor]) -> Tensor:
        """(B, h, w, 3) RGB views and the transformer's theta for them -> the weighted loss."""
        network = self.network
        x = self.stn.view(network.normalise(views), theta, network.black)
        outputs = {key: value.float() for key, value in network.compute(x).items()}
        assert network.loss is not None
        loss: Tensor = network.loss(outputs, targets)
        return loss * self.weight


def centred(people: People, codec: Codec) -> People:
    """Return people, each in an own view, so that the middle of their joints is the view's.

    The middle is that of the extent of a person's labelled joints; whoever has none stays.
    """
    seen = (people.scores > 0)[..., None]  # (N, K, 1)
    low = np.where(seen, people.keypoints, np.inf).min(1)
    high = np.where(seen, people.keypoints, -np.inf).max(1)
    middle = (np.array(codec.input_size) - getattr(codec, "unbiased", False)) / 2
    there = np.where(np.isfinite(low), low, middle) + np.where(np.isfinite(high), high, middle)
    move = (middle - there / 2).astype(np.float32)[:, None]
    return people.replace(
        keypoints=people.keypoints + move, boxes=people.boxes + np.tile(move[:, 0], 2)
    )


def in_own_crops(people: People, codec: Codec) -> People:
    """Return people, each in an own view, as the codec's crop of their box would show them."""
    warps = codec.warps(codec.input_size, people)
    return People.concat([warp.people(people[i]) for i, warp in enumerate(warps)] or [people])
