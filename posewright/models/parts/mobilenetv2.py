"""MobileNetV2: blocks that widen, filter each channel by itself, and narrow (arXiv:1801.04381).

Module names are those of mmpose.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

__all__ = ["MobileNetV2"]

# widening, channels, blocks and stride of each layer
LAYERS = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class ConvBN(nn.Module):
    """Convolution, batch norm and, unless it is the last of a block, ReLU6."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        padding = kernel // 2
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = nn.ReLU6(inplace=True) if act else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.bn(self.conv(x)))


class InvertedResidual(nn.Module):
    """1x1 that widens, 3x3 of each channel, 1x1 that narrows; a shortcut where sizes are kept."""

    def __init__(self, inputs: int, outputs: int, stride: int, widening: int) -> None:
        super().__init__()
        width = inputs * widening
        layers = [ConvBN(inputs, width)] if widening != 1 else []
        layers += [
            ConvBN(width, width, 3, stride, groups=width),
            ConvBN(width, outputs, act=False),
        ]
        self.conv = nn.Sequential(*layers)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.shortcut else self.conv(x)


class MobileNetV2(nn.Module):
    """Stem, seven layers and a 1x1 convolution -> (B, 1280, h / 32, w / 32).

    taps: numbers of the layers whose maps leave instead, in order; 8 is the last convolution.
    """

    stride = 32

    def __init__(self, taps: Sequence[int] = ()) -> None:
        super().__init__()
        self.taps = tuple(taps)
        self.conv1 = ConvBN(3, 32, 3, 2)
        inputs = 32
        for i, (widening, outputs, count, stride) in enumerate(LAYERS):
            first = InvertedResidual(inputs, outputs, stride, widening)
            rest = (InvertedResidual(outputs, outputs, 1, widening) for _ in range(count - 1))
            setattr(self, f"layer{i + 1}", nn.Sequential(first, *rest))
            inputs = outputs
        self.conv2 = ConvBN(inputs, 1280)
        widths = [layer[1] for layer in LAYERS] + [1280]
        self.channels = [widths[tap - 1] for tap in self.taps] if self.taps else [1280]

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, 3, h, w) -> (B, 1280, h / 32, w / 32), or the maps of `taps`."""
        x = self.conv1(x)  # (B, 32, h / 2, w / 2)
        maps = []
        for i in range(len(LAYERS)):
            x = getattr(self, f"layer{i + 1}")(x)
            maps.append(x)
        maps.append(self.conv2(x))
        return [maps[tap - 1] for tap in self.taps] if self.taps else maps[-1]
