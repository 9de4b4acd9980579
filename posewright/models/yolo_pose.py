"""YOLO-Pose: YOLOv5-P6 with a branch of keypoints beside the boxes (arXiv:2204.06806).

Layers are numbered as in the published state dicts, in which concatenations and resizings count.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs.yolo_pose import YoloPose
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.registry import register
from posewright.runtimes.info import Input
from posewright.skeletons import Skeleton

__all__ = ["YoloPoseBackbone", "YoloPoseHead", "YoloPoseNeck"]

PAPER = "arXiv:2204.06806"
PIXELS = Input("NCHW", "float32", "RGB", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
DEPTHWISE = 5  # pairs of a 3x3 convolution of each channel and a 1x1 one, before the last 3x3
Act = Callable[[], nn.Module]


def _silu() -> nn.Module:
    return nn.SiLU(inplace=True)


def _relu() -> nn.Module:
    return nn.ReLU(inplace=True)


class Conv(nn.Module):
    """Convolution, batch norm, activation."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        act: Act,
        groups: int = 1,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(
            inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False
        )
        self.bn = nn.BatchNorm2d(outputs, eps=1e-3, momentum=0.03)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.act(self.bn(self.conv(x)))
        return y


class Focus(nn.Module):
    """Every 2x2 block of pixels becomes one cell of four times the channels, then a convolution."""

    def __init__(self, inputs: int, outputs: int, act: Act) -> None:
        super().__init__()
        self.conv = Conv(4 * inputs, outputs, 3, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', h / 2, w / 2)."""
        rows = x[:, :, ::2], x[:, :, 1::2]
        pixels = [row[..., start::2] for row in rows for start in (0, 1)]
        y: Tensor = self.conv(torch.cat(pixels, 1))  # of (B, 4 C, h / 2, w / 2)
        return y


class ConvFocus(nn.Module):
    """A strided convolution to four times the channels instead of the blocks of `Focus`."""

    def __init__(self, inputs: int, outputs: int, act: Act) -> None:
        super().__init__()
        self.slice = Conv(inputs, 4 * inputs, 3, 2, act=act)
        self.conv = Conv(4 * inputs, outputs, 3, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C', h / 2, w / 2)."""
        y: Tensor = self.conv(self.slice(x))
        return y


class Bottleneck(nn.Module):
    """1x1 and 3x3 convolutions, with a shortcut in the backbone."""

    def __init__(self, width: int, act: Act, shortcut: bool) -> None:
        super().__init__()
        self.cv1 = Conv(width, width, act=act)
        self.cv2 = Conv(width, width, 3, act=act)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cv2(self.cv1(x))
        return x + y if self.shortcut else y


class C3(nn.Module):
    """Half of the channels through `count` bottlenecks, half past them (CSP, arXiv:1911.11929)."""

    def __init__(
        self, inputs: int, outputs: int, count: int, act: Act, *, shortcut: bool = True
    ) -> None:
        super().__init__()
        width = outputs // 2
        self.cv1 = Conv(inputs, width, act=act)
        self.cv2 = Conv(inputs, width, act=act)
        self.cv3 = Conv(2 * width, outputs, act=act)
        self.m = nn.Sequential(*(Bottleneck(width, act, shortcut) for _ in range(count)))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.cv3(torch.cat([self.m(self.cv1(x)), self.cv2(x)], 1))
        return y


class SPP(nn.Module):
    """The map beside its maxima over squares of several sizes (arXiv:1406.4729).

    Squares of 2 n + 1 cells are n squares of 3 one after the other, which is the same and faster.
    """

    def __init__(self, channels: int, sizes: Sequence[int], act: Act) -> None:
        super().__init__()
        width = channels // 2
        self.cv1 = Conv(channels, width, act=act)
        self.cv2 = Conv(width * (len(sizes) + 1), channels, act=act)
        self.sizes = tuple(sizes)

    def forward(self, x: Tensor) -> Tensor:
        maps, size = [self.cv1(x)], 1
        for wanted in self.sizes:
            step = wanted - size + 1  # squares of `size`, then of `step`: together of `wanted`
            maps.append(F.max_pool2d(maps[-1], step, 1, step // 2))
            size = wanted
        y: Tensor = self.cv2(torch.cat(maps, 1))
        return y


def _numbered(layers: dict[int, nn.Module]) -> nn.ModuleDict:
    return nn.ModuleDict({str(number): layer for number, layer in layers.items()})


class YoloPoseBackbone(nn.Module):
    """CSPDarknet to stride 64 -> maps of strides 8, 16, 32 and 64.

    widths: channels at strides 2, 4, ... 64.  depth: bottlenecks where there are fewest.
    """

    def __init__(self, widths: Sequence[int], depth: int, act: Act, *, focus: bool = True) -> None:
        super().__init__()
        stem = Focus(3, widths[0], act) if focus else ConvFocus(3, widths[0], act)
        layers: dict[int, nn.Module] = {0: stem}
        for i, count in enumerate((depth, 3 * depth, 3 * depth, depth)):
            layers[2 * i + 1] = Conv(widths[i], widths[i + 1], 3, 2, act=act)
            layers[2 * i + 2] = C3(widths[i + 1], widths[i + 1], count, act)
        layers[9] = Conv(widths[4], widths[5], 3, 2, act=act)
        layers[10] = SPP(widths[5], (3, 5, 7), _silu)  # in all networks, those of ReLU included
        layers[11] = C3(widths[5], widths[5], depth, act, shortcut=False)
        self.model = _numbered(layers)

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, h, w), sides multiples of 64 -> (B, C, h / stride, w / stride) of each stride."""
        maps = []
        for number, layer in self.model.items():
            x = layer(x)
            if number in ("4", "6", "8", "11"):
                maps.append(x)
        return maps


class YoloPoseNeck(nn.Module):
    """Path aggregation (arXiv:1803.01534): down to stride 8 and up to stride 64 again.

    widths: channels of strides 8 to 64.
    """

    def __init__(self, widths: Sequence[int], depth: int, act: Act) -> None:
        super().__init__()
        layers: dict[int, nn.Module] = {}
        for i, level in enumerate((3, 2, 1)):
            wide, narrow = widths[level], widths[level - 1]
            layers[12 + 4 * i] = Conv(wide, narrow, act=act)
            layers[15 + 4 * i] = C3(2 * narrow, narrow, depth, act, shortcut=False)
        for level in range(3):
            width = widths[level]
            layers[24 + 3 * level] = Conv(width, width, 3, 2, act=act)
            layers[26 + 3 * level] = C3(2 * width, widths[level + 1], depth, act, shortcut=False)
        self.model = _numbered(layers)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Maps of strides 8 to 64 -> maps of the same shapes."""
        layers, x = self.model, maps[3]
        laterals = []
        for i, level in enumerate((2, 1, 0)):
            x = layers[str(12 + 4 * i)](x)
            laterals.append(x)
            x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = layers[str(15 + 4 * i)](torch.cat([x, maps[level]], 1))
        found = [x]
        for level in range(3):
            x = layers[str(24 + 3 * level)](x)
            x = layers[str(26 + 3 * level)](torch.cat([x, laterals.pop()], 1))
            found.append(x)
        return found


def _joint_layers(width: int, outputs: int, act: Act) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(DEPTHWISE):
        layers += [Conv(width, width, 3, act=act, groups=width), Conv(width, width, act=act)]
    last = Conv(width, width, 3, act=act, groups=width)
    return nn.Sequential(*layers, last, nn.Conv2d(width, outputs, 1))


class YoloPoseHead(nn.Module):
    """Maps of all strides -> the numbers of every anchor, as `YoloPose` documents them.

    depthwise: keypoints have layers of their own before the last.
    """

    def __init__(
        self, widths: Sequence[int], joints: int, anchors: int, act: Act, *, depthwise: bool
    ) -> None:
        super().__init__()
        self.anchors = anchors
        outputs = anchors * 3 * joints
        self.m = nn.ModuleList(nn.Conv2d(width, anchors * 6, 1) for width in widths)
        self.m_kpt = nn.ModuleList(
            _joint_layers(width, outputs, act) if depthwise else nn.Conv2d(width, outputs, 1)
            for width in widths
        )

    def forward(self, maps: list[Tensor]) -> dict[str, Tensor]:
        branches = zip(self.m, self.m_kpt, maps, strict=True)
        levels = [self._flat(torch.cat([m(x), m_kpt(x)], 1)) for m, m_kpt, x in branches]
        found = torch.cat(levels, 1)  # (B, N, 6 + 3 K) x, y, w, h, objectness, class, joints
        near = 2 * found[..., :4].sigmoid()
        joints = found[..., 6:].unflatten(2, (-1, 3))  # (B, N, K, 3) x, y, visibility
        return {
            "box": torch.cat([near[..., :2] - 0.5, near[..., 2:].square()], 2),
            "objectness": found[..., 4:5],
            "cls": found[..., 5:6],
            "keypoints": (2 * joints[..., :2] - 0.5).flatten(2),
            "visibility": joints[..., 2],
        }

    def _flat(self, x: Tensor) -> Tensor:
        """(B, A n, h, w) -> (B, A h w, n): the first n channels are the first anchor's.

        The channels are those of both branches one after the other, so that an anchor's keypoints
        do not begin where those of the keypoints' branch do.
        """
        return x.unflatten(1, (self.anchors, -1)).flatten(3).transpose(2, 3).flatten(1, 2)


def _yolo_pose(
    widths: Sequence[int],
    depth: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    *,
    depthwise: bool,
    lite: bool = False,
) -> PoseModel:
    act = _relu if lite else _silu
    skeleton, codec = as_skeleton(skeleton), YoloPose(input_size)
    backbone = YoloPoseBackbone(widths, depth, act, focus=not lite)
    head = YoloPoseHead(widths[2:], len(skeleton), codec.anchors_per_cell, act, depthwise=depthwise)
    return PoseModel(
        backbone,
        head,
        codec,
        skeleton,
        neck=YoloPoseNeck(widths[2:], depth, act),
        loss=loss_for(codec, skeleton),
        pixels=PIXELS,
    )


SMALL, MEDIUM, LARGE = (
    (32, 64, 128, 256, 384, 512),
    (48, 96, 192, 384, 576, 768),
    (64, 128, 256, 512, 768, 1024),
)


@register(paper=PAPER, published="COCO val2017 AP .637 (960x960), .575 (640x640)")
def yolo_pose_s6(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    depthwise: bool = True,
) -> PoseModel:
    """YOLO-Pose s6: half of the width, a third of the depth.

    depthwise: keypoints have layers of their own, as in the published weights.
    """
    return _yolo_pose(SMALL, 1, input_size, skeleton, depthwise=depthwise)


@register(paper=PAPER, published="COCO val2017 AP .674 (960x960)")
def yolo_pose_m6(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    depthwise: bool = True,
) -> PoseModel:
    """YOLO-Pose m6: three quarters of the width, two thirds of the depth.

    depthwise: keypoints have layers of their own, as in the published weights.
    """
    return _yolo_pose(MEDIUM, 2, input_size, skeleton, depthwise=depthwise)


@register(paper=PAPER, published="COCO val2017 AP .694 (960x960)")
def yolo_pose_l6(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    depthwise: bool = True,
) -> PoseModel:
    """YOLO-Pose l6: YOLOv5l6 as it is.

    depthwise: keypoints have layers of their own, as in the published weights.
    """
    return _yolo_pose(LARGE, 3, input_size, skeleton, depthwise=depthwise)


@register(paper=PAPER, published="COCO val2017 AP .597 (960x960), .549 (640x640)")
def yolo_pose_s6_ti_lite(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    depthwise: bool = False,
) -> PoseModel:
    """YOLO-Pose s6 of ReLU and plain convolutions, for small devices.

    depthwise: keypoints have layers of their own, unlike in the published weights.
    """
    return _yolo_pose(SMALL, 1, input_size, skeleton, depthwise=depthwise, lite=True)


@register(paper=PAPER, published="COCO val2017 AP .659 (960x960), .605 (640x640)")
def yolo_pose_m6_ti_lite(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    depthwise: bool = False,
) -> PoseModel:
    """YOLO-Pose m6 of ReLU and plain convolutions, for small devices.

    depthwise: keypoints have layers of their own, unlike in the published weights.
    """
    return _yolo_pose(MEDIUM, 2, input_size, skeleton, depthwise=depthwise, lite=True)


@register(paper=PAPER)
def yolo_pose_l6_ti_lite(
    *,
    input_size: tuple[int, int] = (640, 640),
    skeleton: Skeleton | str = "coco17",
    depthwise: bool = False,
) -> PoseModel:
    """YOLO-Pose l6 of ReLU and plain convolutions, for small devices.

    depthwise: keypoints have layers of their own, unlike in the published weights.
    """
    return _yolo_pose(LARGE, 3, input_size, skeleton, depthwise=depthwise, lite=True)
