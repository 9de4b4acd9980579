"""Necks and joint-token blocks that any heatmap or SimCC network takes as an option."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from posewright.errors import UsageError, nearest
from posewright.skeletons import Skeleton

__all__ = ["Tokens", "map_neck", "token_blocks"]

_MAPS: dict[str, type[nn.Module]] = {}
_TOKENS: dict[str, type[nn.Module]] = {}


class Tokens(nn.Module):
    """Linear to a common width, blocks that mix joints, and where asked linear to `outputs`."""

    def __init__(self, inputs: int, blocks: Sequence[nn.Module], outputs: int | None) -> None:
        super().__init__()
        self.outputs = outputs or 256
        self.enter = nn.Linear(inputs, 256)
        self.blocks = nn.Sequential(*blocks)
        self.leave = nn.Linear(256, outputs) if outputs else nn.Identity()

    def forward(self, t: Tensor) -> Tensor:
        """(B, K, inputs) -> (B, K, outputs)."""
        out: Tensor = self.leave(self.blocks(self.enter(t)))
        return out


def map_neck(names: Sequence[str], channels: int) -> nn.Module | None:
    """Return the necks among `names` that work on maps of `channels`, in order."""
    _check(names)
    necks = [_MAPS[n](channels) for n in names if n in _MAPS]
    return nn.Sequential(*necks) if necks else None


def token_blocks(
    names: Sequence[str], inputs: int, skeleton: Skeleton, outputs: int | None = None
) -> Tokens | None:
    """Return the blocks among `names` that work on joints, in order."""
    _check(names)
    blocks = [_TOKENS[n](256) for n in names if n in _TOKENS]
    return Tokens(inputs, blocks, outputs) if blocks else None


def _check(names: Sequence[str]) -> None:
    for name in names:
        if name not in _MAPS and name not in _TOKENS:
            known = sorted([*_MAPS, *_TOKENS])
            raise UsageError(f"no neck {name!r}{nearest(name, known)}; known: {', '.join(known)}")
