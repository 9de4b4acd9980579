"""Residual log-likelihood estimation: a flow learns how the errors of coordinates are distributed.

RLE, arXiv:2107.11291; the flow is RealNVP, arXiv:1605.08803.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor, nn

__all__ = ["PoseurLoss", "RLELoss", "RealNVP", "residual_loss"]

Density = Literal["official", "laplace"]
Tensors = Mapping[str, Tensor]
LAYERS = 6
SMALLEST = 1e-9  # sigma that a sigmoid has rounded to 0 would make infinite errors


class RealNVP(nn.Module):
    """Density of points of the plane: six couplings between them and a normal distribution.

    Every coupling keeps one coordinate, x and y in turn, and shifts and scales the other by
    functions `t` and `s` of it.
    """

    mask: Tensor

    def __init__(self) -> None:
        super().__init__()
        mask = torch.tensor([[0.0, 1.0], [1.0, 0.0]]).repeat(LAYERS // 2, 1)
        self.register_buffer("mask", mask, persistent=False)
        self.t = nn.ModuleList(_mlp() for _ in range(LAYERS))
        self.s = nn.ModuleList(_mlp().append(nn.Tanh()) for _ in range(LAYERS))

    def log_prob(self, x: Tensor) -> Tensor:
        """(N, 2) -> (N,) logarithm of the density."""
        z, log_det = x, x.new_zeros(len(x))
        for i in reversed(range(LAYERS)):
            kept = self.mask[i] * z  # (N, 2), 0 in one column
            free = 1 - self.mask[i]
            scale, shift = self.s[i](kept) * free, self.t[i](kept) * free
            z = free * (z - shift) * torch.exp(-scale) + kept
            log_det = log_det - scale.sum(1)
        return log_det - z.square().sum(1) / 2 - math.log(2 * math.pi)


def _mlp() -> nn.Sequential:
    """2-64-64-2, almost 0 at first, so that the flow begins as the normal distribution."""
    layers = nn.Sequential(
        nn.Linear(2, 64), nn.LeakyReLU(), nn.Linear(64, 64), nn.LeakyReLU(), nn.Linear(64, 2)
    )
    for layer in layers:
        if isinstance(layer, nn.Linear):
            nn.init.xavier_uniform_(layer.weight, gain=0.01)
    return layers


def residual_loss(
    flow: RealNVP, outputs: Tensors, targets: Tensor, density: Density | None = None
) -> Tensor:
    """Return the negative log-likelihood (B, K, 2) of every coordinate.

    outputs: coordinates and sigma (B, K, 2).  targets: (B, K, 2).  Both coordinates of a joint
    carry the flow's value for it.  density: what the flow's is a factor of; None leaves it out.
    "laplace" is 1 / (2 sigma) exp(-|e| / sigma), a density; "official", which the authors train
    with, 1 / (sqrt(2 pi) sigma) exp(-|e| / (sqrt(2) sigma)), adds up to 2 / sqrt(pi).
    """
    sigma = outputs["sigma"].clamp_min(SMALLEST)
    error = (outputs["coordinates"] - targets) / sigma  # (B, K, 2)
    log_flow = flow.log_prob(error.reshape(-1, 2)).view(*error.shape[:2], 1)
    loss = sigma.log() - log_flow
    if density == "official":
        return loss + sigma.log() + math.log(2 * math.pi) / 2 + error.abs() / math.sqrt(2)
    return loss + (2 * sigma).log() + error.abs() if density == "laplace" else loss


class RLELoss(nn.Module):
    """Sum of `residual_loss` over joints and axes, mean over views; it owns the flow.

    outputs: coordinates and sigma (B, K, 2).  targets: coordinates (B, K, 2), weight (B, K).
    density: "official" of the authors, "laplace" of mmpose.
    """

    def __init__(self, density: Density = "official") -> None:
        super().__init__()
        self.density: Density = density
        self.flow = RealNVP()

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        loss = residual_loss(self.flow, outputs, targets["coordinates"], self.density)
        return _weighted(loss, targets["weight"]) / len(loss)


class PoseurLoss(nn.Module):
    """Sum of RLE's losses of the coarse coordinates and of every round (arXiv:2201.07412).

    outputs: round_coordinates and round_sigma (B, R, K, 2), the coarse ones first, as `PoseurHead`
    gives them in training; without them the loss is that of coordinates and sigma, which the last
    round gives.  targets: coordinates (B, K, 2), weight (B, K).  The rounds share one flow; that of
    the coarse coordinates is another.
    """

    def __init__(self) -> None:
        super().__init__()
        self.enc_flow = RealNVP()
        self.dec_flow = RealNVP()

    def forward(self, outputs: Tensors, targets: Tensors) -> Tensor:
        if "round_coordinates" not in outputs:
            return self._sum(self.dec_flow, outputs, targets) / len(outputs["coordinates"])
        keys = ("coordinates", "sigma")
        coarse = {key: outputs[f"round_{key}"][:, 0] for key in keys}
        fine = {key: outputs[f"round_{key}"][:, 1:].flatten(0, 1) for key in keys}
        views, rounds = len(coarse["sigma"]), outputs["round_sigma"].shape[1] - 1
        repeated = {
            key: targets[key].repeat_interleave(rounds, 0) for key in ("coordinates", "weight")
        }
        first = self._sum(self.enc_flow, coarse, targets)
        return (first + self._sum(self.dec_flow, fine, repeated)) / views

    @staticmethod
    def _sum(flow: RealNVP, outputs: Tensors, targets: Tensors) -> Tensor:
        loss = residual_loss(flow, outputs, targets["coordinates"], "official")
        return _weighted(loss, targets["weight"])


def _weighted(loss: Tensor, weight: Tensor) -> Tensor:
    """(B, K, 2) losses, (B, K) weights of joints -> the sum."""
    return (loss * weight[..., None]).sum()
