"""Heads of top-down networks, and `top_down`, which puts a backbone, a neck and a head together."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from posewright.codecs import (
    Codec,
    Combined,
    CombinedUDP,
    Heatmap,
    Integral,
    Megvii,
    SimCC,
    codec_named,
)
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import IMAGENET, PoseModel, as_skeleton
from posewright.models.parts.necks import Tokens, map_neck, token_blocks
from posewright.runtimes.info import Input
from posewright.skeletons import Skeleton

__all__ = ["HeatmapHead", "SimCCHead", "deconvolutions", "top_down"]


def deconvolutions(inputs: int, widths: Sequence[int]) -> nn.Sequential:
    """Return 4x4 transposed convolutions with batch norm and ReLU; each doubles the map."""
    layers: list[nn.Module] = []
    for width in widths:
        layers += [
            nn.ConvTranspose2d(inputs, width, 4, 2, 1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(inplace=True),
        ]
        inputs = width
    return nn.Sequential(*layers)


class HeatmapHead(nn.Module):
    """Deconvolutions and one convolution -> heatmap (B, outputs, h, w).

    tokens: exchanges information between joints, which it sees as flattened maps; its result is
    added to the maps.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        deconv: Sequence[int] = (),
        kernel: int = 1,
        tokens: Tokens | None = None,
    ) -> None:
        super().__init__()
        self.deconv_layers = deconvolutions(channels, deconv)
        inputs = deconv[-1] if deconv else channels
        self.final_layer = nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2)
        self.tokens = tokens

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> heatmap (B, K, h, w)."""
        maps = self.final_layer(self.deconv_layers(x))
        if self.tokens is not None:
            maps = maps + self.tokens(maps.flatten(2)).view_as(maps)
        return {"heatmap": maps}


class SimCCHead(nn.Module):
    """One map per joint, flattened, and a linear layer per axis (arXiv:2107.03332).

    map_size: (width, height) of the map after the deconvolutions.  bins: of x and y.
    """

    def __init__(
        self,
        channels: int,
        joints: int,
        map_size: tuple[int, int],
        bins: tuple[int, int],
        *,
        deconv: Sequence[int] = (),
        tokens: Tokens | None = None,
    ) -> None:
        super().__init__()
        self.deconv_layers = deconvolutions(channels, deconv)
        self.final_layer = nn.Conv2d(deconv[-1] if deconv else channels, joints, 1)
        self.tokens = tokens
        width = tokens.outputs if tokens is not None else map_size[0] * map_size[1]
        self.mlp_head_x = nn.Linear(width, bins[0])
        self.mlp_head_y = nn.Linear(width, bins[1])

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> x (B, K, bins), y (B, K, bins)."""
        t = self.final_layer(self.deconv_layers(x)).flatten(2)  # (B, K, h * w)
        if self.tokens is not None:
            t = self.tokens(t)  # (B, K, D)
        return {"x": self.mlp_head_x(t), "y": self.mlp_head_y(t)}


def top_down(
    backbone: nn.Module,
    features: tuple[int, int],
    *,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str] = (),
    deconv: Sequence[int] = (),
    kernel: int = 1,
    pixels: Input = IMAGENET,
) -> PoseModel:
    """Return a network with the head that `codec` asks for.

    features: (channels, stride) of what the backbone returns.  input_size: (width, height).
    neck: names of necks, applied in order: those that work on maps before the head, those that work
    on joints inside of it (`posewright.models.parts.necks`).  deconv: widths of the deconvolutions.
    """
    channels, stride = features
    skeleton = as_skeleton(skeleton)
    codec = codec_named(codec, input_size) if isinstance(codec, str) else codec
    for side in codec.input_size:
        if side % 32:  # the deepest maps of the backbones; branches of HRNet must fit together
            raise UsageError(f"input size {codec.input_size}: sides must be multiples of 32")
    stride >>= len(deconv)
    size = codec.input_size[0] // stride, codec.input_size[1] // stride
    head = _head(codec, channels, skeleton, size, neck, deconv, kernel)
    return PoseModel(
        backbone,
        head,
        codec,
        skeleton,
        neck=map_neck(neck, channels),
        loss=loss_for(codec, skeleton),
        pixels=pixels,
    )


def _head(
    codec: Codec,
    channels: int,
    skeleton: Skeleton,
    size: tuple[int, int],
    neck: Sequence[str],
    deconv: Sequence[int],
    kernel: int,
) -> nn.Module:
    cells = size[0] * size[1]
    if isinstance(codec, (Heatmap, CombinedUDP, Megvii, Integral, Combined)):
        tokens = token_blocks(neck, cells, skeleton, outputs=cells)
        outputs = codec.channels(len(skeleton)) if isinstance(codec, CombinedUDP) else len(skeleton)
        return HeatmapHead(channels, outputs, deconv=deconv, kernel=kernel, tokens=tokens)
    if isinstance(codec, SimCC):
        tokens = token_blocks(neck, cells, skeleton)
        return SimCCHead(channels, len(skeleton), size, codec.bins, deconv=deconv, tokens=tokens)
    raise UsageError(f"a top-down head cannot use codec {codec.kind!r}")
