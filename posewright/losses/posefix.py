"""Loss of PoseFix."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from posewright.codecs.integral import expectation

__all__ = ["PoseFixLoss"]

Tensors = Mapping[str, Tensor]


class PoseFixLoss(nn.Module):
    """Cross-entropy of the maps' softmax plus L1 of their mean positions (arXiv:1812.03595).

    outputs: heatmap (B, K, h, w), before the softmax.  targets: heatmap likewise, of sum 1, points
    (B, K, 2) in cells and weight (B, K), as `PoseFix` encodes them.  Both are means over all
    joints, those without weight counting 0.
    """

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        maps, weight = outputs["heatmap"], targets["weight"]
        logs = maps.flatten(2).log_softmax(2)  # (B, K, h * w)
        entropy = -(targets["heatmap"].flatten(2) * logs).sum(2)  # (B, K)
        points = expectation(logs.exp().view_as(maps))  # (B, K, 2) cells
        distance = (points - targets["points"]).abs().mean(2)
        loss: Tensor = ((entropy + distance) * weight).mean()
        return loss
