"""ViTPose: a plain vision transformer as the backbone of a heatmap network (arXiv:2204.12484), and
ViTPose+: the same with an expert per data set in every block (arXiv:2212.04246).

Module names are those of the authors' state dicts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.codecs import Codec
from posewright.errors import UsageError
from posewright.models.base import PoseModel
from posewright.models.parts.heads import top_down
from posewright.models.parts.layers import DropPath
from posewright.models.registry import register
from posewright.skeletons import Skeleton

__all__ = ["EXPERTS", "EnlargedViT", "ViT"]

PAPER = "arXiv:2204.12484"
PLUS = "arXiv:2212.04246"
EXPERTS = ("coco", "aic", "mpii", "ap10k", "apt36k", "coco-wholebody")
PATCH = 16
_norm = partial(nn.LayerNorm, eps=1e-6)


class Attention(nn.Module):
    """Self-attention of all tokens with all."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        b, n, d = x.shape
        parts = self.qkv(x).view(b, n, 3, self.heads, d // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4).unbind()  # each (B, heads, N, D / heads)
        y = functional.scaled_dot_product_attention(q, k, v)
        return self.proj(y.transpose(1, 2).reshape(b, n, d))


class MLP(nn.Module):
    """Two linear layers, four times as wide between them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.fc2(functional.gelu(self.fc1(x)))


class ExpertMLP(nn.Module):
    """As `MLP`, but an expert makes the last `part` of the channels."""

    def __init__(self, width: int, part: int, expert: int) -> None:
        super().__init__()
        self.expert = expert
        self.fc1 = nn.Linear(width, 4 * width)
        self.fc2 = nn.Linear(4 * width, width - part)
        self.experts = nn.ModuleList(nn.Linear(4 * width, part) for _ in EXPERTS)

    def forward(self, x: Tensor) -> Tensor:
        x = functional.gelu(self.fc1(x))
        return torch.cat([self.fc2(x), self.experts[self.expert](x)], -1)


class Block(nn.Module):
    """Attention and perceptron, each after a norm and beside a shortcut.

    drop: probability that, in training, a view skips the attention or the perceptron.
    """

    def __init__(self, width: int, heads: int, mlp: nn.Module, drop: float) -> None:
        super().__init__()
        self.drop_path = DropPath(drop)
        self.norm1 = _norm(width)
        self.attn = Attention(width, heads)
        self.norm2 = _norm(width)
        self.mlp = mlp

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        x = x + self.drop_path(self.attn(self.norm1(x)))
        return x + self.drop_path(self.mlp(self.norm2(x)))


class PatchEmbed(nn.Module):
    """Patches of 16 x 16 pixels, two pixels beyond the upper left corner of the view -> tokens."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(3, width, PATCH, PATCH, padding=2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, h / 16 * w / 16, D)."""
        return self.proj(x).flatten(2).transpose(1, 2)


class ViT(nn.Module):
    """Patches, learnt positions and blocks, without a class token -> a map.

    input_size: (width, height).  experts: (channels, index) of the experts in every block.
    class_position: the table of positions keeps a row for a class token, which is added to all
    tokens (the authors' form; that of mmpose 1.x has no such row).  drop: of the last block
    (`Block`); that of the first is 0, those between lie on a line.
    """

    stride = PATCH

    def __init__(
        self,
        width: int,
        depth: int,
        heads: int,
        input_size: tuple[int, int],
        *,
        experts: tuple[int, int] | None = None,
        class_position: bool = True,
        drop: float = 0.0,
    ) -> None:
        super().__init__()
        if any(side % PATCH for side in input_size):
            raise UsageError(f"input size {input_size}: sides must be multiples of {PATCH}")
        self.size = input_size[1] // PATCH, input_size[0] // PATCH  # rows, columns
        tokens = self.size[0] * self.size[1]
        self.class_position = class_position
        self.patch_embed = PatchEmbed(width)
        self.pos_embed = nn.Parameter(torch.zeros(1, tokens + class_position, width))
        nn.init.trunc_normal_(self.pos_embed, std=0.02)
        drops = [drop * i / max(depth - 1, 1) for i in range(depth)]
        self.blocks = nn.ModuleList(
            Block(width, heads, ExpertMLP(width, *experts) if experts else MLP(width), d)
            for d in drops
        )
        self.last_norm = _norm(width)
        self.channels = [width]

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, D, h / 16, w / 16)."""
        positions = self.pos_embed
        if self.class_position:
            positions = positions[:, 1:] + positions[:, :1]
        x = self.patch_embed(x) + positions
        for block in self.blocks:
            x = block(x)
        x = self.last_norm(x)  # (B, N, D)
        return x.transpose(1, 2).unflatten(2, self.size)


class EnlargedViT(ViT):
    """`ViT`, its map cut at 0 and enlarged four times: what the simple head takes."""

    stride = 4

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, h, w) -> (B, D, h / 4, w / 4)."""
        x = functional.relu(super().forward(x))
        return functional.interpolate(x, scale_factor=4, mode="bilinear")


def _vitpose(
    shape: tuple[int, int, int],
    drop: float,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
    simple: bool = False,
    class_position: bool = True,
    experts: tuple[int, int] | None = None,
) -> PoseModel:
    """shape: width, depth and heads of the transformer."""
    size = input_size if isinstance(codec, str) else codec.input_size
    make = EnlargedViT if simple else ViT
    backbone = make(*shape, size, experts=experts, class_position=class_position, drop=drop)
    return top_down(
        backbone,
        (shape[0], backbone.stride),
        deconv=() if simple else (256, 256),
        kernel=3 if simple else 1,
        input_size=input_size,
        skeleton=skeleton,
        codec=codec,
        neck=neck,
    )


def _plus(
    shape: tuple[int, int, int],
    part: int,
    expert: int,
    drop: float,
    input_size: tuple[int, int],
    skeleton: Skeleton | str,
    codec: Codec | str,
    neck: Sequence[str],
) -> PoseModel:
    if not 0 <= expert < len(EXPERTS):
        names = ", ".join(f"{i} {name}" for i, name in enumerate(EXPERTS))
        raise UsageError(f"expert={expert}; known: {names}")
    return _vitpose(shape, drop, input_size, skeleton, codec, neck, experts=(part, expert))


@register(paper=PAPER, published="COCO val2017 AP .738 (detector boxes, flip)")
def vitpose_s(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "udp",
    neck: Sequence[str] = (),
    simple: bool = False,
    class_position: bool = True,
    drop: float = 0.1,
    heads: int = 12,
) -> PoseModel:
    """ViTPose-S: width 384, 12 blocks; simple: without deconvolutions.

    heads: 12 as its authors have, 6 for weights of DINO, DeiT and timm; no tensor shows them.
    """
    if heads < 1 or 384 % heads:
        raise UsageError(f"heads={heads}: 384 channels cannot be split so; 12 or 6 are usual")
    shape = (384, 12, heads)
    return _vitpose(shape, drop, input_size, skeleton, codec, neck, simple, class_position)


@register(paper=PAPER, published="COCO val2017 AP .758 (detector boxes, flip), simple .755")
def vitpose_b(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "udp",
    neck: Sequence[str] = (),
    simple: bool = False,
    class_position: bool = True,
    drop: float = 0.3,
) -> PoseModel:
    """ViTPose-B: width 768, 12 blocks; simple: without deconvolutions."""
    return _vitpose((768, 12, 12), drop, input_size, skeleton, codec, neck, simple, class_position)


@register(paper=PAPER, published="COCO val2017 AP .783 (detector boxes, flip), simple .782")
def vitpose_l(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "udp",
    neck: Sequence[str] = (),
    simple: bool = False,
    class_position: bool = True,
    drop: float = 0.5,
) -> PoseModel:
    """ViTPose-L: width 1024, 24 blocks; simple: without deconvolutions."""
    return _vitpose((1024, 24, 16), drop, input_size, skeleton, codec, neck, simple, class_position)


@register(paper=PAPER, published="COCO val2017 AP .791 (detector boxes, flip), simple .789")
def vitpose_h(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "udp",
    neck: Sequence[str] = (),
    simple: bool = False,
    class_position: bool = True,
    drop: float = 0.55,
) -> PoseModel:
    """ViTPose-H: width 1280, 32 blocks; simple: without deconvolutions."""
    return _vitpose((1280, 32, 16), drop, input_size, skeleton, codec, neck, simple, class_position)


@register(paper=PLUS, published="COCO val2017 AP .758 (detector boxes, flip)")
def vitpose_plus_s(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "udp",
    neck: Sequence[str] = (),
    expert: int = 0,
    drop: float = 0.1,
) -> PoseModel:
    """ViTPose+ S: ViTPose-S with six experts; expert: an index into EXPERTS."""
    return _plus((384, 12, 12), 192, expert, drop, input_size, skeleton, codec, neck)


@register(paper=PLUS)
def vitpose_plus_b(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "udp",
    neck: Sequence[str] = (),
    expert: int = 0,
    drop: float = 0.3,
) -> PoseModel:
    """ViTPose+ B: ViTPose-B with six experts; expert: an index into EXPERTS."""
    return _plus((768, 12, 12), 192, expert, drop, input_size, skeleton, codec, neck)


@register(paper=PLUS)
def vitpose_plus_l(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "udp",
    neck: Sequence[str] = (),
    expert: int = 0,
    drop: float = 0.5,
) -> PoseModel:
    """ViTPose+ L: ViTPose-L with six experts; expert: an index into EXPERTS."""
    return _plus((1024, 24, 16), 256, expert, drop, input_size, skeleton, codec, neck)


@register(paper=PLUS)
def vitpose_plus_h(
    *,
    input_size: tuple[int, int] = (192, 256),
    skeleton: Skeleton | str = "coco17",
    codec: Codec | str = "udp",
    neck: Sequence[str] = (),
    expert: int = 0,
    drop: float = 0.55,
) -> PoseModel:
    """ViTPose+ H: ViTPose-H with six experts; expert: an index into EXPERTS."""
    return _plus((1280, 32, 16), 320, expert, drop, input_size, skeleton, codec, neck)
