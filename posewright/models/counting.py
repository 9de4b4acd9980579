"""How large a network in torch is: parameters and multiply-accumulates of one view."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from posewright.codecs.base import condition_shape
from posewright.models.base import PoseModel
from posewright.runtimes.counts import Counts

__all__ = ["Counts", "count"]


def count(model: PoseModel) -> Counts:
    """Count one view of the codec's input size; the network may be on the meta device."""
    device = next(model.parameters()).device
    width, height = model.codec.input_size
    shape = condition_shape(model.codec, len(model.skeleton))
    channels = 3 if shape is None else 3 + shape[0]
    extra: list[int] = []

    def note(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        taps = module.weight.numel()  # products for each input cell
        cells = output[0, 0].numel() - inputs[0][0, 0].numel()
        extra.append(cells * taps)

    deconvolutions = [m for m in model.modules() if isinstance(m, nn.ConvTranspose2d)]
    hooks = [m.register_forward_hook(note) for m in deconvolutions]
    counter = FlopCounterMode(display=False)
    try:
        # the counter knows no fused attention of processors, only the products that it is made of
        with counter, torch.no_grad(), sdpa_kernel(SDPBackend.MATH):
            model.compute(torch.zeros(1, channels, height, width, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    macs = counter.get_total_flops() // 2
    parameters = sum(p.numel() for p in model.parameters())
    return Counts(parameters, macs, macs + sum(extra))
