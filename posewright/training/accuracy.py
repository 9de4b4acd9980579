"""The accuracy of a training step: PCK on heatmaps, as logs of this field state it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["map_accuracy"]

_NEAR = 0.5  # of a tenth of the map


def map_accuracy(outputs: Mapping[str, Tensor], targets: Mapping[str, Tensor]) -> Tensor | None:
    """Return the share in [0, 1] of peaks near those of the target maps, a mean of the joints'.

    outputs, targets: heatmap (B, K, h, w), and the targets' weight (B, K), 0 where a joint is not
    labelled; None for networks without both.  As in HRNet's lib/core/evaluate.py (MIT), x is
    divided by a tenth of the map's height and y by a tenth of its width, distances below 0.5
    count, joints whose target is in the first two rows or columns do not, and a map without a value
    above 0 has its peak at 0, 0.  NaN where no joint counts.
    """
    found, wanted, weight = outputs.get("heatmap"), targets.get("heatmap"), targets.get("weight")
    if found is None or wanted is None or weight is None or found.shape != wanted.shape:
        return None
    if weight.shape != found.shape[:2]:
        return None
    height, width = found.shape[2:]
    (x, y), (at_x, at_y) = _peaks(found), _peaks(wanted)
    counts = (at_x > 1) & (at_y > 1) & (weight > 0)
    gap = torch.hypot((x - at_x) / (height / 10), (y - at_y) / (width / 10))
    right = ((gap < _NEAR) & counts).sum(0) / counts.sum(0)  # (K,), NaN where nobody has the joint
    return right.nanmean()


def _peaks(maps: Tensor) -> tuple[Tensor, Tensor]:
    """(B, K, h, w) -> x and y (B, K) in cells; 0, 0 without a value above 0."""
    highest, at = maps.flatten(2).max(2)
    at = torch.where(highest > 0, at, 0)
    return (at % maps.shape[3]).float(), (at // maps.shape[3]).float()
