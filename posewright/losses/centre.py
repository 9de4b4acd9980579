"""Losses of networks that find people by their centres: DEKR's and AdaptivePose's."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

from posewright.losses.counted import CountedLoss, Counts, Terms, count_of
from posewright.skeletons import Skeleton

__all__ = ["AdaptivePoseLoss", "DEKRLoss", "focal"]

Tensors = Mapping[str, Tensor]


def focal(logits: Tensor, target: Tensor) -> Tensor:
    """Return the focal loss of maps whose people are the cells of target 1 (arXiv:1904.07850).

    logits, target: the same shape, target in [0, 1]; cells near a person count less by (1 -
    target)^4.  The sum over all cells, which is yet to be divided by the number of people.
    """
    p = logits.sigmoid()
    person = target == 1
    # logs of the sigmoid itself would be infinite where it is 0 or 1 in float32
    near = -F.logsigmoid(logits) * (1 - p).square()
    far = -F.logsigmoid(-logits) * p.square() * (1 - target) ** 4
    return torch.where(person, near, far).sum()


class DEKRLoss(CountedLoss):
    """Weighted mean square of the maps and 0.03 smooth L1 of the offsets (arXiv:2104.02300).

    outputs: heatmap (B, K + 1, h, w), offset (B, 2 K, h, w).  targets: both likewise, and
    heatmap_weight, offset_weight of the same shapes, as `DEKR` encodes them.  The squares are a
    mean over all cells, the offsets over those of a weight.  beta: cells at which smooth L1 turns
    linear.
    """

    def __init__(self, factor: float = 0.03, beta: float = 1 / 9) -> None:
        super().__init__()
        self.factor = factor
        self.beta = beta

    def known(self, targets: Tensors) -> dict[str, Tensor]:
        weight = targets["offset_weight"]
        return {"maps": count_of(len(weight), weight), "offsets": (weight > 0).sum()}

    def terms(self, outputs: Tensors, targets: Tensors) -> Terms:
        square = (outputs["heatmap"] - targets["heatmap"]).square()
        maps = (square * targets["heatmap_weight"]).mean((1, 2, 3)).sum()
        far = F.smooth_l1_loss(
            outputs["offset"], targets["offset"], beta=self.beta, reduction="none"
        )
        offsets = self.factor * (far * targets["offset_weight"]).sum()
        return Terms({"maps": maps, "offsets": offsets}, self.known(targets))


class AdaptivePoseLoss(CountedLoss):
    """Focal loss of the centres, L1 and 5 times 1 - OKS of the joints (arXiv:2112.13635).

    outputs: centre (B, 1, h, w) logits, offset (B, 2 K, h, w).  targets: as `AdaptivePose` encodes
    them.  The first and the last are divided by the number of people, L1 by that of coordinates.
    oks: factor of its term.
    """

    sigmas: Tensor

    def __init__(self, skeleton: Skeleton, oks: float = 5.0) -> None:
        super().__init__()
        sigmas = torch.from_numpy(skeleton.oks_sigmas.copy())
        self.register_buffer("sigmas", sigmas, persistent=False)
        self.oks = oks

    def known(self, targets: Tensors) -> dict[str, Tensor]:
        weight = targets["weight"]  # (B, S, K)
        return {
            "centre": (targets["centre"] == 1).sum(),
            "coordinates": 2 * weight.sum(),
            "oks": (weight.sum(2) > 0).sum(),
        }

    def terms(self, outputs: Tensors, targets: Tensors) -> Terms:
        weight = targets["weight"]  # (B, S, K)
        joints = _at_cells(outputs["offset"], targets["cell"])  # (B, S, K, 2)
        gap = joints - targets["joints"]
        # object keypoint similarity
        variance = (2 * self.sigmas).square().to(gap.dtype)
        near = (-gap.square().sum(3) / (2 * variance * targets["area"][..., None])).exp()
        similar = (near * weight).sum(2) / weight.sum(2).clamp(min=1)  # (B, S)
        missing = (1 - similar) * (weight.sum(2) > 0)
        sums = {
            "centre": focal(outputs["centre"], targets["centre"]),
            "coordinates": (gap.abs() * weight[..., None]).sum(),
            "oks": self.oks * missing.sum(),
        }
        return Terms(sums, self.known(targets))

    def total(self, sums: Tensors, counts: Counts) -> Tensor:
        # CenterNet adds 1e-4, here and nowhere else
        return super().total(sums, {**counts, "coordinates": counts["coordinates"] + 1e-4})


def _at_cells(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, 2 K, h, w), (B, S) -> (B, S, K, 2) values at the cells."""
    b, channels = maps.shape[:2]
    index = cells[:, None].expand(b, channels, cells.shape[1])
    return maps.flatten(2).gather(2, index).transpose(1, 2).unflatten(2, (-1, 2))
