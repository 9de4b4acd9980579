"""What changes in a loss during training."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from posewright.people import Floats

__all__ = ["OKSLoss", "ScheduledLoss"]


@runtime_checkable
class ScheduledLoss(Protocol):
    """A loss that changes with the epoch; its settings are attributes."""

    def at(self, epoch: float, epochs: int) -> None:
        """Set the loss for an epoch of `epochs`, counted from 0, with its fraction.

        All follows from the epoch alone, so that a resumed run is the same.
        """


class OKSLoss(nn.Module):
    """A loss that learns joints by OKS, whose sigmas may be wider at first.

    exp(-d^2 / 2 sigma^2) is flat many sigmas away, where all joints of a new network are: YOLO-Pose
    and its like were published on weights that know people.  oks_width: factor of the sigmas at the
    start; it falls evenly, in its logarithm, to 1 at half of the training.
    """

    sigmas: Tensor

    def __init__(self, sigmas: Floats) -> None:
        super().__init__()
        self.register_buffer("sigmas", torch.tensor(sigmas), persistent=False)
        self._own = sigmas
        self.oks_width = 1.0

    def at(self, epoch: float, epochs: int) -> None:
        """Widen the sigmas as far as they are at this epoch."""
        if self.oks_width != 1:
            factor = self.oks_width ** max(0.0, 1 - 2 * epoch / epochs)
            self.sigmas.copy_(torch.tensor(self._own) * factor)
