"""Options of networks that find people by themselves."""

from __future__ import annotations

import argparse

__all__ = ["add_rescore", "add_scales"]


def add_scales(group: argparse._ArgumentGroup, default: tuple[float, ...] | None = (1.0,)) -> None:
    """Add at which scales a network that finds people by itself is run."""
    group.add_argument(
        "--scales",
        type=_scales,
        default=default,
        metavar="S,S,...",
        help=(
            "multi-scale test: run a network that finds people by itself on views of so many times "
            "its size, such as 0.5,1,2 (default 1)"
        ),
    )


def add_rescore(group: argparse._ArgumentGroup) -> None:
    """Add the network by which people are ranked."""
    group.add_argument(
        "--rescore",
        default=None,
        metavar="FILE",
        help=(
            "re-scoring network (.safetensors): multiply the score of each person by the OKS that "
            "it expects of the pose, as DEKR does"
        ),
    )


def _scales(text: str) -> tuple[float, ...]:
    try:
        return tuple(float(part) for part in text.split(","))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{text!r}: give numbers, comma-separated, such as 0.5,1,2"
        ) from None
