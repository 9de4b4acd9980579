"""Transformers that answer with a fixed number of queries, each a box or a person, without NMS.

The view is the whole image, stretched.  Coordinates are shares of the image, or pixels of the view,
from the outer edges, which lie half a pixel before the centre of the first pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.anchors import sigmoid
from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.people import Floats, Ints, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["QueryBoxes", "QueryPeople", "ScoredBoxes", "ScoredPeople"]

_HALF = np.float32(0.5)


@dataclass(frozen=True)
class _Queries:
    """What the codecs of this file share.  person: number of the class."""

    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    coordinates: ClassVar[bool] = True
    input_size: tuple[int, int] = (640, 640)
    person: int = 0
    threshold: float = 0.3
    max_people: int = 100

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the view of the whole image, stretched."""
        return [Warp.stretch((0, 0, *image_size), self.input_size)]

    def best(self, scores: Floats, *others: Floats) -> Ints:
        """(N,) scores -> the rows above the threshold whose numbers are finite, best first."""
        good = scores > self.threshold  # NaN is never above
        for array in others:
            good &= np.isfinite(array).all(tuple(range(1, array.ndim)))
        rows = np.flatnonzero(good)
        return rows[np.argsort(-scores[rows], kind="stable")][: self.max_people]

    def of_class(self, outputs: Outputs) -> Floats:
        """(B, N) scores, 0 for rows of other classes."""
        mine = to_numpy(outputs["labels"]) == self.person
        return np.where(mine, np.minimum(to_numpy(outputs["scores"]), 1), np.float32(0))

    def pixels(self, boxes: Array) -> Floats:
        """(B, N, 4) centre x, y, width, height in shares -> x1, y1, x2, y2 in view px."""
        shares = to_numpy(boxes)
        middle, half = shares[..., :2], shares[..., 2:] / 2
        with np.errstate(invalid="ignore", over="ignore"):  # `best` leaves infinities out
            corners = np.concatenate([middle - half, middle + half], 2)
            return np.asarray(corners * np.array(self.input_size * 2, np.float32) - _HALF)


@dataclass(frozen=True)
class QueryBoxes(_Queries):
    """Boxes of D-FINE, RT-DETR (arXiv:2304.08069) and RF-DETR in shares of the image.

    outputs: logits (B, N, C), one for each class by itself; boxes (B, N, 4) centre x, y, width and
    height in shares.
    """

    kind: ClassVar[str] = "query_boxes"
    task: ClassVar[Task] = "boxes"

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, best first."""
        scores = sigmoid(to_numpy(outputs["logits"])[..., self.person])
        found = zip(scores, self.pixels(outputs["boxes"]), strict=True)
        chosen = [(s, b, self.best(s, b)) for s, b in found]
        return [People.of(b[rows], s[rows]) for s, b, rows in chosen]

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the boxes."""
        return {**outputs, "boxes": _mirrored(outputs["boxes"], 1)}


@dataclass(frozen=True)
class ScoredBoxes(_Queries):
    """Boxes in view pixels, as the authors of D-FINE and RT-DETR export them.

    outputs: labels (B, N) class numbers, boxes (B, N, 4) x1, y1, x2, y2 in px of the size that the
    graph is told, the view's; scores (B, N).
    """

    kind: ClassVar[str] = "scored_boxes"
    task: ClassVar[Task] = "boxes"

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, best first."""
        boxes = to_numpy(outputs["boxes"]) - _HALF
        found = zip(self.of_class(outputs), boxes, strict=True)
        chosen = [(s, b, self.best(s, b)) for s, b in found]
        return [People.of(b[rows], s[rows]) for s, b, rows in chosen]

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the boxes."""
        boxes, width = outputs["boxes"], self.input_size[0]
        sides = [width - boxes[..., 2], boxes[..., 1], width - boxes[..., 0], boxes[..., 3]]
        return {**outputs, "boxes": namespace(boxes).stack(sides, 2)}


@dataclass(frozen=True)
class ScoredPeople(_Queries):
    """People in view pixels, as the authors of DETRPose (arXiv:2506.13027) and ECPose export them.

    outputs: scores (B, N), labels (B, N) class numbers, keypoints (B, N, K, 2) in px of the size
    that the graph is told, the view's.  The networks score people only: each joint has its person's
    score.  A box is the extent of the joints.
    """

    kind: ClassVar[str] = "scored_people"
    task: ClassVar[Task] = "people"
    person: int = 1  # COCO's category

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, best first."""
        points = to_numpy(outputs["keypoints"]) - _HALF
        found = []
        for score, joints in zip(self.of_class(outputs), points, strict=True):
            rows = self.best(score, joints)
            each = score[rows, None].repeat(joints.shape[1], 1)
            found.append(People.of(None, score[rows], joints[rows], each))
        return found

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the keypoints about the view's middle, exchange left and right joints."""
        points = outputs["keypoints"][:, :, skeleton.flip_index]
        return {**outputs, "keypoints": _mirrored(points, self.input_size[0])}


@dataclass(frozen=True)
class QueryPeople(_Queries):
    """People of RF-DETR's keypoint networks in shares of the image.

    outputs: boxes, logits as `QueryBoxes`; keypoints (B, N, K, 8): x, y in shares, the logits that
    a joint can be found and that it is visible, and the Cholesky factor of the precision of x, y
    (log of l11, l21, log of l22); the last number is of the graph's own use.  A joint's score is
    that it can be found.  A person's score s becomes s / (s + t^0.2), where t is the mean trace of
    the joints' covariances, weighted by their scores, as the authors measure it.
    """

    kind: ClassVar[str] = "query_people"
    task: ClassVar[Task] = "people"

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, best first."""
        numbers = to_numpy(outputs["keypoints"])
        joints, seen = sigmoid(numbers[..., 2]), sigmoid(numbers[..., 3])
        scores = sigmoid(to_numpy(outputs["logits"])[..., self.person])
        with np.errstate(all="ignore"):  # what is not finite is left out below
            points = numbers[..., :2] * np.array(self.input_size, np.float32) - _HALF
            weights = np.maximum(joints, np.float32(1e-12))
            trace = (weights * _trace(numbers)).sum(2) / weights.sum(2)
            scores = scores / (scores + trace**0.2)
        found = []
        every = (scores, self.pixels(outputs["boxes"]), points, joints, seen)
        for score, box, point, joint, visible in zip(*every, strict=True):
            rows = self.best(score, box, point, joint, visible)
            people = People.of(box[rows], score[rows], point[rows], joint[rows])
            found.append(people.replace(visibility=visible[rows]))
        return found

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror boxes and keypoints, exchange left and right joints.

        The covariance keeps its trace, which is all that `decode` reads of it.
        """
        points = outputs["keypoints"][:, :, skeleton.flip_index]
        boxes = _mirrored(outputs["boxes"], 1)
        return {**outputs, "boxes": boxes, "keypoints": _mirrored(points, 1)}


def _mirrored(array: Array, width: int) -> Array:
    """Mirror the first number of each row in a view of that width."""
    xp = namespace(array)
    return xp.concatenate([width - array[..., :1], array[..., 1:]], len(array.shape) - 1)


def _trace(numbers: Floats) -> Floats:
    """(B, N, K, 8) -> (B, N, K) the trace of each joint's covariance, the precision's inverse."""
    first, cross, second = (numbers[..., i] for i in (4, 5, 6))
    a, c = np.exp(-2 * first), np.exp(-2 * second)
    return np.asarray(a + c + cross**2 * a * c)
