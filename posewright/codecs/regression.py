"""Regression: a network outputs coordinates (DeepPose, arXiv:1312.4659; RLE, arXiv:2107.11291)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, like, namespace, to_numpy
from posewright.codecs.heatmap import one_person_per_view
from posewright.errors import ModelError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Regression"]


@dataclass(frozen=True)
class Regression:
    """Coordinates as fractions of the view.

    outputs: coordinates (B, K, 2), x / width and y / height; less 1/2 if `centred`, as RLE's
    authors and Poseur's have it, otherwise as in mmpose.  sigma: whether the network also emits
    sigma (B, K, 2) in [0, 1], its uncertainty; a joint scores 1 - mean sigma then, otherwise 1.
    """

    kind: ClassVar[str] = "regression"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 256)
    centred: bool = False
    sigma: bool = False
    padding: float = 1.25

    @property
    def _origin(self) -> float:
        """What the view's left and upper edge are called."""
        return -0.5 if self.centred else 0.0

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        boxes = People.empty().boxes if people is None else people.boxes
        return [Warp.crop(box, self.input_size, self.padding) for box in boxes]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return coordinates (N, K, 2) and weight (N, K) of N people, each in its own view.

        weight is 1 for joints that are labelled (score above 0) and inside of the view, otherwise
        0, and so are their coordinates.
        """
        at = people.keypoints / np.array(self.input_size)
        seen = ((at >= 0) & (at <= 1)).all(2) & (people.scores > 0)  # (N, K)
        coordinates = np.where(seen[..., None], at + self._origin, 0).astype(np.float32)
        return {"coordinates": coordinates, "weight": seen.astype(np.float32)}

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where one is not finite.

        Points outside of the view stay there.  With sigma, the expected error of a joint is its
        mean over both axes in view px: the scale of the error's distribution (RLE, equation 4).
        ModelError: coordinates do not have two axes, or sigma is missing.
        """
        at = to_numpy(outputs["coordinates"])
        if at.ndim != 3 or at.shape[2] != 2:
            raise ModelError(f"coordinates have shape {at.shape}, but must be (B, K, 2)")
        points = (at - np.float32(self._origin)) * np.array(self.input_size, np.float32)
        if not self.sigma:
            scores = np.ones(at.shape[:2], np.float32)
            return one_person_per_view(points, scores, self.input_size)
        if "sigma" not in outputs:
            raise ModelError("outputs have no sigma; use Regression(sigma=False)")
        sigma = to_numpy(outputs["sigma"])
        people = one_person_per_view(points, 1 - sigma.mean(2), self.input_size)
        errors = (sigma * np.array(self.input_size, np.float32)).mean(2)
        return [
            person.replace(expected_error=errors[i : i + 1]) if len(person) else person
            for i, person in enumerate(people)
        ]

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reflect x about the middle of the outer pixels' centres, and exchange left and right.

        The mirror maps view pixel x to w - 1 - x.
        """
        swapped = {key: a[:, skeleton.flip_index] for key, a in outputs.items()}
        at = swapped["coordinates"]
        last = 1 + 2 * self._origin - 1 / self.input_size[0]
        xp = namespace(at)
        ends = xp.asarray(like(np.array([last, 0.0]), at), dtype=at.dtype)
        signs = xp.asarray(like(np.array([-1.0, 1.0]), at), dtype=at.dtype)
        return {**swapped, "coordinates": ends + signs * at}
