"""Looks: a person's box in, features out that are alike for the same person."""

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

    outputs: features (B, D).  What a network of this codec finds out about somebody is `features`,
    of which People has no array; `decode` only says who could be looked at, so that export,
    comparison and `estimate` treat it as any other.
    """

    kind: ClassVar[str] = "embedding"
    task: ClassVar[Task] = "embed"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (128, 256)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the view of each person: what of the box lies in the image, sides not kept."""
        if people is None:
            return []
        width, height = image_size
        boxes = np.clip(people.boxes, 0, [width, height, width, height])
        return [Warp.stretch(box, self.input_size) for box in boxes]

    def features(self, outputs: Outputs) -> Floats:
        """Return (B, D) of length 1, whose products are cosines; 0 where numbers are not finite."""
        found = to_numpy(outputs["features"]).astype(np.float64)
        found[~np.isfinite(found).all(1)] = 0
        length = np.linalg.norm(found, axis=1, keepdims=True)
        return np.asarray(found / np.where(length > 0, length, 1), np.float32)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person without joints per view, its box the whole view; nobody where numbers
        are not finite."""
        good = np.asarray(np.isfinite(to_numpy(outputs["features"])).all(1))
        view = People.of([[0, 0, *self.input_size]])
        return [view if yes else view[:0] for yes in good]

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Return them as they are: in a mirror everybody looks the same."""
        return dict(outputs)
