"""HRNet: branches of several resolutions that run side by side and exchange (arXiv:1902.09212).

Module names are those of the authors' state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from posewright.codecs import Codec
from posewright.models.base import PoseModel
from posewright.models.parts.branches import (
    Branches,
    Exchange,
    dense,
    fuse_layers,
    transition,
    widen,
)
from posewright.models.parts.heads import top_down
from posewright.models.parts.layers import BasicBlock, Bottleneck
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["HRNet"]

PAPER = "arXiv:1902.09212"
BLOCKS = 4  # on every branch before an exchange


class HRNet(nn.Module):
    """Stem, four stages with 1 to 4 branches -> the branches that the last stage lets out.

    widths: channels of the branches.  modules: exchanges of stages 2, 3, ...  multi_scale: all
    branches leave instead of the first.  `channels` holds what leaves, `stride` of the first is 4.
    """

    stride = 4

    def __init__(
        self,
        widths: Sequence[int] = (32, 64, 128, 256),
        modules: Sequence[int] = (1, 4, 3),
        *,
        multi_scale: bool = False,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.conv2 = nn.Conv2d(64, 64, 3, 2, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(64)
        self.relu = nn.ReLU(inplace=True)
        shortcut = nn.Sequential(nn.Conv2d(64, 256, 1, bias=False), nn.BatchNorm2d(256))
        blocks = [Bottleneck(64, 64, downsample=shortcut)]
        self.layer1 = nn.Sequential(*blocks, *(Bottleneck(256, 64) for _ in range(3)))
        self.stages = len(modules)
        before: Sequence[int] = (256,)
        for i, count in enumerate(modules):
            now = widths[: i + 2]
            last = i == self.stages - 1
            outputs = 1 if last and not multi_scale else len(now)
            setattr(self, f"transition{i + 1}", transition(before, now, dense))
            setattr(self, f"stage{i + 2}", _stage(now, count, outputs))
            before = now
        self.channels = list(before if multi_scale else before[:1])

    def forward(self, x: Tensor) -> Tensor | Branches:
        """(B, 3, h, w) -> (B, widths[0], h / 4, w / 4), or all branches if multi_scale."""
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.relu(self.bn2(self.conv2(x)))
        xs = [self.layer1(x)]
        for i in range(self.stages):
            xs = widen(getattr(self, f"transition{i + 1}"), xs)
            xs = getattr(self, f"stage{i + 2}")(xs)
        return xs if len(self.channels) > 1 else xs[0]


def _stage(widths: Sequence[int], count: int, outputs: int) -> nn.Sequential:
    """`count` exchanges, each after the blocks of every branch; `outputs` leave the last one."""
    leave = [len(widths)] * (count - 1) + [outputs]
    parts = []
    for n in leave:
        branches = [nn.Sequential(*(BasicBlock(w, w) for _ in range(BLOCKS))) for w in widths]
        parts.append(Exchange(branches, fuse_layers(widths, n, dense)))
    return nn.Sequential(*parts)


def _hrnet(
    width: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    backbone = HRNet((width, 2 * width, 4 * width, 8 * width))
    return top_down(
        backbone, (width, 4), input_size=input_size, skeleton=skeleton, codec=codec, neck=neck
    )


@register(paper=PAPER, published="COCO val2017 AP .744 (detector boxes, flip), 384x288 .758")
def hrnet_w32(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRNet-W32: 32 channels at the highest resolution."""
    return _hrnet(32, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .751 (detector boxes, flip), 384x288 .763")
def hrnet_w48(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRNet-W48: 48 channels at the highest resolution."""
    return _hrnet(48, input_size, skeleton, codec, neck)
