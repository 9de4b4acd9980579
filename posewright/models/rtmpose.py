"""RTMPose: CSPNeXt, one gated attention unit over the joints, SimCC (arXiv:2303.07399).

Module names are those of mmpose's state dicts.
"""

from __future__ import annotations

from math import sqrt

from torch import Tensor, nn

from posewright.codecs import Codec, SimCC, codec_named
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.parts.cspnext import cspnext
from posewright.models.parts.gau import GAU, ScaleNorm
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["RTMCCHead"]

PAPER = "arXiv:2303.07399"


class RTMCCHead(nn.Module):
    """One map per joint, flattened to a token; attention over tokens; a linear layer per axis.

    map_size: (width, height) of the map that comes in.  bins: of x and y.
    """

    def __init__(
        self,
        channels: int,
        joints: int,
        map_size: tuple[int, int],
        bins: tuple[int, int],
        *,
        width: int = 256,
    ) -> None:
        super().__init__()
        cells = map_size[0] * map_size[1]
        self.final_layer = nn.Conv2d(channels, joints, 7, padding=3)
        self.mlp = nn.Sequential(ScaleNorm(cells), nn.Linear(cells, width, bias=False))
        self.gau = GAU(width, 2 * width)
        self.cls_x = nn.Linear(width, bins[0], bias=False)
        self.cls_y = nn.Linear(width, bins[1], bias=False)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> x (B, K, bins), y (B, K, bins)."""
        tokens = self.gau(self.mlp(self.final_layer(x).flatten(2)))  # (B, K, width)
        return {"x": self.cls_x(tokens), "y": self.cls_y(tokens)}


def _codec(codec: Codec | str, input_size: tuple[int, int]) -> SimCC:
    """Return the codec; of "simcc" the authors' sigmas: proportional to the root of the side."""
    if codec == "simcc":
        width, height = input_size
        sigma = round(4.9 * sqrt(width / 192), 2), round(5.66 * sqrt(height / 256), 2)
        return SimCC(input_size=input_size, sigma=sigma)
    codec = codec_named(codec, input_size) if isinstance(codec, str) else codec
    if not isinstance(codec, SimCC):
        raise UsageError(
            f"RTMPose cannot use codec {codec.kind!r}: it classifies coordinates; use 'simcc'"
        )
    return codec


def _rtmpose(
    deepen: float,
    widen: float,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
) -> PoseModel:
    codec, skeleton = _codec(codec, input_size), as_skeleton(skeleton)
    width, height = codec.input_size
    if width % 32 or height % 32:
        raise UsageError(f"input size {codec.input_size}: sides must be multiples of 32")
    size = width // 32, height // 32
    head = RTMCCHead(int(1024 * widen), len(skeleton), size, codec.bins)
    loss = loss_for(codec, skeleton)
    return PoseModel(cspnext(deepen, widen), head, codec, skeleton, loss=loss)


@register(paper=PAPER, published="COCO val2017 AP .685 (AIC + COCO, flip)")
def rtmpose_t(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "simcc",
) -> PoseModel:
    """RTMPose-t: a sixth of the depth, three eighths of the width."""
    return _rtmpose(0.167, 0.375, input_size, skeleton, codec)


@register(paper=PAPER, published="COCO val2017 AP .722 (AIC + COCO, flip)")
def rtmpose_s(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "simcc",
) -> PoseModel:
    """RTMPose-s: a third of the depth, half of the width."""
    return _rtmpose(0.33, 0.5, input_size, skeleton, codec)


@register(paper=PAPER, published="COCO val2017 AP .758 (AIC + COCO, flip)")
def rtmpose_m(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "simcc",
) -> PoseModel:
    """RTMPose-m: two thirds of the depth, three quarters of the width."""
    return _rtmpose(0.67, 0.75, input_size, skeleton, codec)


@register(paper=PAPER, published="COCO val2017 AP .765 (AIC + COCO, flip)")
def rtmpose_l(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "simcc",
) -> PoseModel:
    """RTMPose-l: CSPNeXt as it is."""
    return _rtmpose(1.0, 1.0, input_size, skeleton, codec)


@register(paper=PAPER)
def rtmpose_x(
    *,
    input_size: tuple[int, int] = (288, 384),
    skeleton: Skeleton | str = "halpe26",
    codec: Codec | str = "simcc",
) -> PoseModel:
    """RTMPose-x: four thirds of the depth, five quarters of the width."""
    return _rtmpose(1.33, 1.25, input_size, skeleton, codec)
