"""SemGCN: graph convolutions with learnt weights of links, which lift poses (arXiv:1904.03345).

Module names are those of the authors' state dicts, `nonlocal`, a word of Python 3, aside.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

__all__ = [
    "HUMAN36M",
    "HUMAN36M_GROUPS",
    "ResGraphConv",
    "SemGCN",
    "SemGraphConv",
    "adjacency",
]

Links = Sequence[tuple[int, int]]

# pelvis, right and left leg, spine to head, left and right arm
HUMAN36M: Links = (
    (0, 1),
    (1, 2),
    (2, 3),
    (0, 4),
    (4, 5),
    (5, 6),
    (0, 7),
    (7, 8),
    (8, 9),
    (8, 10),
    (10, 11),
    (11, 12),
    (8, 13),
    (13, 14),
    (14, 15),
)
HUMAN36M_GROUPS = (
    (2, 3),
    (5, 6),
    (1, 4),
    (0, 7),
    (8, 9),
    (14, 15),
    (11, 12),
    (10, 13),
)


def adjacency(pairs: Links, joints: int) -> Tensor:
    """Return (joints, joints) ones where two joints are linked, and on the diagonal."""
    matrix = torch.eye(joints, device="cpu")  # of which the values are needed on any device
    for a, b in pairs:
        matrix[a, b] = matrix[b, a] = 1
    return matrix


class SemGraphConv(nn.Module):
    """A matrix for a joint itself, another for its neighbours, weighted by a softmax over links.

    channel_wise: every output channel has link weights of its own instead of all sharing them.
    """

    index: Tensor

    def __init__(
        self, inputs: int, outputs: int, graph: Tensor, *, channel_wise: bool = False
    ) -> None:
        super().__init__()
        self.joints = len(graph)
        index = graph.flatten().nonzero()[:, 0]  # of links, row by row
        self.register_buffer("index", index, persistent=False)
        self.W = nn.Parameter(torch.zeros(2, inputs, outputs))
        self.e = nn.Parameter(torch.ones(outputs if channel_wise else 1, len(index)))
        self.bias = nn.Parameter(torch.zeros(outputs))
        nn.init.xavier_uniform_(self.W, gain=math.sqrt(2))
        nn.init.uniform_(self.bias, -(outputs**-0.5), outputs**-0.5)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, inputs) -> (B, K, outputs)."""
        # (1 or outputs, K, K) rows that sum to 1 over a joint and its neighbours
        rows, k = len(self.e), self.joints
        empty = self.e.new_full((rows, k * k), -torch.inf)
        filled = empty.scatter(1, self.index.expand(rows, -1), self.e)
        weights = filled.view(rows, k, k).softmax(2)  # (1 or outputs, K, K)
        itself = weights.diagonal(dim1=1, dim2=2).T  # (K, 1 or outputs)
        others = weights * (1 - torch.eye(self.joints, dtype=x.dtype, device=x.device))
        near = x @ self.W[1]
        mixed = others[0] @ near if len(others) == 1 else torch.einsum("cij,bjc->bic", others, near)
        y: Tensor = itself * (x @ self.W[0]) + mixed + self.bias
        return y


class GraphConv(nn.Module):
    """Graph convolution, batch norm over channels and ReLU."""

    def __init__(self, inputs: int, outputs: int, graph: Tensor) -> None:
        super().__init__()
        self.gconv = SemGraphConv(inputs, outputs, graph)
        self.bn = nn.BatchNorm1d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, inputs) -> (B, K, outputs)."""
        return self.bn(self.gconv(x).transpose(1, 2)).transpose(1, 2).relu()


class ResGraphConv(nn.Module):
    """Two graph convolutions beside a shortcut."""

    def __init__(self, width: int, graph: Tensor) -> None:
        super().__init__()
        self.gconv1 = GraphConv(width, width, graph)
        self.gconv2 = GraphConv(width, width, graph)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, D)."""
        y: Tensor = x + self.gconv2(self.gconv1(x))
        return y


class NonLocal(nn.Module):
    """Every joint takes from all groups of joints by learnt, unnormalised affinities.

    groups: joints by group, all of one size, each joint once.  Within a group the greatest value
    of each channel stands for its joints (arXiv:1711.07971, form "concatenation").
    """

    def __init__(self, width: int, groups: Sequence[Sequence[int]]) -> None:
        super().__init__()
        order = [joint for group in groups for joint in group]
        self.order, self.restored = order, [order.index(i) for i in range(len(order))]
        pool, half = nn.MaxPool1d(len(groups[0])), width // 2
        self.g = nn.Sequential(nn.Conv1d(width, half, 1), pool)
        self.theta = nn.Conv1d(width, half, 1)
        self.phi = nn.Sequential(nn.Conv1d(width, half, 1), pool)
        self.concat_project = nn.Sequential(nn.Conv2d(width, 1, 1, bias=False), nn.ReLU())
        self.W = nn.Sequential(nn.Conv1d(half, width, 1), nn.BatchNorm1d(width))
        nn.init.zeros_(self.W[1].weight)  # the block begins as the identity

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, D)."""
        t = x[:, self.order].transpose(1, 2)  # (B, D, K)
        # a 1 x 1 convolution of all pairs (theta_i, phi_j) is a sum of two terms
        first, second = self.concat_project[0].weight.flatten().chunk(2)
        rows = (first[:, None] * self.theta(t)).sum(1)  # (B, K)
        columns = (second[:, None] * self.phi(t)).sum(1)  # (B, groups)
        affinity = (rows[:, :, None] + columns[:, None]).relu() / columns.shape[1]
        y = self.W(self.g(t) @ affinity.transpose(1, 2))  # (B, D, K)
        return (y + t).transpose(1, 2)[:, self.restored]


class SemGCN(nn.Module):
    """2D -> 3D: a graph convolution, pairs of them beside shortcuts, and a last one.

    groups: of joints, for non-local blocks between the layers; none without.
    """

    def __init__(
        self,
        graph: Tensor,
        width: int = 128,
        layers: int = 4,
        groups: Sequence[Sequence[int]] = (),
        coordinates: tuple[int, int] = (2, 3),
    ) -> None:
        super().__init__()
        blocks: list[nn.Module] = [GraphConv(coordinates[0], width, graph)]
        for i in range(layers + 1):
            blocks += [ResGraphConv(width, graph)] if i else []
            blocks += [NonLocal(width, groups)] if groups else []
        first = 2 if groups else 1
        self.gconv_input = nn.Sequential(*blocks[:first])
        self.gconv_layers = nn.Sequential(*blocks[first:])
        self.gconv_output = SemGraphConv(width, coordinates[1], graph)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, 2) -> (B, K, 3), in the units of its training data."""
        y: Tensor = self.gconv_output(self.gconv_layers(self.gconv_input(x)))
        return y
