"""SimCC on ResNet and MobileNetV2 (arXiv:2107.03332); on HRNet it is `hrnet_w32(codec="simdr")`.

"sa_simdr" and "simdr" are the authors' names of the two kinds of targets.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from posewright.codecs import Codec, SimCC, codec_named
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.parts.heads import top_down
from posewright.models.parts.mobilenetv2 import MobileNetV2
from posewright.models.parts.resnet import ResNet
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["UpsampleFreeHead"]

PAPER = "arXiv:2107.03332"


class UpsampleFreeHead(nn.Module):
    """Several small maps per joint, side by side, and a linear layer per axis.

    map_size: (width, height) of the backbone's map.  maps: per joint.
    """

    def __init__(
        self,
        channels: int,
        joints: int,
        map_size: tuple[int, int],
        bins: tuple[int, int],
        maps: int,
    ) -> None:
        super().__init__()
        self.joints = joints
        self.final_layer = nn.Conv2d(channels, joints * maps, 1)
        width = maps * map_size[0] * map_size[1]
        self.mlp_head_x = nn.Linear(width, bins[0])
        self.mlp_head_y = nn.Linear(width, bins[1])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> x (B, K, bins), y (B, K, bins)."""
        t = self.final_layer(x)  # (B, K * maps, h, w)
        t = t.unflatten(1, (self.joints, -1)).flatten(2)  # (B, K, maps * h * w)
        return {"x": self.mlp_head_x(t), "y": self.mlp_head_y(t)}


def _original(
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


def _upsample_free(
    depth: int,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    maps: int,
) -> PoseModel:
    skeleton = as_skeleton(skeleton)
    codec = codec_named(codec, input_size) if isinstance(codec, str) else codec
    if not isinstance(codec, SimCC):
        raise UsageError(
            f"codec {codec.kind!r}: a network without deconvolutions needs a SimCC codec"
        )
    width, height = codec.input_size
    if width % 32 or height % 32:
        raise UsageError(f"input size {codec.input_size}: sides must be multiples of 32")
    size = width // 32, height // 32
    head = UpsampleFreeHead(2048, len(skeleton), size, codec.bins, maps)
    return PoseModel(ResNet(depth), head, codec, skeleton, loss=loss_for(codec, skeleton))


@register(
    paper=PAPER,
    published="COCO val2017 AP .714 (SimDR, detector boxes, flip), 384x288 .727 (SA-SimDR)",
)
def simcc_r50(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "sa_simdr",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SimCC on ResNet-50 with three deconvolutions."""
    return _original(50, input_size, skeleton, codec, neck)


@register(paper=PAPER)
def simcc_r101(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "sa_simdr",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SimCC on ResNet-101 with three deconvolutions."""
    return _original(101, input_size, skeleton, codec, neck)


@register(paper=PAPER)
def simcc_r152(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "sa_simdr",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SimCC on ResNet-152 with three deconvolutions."""
    return _original(152, input_size, skeleton, codec, neck)


@register(paper=PAPER)
def simcc_r50_upsample_free(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "simdr",
    maps: int = 28,
) -> PoseModel:
    """SimCC on ResNet-50 without deconvolutions; maps: how many each joint has."""
    return _upsample_free(50, input_size, skeleton, codec, maps)


@register(paper=PAPER)
def simcc_r101_upsample_free(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "simdr",
    maps: int = 28,
) -> PoseModel:
    """SimCC on ResNet-101 without deconvolutions; maps: how many each joint has."""
    return _upsample_free(101, input_size, skeleton, codec, maps)


@register(paper=PAPER)
def simcc_r152_upsample_free(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "simdr",
    maps: int = 28,
) -> PoseModel:
    """SimCC on ResNet-152 without deconvolutions; maps: how many each joint has."""
    return _upsample_free(152, input_size, skeleton, codec, maps)


@register(paper=PAPER)
def simcc_mobilenetv2(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "sa_simdr",
    neck: Sequence[str] = (),
) -> PoseModel:
    """SimCC on MobileNetV2 without deconvolutions, by mmpose."""
    return top_down(
        MobileNetV2(),
        (1280, 32),
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )
