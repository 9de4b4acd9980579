"""Simple Baselines: deconvolutions on top of a ResNet (arXiv:1804.06208).

Module names are those of the authors' state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence

from posewright.codecs import Codec
from posewright.models.base import PoseModel
from posewright.models.parts.heads import top_down
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.skeletons import Skeleton

PAPER = "arXiv:1804.06208"


def _simple_baseline(
    depth: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    return top_down(
        ResNet(depth),
        (2048, 32),
        deconv=(256, 256, 256),
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )


@register(paper=PAPER, published="COCO val2017 AP .704 (detector boxes, flip), 384x288 .722")
def simple_baseline_r50(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """Simple Baselines with ResNet-50."""
    return _simple_baseline(50, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .714 (detector boxes, flip), 384x288 .736")
def simple_baseline_r101(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """Simple Baselines with ResNet-101."""
    return _simple_baseline(101, input_size, skeleton, codec, neck)


@register(paper=PAPER, published="COCO val2017 AP .720 (detector boxes, flip), 384x288 .743")
def simple_baseline_r152(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
    neck: Sequence[str] = (),
) -> PoseModel:
    """Simple Baselines with ResNet-152."""
    return _simple_baseline(152, input_size, skeleton, codec, neck)
