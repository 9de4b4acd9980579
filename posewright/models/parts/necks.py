"""Necks and joint-token blocks that any heatmap or SimCC network takes as an option.

Names of `neck`, applied in order:

coordinate_attention, se, sk, lsk: attention on the map that the backbone returns.
gau, gau_softmax, gau_softmax_plus: a gated attention unit over the joints.
semgcn, graformer: a graph block over the joints; one without links is left alone.
a+b: both side by side on the same joints, their changes added.
a*b: cross attention, in which b gives the queries and a the keys and values.
gau_deep: gated attention at three depths: over the cells of the backbone's map, over the joints
before all other blocks and over the joints after them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from posewright.errors import UsageError, nearest
from posewright.models.parts.attention import (
    CellGAU,
    CoordinateAttention,
    LargeKernel,
    SelectiveKernel,
    SqueezeExcite,
)
from posewright.models.parts.gau import GAU, GAULayer
from posewright.models.parts.graph import graformer, linked_joints, semgcn
from posewright.skeletons import Skeleton

__all__ = ["Beside", "Crossed", "Tokens", "map_neck", "token_blocks"]

WIDTH = 256
DEEP = "gau_deep"
GRAPHS = ("semgcn", "graformer")
_MOST = 32  # blocks of one network; papers have up to four

_MAPS: Mapping[str, Callable[[int], nn.Module]] = {
    "coordinate_attention": CoordinateAttention,
    "se": SqueezeExcite,
    "sk": SelectiveKernel,
    "lsk": LargeKernel,
    DEEP: CellGAU,
}
_TOKENS: Mapping[str, Callable[[Skeleton], nn.Module]] = {
    "gau": lambda _: GAU(WIDTH, 2 * WIDTH),
    "gau_softmax": lambda _: GAULayer(WIDTH, 2 * WIDTH, attention="softmax"),
    "gau_softmax_plus": lambda _: GAULayer(WIDTH, 2 * WIDTH, attention="softmax_plus"),
    "semgcn": lambda skeleton: semgcn(WIDTH, skeleton),
    "graformer": lambda skeleton: graformer(WIDTH, skeleton),
}


class Tokens(nn.Module):
    """Linear to a common width, blocks that mix joints, and where asked linear to `outputs`."""

    def __init__(self, inputs: int, blocks: Sequence[nn.Module], outputs: int | None) -> None:
        super().__init__()
        self.outputs = outputs or WIDTH
        self.enter = nn.Linear(inputs, WIDTH)
        self.blocks = nn.Sequential(*blocks)
        self.leave = nn.Linear(WIDTH, outputs) if outputs else nn.Identity()

    def forward(self, t: Tensor) -> Tensor:
        """(B, K, inputs) -> (B, K, outputs)."""
        out: Tensor = self.leave(self.blocks(self.enter(t)))
        return out


class Beside(nn.Module):
    """The changes that several blocks make to the same tokens, added: (B, K, D) -> (B, K, D)."""

    def __init__(self, blocks: Sequence[nn.Module]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)

    def forward(self, t: Tensor) -> Tensor:
        first: Tensor = self.blocks[0](t)
        # what a block leaves alone it must not double
        return sum((block(t) - t for block in self.blocks[1:]), first)


class Crossed(nn.Module):
    """Cross attention: the tokens of `asks` query those of `answers`, to which the answer is added.

    joints: those that ask and are asked; all others leave as `answers` has them.
    """

    joints: Tensor

    def __init__(self, answers: nn.Module, asks: nn.Module, joints: Tensor, heads: int = 4) -> None:
        super().__init__()
        self.answers, self.asks = answers, asks
        self.heads = heads
        self.query = nn.Linear(WIDTH, WIDTH)
        self.pairs = nn.Linear(WIDTH, 2 * WIDTH)  # keys and values
        self.out = nn.Linear(WIDTH, WIDTH)
        self.register_buffer("joints", joints, persistent=False)  # (K,) bool

    def forward(self, t: Tensor) -> Tensor:
        """(B, K, D) -> (B, K, D)."""
        answers: Tensor = self.answers(t)
        q, k, v = (
            x.unflatten(2, (self.heads, -1)).transpose(1, 2)  # (B, heads, K, D / heads)
            for x in (self.query(self.asks(t)), *self.pairs(answers).chunk(2, 2))
        )
        count = len(self.joints)
        mask = self.joints.expand(count, count)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return answers + self.joints[:, None] * self.out(y.transpose(1, 2).flatten(2))


def map_neck(names: Sequence[str], channels: int) -> nn.Module | None:
    """Return the necks among `names` that work on maps of `channels`, in order."""
    necks = [_MAPS[n](channels) for n in _checked(names) if n in _MAPS]
    return nn.Sequential(*necks) if necks else None


def token_blocks(
    names: Sequence[str], inputs: int, skeleton: Skeleton, outputs: int | None = None
) -> Tokens | None:
    """Return the blocks among `names` that work on joints, in order."""
    names = _checked(names)
    blocks = [_block(n, skeleton) for n in names if n not in _MAPS]
    if DEEP in names:
        blocks = [_TOKENS["gau"](skeleton), *blocks, _TOKENS["gau"](skeleton)]
    return Tokens(inputs, blocks, outputs) if blocks else None


def _block(name: str, skeleton: Skeleton) -> nn.Module:
    """Return the block, or the arrangement of blocks, that a name stands for."""
    parts = _parts(name)
    blocks = [_TOKENS[part](skeleton) for part in parts]
    if "*" in name:
        joints = torch.ones(len(skeleton), dtype=torch.bool)
        if any(part in GRAPHS for part in parts):
            linked = linked_joints(skeleton)
            joints = torch.tensor([j in linked for j in range(len(skeleton))])
        return Crossed(blocks[0], blocks[1], joints)
    return Beside(blocks) if len(blocks) > 1 else blocks[0]


def _parts(name: str) -> list[str]:
    return name.replace("*", "+").split("+")


def _checked(names: Sequence[str]) -> tuple[str, ...]:
    """Return the names as a tuple, one name on its own too; a UsageError for an unknown one."""
    names = (names,) if isinstance(names, str) else tuple(names)
    count = sum(len(_parts(name)) for name in names)
    if count > _MOST:  # as a file may ask for
        raise UsageError(f"{count} necks, more than {_MOST}; leave some out")
    for name in names:
        parts = _parts(name)
        known = sorted(_TOKENS if len(parts) > 1 else {*_MAPS, *_TOKENS})
        for part in parts:
            if part not in known:
                hint = nearest(part, known)
                where = f" for {name!r}" if len(parts) > 1 else ""
                raise UsageError(f"no neck {part!r}{where}{hint}; known: {', '.join(known)}")
        if "*" in name and len(parts) > 2:
            raise UsageError(f"neck {name!r}: cross attention takes two blocks, as in 'gau*semgcn'")
    return names
