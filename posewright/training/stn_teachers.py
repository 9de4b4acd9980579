"""What teaches a spatial transformer: RMPE's parallel branch (arXiv:1612.00137), or boxes."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from posewright.codecs import Codec
from posewright.errors import ModelError
from posewright.models.base import PoseModel
from posewright.people import People
from posewright.training.feed.batches import Batch
from posewright.warp import Warp

__all__ = ["Parallel", "TrueBoxes", "centred", "in_own_crops", "theta_between"]


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
        """Return the codec's targets with every person centred."""
        people = self.labels(_one_each(batch), self.network.codec)
        return replace(batch, people=people).targets(self.network.codec, device)

    @property
    def criterion(self) -> nn.Module:
        """The loss that compares `outputs` with `targets`, without the weight."""
        assert self.network.loss is not None
        return self.network.loss

    def outputs(self, views: Tensor, theta: Tensor) -> dict[str, Tensor]:
        """(B, h, w, 3) RGB views and the transformer's theta for them -> what the copy finds."""
        network = self.network
        x = self.stn.view(network.normalise(views), theta, network.black)
        return {key: value.float() for key, value in network.compute(x).items()}


class TrueBoxes:
    """Asks for theta itself: the one that makes of a view the codec's crop of the labelled box.

    Not RMPE's way, and stronger where boxes are labelled: the branch's gradient knows no way to a
    joint that is more than a blob's width off, this one always does.  It needs no trained weights
    and no copy of the network.  weight: factor of its loss, the squares of theta's six numbers.
    """

    def __init__(self, codec: Codec, weight: float) -> None:
        self.codec, self.weight, self.criterion = codec, weight, _Squares()

    def targets(self, batch: Batch, device: str | torch.device) -> dict[str, Tensor]:
        """Return theta (B, 2, 3) of the people's boxes, each in an own view."""
        people = _one_each(batch)
        view = Warp(np.eye(2, 3), self.codec.input_size)
        crops = self.codec.warps(self.codec.input_size, people)
        wanted = [torch.from_numpy(theta_between(view, crop)) for crop in crops]
        return {"theta": torch.stack(wanted).to(device)}

    def outputs(self, views: Tensor, theta: Tensor) -> dict[str, Tensor]:
        """Return what is compared: theta itself; views do not count."""
        return {"theta": theta}


class _Squares(nn.Module):
    """Sum of the squares of theta's six numbers, mean over views."""

    def forward(self, outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        return (outputs["theta"] - targets["theta"]).square().sum((1, 2)).mean()


def theta_between(view: Warp, wanted: Warp) -> NDArray[np.float32]:
    """Return theta (2, 3) by which a view becomes the wanted one of the same image and size."""
    span = (np.array(view.size) - 1) / 2
    to_pixels = _square(np.column_stack([np.diag(span), span]))  # of -1 to 1
    here, there = (_square(warp.inverse().matrix) @ to_pixels for warp in (view, wanted))
    return (np.linalg.inv(here) @ there)[:2].astype(np.float32)


def _square(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.vstack([matrix, [0, 0, 1]])


def _one_each(batch: Batch) -> People:
    if not isinstance(batch.people, People):
        raise ModelError("a spatial transformer needs views of one person each")
    return batch.people


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
