"""Stacked hourglass (arXiv:1603.06937), of the form that DARK's authors trained.

Module names are those of their state dicts.
"""

from __future__ import annotations

from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from posewright.codecs import Codec, Heatmap, codec_named
from posewright.errors import UsageError
from posewright.losses.heatmap import StackedMSE
from posewright.models.base import IMAGENET, PoseModel, as_skeleton
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["Stacks"]

PAPER = "arXiv:1603.06937"
PIXELS = replace(IMAGENET, color="BGR")  # as DARK's authors feed it, the means in RGB order


class Residual(nn.Module):
    """1x1, 3x3 and 1x1 convolutions, each after batch norm and ReLU, with a shortcut."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv1 = nn.Conv2d(inputs, width, 1)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        self.bn3 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, 2 * width, 1)
        self.relu = nn.ReLU()
        same = inputs == 2 * width
        self.downsample = None if same else nn.Sequential(nn.Conv2d(inputs, 2 * width, 1))

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(self.relu(self.bn1(x)))
        y = self.conv2(self.relu(self.bn2(y)))
        y = self.conv3(self.relu(self.bn3(y)))
        return y + (x if self.downsample is None else self.downsample(x))


def _block(inputs: int, width: int) -> nn.Sequential:
    """A single block, in a list as in the authors' state dicts."""
    return nn.Sequential(Residual(inputs, width))


class Hourglass(nn.Module):
    """Down `depth` times by two and up again, with a branch at every size -> a map of equal shape.

    hg: for each depth, deepest first: the branch, before and after the smaller size, and for the
    deepest what stands in its place.
    """

    def __init__(self, width: int, depth: int) -> None:
        super().__init__()
        self.hg = nn.ModuleList(
            nn.ModuleList(_block(2 * width, width) for _ in range(3 if i else 4))
            for i in range(depth)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, C, h, w)."""
        return self._at(len(self.hg) - 1, x)

    def _at(self, level: int, x: Tensor) -> Tensor:
        branch, before, after, *inner = self.hg[level]
        y = before(F.max_pool2d(x, 2))
        y = after(self._at(level - 1, y) if level else inner[0](y))
        return branch(x) + F.interpolate(y, size=x.shape[2:], mode="nearest")


class Stacks(nn.Module):
    """Stem and several hourglasses; the maps of each go back into the features of the next.

    Returns (B, K, h / 4, w / 4) as heatmap, from the last, and those of the others as heatmap_1 ...
    """

    def __init__(self, joints: int, stacks: int) -> None:
        super().__init__()
        width, features = 128, 256
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3)
        self.bn1 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        self.layer1 = _block(64, 64)
        self.layer2 = _block(128, 128)
        self.layer3 = _block(256, width)
        self.hg = nn.ModuleList(Hourglass(width, 4) for _ in range(stacks))
        self.res = nn.ModuleList(_block(features, width) for _ in range(stacks))
        self.fc = nn.ModuleList(
            nn.Sequential(nn.Conv2d(features, features, 1), nn.BatchNorm2d(features), nn.ReLU())
            for _ in range(stacks)
        )
        self.score = nn.ModuleList(nn.Conv2d(features, joints, 1) for _ in range(stacks))
        self.fc_ = nn.ModuleList(nn.Conv2d(features, features, 1) for _ in range(stacks - 1))
        self.score_ = nn.ModuleList(nn.Conv2d(joints, features, 1) for _ in range(stacks - 1))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, 3, h, w) -> heatmaps of every stack."""
        x = self.layer1(self.relu(self.bn1(self.conv1(x))))
        x = self.layer3(self.layer2(F.max_pool2d(x, 2)))  # (B, 256, h / 4, w / 4)
        maps = []
        for i, (hourglass, after, fc) in enumerate(zip(self.hg, self.res, self.fc, strict=True)):
            y = fc(after(hourglass(x)))
            maps.append(self.score[i](y))
            if i < len(self.fc_):
                x = x + self.fc_[i](y) + self.score_[i](maps[-1])
        return {f"heatmap_{i + 1}": m for i, m in enumerate(maps[:-1])} | {"heatmap": maps[-1]}


def _hourglass(
    stacks: int, input_size: tuple[int, int], skeleton: Skeleton | str, codec: Codec | str
) -> PoseModel:
    skeleton = as_skeleton(skeleton)
    codec = codec_named(codec, input_size) if isinstance(codec, str) else codec
    if not isinstance(codec, Heatmap):
        raise UsageError(f"a stacked hourglass emits one heatmap per joint, not {codec.kind!r}")
    for side in codec.input_size:
        if side % 32 or side < 64:  # maps of a quarter, halved four times
            raise UsageError(
                f"input size {codec.input_size}: sides must be multiples of 32, and at least 64"
            )
    network = Stacks(len(skeleton), stacks)
    return PoseModel(network, nn.Identity(), codec, skeleton, loss=StackedMSE(), pixels=PIXELS)


@register(paper=PAPER)
def hourglass_4(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """Four stacked hourglasses."""
    return _hourglass(4, input_size, skeleton, codec)


@register(paper=PAPER)
def hourglass_8(
    *,
    input_size: tuple[int, int] = (256, 256),
    skeleton: Skeleton | str = "mpii16",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """Eight stacked hourglasses."""
    return _hourglass(8, input_size, skeleton, codec)
