"""GraFormer: attention and Chebyshev graph convolutions in turn (arXiv:2109.08364).

Module names are those of the authors' state dicts.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.models.parts.semgcn import Links, adjacency

__all__ = ["HAND", "GraFormer", "GraFormerLayer"]

# wrist, then five fingers of four joints
HAND: Links = tuple((0 if i % 4 == 1 else i - 1, i) for i in range(1, 21))
DROPOUT = 0.1


def chebyshev(graph: Tensor) -> Tensor:
    """(K, K) adjacency with its diagonal -> (3, K, K) polynomials of order 0 to 2 of I - A.

    The rows of A are divided by their sums, after which the authors' second normalisation, by the
    roots of the sums, changes nothing.
    """
    one = torch.eye(len(graph), device=graph.device)
    laplacian = one - graph / graph.sum(1, keepdim=True)
    return torch.stack([one, laplacian, 2 * laplacian @ laplacian - one])


class ChebConv(nn.Module):
    """Sum of the polynomials of the Laplacian, each with a matrix of its own (arXiv:1606.09375)."""

    polynomials: Tensor

    def __init__(self, inputs: int, outputs: int, graph: Tensor) -> None:
        super().__init__()
        self.register_buffer("polynomials", chebyshev(graph)[:, None], persistent=False)
        self.weight = nn.Parameter(torch.zeros(3, 1, inputs, outputs))
        self.bias = nn.Parameter(torch.zeros(1, 1, outputs))
        nn.init.xavier_normal_(self.weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, inputs) -> (B, K, outputs)."""
        y: Tensor = (self.polynomials @ x @ self.weight).sum(0) + self.bias
        return y


class ChebReLU(nn.Module):
    """Chebyshev convolution, ReLU and dropout."""

    def __init__(self, width: int, graph: Tensor) -> None:
        super().__init__()
        self.gconv = ChebConv(width, width, graph)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.dropout(self.gconv(x).relu())
        return y


class ResChebConv(nn.Module):
    """Two Chebyshev convolutions beside a shortcut."""

    def __init__(self, width: int, graph: Tensor) -> None:
        super().__init__()
        self.gconv1 = ChebReLU(width, graph)
        self.gconv2 = ChebReLU(width, graph)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x + self.gconv2(self.gconv1(x))
        return y


class Attention(nn.Module):
    """Attention of `heads` heads over the joints."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.linears = nn.ModuleList(nn.Linear(width, width) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, D)."""
        q, k, v = (
            self.linears[i](x).unflatten(2, (self.heads, -1)).transpose(1, 2) for i in range(3)
        )  # (B, heads, K, D / heads)
        dropout = DROPOUT if self.training else 0.0
        y = functional.scaled_dot_product_attention(q, k, v, dropout_p=dropout)
        out: Tensor = self.linears[3](y.transpose(1, 2).flatten(2))
        return out


class Linear(nn.Module):
    """A linear layer under the name `fc`."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.fc = nn.Linear(inputs, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.fc(x)
        return y


class LearnedGraph(nn.Module):
    """Two graph convolutions over a graph that is itself learnt; it begins without links."""

    def __init__(self, width: int, joints: int) -> None:
        super().__init__()
        self.A_hat = nn.Parameter(torch.eye(joints))
        self.gconv1 = Linear(width, 2 * width)
        self.gconv2 = Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, D)."""
        # a column whose learnt weights sum to less than 0 would make NaN of its root
        scale = (self.A_hat.sum(0) + 1e-5).clamp(min=1e-5).rsqrt()
        graph = scale[:, None] * self.A_hat * scale
        y: Tensor = self.gconv2(graph @ self.gconv1(graph @ x).relu())
        return y


class Norm(nn.Module):
    """Layer norm by the unbiased standard deviation, to which epsilon is added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.a_2 = nn.Parameter(torch.ones(width))
        self.b_2 = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor) -> Tensor:
        std, mean = torch.std_mean(x, -1, keepdim=True)
        y: Tensor = self.a_2 * (x - mean) / (std + 1e-6) + self.b_2
        return y


class Sublayer(nn.Module):
    """The norm of one of two shortcuts."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = Norm(width)
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, layer: nn.Module) -> Tensor:
        y: Tensor = x + self.dropout(layer(self.norm(x)))
        return y


class GraphAttention(nn.Module):
    """Attention, then convolutions over the learnt graph, each after a norm beside a shortcut."""

    def __init__(self, width: int, joints: int, heads: int) -> None:
        super().__init__()
        self.self_attn = Attention(width, heads)
        self.feed_forward = LearnedGraph(width, joints)
        self.sublayer = nn.ModuleList(Sublayer(width) for _ in range(2))

    def forward(self, x: Tensor) -> Tensor:
        x = self.sublayer[0](x, self.self_attn)
        y: Tensor = self.sublayer[1](x, self.feed_forward)
        return y


class GraFormerLayer(nn.Module):
    """Attention over joints, then two convolutions over their links: (B, K, D) -> (B, K, D)."""

    def __init__(self, width: int, graph: Tensor, heads: int = 4) -> None:
        super().__init__()
        self.attention = GraphAttention(width, len(graph), heads)
        self.convolution = ResChebConv(width, graph)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.convolution(self.attention(x))
        return y


class GraFormer(nn.Module):
    """2D -> 3D: a Chebyshev convolution, layers, and a last convolution.

    graph: (K, K) adjacency with its diagonal; by default that of a hand of 21 joints.
    """

    def __init__(
        self, graph: Tensor | None = None, width: int = 128, layers: int = 4, heads: int = 4
    ) -> None:
        super().__init__()
        graph = adjacency(HAND, 21) if graph is None else graph
        self.gconv_input = ChebConv(2, width, graph)
        self.layers = nn.Sequential(*(GraFormerLayer(width, graph, heads) for _ in range(layers)))
        self.gconv_output = ChebConv(width, 3, graph)

    def forward(self, x: Tensor) -> Tensor:
        """(B, K, 2) -> (B, K, 3), in the units of its training data."""
        y: Tensor = self.gconv_output(self.layers(self.gconv_input(x)))
        return y
