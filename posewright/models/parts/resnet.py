"""ResNet (arXiv:1512.03385, v1.5), under torchvision's module names."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from posewright.errors import UsageError
from posewright.models.parts.layers import BasicBlock, Bottleneck, conv_bn

__all__ = ["ResNet", "resnet_depths"]

Attention = Callable[[int], nn.Module]


def resnet_depths(depth: int) -> tuple[int, ...]:
    """Return the number of blocks in each layer of ResNet-`depth`; UsageError: there is none."""
    known = {
        18: (2, 2, 2, 2),
        34: (3, 4, 6, 3),
        50: (3, 4, 6, 3),
        101: (3, 4, 23, 3),
        152: (3, 8, 36, 3),
    }
    if depth not in known:
        raise UsageError(f"depth={depth}: no ResNet-{depth}; known: {', '.join(map(str, known))}")
    return known[depth]


class ResNet(nn.Module):
    """Stem and four layers of bottlenecks -> (B, 2048, h / 32, w / 32), or of all four layers.

    depth: 18 and 34 have plain blocks and 512 channels.  attention: makes the module
    that ends the first block of each layer (AlphaPose's SE-ResNet), or of every block if
    `attention_everywhere` (SE-ResNet, arXiv:1709.01507), from its channels.
    last_stride: of the last layer; 1 leaves maps of h / 16, w / 16.
    """

    stride = 32

    def __init__(
        self,
        depth: int = 50,
        *,
        attention: Attention | None = None,
        attention_everywhere: bool = False,
        multi_scale: bool = False,
        last_stride: int = 2,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        block = BasicBlock if depth < 50 else Bottleneck
        inputs, channels = 64, []
        for i, count in enumerate(resnet_depths(depth)):
            width, stride = 64 * 2**i, (1, 2, 2, last_stride)[i]
            layer = _layer(block, inputs, width, count, stride, attention, attention_everywhere)
            inputs = width * block.expansion
            setattr(self, f"layer{i + 1}", layer)
            channels.append(inputs)
        self.multi_scale = multi_scale
        self.channels = channels if multi_scale else channels[-1:]

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """(B, 3, h, w) -> (B, 2048, h / 32, w / 32)."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        xs = []
        for i in range(1, 5):
            x = getattr(self, f"layer{i}")(x)
            xs.append(x)
        return xs if self.multi_scale else x


def _layer(
    block: type[BasicBlock] | type[Bottleneck],
    inputs: int,
    width: int,
    count: int,
    stride: int,
    attention: Attention | None,
    everywhere: bool,
) -> nn.Sequential:
    outputs = width * block.expansion
    shortcut = None if stride == 1 and inputs == outputs else conv_bn(inputs, outputs, 1, stride)
    make = attention if attention else lambda _: None
    rest = make if everywhere else lambda _: None
    first = block(inputs, width, stride, shortcut, make(outputs))
    others = (block(outputs, width, attention=rest(outputs)) for _ in range(count - 1))
    return nn.Sequential(first, *others)
