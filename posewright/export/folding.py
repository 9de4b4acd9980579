"""Batch norms folded into the convolutions before them, for networks that only run."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

__all__ = ["fold_batch_norm"]


def fold_batch_norm(model: nn.Module, *x: Tensor) -> nn.Module:
    """Return a copy whose batch norms directly after convolutions are part of these.

    x: inputs of `model`; the pairs are found by running it.  The copy computes the same.
    """
    folded = copy.deepcopy(model).eval()
    pairs = _pairs(folded, *x)
    parents = {id(c): (p, n) for p in folded.modules() for n, c in p.named_children()}
    for conv, norm in pairs:
        fused = fuse_conv_bn_eval(conv, norm, isinstance(conv, nn.ConvTranspose2d))
        for old, new in ((conv, fused), (norm, nn.Identity())):
            parent, name = parents[id(old)]
            setattr(parent, name, new)
    return folded


def _pairs(model: nn.Module, *x: Tensor) -> list[tuple[nn.Module, nn.BatchNorm2d]]:
    """Return (convolution, batch norm of its output), both used once, by running the network."""
    made: dict[int, tuple[nn.Module, Tensor]] = {}
    calls: dict[int, int] = {}
    pairs: list[tuple[nn.Module, nn.BatchNorm2d]] = []

    def after(module: Any, inputs: Any, output: Tensor) -> None:
        calls[id(module)] = calls.get(id(module), 0) + 1
        made[id(output)] = (module, output)  # the tensor is kept, so that its id stays its own

    def before(module: Any, inputs: tuple[Tensor, ...]) -> None:
        calls[id(module)] = calls.get(id(module), 0) + 1
        conv, output = made.get(id(inputs[0]), (None, None))
        if conv is not None and output is inputs[0]:
            pairs.append((conv, module))

    hooks: list[Any] = []
    for module in model.modules():
        if type(module) in (nn.Conv2d, nn.ConvTranspose2d):
            hooks.append(module.register_forward_hook(after))
        elif type(module) is nn.BatchNorm2d:
            hooks.append(module.register_forward_pre_hook(before))
    with torch.no_grad():
        model(*x)
    for hook in hooks:
        hook.remove()
    return [(c, n) for c, n in pairs if calls[id(c)] == calls[id(n)] == 1]
