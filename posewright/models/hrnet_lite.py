"""HRNet-lite: HRNet without its deepest part, in three readings of a published description.

The network is named in a comparison of pose networks without its code ("the last stage removed").
Either the whole fourth stage is left out, or only its fourth branch, or nothing: of one run it says
that only the activations were changed, not to what.
"""

from __future__ import annotations

from collections.abc import Sequence

from posewright.codecs import Codec
from posewright.errors import UsageError
from posewright.models.base import PoseModel
from posewright.models.hrnet import PAPER, HRNet
from posewright.models.parts.heads import top_down
from posewright.models.parts.layers import activated
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["hrnet_w32_lite", "hrnet_w48_lite"]


def _lite(
    width: int,
    fourth_stage: bool,
    fourth_branch: bool,
    activation: str,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    if fourth_branch and not fourth_stage:
        raise UsageError("fourth_branch=True needs the fourth stage; add fourth_stage=True")
    widths = tuple(width * 2**i for i in range(4 if fourth_branch else 3))
    backbone = activated(HRNet(widths, (1, 4, 3) if fourth_stage else (1, 4)), activation)
    return top_down(
        backbone, (width, 4), input_size=input_size, skeleton=skeleton, codec=codec, neck=neck
    )


@register(paper=PAPER)
def hrnet_w32_lite(
    *,
    fourth_stage: bool = False,
    fourth_branch: bool = False,
    activation: str = "relu",
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRNet-W32 without stage 4; with fourth_stage it stays, on three branches.

    fourth_branch: that one stays as well, so that nothing differs from HRNet but the activation.
    activation: of the backbone; relu, leaky_relu, silu, gelu, hardswish or mish.
    """
    return _lite(32, fourth_stage, fourth_branch, activation, input_size, skeleton, codec, neck)


@register(paper=PAPER)
def hrnet_w48_lite(
    *,
    fourth_stage: bool = False,
    fourth_branch: bool = False,
    activation: str = "relu",
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """HRNet-W48 without stage 4; with fourth_stage it stays, on three branches.

    fourth_branch: that one stays as well, so that nothing differs from HRNet but the activation.
    activation: of the backbone; relu, leaky_relu, silu, gelu, hardswish or mish.
    """
    return _lite(48, fourth_stage, fourth_branch, activation, input_size, skeleton, codec, neck)
