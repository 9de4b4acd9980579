"""MoveNet: MobileNetV2, a feature pyramid to stride 4 and one small head per map.

Lightning, Thunder and MultiPose are Google's graphs, batch norm folded into the convolutions as in
the published files; modules are named after github.com/lee-man/movenet-pytorch.  The network of
github.com/fire717/movenet.pytorch resembles them, but its layers and weights are others.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs import Codec, MoveNet, MoveNetMulti
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.registry import register
from posewright.runtimes.info import Input
from posewright.skeletons import Skeleton

__all__ = ["Fire717Backbone", "MoveNetBackbone", "MoveNetHead"]

PAPER = "https://blog.tensorflow.org/2021/05/next-generation-pose-detection-with-movenet-and-tensorflowjs.html"
FIRE717 = "https://github.com/fire717/movenet.pytorch"
PIXELS = Input("NCHW", "float32", "RGB", (127.5, 127.5, 127.5), (127.5, 127.5, 127.5))
PYRAMID = (24, 32, 64, 64)  # channels of strides 4, 8, 16 and 32
HIDDEN = 96  # channels inside a head


class EndPadded(nn.Conv2d):
    """3x3 convolution of stride 2 padded at the right and the bottom, as TensorFlow pads."""

    def __init__(self, inputs: int, outputs: int, groups: int = 1) -> None:
        super().__init__(inputs, outputs, 3, 2, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) of even sides -> (B, C', h / 2, w / 2)."""
        return super().forward(F.pad(x, (0, 1, 0, 1)))


class InvertedResidual(nn.Module):
    """1x1 that widens, 3x3 of each channel, 1x1 that narrows (arXiv:1801.04381), without norms."""

    def __init__(self, inputs: int, outputs: int, stride: int, widening: int) -> None:
        super().__init__()
        width = inputs * widening
        self.expand = nn.Conv2d(inputs, width, 1) if widening > 1 else None
        self.depthwise = (
            EndPadded(width, width, width)
            if stride == 2
            else nn.Conv2d(width, width, 3, padding=1, groups=width)
        )
        self.project = nn.Conv2d(width, outputs, 1)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x))
        y = self.project(F.relu6(self.depthwise(y)))
        return x + y if self.shortcut else y


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Return a 3x3 convolution of each channel, a 1x1 one and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs),
        nn.Conv2d(inputs, outputs, 1),
        nn.ReLU(inplace=True),
    )


class MoveNetBackbone(nn.Module):
    """MobileNetV2 and a pyramid from stride 32 to 4 -> (B, 24, h / 4, w / 4).

    widths: channels of the stem and of MobileNetV2's seven stages.
    """

    stages = ((1, 1), (2, 2), (3, 2), (4, 2), (3, 1), (3, 2), (1, 1))  # blocks, stride of the first
    taps = (3, 6, 10, 18)  # of strides 4, 8, 16 and 32; not the last blocks of their stages

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        body: list[nn.Module] = [EndPadded(3, widths[0])]
        channels = [widths[0]]
        for width, (count, stride) in zip(widths[1:], self.stages, strict=True):
            for i in range(count):
                widening = 6 if len(body) > 1 else 1
                body.append(InvertedResidual(channels[-1], width, 1 if i else stride, widening))
                channels.append(width)
        body.append(nn.Conv2d(channels[-1], 1280, 1))
        channels.append(1280)
        self.body = nn.ModuleList(body)
        inputs = [channels[tap] for tap in self.taps]
        self.inner_blocks = nn.ModuleList(
            nn.Conv2d(i, o, 1) for i, o in zip(inputs, PYRAMID, strict=True)
        )
        outputs = (PYRAMID[0], *PYRAMID[:2])
        self.layer_blocks = nn.ModuleList(
            separable(i, o) for i, o in zip(PYRAMID[:3], outputs, strict=True)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w), sides multiples of 32 -> (B, 24, h / 4, w / 4)."""
        last = len(self.body) - 1
        maps: list[Tensor] = []
        for i, block in enumerate(self.body):
            x = block(x)
            if i in (0, last):  # blocks end without an activation
                x = F.relu6(x)
            if i in self.taps:
                maps.append(self.inner_blocks[len(maps)](x))
        x = maps.pop()
        for smooth in reversed(self.layer_blocks):  # each doubles the map
            x = F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)
            x = smooth(x + maps.pop())
        return x


_RARE = -2.19  # logit of 0.1: most cells are no peak (CornerNet, arXiv:1808.01244, section 4.2)


class MoveNetHead(nn.Module):
    """(B, 24, h, w) -> the maps that `MoveNet` or, with boxes, `MoveNetMulti` documents.

    branch: builds the layers from 24 channels to the channels of one map.
    """

    def __init__(
        self, joints: int, branch: Callable[[int], nn.Module], *, boxes: bool = False
    ) -> None:
        super().__init__()
        channels = {"centre": 1, "heatmap": joints, "regression": 2 * joints, "offset": 2 * joints}
        if boxes:
            channels |= {"box_scale": 2, "box_offset": 2}
        self.branches = nn.ModuleDict({key: branch(count) for key, count in channels.items()})
        for key in ("centre", "heatmap"):
            last = [m for m in self.branches[key].modules() if isinstance(m, nn.Conv2d)][-1]
            assert last.bias is not None
            nn.init.constant_(last.bias, _RARE)

    def logits(self, x: Tensor) -> dict[str, Tensor]:
        """Return the maps, centre and heatmap before their sigmoid."""
        return {key: branch(x) for key, branch in self.branches.items()}

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        maps = self.logits(x)
        return {**maps, "centre": maps["centre"].sigmoid(), "heatmap": maps["heatmap"].sigmoid()}


def _branch(outputs: int) -> nn.Sequential:
    return nn.Sequential(*separable(PYRAMID[0], HIDDEN), nn.Conv2d(HIDDEN, outputs, 1))


def _bn_relu(outputs: int) -> list[nn.Module]:
    return [nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)]


def _filtered(width: int, stride: int, bias: bool = False) -> list[nn.Module]:
    """Return a 3x3 convolution of each channel with batch norm and ReLU."""
    conv = nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=bias)
    return [conv, *_bn_relu(width)]


class WideResidual(nn.Module):
    """A block that changes the size (stride or channels), and `count` that keep it."""

    def __init__(self, inputs: int, outputs: int, stride: int, count: int) -> None:
        super().__init__()
        width = 6 * inputs
        self.conv1 = self._block(inputs, width, outputs, stride, True)
        self.conv2 = nn.ModuleList(
            self._block(outputs, width, outputs, 1, False) for _ in range(count)
        )

    @staticmethod
    def _block(inputs: int, width: int, outputs: int, stride: int, bias: bool) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False),
            *_bn_relu(width),
            *_filtered(width, stride, bias),
            nn.Conv2d(width, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for block in self.conv2:
            x = x + block(x)
        return x


def _doubled() -> nn.Upsample:
    return nn.Upsample(scale_factor=2.0, mode="bilinear", align_corners=False)


def _narrowed(inputs: int, outputs: int) -> nn.Sequential:
    """Return layers that change the channels and double the map."""
    mix = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), *_bn_relu(outputs))
    conv = nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs)
    return nn.Sequential(conv, nn.ReLU(inplace=True), mix, _doubled())


def _separable_bn(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, inputs, 3, padding=1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        *_bn_relu(outputs),
    )


class Fire717Backbone(nn.Module):
    """MobileNetV2 and a pyramid as fire717 builds them, with batch norm -> (B, 24, h / 4, w / 4).

    Its widths are fixed and every block of a stage is as wide inside as the first.
    """

    def __init__(self) -> None:
        super().__init__()
        stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1, bias=False), *_bn_relu(32))
        first = nn.Sequential(
            *_filtered(32, 1), nn.Conv2d(32, 16, 1, bias=False), nn.BatchNorm2d(16)
        )
        self.features1 = nn.Sequential(stem, first, WideResidual(16, 24, 2, 1))
        self.features2 = WideResidual(24, 32, 2, 2)
        self.features3 = WideResidual(32, 64, 2, 3)
        self.features4 = nn.Sequential(
            WideResidual(64, 96, 1, 2),
            WideResidual(96, 160, 2, 2),
            WideResidual(160, 320, 1, 0),
            nn.Sequential(nn.Conv2d(320, 1280, 1, bias=False), *_bn_relu(1280)),
            nn.Conv2d(1280, 64, 1, bias=False),
            _doubled(),
        )
        self.upsample2, self.upsample1 = _narrowed(64, 32), _narrowed(32, 24)
        self.conv3, self.conv2, self.conv1 = (nn.Conv2d(c, c, 1) for c in (64, 32, 24))
        self.conv4 = _separable_bn(24, 24)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w), sides multiples of 32 -> (B, 24, h / 4, w / 4)."""
        p4 = self.features1(x)
        p8 = self.features2(p4)
        p16 = self.features3(p8)
        x = self.features4(p16) + self.conv3(p16)  # (B, 64, h / 16, w / 16)
        x = self.upsample2(x) + self.conv2(p8)  # (B, 32, h / 8, w / 8)
        x = self.upsample1(x) + self.conv1(p4)  # (B, 24, h / 4, w / 4)
        y: Tensor = self.conv4(x)
        return y


def _fire717_branch(outputs: int) -> nn.Sequential:
    return nn.Sequential(_separable_bn(24, HIDDEN), nn.Conv2d(HIDDEN, outputs, 1))


def _built(backbone: nn.Module, head: nn.Module, codec: Codec, skeleton: Skeleton) -> PoseModel:
    if any(side % 32 for side in codec.input_size):
        raise UsageError(f"input size {codec.input_size}: sides must be multiples of 32")
    return PoseModel(backbone, head, codec, skeleton, loss=loss_for(codec, skeleton), pixels=PIXELS)


@register(paper=PAPER)
def movenet_lightning(
    *, input_size: tuple[int, int] = (192, 192), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """MoveNet Lightning: one person, MobileNetV2 of width 1."""
    skeleton, widths = as_skeleton(skeleton), (32, 16, 24, 32, 64, 96, 160, 320)
    head = MoveNetHead(len(skeleton), _branch)
    return _built(MoveNetBackbone(widths), head, MoveNet(input_size), skeleton)


@register(paper=PAPER)
def movenet_thunder(
    *, input_size: tuple[int, int] = (256, 256), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """MoveNet Thunder: one person, MobileNetV2 of width 1.75."""
    skeleton, widths = as_skeleton(skeleton), (56, 32, 40, 56, 112, 168, 280, 560)
    head = MoveNetHead(len(skeleton), _branch)
    return _built(MoveNetBackbone(widths), head, MoveNet(input_size), skeleton)


@register(paper=PAPER)
def movenet_multipose(
    *, input_size: tuple[int, int] = (256, 256), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """MoveNet MultiPose: up to six people, MobileNetV2 of width 1.5, two maps for boxes."""
    skeleton, widths = as_skeleton(skeleton), (48, 24, 40, 48, 96, 144, 240, 480)
    head = MoveNetHead(len(skeleton), _branch, boxes=True)
    return _built(MoveNetBackbone(widths), head, MoveNetMulti(input_size), skeleton)


@register(paper=FIRE717)
def movenet_fire717(
    *, input_size: tuple[int, int] = (192, 192), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """fire717's MoveNet: one person, trainable from scratch."""
    skeleton = as_skeleton(skeleton)
    head = MoveNetHead(len(skeleton), _fire717_branch)
    return _built(Fire717Backbone(), head, MoveNet(input_size), skeleton)
