"""PoseFix: refine an input pose with the image (arXiv:1812.03595)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.base import Array, Outputs, Task
from posewright.codecs.heatmap import one_person_per_view
from posewright.codecs.integral import Integral
from posewright.codecs.mistakes import with_mistakes
from posewright.people import Floats, Mask, People
from posewright.skeletons import Skeleton, get_skeleton
from posewright.warp import Warp

__all__ = ["PoseFix"]

HEIGHT = 255.0  # of a rendered Gaussian, about the range of a pixel


@dataclass(frozen=True)
class PoseFix:
    """Coordinates as the mean of a map's softmax, of a network that takes a pose as input.

    outputs: heatmap (B, K, h / stride, w / stride), before the softmax.  The network takes, besides
    the views, what `condition` makes of the pose.  sigma: view pixels, of its Gaussians; None: the
    published ones, 7 for views up to 256 pixels high, 9 for higher ones.
    """

    kind: ClassVar[str] = "posefix"
    task: ClassVar[Task] = "refine"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (288, 384)
    stride: int = 4
    sigma: float | None = None
    padding: float = 1.25

    @property
    def _integral(self) -> Integral:
        """The codec whose outputs, crop and mirror this one has."""
        return Integral(self.input_size, self.stride, padding=self.padding)

    @property
    def map_size(self) -> tuple[int, int]:
        """(width, height) of a map in cells."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person's box."""
        return self._integral.warps(image_size, people)

    def framed(self, people: People) -> People:
        """Return `people` with the boxes of the published refinement: 1.2 times the pose's extent.

        Joints of score 0 do not count; a person without any other keeps the box.
        """
        seen = (people.scores > 0)[..., None]
        big = np.finfo(np.float32).max / 4
        low = np.where(seen, people.keypoints, big).min(1, initial=big)  # (N, 2)
        high = np.where(seen, people.keypoints, -big).max(1, initial=-big)
        middle, half = (low + high) / 2, (high - low) / 2
        # a pose without extent counts as 20 pixels wide
        half = np.where(half > 0, half, 10) * 1.2
        boxes = np.concatenate([middle - half, middle + half], 1)
        boxes = np.where(seen.any(1), boxes, people.boxes)
        return people.replace(boxes=boxes.astype(np.float32))

    def condition(self, people: People) -> Floats:
        """Return (N, K, h, w), the input poses of N people, each in its own view, as Gaussians.

        Their peaks are 255; the maps of joints of score 0 are empty.  For a mirrored view reverse
        the columns and exchange left and right joints: [:, flip_index, :, ::-1].
        """
        sigma = self.sigma or (7.0 if self.input_size[1] <= 256 else 9.0)
        columns, rows = (
            np.exp(-np.square((np.arange(n) - people.keypoints[..., i, None]) / sigma) / 2)
            for i, n in enumerate(self.input_size)
        )  # (N, K, w), (N, K, h)
        rows = (HEIGHT * rows * (people.scores > 0)[..., None]).astype(np.float32)
        return np.asarray(rows[..., :, None] * columns.astype(np.float32)[..., None, :])

    def condition_shape(self, joints: int) -> tuple[int, int, int]:
        """Return (C, h, w) of a condition: a map of the view's size for each joint."""
        return joints, self.input_size[1], self.input_size[0]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return heatmap (N, K, h, w), points (N, K, 2) and weight (N, K) of N people, each in its
        own view.

        heatmap: of sum 1, shared among the four cells round a joint so that its mean position is
        the joint's.  points: cells.  weight is 0, as are the others, for joints that are not
        labelled (score 0) or outside of the view, otherwise 1.
        """
        at = people.keypoints / np.float32(self.stride)  # (N, K, 2) cells
        size = np.array(self.map_size)
        seen = ((at >= 0) & (at < size)).all(2) & (people.scores > 0)
        columns, rows = (
            np.maximum(1 - np.abs(np.arange(n) - at[..., i, None]), 0)
            for i, n in enumerate(self.map_size)
        )  # (N, K, w), (N, K, h)
        maps = (rows * seen[..., None])[..., :, None] * columns[..., None, :]
        total = maps.sum((2, 3), keepdims=True)  # less than 1 beyond the last cell
        return {
            "heatmap": (maps / np.where(total > 0, total, 1)).astype(np.float32),
            "points": np.where(seen[..., None], at, 0).astype(np.float32),
            "weight": seen.astype(np.float32),
        }

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where a map is not finite.

        A score is the highest weight of the softmax, which says more about a map's width than
        about the joint; the authors keep the scores of the given pose.  ModelError: the maps do not
        have this codec's size.
        """
        points, scores = self._integral.read(outputs["heatmap"])
        return one_person_per_view(points, scores, self.input_size)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the columns, shifted by one, and exchange left and right (`Heatmap.unflip`)."""
        return self._integral.unflip(outputs, skeleton)

    def synthesise(
        self,
        people: People,
        rng: np.random.Generator,
        skeleton: Skeleton | None = None,
        guessed: Mask | None = None,
    ) -> People:
        """Return the people of one view with synthetic errors of a pose network, for training.

        people: all people in the view, with ground-truth boxes, since joints are also
        confused with those of others (`mistakes`).  skeleton: coco17 if None.  guessed: (N, K)
        joints that are not labelled and whose place is a model's estimate.
        """
        skeleton = get_skeleton("coco17") if skeleton is None else skeleton
        return with_mistakes(people, rng, skeleton, guessed)[0]
