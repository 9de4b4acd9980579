"""YOLOv3 (arXiv:1804.02767) and its variant with spatial pyramid pooling, as detectors of people.

Layers stand in the order of Darknet's configuration files, in which its weights follow each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs.anchor_boxes import AnchorBoxes
from posewright.models.base import PoseModel
from posewright.models.registry import register
from posewright.runtimes.info import NO_JOINTS, Input

__all__ = ["PIXELS", "Conv", "Darknet53", "Level", "Yolov3Head", "by_anchor"]

PAPER = "arXiv:1804.02767"
PIXELS = Input("NCHW", "float32", "RGB", (0.0, 0.0, 0.0), (255.0, 255.0, 255.0))
CLASSES = 80  # of COCO, of which the person is the first
BLOCKS = (1, 2, 8, 8, 4)  # shortcuts at strides 2 to 32


class Conv(nn.Module):
    """Convolution without bias, batch norm and leaky ReLU of slope 0.1."""

    def __init__(self, inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
        self.bn = nn.BatchNorm2d(outputs)

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(self.bn(self.conv(x)), 0.1)


class Shortcut(nn.Module):
    """1x1 convolution to half of the channels, 3x3 back, and the input added."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv1 = Conv(width, width // 2)
        self.conv2 = Conv(width // 2, width, 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv2(self.conv1(x))
        return x + y


class Darknet53(nn.Module):
    """A 3x3 convolution, then five stages that each halve the map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 32, 3)
        self.stages = nn.ModuleList(
            nn.Sequential(Conv(32 << i, 64 << i, 3, 2), *(Shortcut(64 << i) for _ in range(count)))
            for i, count in enumerate(BLOCKS)
        )

    def forward(self, x: Tensor) -> list[Tensor]:
        """(B, 3, h, w) -> maps of strides 32, 16, 8 with 1024, 512 and 256 channels."""
        x, maps = self.stem(x), []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        return maps[:1:-1]


class Pyramid(nn.Module):
    """The maxima over 13x13, 9x9 and 5x5 cells beside the map."""

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, 4 C, h, w)."""
        return torch.cat([F.max_pool2d(x, size, 1, size // 2) for size in (13, 9, 5)] + [x], 1)


class Level(nn.Module):
    """What one stride of the head has: five convolutions, then a 3x3 one and the boxes.

    width: of the narrow convolutions, an eighth, quarter or half of the map's `inputs`.  outputs:
    numbers of each cell.  lateral: the map of the next coarser level joins.  features: numbers of a
    second output, from before the last 3x3 convolution; 0 for none.
    """

    def __init__(
        self,
        inputs: int,
        width: int,
        outputs: int,
        *,
        lateral: bool,
        pyramid: bool = False,
        features: int = 0,
    ) -> None:
        super().__init__()
        self.lateral = Conv(2 * width, width) if lateral else None
        self.convs = nn.Sequential(
            Conv(inputs + width * lateral, width),
            Conv(width, 2 * width, 3),
            Conv(2 * width, width),
            *([Pyramid(), Conv(4 * width, width)] if pyramid else []),
            Conv(width, 2 * width, 3),
            Conv(2 * width, width),
        )
        self.last = Conv(width, 2 * width, 3)
        self.box = nn.Conv2d(2 * width, outputs, 1)
        self.embed = nn.Conv2d(width, features, 3, padding=1) if features else None

    def forward(self, x: Tensor, coarse: Tensor | None) -> tuple[Tensor, Tensor]:
        """Its map and the trunk of the coarser level -> its outputs (B, C, h, w), its trunk."""
        if self.lateral is not None:
            larger = F.interpolate(self.lateral(coarse), scale_factor=2.0, mode="nearest")
            x = torch.cat([larger, x], 1)
        x = self.convs(x)
        found = self.box(self.last(x))
        if self.embed is not None:
            found = torch.cat([found, self.embed(x)], 1)
        return found, x


class Yolov3Head(nn.Module):
    """Three levels, the coarsest first, from the maps of `Darknet53`.

    pyramid: with spatial pyramid pooling at stride 32.
    """

    def __init__(self, outputs: int, *, pyramid: bool = False, features: int = 0) -> None:
        super().__init__()
        self.levels = nn.ModuleList(
            Level(
                1024 >> i,
                512 >> i,
                outputs,
                lateral=i > 0,
                pyramid=pyramid and not i,
                features=features,
            )
            for i in range(3)
        )

    def raw(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Maps of strides 32, 16, 8 -> the numbers of each cell, (B, C, h, w) for each stride."""
        found, x = [], None
        for level, map_ in zip(self.levels, maps, strict=True):
            out, x = level(map_, x)
            found.append(out)
        return found

    def forward(self, maps: Sequence[Tensor]) -> dict[str, Tensor]:
        """Maps of strides 32, 16, 8 -> rows (B, N, 5 + C), as `AnchorBoxes` documents."""
        rows = torch.cat([by_anchor(m, 3) for m in self.raw(maps)], 1)
        parts = [rows[..., :2].sigmoid(), rows[..., 2:4].exp(), rows[..., 4:].sigmoid()]
        return {"rows": torch.cat(parts, 2)}


def by_anchor(x: Tensor, anchors: int) -> Tensor:
    """(B, A n, h, w) -> (B, A h w, n): the first n channels are the first anchor's."""
    return x.unflatten(1, (anchors, -1)).permute(0, 1, 3, 4, 2).flatten(1, 3)


def _yolov3(input_size: tuple[int, int], *, pyramid: bool) -> PoseModel:
    head = Yolov3Head(3 * (5 + CLASSES), pyramid=pyramid)
    return PoseModel(Darknet53(), head, AnchorBoxes(input_size), NO_JOINTS, pixels=PIXELS)


@register(paper=PAPER, published="COCO test-dev box AP50 .579, all classes", task="boxes")
def yolov3(*, input_size: tuple[int, int] = (608, 608)) -> PoseModel:
    """YOLOv3, a detector: Darknet-53 and three levels of three anchors."""
    return _yolov3(input_size, pyramid=False)


@register(paper=PAPER, published="COCO box AP50 .606, all classes", task="boxes")
def yolov3_spp(*, input_size: tuple[int, int] = (608, 608)) -> PoseModel:
    """YOLOv3 with spatial pyramid pooling, a detector."""
    return _yolov3(input_size, pyramid=True)
