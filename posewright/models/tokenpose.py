"""TokenPose: a transformer over the patches of a map and one token per joint (arXiv:2104.03516)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.codecs import Codec, Heatmap, SimCC, codec_named
from posewright.errors import UsageError
from posewright.losses import loss_for
from posewright.models.base import PoseModel, as_skeleton
from posewright.models.hrnet import HRNet
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["Block", "JointTokens", "Shape", "TokenHeatmapHead", "TokenSimCCHead", "sine_positions"]

PAPER = "arXiv:2104.03516"
WIDTH = 192
Size = tuple[int, int]


@dataclass(frozen=True)
class Shape:
    """depths: blocks of each stage.  heads: of attention.  whole: its scores are divided by the
    root of the whole width, as the authors do in S, instead of that of one head."""

    depths: tuple[int, ...]
    heads: int
    whole: bool = False


class Block(nn.Module):
    """Attention and a perceptron three times as wide, each after a norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, *, whole: bool) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (width if whole else width // heads) ** -0.5
        self.norm1 = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)
        self.norm2 = nn.LayerNorm(width)
        self.fc1 = nn.Linear(width, 3 * width)
        self.fc2 = nn.Linear(3 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self._attention(self.norm1(x))
        return x + self.fc2(functional.gelu(self.fc1(self.norm2(x))))

    def _attention(self, x: Tensor) -> Tensor:
        b, n, d = x.shape
        parts = self.qkv(x).view(b, n, 3, self.heads, d // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind()  # each (B, heads, N, D / heads)
        y = functional.scaled_dot_product_attention(q, k, v, scale=self.scale)
        return self.proj(y.transpose(1, 2).reshape(b, n, d))


def sine_positions(columns: int, rows: int, width: int) -> Tensor:
    """Return (1, rows * columns, width): sines and cosines of y, then of x (arXiv:2005.12872).

    Coordinates run from 0, excluded, to 2 pi; wavelengths grow from 2 pi to 10000 times that.
    """
    waves = 10000 ** (torch.arange(width // 4) * 4 / width)

    def axis(cells: int) -> Tensor:
        angle = torch.arange(1, cells + 1)[:, None] * 2 * math.pi / cells / waves  # (cells, D / 4)
        return torch.stack([angle.sin(), angle.cos()], 2).flatten(1)  # (cells, D / 2)

    y, x = axis(rows)[:, None], axis(columns)[None]
    both = torch.cat([y.expand(rows, columns, -1), x.expand(rows, columns, -1)], 2)
    return both.view(1, rows * columns, width)


class JointTokens(nn.Module):
    """Patches and joint tokens through the transformer -> joint tokens.

    size, patch: (width, height) in cells of the map.  The joint tokens that leave the stages are
    put side by side.
    """

    def __init__(self, channels: int, size: Size, patch: Size, joints: int, shape: Shape) -> None:
        super().__init__()
        if size[0] % patch[0] or size[1] % patch[1]:
            raise UsageError(
                f"patch={patch}: a map of {size} (width, height) is not a multiple of it"
            )
        self.patch = patch
        self.joints = joints
        grid = size[0] // patch[0], size[1] // patch[1]
        self.keypoint_token = nn.Parameter(torch.zeros(1, joints, WIDTH))
        nn.init.trunc_normal_(self.keypoint_token, std=0.02)
        # a parameter, though it is never trained, since the authors count it as one
        self.pos_embedding = nn.Parameter(sine_positions(*grid, WIDTH), requires_grad=False)
        self.patch_to_embedding = nn.Linear(channels * patch[0] * patch[1], WIDTH)
        self.stages = nn.ModuleList(
            nn.ModuleList(Block(WIDTH, shape.heads, whole=shape.whole) for _ in range(depth))
            for depth in shape.depths
        )
        self.width = len(shape.depths) * WIDTH

    def tokens(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, K, width).

        Positions are added to the patches before every block but the first of a later stage.
        """
        seen = self.patch_to_embedding(self.patches(x))  # (B, N, D)
        x = torch.cat([self.keypoint_token.expand(x.shape[0], -1, -1), seen], 1)  # (B, K + N, D)
        positions = functional.pad(self.pos_embedding, (0, 0, self.joints, 0))
        found = []
        for i, stage in enumerate(self.stages):
            for j, block in enumerate(stage):
                x = block(x if i and not j else x + positions)
            found.append(x[:, : self.joints])
        return torch.cat(found, 2)

    def patches(self, x: Tensor) -> Tensor:
        """(B, C, h, w) -> (B, N, patch height * patch width * C)."""
        b, c, h, w = x.shape
        width, height = self.patch
        x = x.view(b, c, h // height, height, w // width, width)
        return x.permute(0, 2, 4, 3, 5, 1).reshape(b, -1, height * width * c)


class TokenHeatmapHead(JointTokens):
    """A perceptron makes each joint token its map."""

    def __init__(
        self, channels: int, size: Size, patch: Size, joints: int, shape: Shape, maps: Size
    ) -> None:
        super().__init__(channels, size, patch, joints, shape)
        self.maps = maps[1], maps[0]  # rows, columns
        width = self.width
        layers: list[nn.Module] = []
        if width == WIDTH:  # joined tokens of several stages are wide enough as they are
            width = 2 * WIDTH
            layers = [nn.LayerNorm(WIDTH), nn.Linear(WIDTH, width)]
        out = nn.Linear(width, maps[0] * maps[1])
        self.mlp_head = nn.Sequential(*layers, nn.LayerNorm(width), out)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> heatmap (B, K, rows, columns)."""
        return {"heatmap": self.mlp_head(self.tokens(x)).unflatten(2, self.maps)}


class TokenSimCCHead(JointTokens):
    """A norm and a linear layer per axis make each joint token its bins (arXiv:2107.03332)."""

    def __init__(
        self, channels: int, size: Size, patch: Size, joints: int, shape: Shape, bins: Size
    ) -> None:
        super().__init__(channels, size, patch, joints, shape)
        self.mlp_head_x = nn.Sequential(nn.LayerNorm(self.width), nn.Linear(self.width, bins[0]))
        self.mlp_head_y = nn.Sequential(nn.LayerNorm(self.width), nn.Linear(self.width, bins[1]))

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) -> x (B, K, bins), y (B, K, bins)."""
        t = self.tokens(x)
        return {"x": self.mlp_head_x(t), "y": self.mlp_head_y(t)}


def _tokenpose(
    features: tuple[nn.Module, int, int],
    shape: Shape,
    input_size: Size,
    patch: Size,
    skeleton: Skeleton | str,
    codec: Codec | str,
) -> PoseModel:
    """features: the backbone, its channels and its stride."""
    backbone, channels, stride = features
    skeleton = as_skeleton(skeleton)
    codec = codec_named(codec, input_size) if isinstance(codec, str) else codec
    width, height = codec.input_size
    if width % stride or height % stride:
        raise UsageError(f"input size {codec.input_size}: sides must be multiples of {stride}")
    size = width // stride, height // stride
    common = channels, size, patch, len(skeleton), shape
    if isinstance(codec, Heatmap):
        head: nn.Module = TokenHeatmapHead(*common, codec.map_size)
    elif isinstance(codec, SimCC):
        head = TokenSimCCHead(*common, codec.bins)
    else:
        raise UsageError(f"codec {codec.kind!r}: TokenPose takes heatmap and SimCC codecs")
    return PoseModel(backbone, head, codec, skeleton, loss=loss_for(codec, skeleton))


def _stage3(width: int) -> tuple[nn.Module, int, int]:
    """HRNet without its last stage; only the branch of the highest resolution leaves."""
    return HRNet((width, 2 * width, 4 * width), (1, 4)), width, 4


def _stem() -> tuple[nn.Module, int, int]:
    """HRNet up to the end of its first stage."""
    return HRNet(modules=()), 256, 4


@register(paper=PAPER)
def tokenpose_t(
    *,
    input_size: Size = (192, 256),
    patch: Size = (12, 16),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """TokenPose-T: patches of the image itself, no convolution."""
    return _tokenpose((nn.Identity(), 3, 1), Shape((12,), 16), input_size, patch, skeleton, codec)


@register(paper=PAPER, published="COCO val2017 AP .725 (detector boxes, flip)")
def tokenpose_s_v1(
    *,
    input_size: Size = (192, 256),
    patch: Size = (3, 4),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """TokenPose-S: patches after HRNet's stem."""
    return _tokenpose(_stem(), Shape((12,), 8, whole=True), input_size, patch, skeleton, codec)


@register(paper=PAPER)
def tokenpose_s_v2(
    *,
    input_size: Size = (192, 256),
    patch: Size = (2, 2),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """TokenPose-S with smaller patches."""
    return _tokenpose(_stem(), Shape((12,), 8, whole=True), input_size, patch, skeleton, codec)


@register(paper=PAPER)
def tokenpose_b(
    *,
    input_size: Size = (192, 256),
    patch: Size = (3, 4),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """TokenPose-B: patches after the third stage of HRNet-W32."""
    return _tokenpose(_stage3(32), Shape((12,), 8), input_size, patch, skeleton, codec)


@register(paper=PAPER)
def tokenpose_l_d6(
    *,
    input_size: Size = (192, 256),
    patch: Size = (3, 4),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """TokenPose-L/D6: 6 blocks of 8 heads after the third stage of HRNet-W48."""
    return _tokenpose(_stage3(48), Shape((2, 2, 2), 8), input_size, patch, skeleton, codec)


@register(paper=PAPER)
def tokenpose_l_d24(
    *,
    input_size: Size = (192, 256),
    patch: Size = (3, 4),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "heatmap",
) -> PoseModel:
    """TokenPose-L/D24: 24 blocks of 12 heads after the third stage of HRNet-W48."""
    return _tokenpose(_stage3(48), Shape((8, 8, 8), 12), input_size, patch, skeleton, codec)
