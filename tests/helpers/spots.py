"""A model that finds bright spots, whose answers are known."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from posewright.codecs.base import Task
from posewright.people import Frame, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["TWO", "Known", "SpotCodec", "SpotModel"]

TWO = Skeleton("two", ("left_hand", "right_hand"))


@dataclass(frozen=True)
class SpotCodec:
    """Top-down: the reddest pixel of a view is the left hand, the bluest the right."""

    kind: ClassVar[str] = "spots"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (48, 64)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        return [Warp.crop(box, self.input_size) for box in people.boxes] if people else []

    def decode(self, outputs: dict[str, Any]) -> list[People]:
        points, scores = outputs["points"], outputs["scores"]
        finite = np.isfinite(points).all((1, 2))
        return [
            People.of(keypoints=p[None], scores=s[None]) if ok else People.empty(2)
            for p, s, ok in zip(points, scores, finite, strict=True)
        ]

    def unflip(self, outputs: dict[str, Any], skeleton: Skeleton) -> dict[str, Any]:
        points = outputs["points"] * [-1, 1] + [self.input_size[0] - 1, 0]
        return {"points": points, "scores": outputs["scores"]}


@dataclass(frozen=True)
class SpotModel:
    """Finds the spots; remembers the size of each batch and the threads that called it."""

    codec: SpotCodec = SpotCodec()
    skeleton: Skeleton = TWO
    batches: list[int] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    broken: bool = False
    info: Any = None
    runtime: str = "numpy"

    def __call__(self, views: np.ndarray) -> dict[str, np.ndarray]:
        self.batches.append(len(views))
        self.threads.add(threading.get_ident())
        flat = views[..., [0, 2]].reshape(len(views), -1, 2).astype(np.float32)
        best = flat.argmax(1)  # (B, 2)
        points = np.stack([best % views.shape[2], best // views.shape[2]], 2).astype(np.float32)
        scores = flat.max(1) / 255
        if self.broken:
            points[0] = np.nan
        return {"points": points, "scores": scores}


class Known:
    """Boxes by frame number."""

    def __init__(self, boxes: dict[int, list[list[float]]]) -> None:
        self.boxes, self.asked = boxes, []

    def people(self, frame: Frame) -> People:
        self.asked.append(frame.index)
        return People.of(boxes=self.boxes.get(frame.index, []))
