"""Loss of MoveNet: maps by squares, regressions and offsets by distances."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from posewright.losses.counted import CountedLoss, Counts, Terms, count_of, root_share
from posewright.skeletons import Skeleton

__all__ = ["MoveNetLoss"]

Tensors = Mapping[str, Tensor]


class MoveNetLoss(CountedLoss):
    """Sum of all terms that github.com/fire717/movenet.pytorch trains with, and of boxes' L1.

    outputs: as `MoveNet` or `MoveNetMulti`.  targets: as they encode them.  Maps: squares times 8
    target + 1, summed over cells.  Bones: distance of the difference of the two joints' maps from
    its target, over all views together, mean over the skeleton's links, divided by the number of
    views.  Regression, offset
    and boxes: |difference| of both axes, at the centre's or the joint's cell; offsets also at the
    eight cells around it, because decoding weighs heat by nearness to the regression and so may
    take a neighbour, whose offset would otherwise be anything.
    """

    links: Tensor
    around: Tensor

    def __init__(self, skeleton: Skeleton) -> None:
        super().__init__()
        links = torch.tensor(skeleton.links, dtype=torch.long).view(-1, 2)
        self.register_buffer("links", links, persistent=False)
        near = torch.arange(-1, 2)
        self.register_buffer("around", torch.cartesian_prod(near, near), persistent=False)  # y, x

    def terms(self, outputs: Tensors, targets: Tensors) -> Terms:
        maps = [_squares(outputs[key], targets[key]) for key in ("centre", "heatmap")]
        bones = self._bones(outputs["heatmap"] - targets["heatmap"])
        cell, joint_cell = targets["cell"], targets["joint_cell"]  # (B, S), (B, S, K)
        weight = targets["weight"]
        found = _joints_at(outputs["regression"], cell[..., None].expand_as(joint_cell))
        pairs = {
            "regression": _distance(found, targets["regression"], weight),
            "offset": self._offsets(outputs["offset"], joint_cell, targets["offset"], weight),
        }
        if "box_scale" in outputs:
            person = targets["person"][..., None]
            for key in ("box_scale", "box_offset"):
                found = _joints_at(outputs[key], cell[..., None])  # (B, S, 1, 2)
                pairs[key] = _distance(found, targets[key][..., None, :], person)
        sums = {"maps": torch.stack(maps).sum(), "bones": bones}
        counts = {"maps": count_of(len(weight), weight), "bones": bones.detach()}
        sums |= {key: value for key, (value, _) in pairs.items()}
        return Terms(sums, counts | {key: count for key, (_, count) in pairs.items()})

    def total(self, sums: Tensors, counts: Counts) -> Tensor:
        bones = root_share(sums["bones"], counts["bones"])  # (L,)
        others = super().total({k: v for k, v in sums.items() if k != "bones"}, counts)
        return others + bones.sum() / max(len(bones), 1) / counts["maps"]

    def _offsets(
        self, maps: Tensor, cells: Tensor, target: Tensor, weight: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(B, 2 K, h, w), (B, S, K), (B, S, K, 2), (B, S, K) -> sum and count of 3x3 cells each."""
        h, w = maps.shape[2:]
        places = torch.stack([cells // w, cells % w], 3)[:, :, None]  # (B, S, 1, K, 2)
        step = self.around[:, None]  # (9, 1, 2)
        near = places + step  # (B, S, 9, K, 2)
        inside = ((near >= 0) & (near < near.new_tensor([h, w]))).all(4)
        # whether each cell is nearer to a person's joint than to anybody else's; the own cell
        # is. near (B, S, 9, K, 2), places (B, S, 1, K, 2), weight (B, S, K) -> (B, S, 9, K)
        gap = (near[:, :, None] - places[:, None]).square().sum(5)  # (B, S, others, 9, K)
        myself = torch.eye(weight.shape[1], dtype=torch.bool, device=weight.device)
        nobody = myself[..., None, None] | (weight == 0)[:, None, :, None]
        others = gap.masked_fill(nobody, torch.iinfo(gap.dtype).max).amin(2)
        own = (near - places).square().sum(4)
        inside = inside & ((own < others) | (own == 0))
        index = near[..., 0].clamp(0, h - 1) * w + near[..., 1].clamp(0, w - 1)
        found = _joints_at(maps, index.flatten(1, 2))
        wanted = (target[:, :, None] - step).flatten(1, 2)
        return _distance(found, wanted, (weight[:, :, None] * inside).flatten(1, 2))

    def _bones(self, gap: Tensor) -> Tensor:
        """(B, K, h, w) differences from the targets -> (L,) squares of the links."""
        bones = gap[:, self.links[:, 0]] - gap[:, self.links[:, 1]]  # (B, L, h, w)
        return bones.square().sum((0, 2, 3))


def _squares(maps: Tensor, target: Tensor) -> Tensor:
    """Return the weighted squares summed over cells and views, mean over channels."""
    return ((maps - target).square() * (8 * target + 1)).sum((2, 3)).mean(1).sum()


def _joints_at(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, 2 K, h, w) dy, dx of each joint, (B, S, K) cells -> (B, S, K, 2)."""
    pairs = maps.flatten(2).unflatten(1, (-1, 2))  # (B, K, 2, h * w)
    index = cells.transpose(1, 2)[:, :, None].expand(-1, -1, 2, -1)  # (B, K, 2, S)
    return pairs.gather(3, index).permute(0, 3, 1, 2)


def _distance(found: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """(B, S, K, 2) twice, (B, S, K) -> sum of |difference| of both axes, count of the joints."""
    gap = (found - target).abs().sum(3) * weight
    return gap.sum(), weight.sum()
