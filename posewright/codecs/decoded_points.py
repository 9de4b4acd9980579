"""Networks that return one person's joints as shares of the view."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.codecs.heatmap import one_person_per_view
from posewright.people import People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["DecodedPoints"]


@dataclass(frozen=True)
class DecodedPoints:
    """The joints of the person of a view, the layout of MoveNet's official graphs.

    outputs: points (B, 1, K, 3), of each joint y, x in shares of the view and score.
    """

    kind: ClassVar[str] = "decoded_points"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    coordinates: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 192)
    padding: float = 1.25

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        boxes = People.empty().boxes if people is None else people.boxes
        return [Warp.crop(box, self.input_size, self.padding) for box in boxes]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where it is not finite."""
        points = to_numpy(outputs["points"])[:, 0]
        with np.errstate(over="ignore"):
            xy = points[..., 1::-1] * np.array(self.input_size, np.float32)
        return one_person_per_view(xy, points[..., 2], self.input_size)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror x about the view's middle, exchange left and right joints."""
        points = outputs["points"][:, :, skeleton.flip_index]
        right = (self.input_size[0] - 1) / self.input_size[0]
        columns = [points[..., 0], right - points[..., 1], points[..., 2]]
        return {"points": namespace(points).stack(columns, 3)}
