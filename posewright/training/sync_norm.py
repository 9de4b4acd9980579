"""Batch normalisation over the parts of a batch that several processes hold.

torch's own needs a GPU; this one is tensor code around one exchange, so gloo on a processor does.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

__all__ = ["SyncBatchNorm", "convert"]


class _Sum(torch.autograd.Function):
    """The sum of a tensor over all processes.

    Everybody's loss depends on everybody's term, so the gradient is the sum of all gradients.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total = gradients[0].clone()
        dist.all_reduce(total)
        return total


class SyncBatchNorm(nn.modules.batchnorm._BatchNorm):
    """Batch normalisation whose mean and variance are those of all processes together.

    In evaluation, or in a single process, it is torch's.  Statistics are computed in fp32.
    """

    def _check_input_dim(self, input: Tensor) -> None:
        """Any (B, C, ...) will do."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, ...) -> the same shape."""
        use_batch = self.training or self.running_mean is None
        if not (use_batch and dist.is_initialized() and dist.get_world_size() > 1):
            return super().forward(input)
        x = input.float()
        axes = [0, *range(2, x.ndim)]
        shape = [1, -1, *[1] * (x.ndim - 2)]
        ours = x.new_full((1,), x.numel() / x.shape[1])
        sums = _Sum.apply(torch.cat([x.sum(axes), ours]))
        count, mean = sums[-1].detach(), sums[:-1] / sums[-1].detach()
        off = x - mean.view(shape)
        variance = _Sum.apply(off.square().sum(axes)) / count  # two passes lose no digits
        y = off * torch.rsqrt(variance + self.eps).view(shape)
        if self.affine:
            y = y * self.weight.float().view(shape) + self.bias.float().view(shape)
        if self.training and self.track_running_stats:
            self._remember(mean.detach(), variance.detach() * count / (count - 1).clamp(min=1))
        return y.to(input.dtype)

    @torch.no_grad()
    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        share = 1 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.to(self.running_mean), share)
        self.running_var.lerp_(variance.to(self.running_var), share)


def convert(model: nn.Module) -> nn.Module:
    """Replace every batch normalisation in `model` by one over all processes; return the model.

    Parameters and buffers are kept, so an optimizer made before and the names stay valid.
    """
    for name, child in model.named_children():
        setattr(model, name, convert(child))
    if not isinstance(model, (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)):
        return model
    synced = SyncBatchNorm(
        model.num_features, model.eps, model.momentum, model.affine, model.track_running_stats
    )
    synced.weight, synced.bias = model.weight, model.bias
    synced.running_mean, synced.running_var = model.running_mean, model.running_var
    synced.num_batches_tracked = model.num_batches_tracked
    return synced.train(model.training)
