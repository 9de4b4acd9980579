"""The processes of one run: each has its part of every batch and the same weights."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from posewright.errors import UsageError

__all__ = ["World", "joined"]

_BUCKET = 16 << 20  # numbers exchanged at a time: 64 MB in fp32


@dataclass(frozen=True, slots=True)
class World:
    """Which of `size` processes this one is, and the device that it computes on."""

    rank: int = 0
    size: int = 1
    device: str = "cpu"

    @property
    def first(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def highest(self, values: Tensor) -> Tensor:
        """Return the element-wise maximum over all processes."""
        if self.size > 1:
            dist.all_reduce(values, dist.ReduceOp.MAX)
        return values

    def sum(self, values: Tensor) -> Tensor:
        """Return the element-wise sum over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def mean(self, value: float) -> float:
        """Return the mean of a number over all processes."""
        if self.size == 1:
            return value
        tensor = torch.tensor([value], dtype=torch.float64, device=self.device)
        return float(self.sum(tensor)) / self.size

    def gather(self, tensor: Tensor) -> list[Tensor]:
        """Return the same-shaped tensors of all processes, by rank."""
        if self.size == 1:
            return [tensor]
        here = tensor.to(self.device)
        parts = [torch.empty_like(here) for _ in range(self.size)]
        dist.all_gather(parts, here)
        return [part.cpu() for part in parts]

    def wait(self) -> None:
        """Block until every process has reached this point."""
        if self.size > 1:
            dist.barrier()

    def same_weights(self, model: nn.Module) -> None:
        """Give every process the first one's weights and buffers."""
        if self.size > 1:
            for tensor in (*model.parameters(), *model.buffers()):
                dist.broadcast(tensor.detach(), 0)

    def average(self, parameters: Sequence[nn.Parameter]) -> None:
        """Replace the gradients by their mean over all processes.

        A parameter that took part nowhere keeps no gradient, as in a single process.  The exchange
        follows the backward pass, so that a process that had to repeat it does not block the others
        inside of it.
        """
        if self.size == 1:
            return
        used = torch.tensor([float(p.grad is not None) for p in parameters], device=self.device)
        self.highest(used)
        present = [p for p, flag in zip(parameters, used.tolist(), strict=True) if flag]
        for p in present:
            if p.grad is None:
                p.grad = torch.zeros_like(p)
        # no part holds many more numbers than a bucket
        buckets: list[list[nn.Parameter]] = [[]]
        room = _BUCKET
        for parameter in present:
            if room <= 0:
                buckets.append([])
                room = _BUCKET
            buckets[-1].append(parameter)
            room -= parameter.numel()
        for bucket in [bucket for bucket in buckets if bucket]:
            flat = torch.cat([p.grad.reshape(-1) for p in bucket])
            self.sum(flat)
            flat /= self.size
            start = 0
            for p in bucket:
                p.grad.copy_(flat[start : start + p.numel()].view_as(p.grad))
                start += p.numel()


def _join(device: str = "auto") -> World:
    """Join the processes that torchrun, or `--devices N`, has started; alone without them.

    device: "auto" is one GPU a process, or the processor where there is none.
    """
    size, rank = int(os.environ.get("WORLD_SIZE", 1)), int(os.environ.get("RANK", 0))
    local = int(os.environ.get("LOCAL_RANK", rank))
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cuda":
        if not torch.cuda.is_available():
            raise UsageError(
                "device cuda is not available on this machine or in this build of torch"
            )
        device = f"cuda:{local % torch.cuda.device_count()}"
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    if size > 1 and not dist.is_initialized():
        shared = device.startswith("cuda") and size > torch.cuda.device_count()
        nccl = device.startswith("cuda") and not shared
        meeting = os.environ.get("POSEWRIGHT_MEETING")  # of --devices; torchrun has its own
        store = dist.FileStore(meeting, size) if meeting else None
        backend = "nccl" if nccl else "gloo"
        dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    return World(rank, size, device)


@contextmanager
def joined(device: str = "auto") -> Iterator[World]:
    """Join the other processes, and part from them once the work is done.

    Otherwise the threads of gloo are still there when the process ends, which sometimes aborts it.
    A group that the program made itself stays.  Where the work fails the process ends anyway, and
    parting could wait for the others.
    """
    ours = not dist.is_initialized()
    yield _join(device)
    if ours and dist.is_initialized():
        dist.destroy_process_group()
