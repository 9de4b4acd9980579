"""Appearance: a person's crop in, features out that are similar for the same person."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, to_numpy
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Embedding"]


@dataclass(frozen=True)
class Embedding:
    """Features of each person's box, stretched to the view.

    outputs: features (B, D).  The result of a network of this codec is `features`, which People has
    no array for; `decode` only tells which people have features, so that export, comparison and
    `estimate` treat it as any other.
    """

    kind: ClassVar[str] = "embedding"
    task: ClassVar[Task] = "embed"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (128, 256)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the view of each person: the clipped box, stretched to the view."""
        if people is None:
            return []
        width, height = image_size
        boxes = np.clip(people.boxes, 0, [width, height, width, height])
        return [Warp.stretch(box, self.input_size) for box in boxes]

    def features(self, outputs: Outputs) -> Floats:
        """Return (B, D) unit vectors, whose dot products are cosines; 0 where not finite."""
        found = to_numpy(outputs["features"]).astype(np.float64)
        found[~np.isfinite(found).all(1)] = 0
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(length > 0, length, 1), np.float32)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person without joints per view, its box the whole view; none if not finite."""
        good = np.asarray(np.isfinite(to_numpy(outputs["features"])).all(1))
        view = People.of([[0, 0, *self.input_size]])
        return [view if yes else view[:0] for yes in good]

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Return the features unchanged: mirroring does not change the appearance."""
        return dict(outputs)
