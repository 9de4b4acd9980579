"""Losses of coordinate classification.

All of them add the two axes and are means over joints and views, joints without weight counted as
zeros; targets are those of `posewright.codecs.SimCC`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.codecs.simcc import SimCC

__all__ = ["SimCCCrossEntropy", "SimCCKL", "simcc_loss"]

Tensors = Mapping[str, Tensor]


class SimCCKL(nn.Module):
    """Kullback-Leibler divergence from the softmax to the target, mean over bins.

    outputs: logits x (B, K, bins), y (B, K, bins).  targets: x, y likewise, weight (B, K).
    beta 1 is SA-SimDR's (arXiv:2107.03332), whose targets sum to 1.  RTMPose (arXiv:2303.07399)
    multiplies logits by beta 10 and, with label_softmax, makes its targets sum to 1 by a softmax
    of 10 times them; its code adds views up where this is a mean over them.
    """

    def __init__(self, beta: float = 1.0, *, label_softmax: bool = False) -> None:
        super().__init__()
        self.beta = beta
        self.label_softmax = label_softmax

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        axes = [self._axis(outputs[key], targets[key]) for key in ("x", "y")]  # twice (B, K)
        return (torch.stack(axes).sum(0) * targets["weight"]).mean()

    def _axis(self, logits: Tensor, target: Tensor) -> Tensor:
        if self.label_softmax:
            target = (target * self.beta).softmax(2)
        log = (logits * self.beta).log_softmax(2)
        return functional.kl_div(log, target, reduction="none").mean(2)


class SimCCCrossEntropy(nn.Module):
    """Cross-entropy of SimDR, whose targets are smoothed already (arXiv:2107.03332).

    outputs: logits x (B, K, bins), y (B, K, bins).  targets: x, y likewise, weight (B, K).
    """

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        axes = [-(targets[k] * outputs[k].log_softmax(2)).sum(2) for k in ("x", "y")]
        return (torch.stack(axes).sum(0) * targets["weight"]).mean()


def simcc_loss(codec: SimCC) -> nn.Module:
    """Return the loss that the authors of a codec's kind of targets train with."""
    if codec.smoothing is not None:
        return SimCCCrossEntropy()
    return SimCCKL() if codec.normalised else SimCCKL(10.0, label_softmax=True)
