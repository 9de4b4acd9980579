"""What one step knows of its whole batch, of which a process has some views and a part fewer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from posewright.losses.counted import CountedLoss
from posewright.training.processes import World

__all__ = ["Judged", "WholeBatch", "untouched"]

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True, eq=False)
class Judged:
    """What a loss judges of some views, and the factor that it has in a step."""

    loss: CountedLoss
    outputs: Tensors
    targets: Tensors
    weight: float = 1.0


class WholeBatch:
    """What the losses of a step are divided by: counts of all parts and all processes.

    They are exchanged once a step, whatever the number of parts: a process that runs out of memory
    later and begins again has them already, and no other waits for a second exchange.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.counts: list[Tensors] | None = None

    def loss(self, judged: Sequence[Judged]) -> Tensor:
        """Return what some views make of the loss of the whole batch.

        Processes average their gradients, so that each has as many times its share as there are.
        The first views are all of this process's, or else `settle` has been called.
        """
        terms = [one.loss.terms(one.outputs, one.targets) for one in judged]
        counts = self.settle([found.counts for found in terms])
        shares = [
            one.weight * one.loss.total(found.sums, known)
            for one, found, known in zip(judged, terms, counts, strict=False)
        ]
        return torch.stack(shares).sum() * self.world.size

    def settle(self, own: Sequence[Tensors]) -> Sequence[Tensors]:
        """Return the counts of each loss in the whole batch; own: of all views of this process."""
        if self.counts is None:
            self.counts = [{key: value.detach() for key, value in one.items()} for one in own]
            if self.world.size > 1:
                self.counts = self._summed(self.counts)
        return self.counts

    def _summed(self, own: Sequence[Tensors]) -> list[Tensors]:
        """Add up the counts of all processes, which hold the same names in the same order."""
        flat = torch.cat([value.reshape(-1).double() for one in own for value in one.values()])
        everybody = iter(self.world.sum(flat).split([v.numel() for o in own for v in o.values()]))
        return [{key: _like(value, next(everybody)) for key, value in one.items()} for one in own]


def _like(own: Tensor, found: Tensor) -> Tensor:
    """Give a sum the shape, and numbers with a fraction also the type, of what was summed."""
    return found.view_as(own).to(own.dtype if own.is_floating_point() else torch.float32)


@contextmanager
def untouched(model: nn.Module, device: str) -> Iterator[None]:
    """Leave generators and buffers as they were: what runs inside is run again."""
    before = [(buffer, buffer.clone()) for buffer in model.buffers()]
    devices = [torch.device(device)] if device.startswith("cuda") else []
    try:
        with torch.random.fork_rng(devices):
            yield
    finally:
        for buffer, value in before:
            buffer.copy_(value)
