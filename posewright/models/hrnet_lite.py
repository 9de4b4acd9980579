"""HRNet-lite: HRNet without its deepest part, in two readings of a published description.

The network is named in a comparison of pose networks without its code ("the last stage removed").
Either the whole fourth stage is left out, or only its fourth branch.
"""

from __future__ import annotations

from collections.abc import Sequence

from posewright.codecs import Codec
from posewright.models.base import PoseModel
from posewright.models.hrnet import PAPER, HRNet
from posewright.models.parts.heads import top_down
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["hrnet_w32_lite", "hrnet_w48_lite"]


def _lite(
    width: int,
    fourth_stage: bool,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    widths = (width, 2 * width, 4 * width)
    backbone = HRNet(widths, (1, 4, 3) if fourth_stage else (1, 4))
    return top_down(
        backbone, (width, 4), input_size=input_size, skeleton=skeleton, codec=codec, neck=neck
    )


@register(paper=PAPER)
def hrnet_w32_lite(
    *,
    fourth_stage: bool = False,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRNet-W32 without stage 4; with fourth_stage it stays, on three branches."""
    return _lite(32, fourth_stage, input_size, skeleton, codec, neck)


@register(paper=PAPER)
def hrnet_w48_lite(
    *,
    fourth_stage: bool = False,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRNet-W48 without stage 4; with fourth_stage it stays, on three branches."""
    return _lite(48, fourth_stage, input_size, skeleton, codec, neck)
