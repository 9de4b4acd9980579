"""Losses of heatmaps."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

__all__ = ["HeatmapMSE"]

Tensors = Mapping[str, Tensor]


class HeatmapMSE(nn.Module):
    """Half the mean squared difference of maps, joints without weight left out (arXiv:1804.06208).

    outputs: heatmap (B, K, h, w).  targets: heatmap likewise, weight (B, K).
    """

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        difference = (outputs["heatmap"] - targets["heatmap"]).square().mean((2, 3))  # (B, K)
        return (difference * targets["weight"].square()).mean() / 2
