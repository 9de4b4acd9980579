"""Losses of heatmaps."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

__all__ = ["CombinedTargetMSE", "HeatmapMSE", "StackedMSE"]

Tensors = Mapping[str, Tensor]


class HeatmapMSE(nn.Module):
    """Half the mean squared difference of maps, joints without weight left out (arXiv:1804.06208).

    outputs: heatmap (B, K, h, w).  targets: heatmap likewise, weight (B, K).  hardest: of each
    person only as many joints count, those with the largest loss (OHKM, arXiv:1711.07319).
    """

    def __init__(self, hardest: int | None = None) -> None:
        super().__init__()
        self.hardest = hardest

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        difference = (outputs["heatmap"] - targets["heatmap"]).square().mean((2, 3))  # (B, K)
        joints = difference * targets["weight"].square() / 2
        if self.hardest is None:
            return joints.mean()
        return joints.topk(min(self.hardest, joints.shape[1]), 1).values.mean()


class StackedMSE(nn.Module):
    """The sum of `HeatmapMSE` over the stacks of an hourglass (arXiv:1603.06937).

    outputs: heatmap, and heatmap_1, heatmap_2 ... of the earlier stacks.  targets: as HeatmapMSE.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stack = HeatmapMSE()

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        stacks = [v for k, v in outputs.items() if k.startswith("heatmap")]
        return torch.stack([self.stack({"heatmap": maps}, targets) for maps in stacks]).sum()


class CombinedTargetMSE(nn.Module):
    """UDP's loss of discs and offsets (arXiv:1911.07524): offsets count inside of the disc.

    outputs: heatmap (B, 3K, h, w).  targets: heatmap likewise, weight (B, K).
    """

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        (found, wanted), weight = (t["heatmap"] for t in (outputs, targets)), targets["weight"]
        found, wanted = (m.unflatten(1, (-1, 3)) for m in (found, wanted))  # (B, K, 3, h, w)
        inside = wanted[:, :, :1] * weight[..., None, None, None]
        disc = ((found - wanted)[:, :, 0] * weight[..., None, None]).square()
        offsets = (inside * (found - wanted)[:, :, 1:]).square().sum(2)
        return (disc + offsets).mean() / 2
