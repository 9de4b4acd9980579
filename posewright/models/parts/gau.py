"""GAU: one attention head and a gated perceptron in a single block (arXiv:2202.10447).

`GAULayer` is that of GAU-PyTorch and `GAU` that of RTMPose, each under its authors' module names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.errors import UsageError, nearest

__all__ = ["ATTENTION", "GAU", "GAULayer", "ScaleNorm"]

Attention = Callable[[Tensor, int], Tensor]  # (scores q k / sqrt(s), s: the width of q and k)


def softmax(scores: Tensor, _s: int) -> Tensor:
    """(..., N, N) q k / sqrt(s) -> rows that sum to 1."""
    return scores.softmax(-1)


def softmax_plus(scores: Tensor, _s: int) -> Tensor:
    """(..., N, N) q k / sqrt(s) -> rows that sum to 1, whose entropy depends little on N.

    The scores are multiplied by log N / log 512: at 512 tokens this is the softmax.
    """
    return (scores * (math.log(scores.shape[-1]) / math.log(512))).softmax(-1)


def squared_relu_n2(scores: Tensor, _s: int) -> Tensor:
    """(..., N, N) q k / sqrt(s) -> relu(q k / sqrt(s))^2 / N^2."""
    return (scores / scores.shape[-1]).relu().square()


def squared_relu_ns(scores: Tensor, s: int) -> Tensor:
    """(..., N, N) q k / sqrt(s) -> relu(q k / sqrt(s))^2 / (N s), s the width of q and k."""
    return scores.relu().square() / (scores.shape[-1] * s)


ATTENTION: Mapping[str, Attention] = {
    "softmax": softmax,
    "softmax_plus": softmax_plus,
    "squared_relu_n^2": squared_relu_n2,
    "squared_relu_ns": squared_relu_ns,
}


class ScaleOffset(nn.Module):
    """Multiply every channel by a number of its own; there is no offset in the published form."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class GatedAttentionUnit(nn.Module):
    """One projection makes gate u, values v and z, of which queries and keys are scaled copies."""

    def __init__(self, width: int, hidden: int, key: int, attention: Attention) -> None:
        super().__init__()
        self.attention = attention
        self.sizes = [hidden, hidden, key]
        self.i_dense = nn.Linear(width, 2 * hidden + key, bias=False)
        self.o_dense = nn.Linear(hidden, width, bias=False)
        self.q_scaleoffset = ScaleOffset(key)
        self.k_scaleoffset = ScaleOffset(key)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        u, v, z = functional.silu(self.i_dense(x)).split(self.sizes, -1)
        q, k = self.q_scaleoffset(z), self.k_scaleoffset(z)  # (B, N, S)
        s = self.sizes[2]
        weights = self.attention(q @ k.transpose(1, 2) / math.sqrt(s), s)  # (B, N, N)
        y: Tensor = self.o_dense(u * (weights @ v))
        return y


class GAULayer(nn.Module):
    """GAU-PyTorch's layer: the unit beside a shortcut, then a root mean square norm.

    width: of the tokens.  hidden: of gate and values.  key: of queries and keys.  attention: a name
    in ATTENTION.
    """

    def __init__(
        self, width: int = 256, hidden: int = 512, key: int = 128, attention: str = "softmax"
    ) -> None:
        super().__init__()
        if attention not in ATTENTION:
            known = ", ".join(ATTENTION)
            hint = nearest(attention, ATTENTION)
            raise UsageError(f"no attention {attention!r}{hint}; known: {known}")
        self.gau = GatedAttentionUnit(width, hidden, key, ATTENTION[attention])

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D), tokens whose mean square is 1."""
        x = x + self.gau(x)
        return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + 1e-12)


# --- RTMPose's form ------------------------------------------------------------------------------


class ScaleNorm(nn.Module):
    """Vectors divided by their root mean square, times one learnt number (arXiv:1910.05895)."""

    def __init__(self, width: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.scale = width**-0.5
        self.eps = eps
        self.g = nn.Parameter(torch.ones(1))

    def forward(self, x: Tensor) -> Tensor:
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True) * self.scale
        return x / norm.clamp(min=self.eps) * self.g


class ChannelScale(nn.Module):
    """Each channel times a learnt number."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(width))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.scale


class GAU(nn.Module):
    """Gated attention unit with squared ReLU attention and a scaled shortcut (arXiv:2202.10447).

    width: of the tokens.  hidden: of gates and values.  key: of queries and keys.
    """

    def __init__(self, width: int, hidden: int, key: int = 128) -> None:
        super().__init__()
        self.sizes = [hidden, hidden, key]
        self.ln = ScaleNorm(width)
        self.uv = nn.Linear(width, 2 * hidden + key, bias=False)
        self.gamma = nn.Parameter(torch.rand(2, key))
        self.beta = nn.Parameter(torch.rand(2, key))
        self.o = nn.Linear(hidden, width, bias=False)
        self.res_scale = ChannelScale(width)
        nn.init.xavier_uniform_(self.uv.weight)

    def forward(self, x: Tensor, position: Tensor | float = 0.0) -> Tensor:
        """(..., K, width) tokens -> the same; position: (K, key), added to queries and keys."""
        mixed = functional.silu(self.uv(self.ln(x)))
        gate, value, base = mixed.split(self.sizes, -1)
        query = base * self.gamma[0] + (self.beta[0] + position)
        key = base * self.gamma[1] + (self.beta[1] + position)
        attention = query @ key.transpose(-1, -2) / math.sqrt(self.sizes[2])  # (..., K, K)
        mixed = self.o(gate * (functional.relu(attention).square() @ value))
        out: Tensor = self.res_scale(x) + mixed
        return out
