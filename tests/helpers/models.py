"""Models that need no network: they are told what they find."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np

from posewright.people import People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Knowing"]


@dataclass
class Knowing:
    """A model that finds people by itself: an image's grey level is the number of its answer."""

    answers: list[People]
    skeleton: Skeleton
    top_down: bool = False
    runtime: str = "none"
    task: str = "people"
    mirrors: bool = True
    input_size: tuple[int, int] = (96, 80)

    def __post_init__(self) -> None:
        self.info = SimpleNamespace(name="knowing")
        self.codec: Any = self

    def warps(self, size: tuple[int, int], people: People | None) -> list[Warp]:
        return [Warp(np.eye(2, 3), size)]

    def __call__(self, views: Any, condition: Any = None) -> dict[str, Any]:
        return {"level": views[:, 0, 0, 0]}

    def decode(self, outputs: Any) -> list[People]:
        return [self.answers[int(level)] for level in outputs["level"]]
