"""EfficientDet-D0 (arXiv:1911.09070) with the padding of TensorFlow, as a detector of people.

Module names are those of rwightman/efficientdet-pytorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs.anchor_boxes import AnchorBoxes
from posewright.models.base import PoseModel
from posewright.models.registry import register
from posewright.runtimes.info import NO_JOINTS

__all__ = ["BiFPN", "EfficientDetHead", "EfficientNet"]

PAPER = "arXiv:1911.09070; github.com/rwightman/efficientdet-pytorch, tf_efficientdet_d0"
CLASSES = 90  # numbers of COCO's categories, of which the person is the first
WIDTH = 64
STRIDES = (8, 16, 32, 64, 128)
ASPECTS = ((1.0, 1.0), (1.4, 0.7), (0.7, 1.4))
PER_CELL = 9
ANCHORS = tuple(
    4 * stride * 2 ** (octave / 3) * side
    for stride in STRIDES
    for octave in range(3)
    for aspect in ASPECTS
    for side in aspect
)
# kernel, stride, expansion, channels and blocks of each stage of EfficientNet-B0
STAGES = (
    (3, 1, 1, 16, 1),
    (3, 2, 6, 24, 2),
    (5, 2, 6, 40, 2),
    (3, 2, 6, 80, 3),
    (5, 1, 6, 112, 3),
    (5, 2, 6, 192, 4),
    (3, 1, 6, 320, 1),
)
OUTPUTS = (2, 4, 6)  # stages of strides 8, 16, 32
# inputs of each node, numbers of levels 3 to 7 and then of nodes; its level
NODES = (
    ((3, 4), 3),
    ((2, 5), 2),
    ((1, 6), 1),
    ((0, 7), 0),
    ((1, 7, 8), 1),
    ((2, 6, 9), 2),
    ((3, 5, 10), 3),
    ((4, 11), 4),
)
_norm = partial(nn.BatchNorm2d, eps=1e-3)


class SameConv(nn.Conv2d):
    """A convolution that at stride 2 pads one pixel less above and left than below and right.

    So TensorFlow pads maps with even sides.
    """

    def __init__(
        self, inputs: int, outputs: int, kernel: int, stride: int = 1, *, groups: int = 1
    ) -> None:
        super().__init__(
            inputs,
            outputs,
            kernel,
            stride,
            kernel // 2 if stride == 1 else 0,
            groups=groups,
            bias=False,
        )

    def forward(self, x: Tensor) -> Tensor:
        if self.stride[0] == 2:
            less, more = self.kernel_size[0] // 2 - 1, self.kernel_size[0] // 2
            x = F.pad(x, (less, more, less, more))
        y: Tensor = super().forward(x)
        return y


class Gate(nn.Module):
    """Weigh each channel by a gate computed from the means of all channels."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.conv_reduce = nn.Conv2d(channels, hidden, 1)
        self.conv_expand = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        means = x.mean((2, 3), keepdim=True)
        return x * self.conv_expand(F.silu(self.conv_reduce(means))).sigmoid()


class Plain(nn.Module):
    """Depthwise convolution, gate and 1x1 convolution: the first block."""

    def __init__(self, inputs: int, outputs: int, kernel: int) -> None:
        super().__init__()
        self.conv_dw = SameConv(inputs, inputs, kernel, groups=inputs)
        self.bn1 = _norm(inputs)
        self.se = Gate(inputs, inputs // 4)
        self.conv_pw = SameConv(inputs, outputs, 1)
        self.bn2 = _norm(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return self.bn2(self.conv_pw(self.se(F.silu(self.bn1(self.conv_dw(x))))))


class Inverted(nn.Module):
    """1x1 convolution to more channels, depthwise one, gate, and 1x1 back; shortcut if it fits."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expand: int) -> None:
        super().__init__()
        width = inputs * expand
        self.conv_pw = SameConv(inputs, width, 1)
        self.bn1 = _norm(width)
        self.conv_dw = SameConv(width, width, kernel, stride, groups=width)
        self.bn2 = _norm(width)
        self.se = Gate(width, inputs // 4)
        self.conv_pwl = SameConv(width, outputs, 1)
        self.bn3 = _norm(outputs)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = F.silu(self.bn1(self.conv_pw(x)))
        y = self.se(F.silu(self.bn2(self.conv_dw(y))))
        y = self.bn3(self.conv_pwl(y))
        return x + y if self.shortcut else y


class EfficientNet(nn.Module):
    """EfficientNet-B0 (arXiv:1905.11946) -> 40, 112, 320 channels at strides 8, 16, 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = SameConv(3, 32, 3, 2)
        self.bn1 = _norm(32)
        stages, width = [], 32
        for kernel, stride, expand, outputs, count in STAGES:
            blocks: list[nn.Module] = []
            for i in range(count):
                step = stride if i == 0 else 1
                blocks.append(
                    Plain(width, outputs, kernel)
                    if expand == 1
                    else Inverted(width, outputs, kernel, step, expand)
                )
                width = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.ModuleList(stages)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, h, w), sides multiples of 128 -> (B, C, h / s, w / s) of s = 8, 16, 32."""
        x, maps = F.silu(self.bn1(self.conv_stem(x))), []
        for i, stage in enumerate(self.blocks):
            x = stage(x)
            if i in OUTPUTS:
                maps.append(x)
        return maps


class Separable(nn.Module):
    """3x3 convolution within each channel, 1x1 across them with a bias, and norm where asked."""

    def __init__(self, outputs: int, *, norm: bool = False) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(WIDTH, WIDTH, 3, padding=1, groups=WIDTH, bias=False)
        self.conv_pw = nn.Conv2d(WIDTH, outputs, 1)
        self.bn = _norm(outputs) if norm else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.bn(self.conv_pw(self.conv_dw(x)))


def resampler(inputs: int) -> nn.ModuleDict:
    """Return the 1x1 convolution and norm that bring a map to the width of the pyramid."""
    layers = nn.ModuleDict({"conv": nn.Conv2d(inputs, WIDTH, 1), "bn": _norm(WIDTH)})
    return nn.ModuleDict({"conv": layers})


def projected(layers: nn.ModuleDict, x: Tensor) -> Tensor:
    """Apply `resampler`'s layers."""
    y: Tensor = layers["conv"]["bn"](layers["conv"]["conv"](x))
    return y


def halved(x: Tensor) -> Tensor:
    """(B, C, h, w) of even sides -> maxima over 3x3 at stride 2, of which the first is whole."""
    return F.max_pool2d(F.pad(x, (0, 1, 0, 1), value=float("-inf")), 3, 2)


class Node(nn.Module):
    """The weighed mean of maps at one level, SiLU and a separable convolution.

    projections: channels of the inputs that do not have the pyramid's width, by their number.
    """

    def __init__(self, inputs: Sequence[int], projections: dict[int, int]) -> None:
        super().__init__()
        self.combine = nn.Module()
        self.combine.edge_weights = nn.Parameter(torch.ones(len(inputs)))
        self.combine.resample = nn.ModuleDict(
            {str(i): resampler(projections[i]) for i in inputs if i in projections}
        )
        self.after_combine = nn.ModuleDict({"conv": Separable(WIDTH, norm=True)})
        self.inputs = tuple(inputs)

    def forward(self, maps: Sequence[Tensor], size: Sequence[int]) -> Tensor:
        """Maps by number -> the map of this node, of (h, w) `size`."""
        weights = self.combine.edge_weights.relu()
        weights = weights / (weights.sum() + 1e-4)
        total = sum(
            self._at(maps[i], i, size) * weight
            for i, weight in zip(self.inputs, weights, strict=True)
        )
        out: Tensor = self.after_combine["conv"](F.silu(total))
        return out

    def _at(self, x: Tensor, number: int, size: Sequence[int]) -> Tensor:
        """Return a map with the pyramid's width and a node's size."""
        if str(number) in self.combine.resample:
            x = projected(self.combine.resample[str(number)], x)
        if x.shape[2] > size[0]:
            return halved(x)
        return x if x.shape[2] == size[0] else F.interpolate(x, size=size, mode="nearest")


class BiFPN(nn.Module):
    """Three rounds of path aggregation in both directions, with learnt weights.

    channels: of the levels of strides 8, 16, 32.
    """

    def __init__(self, channels: Sequence[int], rounds: int = 3) -> None:
        super().__init__()
        self.resample = nn.ModuleDict({"3": resampler(channels[-1])})
        self.cell = nn.ModuleList()
        for i in range(rounds):
            own = dict(enumerate(channels)) if i == 0 else {}
            nodes = nn.ModuleList(Node(inputs, own) for inputs, _ in NODES)
            self.cell.append(nn.ModuleDict({"fnode": nodes}))

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of strides 8, 16, 32 -> (B, 64, h, w) of strides 8 to 128."""
        maps = [*maps, halved(projected(self.resample["3"], maps[-1]))]
        maps.append(halved(maps[-1]))
        for cell in self.cell:
            sizes = [x.shape[2:] for x in maps]
            for node, (_, level) in zip(cell["fnode"], NODES, strict=True):
                maps.append(node(maps, sizes[level]))
            maps = maps[-len(STRIDES) :]
        return maps


class Branch(nn.Module):
    """Separable convolutions that all levels share, each with a norm of the level, and the last."""

    def __init__(self, outputs: int, repeats: int = 3) -> None:
        super().__init__()
        self.conv_rep = nn.ModuleList(Separable(WIDTH) for _ in range(repeats))
        self.bn_rep = nn.ModuleList(
            nn.ModuleList(nn.ModuleDict({"bn": _norm(WIDTH)}) for _ in STRIDES)
            for _ in range(repeats)
        )
        self.predict = Separable(outputs)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """(B, 64, h, w) of each level -> (B, outputs, h, w) of each level."""
        found = []
        for level, x in enumerate(maps):
            for conv, norms in zip(self.conv_rep, self.bn_rep, strict=True):
                x = F.silu(norms[level]["bn"](conv(x)))
            found.append(self.predict(x))
        return found


class EfficientDetHead(nn.Module):
    """A branch of classes and one of boxes."""

    def __init__(self, codec: AnchorBoxes) -> None:
        super().__init__()
        self.class_net = Branch(PER_CELL * CLASSES)
        self.box_net = Branch(PER_CELL * 4)
        sides = torch.tensor(codec.anchors, dtype=torch.float32).view(len(STRIDES), -1, 1, 2)
        strides = torch.tensor(STRIDES).view(-1, 1, 1, 1)
        self.register_buffer("sides", sides / strides, persistent=False)  # in strides

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps of strides 8 to 128 -> rows (B, N, 5) of people, as `AnchorBoxes` documents."""
        rows = []
        for cls, box, sides in zip(
            self.class_net(maps), self.box_net(maps), self.sides, strict=True
        ):
            person = cls.unflatten(1, (PER_CELL, CLASSES))[:, :, :1].sigmoid()
            numbers = box.unflatten(1, (PER_CELL, 4)).flatten(3).transpose(2, 3)  # y, x, h, w
            middle = numbers[..., [1, 0]] * sides + 0.5
            parts = [middle, numbers[..., [3, 2]].exp(), person.flatten(3).transpose(2, 3)]
            rows.append(torch.cat(parts, 3).flatten(1, 2))
        return {"rows": torch.cat(rows, 1)}


@register(paper=PAPER, published="COCO val2017 box AP .342, all classes", task="boxes")
def efficientdet_d0(*, input_size: tuple[int, int] = (512, 512)) -> PoseModel:
    """EfficientDet-D0, a detector: EfficientNet-B0 and three rounds of BiFPN."""
    codec = AnchorBoxes(
        input_size, STRIDES, ANCHORS, threshold=0.3, iou=0.5, fill=114, centred=False
    )
    channels = [STAGES[i][3] for i in OUTPUTS]
    return PoseModel(
        EfficientNet(), EfficientDetHead(codec), codec, NO_JOINTS, neck=BiFPN(channels)
    )
