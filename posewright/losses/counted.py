"""Losses whose terms are divided by what is counted in a batch: people, joints, cells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

__all__ = ["CountedLoss", "Counts", "Terms", "count_of", "counted", "root_share"]

Tensors = Mapping[str, Tensor]
Counts = Mapping[str, Tensor]
_NOTHING = 1e-30  # a root below it is that of no difference at all


@dataclass(frozen=True, eq=False)
class Terms:
    """What a loss finds in some views, before it divides.

    sums: by name, what the gradient flows through.  counts: by name, what they are divided by; both
    may be vectors, and both of two parts of a batch add up to those of the batch.
    """

    sums: dict[str, Tensor]
    counts: dict[str, Tensor]


class CountedLoss(nn.Module):
    """A loss of sums over views, each divided by a count of the whole batch.

    A mean over views needs none of this.  Of other losses the mean over parts is not the loss of
    the batch, unless every part divides by the counts of all: so `terms` and `total` are apart, and
    training adds up the counts of all parts and processes between them.
    """

    def terms(self, outputs: Tensors, targets: Tensors) -> Terms:
        """Return the sums and the counts of some views."""
        raise NotImplementedError

    def known(self, targets: Tensors) -> dict[str, Tensor] | None:
        """Return the counts of `terms` as far as targets tell them; None: outputs are needed."""
        return None

    def total(self, sums: Tensors, counts: Counts) -> Tensor:
        """Return the part of the loss that some views make, whose batch has these counts.

        Linear in `sums`, so that the parts of a batch add up.  A count below 1 is of nothing.
        """
        shares = [(value / counts[name].clamp(min=1)).sum() for name, value in sums.items()]
        return torch.stack(shares).sum()

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Return the loss of views that are the whole batch."""
        found = self.terms(outputs, targets)
        return self.total(found.sums, found.counts)


class _MeanLoss(CountedLoss):
    """A mean over views as a `CountedLoss`."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def known(self, targets: Tensors) -> dict[str, Tensor]:
        rows = next(iter(targets.values()))
        return {"views": count_of(len(rows), rows)}

    def terms(self, outputs: Tensors, targets: Tensors) -> Terms:
        views = self.known(targets)
        return Terms({"mean": self.loss(outputs, targets), **views}, views)

    def total(self, sums: Tensors, counts: Counts) -> Tensor:
        return sums["mean"] * (sums["views"] / counts["views"])


def counted(loss: nn.Module) -> CountedLoss:
    """Return a loss whose parts add up; one that is not a `CountedLoss` is a mean over views."""
    return loss if isinstance(loss, CountedLoss) else _MeanLoss(loss)


def count_of(number: int, like: Tensor) -> Tensor:
    """Return a number as a count, on the device of a tensor."""
    return torch.full((), float(number), device=like.device)


def root_share(squares: Tensor, everybody: Tensor) -> Tensor:
    """Return the share that some squares have in the root of a sum of squares.

    squares: sums of a part; everybody: of all parts, without a gradient.  The shares add up to the
    root, and so do their gradients, which are those of the root.
    """
    half = squares / (2 * everybody.sqrt().clamp(min=_NOTHING))
    return half + half.detach()
