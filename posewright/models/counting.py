"""How large a network is: parameters and multiply-accumulates of one view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from posewright.codecs.base import condition_shape
from posewright.models.base import PoseModel

__all__ = ["Counts", "count"]


@dataclass(frozen=True)
class Counts:
    """parameters: trainable and frozen.  macs: multiply-accumulates of convolutions, linear layers
    and attention.  macs_at_outputs: the same with transposed convolutions counted once for each
    output cell and tap, though three quarters of these products are with zeros at stride 2.

    Papers count differently: HRNet's tables have `gflops`; those of AlphaPose and mmpose have
    `gmacs`, but call it GFLOPs.  Twice `macs` is what "floating point operations" says literally.
    """

    parameters: int
    macs: int
    macs_at_outputs: int

    @property
    def gflops(self) -> float:
        """As HRNet's tables count: multiply-accumulates at output cells / 1024^3."""
        return self.macs_at_outputs / 1024**3

    @property
    def gmacs(self) -> float:
        """Multiply-accumulates / 1e9."""
        return self.macs / 1e9


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
        with counter, torch.no_grad():
            model.compute(torch.zeros(1, channels, height, width, device=device))
    finally:
        for hook in hooks:
            hook.remove()
    macs = counter.get_total_flops() // 2
    parameters = sum(p.numel() for p in model.parameters())
    return Counts(parameters, macs, macs + sum(extra))
