"""SimplePose of liangheming/simple_pose: ResNets, with or without gates, under either upsampling.

The networks are Simple Baselines (arXiv:1804.06208) and FastPose (arXiv:2211.03375); pixels are
normalised otherwise, and targets are not rounded to cells.  Accuracy is published for ResNet-50.
Of ResNet-18 and 34, whose maps have a quarter of the channels, pixel shuffles leave a quarter too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from posewright.codecs import Codec
from posewright.models.base import IMAGENET, PoseModel
from posewright.models.fastpose import FastPose, gate, pose_model
from posewright.models.parts.heads import top_down
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__: list[str] = []

_PIXELS = replace(IMAGENET, std=(255.0, 255.0, 255.0))  # the mean is subtracted, nothing divided


def _dconv(
    backbone: ResNet,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    return top_down(
        backbone,
        (backbone.channels[-1], 32),
        deconv=(256, 256, 256),
        pixels=_PIXELS,
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )


def _duc(
    backbone: ResNet,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    width = backbone.channels[-1] // 16
    shuffled = FastPose(backbone, width)
    return pose_model(shuffled, width, input_size, skeleton, codec, neck, _PIXELS)


@register(paper="arXiv:1804.06208", published="COCO val2017 AP .701 (detector boxes, no flip)")
def simple_pose_dconv(
    *,
    depth: int = 50,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "dark",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SimplePose with ResNet-50 and three deconvolutions; depth: 18, 34, 50, 101 or 152."""
    return _dconv(ResNet(depth), input_size, skeleton, codec, neck)


@register(paper="arXiv:1804.06208", published="COCO val2017 AP .717 (detector boxes, no flip)")
def simple_pose_dconv_se(
    *,
    depth: int = 50,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "dark",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SimplePose with gated ResNet-50 and three deconvolutions; depth: 18, 34, 50, 101 or 152."""
    return _dconv(ResNet(depth, attention=gate), input_size, skeleton, codec, neck)


@register(paper="arXiv:2211.03375", published="COCO val2017 AP .709 (detector boxes, no flip)")
def simple_pose_duc(
    *,
    depth: int = 50,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "dark",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SimplePose with ResNet-50 and pixel shuffles; depth: 18, 34, 50, 101 or 152."""
    return _duc(ResNet(depth), input_size, skeleton, codec, neck)


@register(paper="arXiv:2211.03375", published="COCO val2017 AP .718 (detector boxes, no flip)")
def simple_pose_duc_se(
    *,
    depth: int = 50,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "dark",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SimplePose with gated ResNet-50 and pixel shuffles; depth: 18, 34, 50, 101 or 152."""
    return _duc(ResNet(depth, attention=gate), input_size, skeleton, codec, neck)
