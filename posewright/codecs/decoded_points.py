"""Networks that return joints as shares of the view: MoveNet's official graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.anchors import picked
from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.codecs.heatmap import one_person_per_view
from posewright.people import People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["DecodedPeople", "DecodedPoints"]


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


@dataclass(frozen=True)
class DecodedPeople:
    """Several people of the whole image, the layout of MoveNet MultiPose's official graph.

    outputs: rows (B, N, 3K + 5), of each person y, x in shares of the view and score of K joints,
    then y1, x1, y2, x2 of the box in shares and its score.  The view is the image in the middle of
    a black rectangle.
    """

    kind: ClassVar[str] = "decoded_people"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    coordinates: ClassVar[bool] = True
    input_size: tuple[int, int] = (256, 256)
    threshold: float = 0.3
    max_people: int = 100
    fill: int = 0

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image, in the middle."""
        return [Warp.letterbox(image_size, self.input_size, self.fill, centred=True)]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, best first."""
        rows, size = to_numpy(outputs["rows"]), np.array(self.input_size, np.float32)
        view, row = np.nonzero(rows[..., -1] > self.threshold)  # NaN is never above
        chosen = rows[view, row]
        joints = chosen[:, :-5].reshape(len(chosen), (rows.shape[2] - 5) // 3, 3)
        with np.errstate(over="ignore"):  # infinities, which `picked` leaves out
            box = chosen[:, [-4, -5, -2, -3]] * np.tile(size, 2)
            points = joints[..., 1::-1] * size
        found = box, np.minimum(chosen[:, -1], 1), points, joints[..., 2].clip(0, 1)
        return picked(view, found, len(rows), self.input_size, 1.0, self.max_people)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror boxes and joints about the view's middle, exchange left and right joints."""
        rows = np.array(outputs["rows"])
        right = (self.input_size[0] - 1) / self.input_size[0]
        joints = rows[..., :-5].reshape(*rows.shape[:2], -1, 3)[:, :, skeleton.flip_index]
        joints[..., 1] = right - joints[..., 1]
        rows[..., :-5] = joints.reshape(*rows.shape[:2], -1)
        rows[..., [-4, -2]] = right - rows[..., [-2, -4]]
        return {"rows": rows}
