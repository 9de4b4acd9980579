"""Blocks that several families share."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from posewright.errors import UsageError, nearest

__all__ = ["ACTIVATIONS", "BasicBlock", "Bottleneck", "DropPath", "activated", "conv_bn"]

ACTIVATIONS: Mapping[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, inplace=True),  # of slope 0.01
    "silu": partial(nn.SiLU, inplace=True),
    "gelu": nn.GELU,
    "hardswish": partial(nn.Hardswish, inplace=True),
    "mish": partial(nn.Mish, inplace=True),
}


def conv_bn(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    groups: int = 1,
    act: Callable[[], nn.Module] | None = None,
) -> nn.Sequential:
    """Return convolution without bias, batch norm and an optional activation; sizes are kept."""
    layers = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([act()] if act else []))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut (arXiv:1512.03385).

    attention: applied to the last map before the shortcut is added (SE).
    """

    expansion = 1

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        attention: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.se = attention
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        if self.se is not None:
            y = self.se(y)
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


class Bottleneck(nn.Module):
    """1x1, 3x3 (which carries the stride: v1.5) and 1x1 convolutions with a shortcut.

    attention: applied to the last map before the shortcut is added (SE).
    """

    expansion = 4

    def __init__(
        self,
        inputs: int,
        width: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        attention: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * 4, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * 4)
        self.se = attention
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        if self.se is not None:
            y = self.se(y)
        y += x if self.downsample is None else self.downsample(x)
        return self.relu(y)


def activated(network: nn.Module, name: str) -> nn.Module:
    """Put the activation `name` in the place of every ReLU; a UsageError lists the known ones."""
    if name not in ACTIVATIONS:
        known = ", ".join(ACTIVATIONS)
        raise UsageError(f"no activation {name!r}{nearest(name, ACTIVATIONS)}; known: {known}")
    for module in network.modules():
        for key, child in module.named_children():
            if type(child) is nn.ReLU:
                setattr(module, key, ACTIVATIONS[name]())
    return network


class DropPath(nn.Module):
    """In training, leave a residual branch out of some views (arXiv:1603.09382).

    chance: of a view; what stays is scaled up, so that the mean is kept.
    """

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.chance == 0:
            return x
        shape = (x.shape[0],) + (1,) * (x.dim() - 1)
        kept = torch.rand(shape, device=x.device) >= self.chance
        return x * kept / (1 - self.chance)
