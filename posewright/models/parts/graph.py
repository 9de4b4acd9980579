"""Graph blocks over the links of a skeleton, as blocks of joint tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from posewright.errors import UsageError
from posewright.models.parts.graformer import GraFormerLayer
from posewright.models.parts.semgcn import ResGraphConv, adjacency
from posewright.skeletons import Skeleton

__all__ = ["OnJoints", "graph_block", "linked_joints"]

Layer = Callable[[int, Tensor], nn.Module]  # (width, adjacency) -> the block


def linked_joints(skeleton: Skeleton) -> list[int]:
    """Return the joints that have a link, in order; a UsageError if none has."""
    joints = sorted({joint for link in skeleton.links for joint in link})
    if not joints:
        raise UsageError(
            f"skeleton {skeleton.name!r} has no links for a graph block; add some, or use 'gau'"
        )
    return joints


class OnJoints(nn.Module):
    """Apply a block to some of the joints; the others neither change nor are seen."""

    order: Tensor
    index: Tensor

    def __init__(self, block: nn.Module, chosen: Sequence[int], joints: int) -> None:
        super().__init__()
        self.block = block
        rest = [j for j in range(joints) if j not in set(chosen)]
        self.whole = not rest
        order = torch.tensor([*chosen, *rest])
        self.count = len(chosen)
        self.register_buffer("order", order, persistent=False)
        self.register_buffer("index", order.argsort(), persistent=False)

    def forward(self, t: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, D)."""
        if self.whole:
            whole: Tensor = self.block(t)
            return whole
        t = t[:, self.order]
        changed = self.block(t[:, : self.count])
        return torch.cat([changed, t[:, self.count :]], 1)[:, self.index]


def graph_block(layer: Layer, width: int, skeleton: Skeleton) -> OnJoints:
    """Return `layer` over the linked joints of a skeleton."""
    joints = linked_joints(skeleton)
    where = {joint: i for i, joint in enumerate(joints)}
    graph = adjacency([(where[a], where[b]) for a, b in skeleton.links], len(joints))
    return OnJoints(layer(width, graph), joints, len(skeleton))


def semgcn(width: int, skeleton: Skeleton) -> OnJoints:
    """Two semantic graph convolutions beside a shortcut (arXiv:1904.03345)."""
    return graph_block(ResGraphConv, width, skeleton)


def graformer(width: int, skeleton: Skeleton) -> OnJoints:
    """Attention, a learnt graph and two Chebyshev convolutions (arXiv:2109.08364)."""
    return graph_block(GraFormerLayer, width, skeleton)
