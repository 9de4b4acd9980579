"""YOLOX (arXiv:2107.08430), which detects people, and YOLOX-Pose, its network with another head.

Both see whole images in one pass.  Module names are those of mmdet's and mmpose's state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor, nn

from posewright.codecs.grid_boxes import YoloxBoxes
from posewright.codecs.yolox import YoloxPose
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.parts.cspnext import (
    Conv,
    ConvBN,
    CSPBackbone,
    CSPLayer,
    Norm,
    Separable,
    scaled,
    yolox_norm,
)
from posewright.models.registry import register
from posewright.runtimes.info import NO_JOINTS, Input
from posewright.skeletons import Skeleton

__all__ = ["PAFPN", "YoloxHead", "YoloxPoseHead", "check_size", "csp_darknet", "flat", "stacked"]

PAPER_YOLOX = "arXiv:2107.08430"
PAPER = f"{PAPER_YOLOX}; head: github.com/open-mmlab/mmpose, YOLOX-Pose"
PIXELS = Input("NCHW", "float32", "BGR")
CLASSES = 80  # of COCO, of which the person is the first
RARE = -4.595  # logit of 0.01: what a score starts from


class DarknetBlock(nn.Module):
    """1x1 and 3x3 convolution, with a shortcut where asked."""

    def __init__(self, width: int, shortcut: bool, norm: Norm, *, conv: Conv = ConvBN) -> None:
        super().__init__()
        self.conv1 = ConvBN(width, width, norm=norm)
        self.conv2 = conv(width, width, 3, norm=norm)
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return x + y if self.shortcut else y


class Focus(nn.Module):
    """The four pixels of each 2x2 patch side by side, then a 3x3 convolution."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        self.conv = ConvBN(12, outputs, 3, norm=yolox_norm)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, outputs, h / 2, w / 2)."""
        left, right = x[..., ::2], x[..., 1::2]
        patches = [left[..., ::2, :], left[..., 1::2, :], right[..., ::2, :], right[..., 1::2, :]]
        out: Tensor = self.conv(torch.cat(patches, 1))
        return out


def csp_darknet(deepen: float, widen: float, conv: Conv = ConvBN) -> CSPBackbone:
    """Return CSPDarknet-P5 -> maps of strides 8, 16, 32 with 256, 512, 1024 channels * widen.

    conv: the 3x3 convolutions after the stem.
    """
    widths, blocks = scaled(deepen, widen, (3, 9, 9, 3))
    block = partial(DarknetBlock, conv=conv)

    def layer(width: int, count: int, shortcut: bool) -> CSPLayer:
        return CSPLayer(width, width, count, block, shortcut=shortcut, norm=yolox_norm)

    stem = Focus(widths[0])
    return CSPBackbone(stem, widths, blocks, layer, norm=yolox_norm, conv=conv, outputs=(2, 3, 4))


class PAFPN(nn.Module):
    """Path aggregation: down the pyramid, up again, and one convolution for each level.

    channels: of the levels that come in, finest first.  outputs: of each that leaves.  conv: the
    3x3 convolutions.
    """

    def __init__(
        self, channels: Sequence[int], outputs: int, blocks: int, conv: Conv = ConvBN
    ) -> None:
        super().__init__()
        block = partial(DarknetBlock, conv=conv)

        def csp(inputs: int, width: int) -> CSPLayer:
            return CSPLayer(inputs, width, blocks, block, shortcut=False, norm=yolox_norm)

        up = list(pairwise(channels))
        self.reduce_layers = nn.ModuleList(ConvBN(b, a, norm=yolox_norm) for a, b in up[::-1])
        self.top_down_blocks = nn.ModuleList(csp(2 * a, a) for a, _ in up[::-1])
        self.downsamples = nn.ModuleList(conv(a, a, 3, 2, norm=yolox_norm) for a, _ in up)
        self.bottom_up_blocks = nn.ModuleList(csp(2 * a, b) for a, b in up)
        self.out_convs = nn.ModuleList(ConvBN(c, outputs, norm=yolox_norm) for c in channels)

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the levels, finest first -> as many with `outputs` channels."""
        return [conv(x) for conv, x in zip(self.out_convs, self.paths(maps), strict=True)]

    def paths(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of the levels, finest first -> as many of the same channels."""
        down = [maps[-1]]  # coarsest first
        steps = zip(maps[-2::-1], self.reduce_layers, self.top_down_blocks, strict=True)
        for fine, reduce, block in steps:
            down[-1] = reduce(down[-1])
            larger = nn.functional.interpolate(down[-1], scale_factor=2.0, mode="nearest")
            down.append(block(torch.cat([larger, fine], 1)))
        up = [down[-1]]  # finest first
        for coarse, shrink, block in zip(
            down[-2::-1], self.downsamples, self.bottom_up_blocks, strict=True
        ):
            up.append(block(torch.cat([shrink(up[-1]), coarse], 1)))
        return up


def stacked(widths: Sequence[int], groups: int = 1) -> nn.Sequential:
    """Return 3x3 convolutions from each width to the next; all but the first in `groups`."""
    return nn.Sequential(
        *(
            ConvBN(a, b, 3, groups=groups if i else 1, norm=yolox_norm)
            for i, (a, b) in enumerate(pairwise(widths))
        )
    )


def flat(maps: Sequence[Tensor]) -> Tensor:
    """Levels of (B, C, h, w) -> (B, N, C): the cells of all levels, row by row."""
    return torch.cat([m.flatten(2).transpose(1, 2) for m in maps], 1)


def predictors(
    levels: int, inputs: int, outputs: int, *, bias: float | None = None
) -> nn.ModuleList:
    """Return one 1x1 convolution for each level; bias: what it starts with."""
    convs = [nn.Conv2d(inputs, outputs, 1) for _ in range(levels)]
    for conv in convs:
        if bias is not None and conv.bias is not None:
            nn.init.constant_(conv.bias, bias)
    return nn.ModuleList(convs)


class YoloxPoseHead(nn.Module):
    """Three branches of convolutions on each level: score; box and objectness; keypoints."""

    def __init__(self, width: int, joints: int, levels: int = 3) -> None:
        super().__init__()
        self.conv_cls = nn.ModuleList(stacked([width] * 3) for _ in range(levels))
        self.conv_reg = nn.ModuleList(stacked([width] * 3) for _ in range(levels))
        self.conv_pose = nn.ModuleList(stacked([width] * 5) for _ in range(levels))
        self.out_cls = predictors(levels, width, 1, bias=RARE)
        self.out_obj = predictors(levels, width, 1, bias=RARE)
        self.out_bbox = predictors(levels, width, 4)
        self.out_kpt = predictors(levels, width, 2 * joints)
        self.out_kpt_vis = predictors(levels, width, joints)

    def maps(self, levels: Sequence[Tensor]) -> dict[str, list[Tensor]]:
        """Levels of (B, C, h, w) -> the maps (B, c, h, w) of each output on each level."""
        cls, reg, pose = (
            [conv(x) for conv, x in zip(convs, levels, strict=True)]
            for convs in (self.conv_cls, self.conv_reg, self.conv_pose)
        )
        branches = {
            "cls": (self.out_cls, cls),
            "objectness": (self.out_obj, reg),
            "box": (self.out_bbox, reg),
            "keypoints": (self.out_kpt, pose),
            "visibility": (self.out_kpt_vis, pose),
        }
        return {
            key: [conv(x) for conv, x in zip(convs, xs, strict=True)]
            for key, (convs, xs) in branches.items()
        }

    def forward(self, levels: Sequence[Tensor]) -> dict[str, Tensor]:
        """Levels of (B, C, h, w) -> (B, N, c) arrays of all cells, as `YoloxPose` documents."""
        return {key: flat(maps) for key, maps in self.maps(levels).items()}


class YoloxHead(nn.Module):
    """Two branches of convolutions on each level: classes; box and objectness.

    conv: their convolutions.
    """

    def __init__(self, width: int, classes: int, conv: Conv, levels: int = 3) -> None:
        super().__init__()

        def branch() -> nn.Sequential:
            return nn.Sequential(*(conv(width, width, 3, norm=yolox_norm) for _ in range(2)))

        self.conv_cls = nn.ModuleList(branch() for _ in range(levels))
        self.conv_reg = nn.ModuleList(branch() for _ in range(levels))
        self.out_cls = predictors(levels, width, classes, bias=RARE)
        self.out_obj = predictors(levels, width, 1, bias=RARE)
        self.out_bbox = predictors(levels, width, 4)

    def forward(self, levels: Sequence[Tensor]) -> dict[str, Tensor]:
        """Levels of (B, C, h, w) -> rows (B, N, 5 + classes), as `YoloxBoxes` documents."""
        maps = []
        for i, x in enumerate(levels):
            cls, reg = self.conv_cls[i](x), self.conv_reg[i](x)
            scores = [self.out_obj[i](reg).sigmoid(), self.out_cls[i](cls).sigmoid()]
            maps.append(torch.cat([self.out_bbox[i](reg), *scores], 1))
        return {"rows": flat(maps)}


def check_size(size: tuple[int, int]) -> None:
    """UsageError: sides that are not multiples of 32."""
    if size[0] % 32 or size[1] % 32:
        raise UsageError(f"input size {size}: sides must be multiples of 32")


def _yoloxpose(
    deepen: float, widen: float, input_size: tuple[int, int], skeleton: Skeleton | str
) -> PoseModel:
    check_size(input_size)
    skeleton, codec = as_skeleton(skeleton), YoloxPose(input_size)
    width = int(256 * widen)
    neck = PAFPN((width, 2 * width, 4 * width), width, max(round(3 * deepen), 1))
    return PoseModel(
        csp_darknet(deepen, widen),
        YoloxPoseHead(width, len(skeleton)),
        codec,
        skeleton,
        neck=neck,
        loss=loss_for(codec, skeleton),
        pixels=PIXELS,
    )


@register(paper=PAPER, published="COCO val2017 AP .526 (416x416)")
def yoloxpose_tiny(
    *, input_size: tuple[int, int] = (416, 416), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """YOLOX-Pose tiny: a third of the depth, three eighths of the width."""
    return _yoloxpose(0.33, 0.375, input_size, skeleton)


@register(paper=PAPER, published="COCO val2017 AP .641 (640x640)")
def yoloxpose_s(
    *, input_size: tuple[int, int] = (640, 640), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """YOLOX-Pose s: a third of the depth, half of the width."""
    return _yoloxpose(0.33, 0.5, input_size, skeleton)


@register(paper=PAPER, published="COCO val2017 AP .695 (640x640)")
def yoloxpose_m(
    *, input_size: tuple[int, int] = (640, 640), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """YOLOX-Pose m: two thirds of the depth, three quarters of the width."""
    return _yoloxpose(0.67, 0.75, input_size, skeleton)


@register(paper=PAPER, published="COCO val2017 AP .712 (640x640)")
def yoloxpose_l(
    *, input_size: tuple[int, int] = (640, 640), skeleton: Skeleton | str = "coco17"
) -> PoseModel:
    """YOLOX-Pose l: CSPDarknet as it is."""
    return _yoloxpose(1.0, 1.0, input_size, skeleton)


def _yolox(
    deepen: float, widen: float, input_size: tuple[int, int], conv: Conv = ConvBN
) -> PoseModel:
    check_size(input_size)
    width = int(256 * widen)
    channels = (width, 2 * width, 4 * width)
    return PoseModel(
        csp_darknet(deepen, widen, conv),
        YoloxHead(width, CLASSES, conv),
        YoloxBoxes(input_size),
        NO_JOINTS,
        neck=PAFPN(channels, width, max(round(3 * deepen), 1), conv),
        pixels=PIXELS,
    )


@register(paper=PAPER_YOLOX, published="COCO val2017 box AP .258, all classes", task="boxes")
def yolox_nano(*, input_size: tuple[int, int] = (416, 416)) -> PoseModel:
    """YOLOX-nano, a detector: a third of the depth, a quarter of the width, separable."""
    return _yolox(0.33, 0.25, input_size, Separable)


@register(paper=PAPER_YOLOX, published="COCO val2017 box AP .328, all classes", task="boxes")
def yolox_tiny(*, input_size: tuple[int, int] = (416, 416)) -> PoseModel:
    """YOLOX-tiny, a detector: a third of the depth, three eighths of the width."""
    return _yolox(0.33, 0.375, input_size)


@register(paper=PAPER_YOLOX, published="COCO val2017 box AP .405, all classes", task="boxes")
def yolox_s(*, input_size: tuple[int, int] = (640, 640)) -> PoseModel:
    """YOLOX-s, a detector: a third of the depth, half of the width."""
    return _yolox(0.33, 0.5, input_size)


@register(paper=PAPER_YOLOX, published="COCO val2017 box AP .469, all classes", task="boxes")
def yolox_m(*, input_size: tuple[int, int] = (640, 640)) -> PoseModel:
    """YOLOX-m, a detector: two thirds of the depth, three quarters of the width."""
    return _yolox(0.67, 0.75, input_size)


@register(paper=PAPER_YOLOX, published="COCO val2017 box AP .497, all classes", task="boxes")
def yolox_l(*, input_size: tuple[int, int] = (640, 640)) -> PoseModel:
    """YOLOX-l, a detector: CSPDarknet as it is."""
    return _yolox(1.0, 1.0, input_size)


@register(paper=PAPER_YOLOX, published="COCO val2017 box AP .511, all classes", task="boxes")
def yolox_x(*, input_size: tuple[int, int] = (640, 640)) -> PoseModel:
    """YOLOX-x, a detector: four thirds of the depth, five quarters of the width."""
    return _yolox(1.33, 1.25, input_size)
