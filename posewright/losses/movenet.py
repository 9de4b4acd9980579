"""Loss of MoveNet: maps by squares, regressions and offsets by distances."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from posewright.skeletons import Skeleton

__all__ = ["MoveNetLoss"]

Tensors = Mapping[str, Tensor]


class MoveNetLoss(nn.Module):
    """Sum of all terms that github.com/fire717/movenet.pytorch trains with, and of boxes' L1.

    outputs: as `MoveNet` or `MoveNetMulti`.  targets: as they encode them.  Maps: squares times 8
    target + 1, summed over cells.  Bones: distance of the difference of the two joints' maps from
    its target, mean over the skeleton's links, divided by the number of views.  Regression, offset
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

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        loss = _squares(outputs["centre"], targets["centre"])
        loss = loss + _squares(outputs["heatmap"], targets["heatmap"])
        loss = loss + self._bones(outputs["heatmap"] - targets["heatmap"])
        cell, joint_cell = targets["cell"], targets["joint_cell"]  # (B, S), (B, S, K)
        weight = targets["weight"]
        found = _joints_at(outputs["regression"], cell[..., None].expand_as(joint_cell))
        loss = loss + _distance(found, targets["regression"], weight)
        loss = loss + self._offsets(outputs["offset"], joint_cell, targets["offset"], weight)
        if "box_scale" in outputs:
            for key in ("box_scale", "box_offset"):
                found = _joints_at(outputs[key], cell[..., None])  # (B, S, 1, 2)
                loss = loss + _distance(
                    found, targets[key][..., None, :], targets["person"][..., None]
                )
        return loss

    def _offsets(self, maps: Tensor, cells: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """(B, 2 K, h, w), (B, S, K), (B, S, K, 2), (B, S, K) -> a scalar, of 3x3 cells a joint."""
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
        """(B, K, h, w) differences from the targets -> a scalar."""
        if not len(self.links):
            return gap.new_zeros(())
        bones = gap[:, self.links[:, 0]] - gap[:, self.links[:, 1]]  # (B, L, h, w)
        # vector_norm has the gradient 0 where the root of a sum of squares has none
        return torch.linalg.vector_norm(bones, dim=(0, 2, 3)).mean() / len(gap)


def _squares(maps: Tensor, target: Tensor) -> Tensor:
    """Return the weighted squares summed over cells, mean over views and channels."""
    return ((maps - target).square() * (8 * target + 1)).sum((2, 3)).mean()


def _joints_at(maps: Tensor, cells: Tensor) -> Tensor:
    """(B, 2 K, h, w) dy, dx of each joint, (B, S, K) cells -> (B, S, K, 2)."""
    pairs = maps.flatten(2).unflatten(1, (-1, 2))  # (B, K, 2, h * w)
    index = cells.transpose(1, 2)[:, :, None].expand(-1, -1, 2, -1)  # (B, K, 2, S)
    return pairs.gather(3, index).permute(0, 3, 1, 2)


def _distance(found: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """(B, S, K, 2) twice, (B, S, K) -> |difference| of both axes, mean over weighted joints."""
    gap = (found - target).abs().sum(3) * weight
    return gap.sum() / weight.sum().clamp(min=1)
