"""Processes of a training, in the threads of one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from posewright.training.processes import World

__all__ = ["ThreadWorld", "together"]


@dataclass(frozen=True)
class _Meeting:
    """Where the tensors of all threads are put together; counts the meetings."""

    barrier: threading.Barrier
    brought: list[Tensor | None]
    held: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class ThreadWorld(World):
    """A world whose processes are threads: all but the exchange itself is that of `World`."""

    meeting: Any = None

    def sum(self, values: Tensor) -> Tensor:
        return values.copy_(self._everybody(values).sum(0))

    def highest(self, values: Tensor) -> Tensor:
        return values.copy_(self._everybody(values).amax(0))

    @property
    def exchanges(self) -> list[int]:
        """How many numbers each exchange had so far."""
        return self.meeting.held

    def _everybody(self, values: Tensor) -> Tensor:
        meeting = self.meeting
        meeting.brought[self.rank] = values.detach().clone()
        meeting.barrier.wait(60)
        found = torch.stack(meeting.brought)
        if self.rank == 0:
            meeting.held.append(values.numel())
        meeting.barrier.wait(60)
        return found


def together(size: int, work: Callable[[ThreadWorld], Any]) -> list[Any]:
    """Do some work in each of `size` processes; return their results by rank."""
    meeting = _Meeting(threading.Barrier(size), [None] * size)

    def one(rank: int) -> Any:
        try:
            return work(ThreadWorld(rank, size, "cpu", meeting))
        except BaseException:
            meeting.barrier.abort()
            raise

    with ThreadPoolExecutor(size) as pool:
        return list(pool.map(one, range(size)))
