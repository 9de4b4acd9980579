"""Integral regression: a joint is the expected position of its own map (arXiv:1711.08229).

All functions take numpy arrays and torch tensors on any device and return the same kind; torch
differentiates through `normalised` and `expectation`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, like, namespace, to_numpy
from posewright.codecs.heatmap import Heatmap, one_person_per_view, peaks, quarter_shift
from posewright.errors import ModelError, UsageError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Combined", "Integral", "expectation", "normalised"]

Normalise = Literal["softmax", "sigmoid", "sum"]
_KNOWN = ("softmax", "sigmoid", "sum")


@dataclass(frozen=True)
class Integral:
    """Coordinates as the mean of cells weighted by a map, `stride` view pixels to a cell.

    outputs: heatmap (B, K, h / stride, w / stride), before normalisation.  normalise: what makes
    weights of a map, which are then divided by their sum: softmax over its cells (IPR), a sigmoid
    in each cell (AlphaPose, arXiv:2211.03375), or nothing.
    """

    kind: ClassVar[str] = "integral"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 256)
    stride: int = 4
    normalise: Normalise = "softmax"
    padding: float = 1.25

    def __post_init__(self) -> None:
        _check_kind(self.normalise)

    @property
    def _maps(self) -> Heatmap:
        """The codec whose crop and mirror this one has."""
        return Heatmap(self.input_size, self.stride, padding=self.padding)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        return self._maps.warps(image_size, people)

    def encode(self, people: People) -> dict[str, Floats]:
        """Return points (N, K, 2) and weight (N, K) of N people, each in its own view.

        points: x / width - 1/2 and y / height - 1/2.  weight is 0 for joints that are not labelled
        (score 0) or outside of the view, otherwise 1.
        """
        at = np.asarray(people.keypoints / np.array(self.input_size) - 0.5, np.float32)
        seen = (np.abs(at) <= 0.5).all(2) & (people.scores > 0)
        return {
            "points": np.where(seen[..., None], at, 0).astype(np.float32),
            "weight": seen.astype(np.float32),
        }

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where a map is not finite.

        A score is the highest weight of the map before the division by the sum, clipped to [0, 1]:
        under softmax and "sum" it is small for a map that is wide.  ModelError: the maps do not
        have this codec's size.
        """
        points, scores = self.read(outputs["heatmap"])
        return one_person_per_view(points, scores, self.input_size)

    def read(self, maps: Array) -> tuple[Floats, Floats]:
        """(B, K, h, w) -> (B, K, 2) view pixels and (B, K) scores; NaN where not finite."""
        _check_size(maps, self._maps)
        xp = namespace(maps)
        finite = xp.isfinite(maps)
        weights, scores = normalised(
            xp.asarray(xp.where(finite, maps, 0.0), dtype=xp.float32), self.normalise
        )
        bad = to_numpy(finite.all(3).all(2)) == 0  # (B, K)
        points = to_numpy(expectation(weights)) * np.float32(self.stride)
        return np.where(bad[..., None], np.float32(np.nan), points), to_numpy(scores)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the columns, shifted by one, and exchange left and right (`Heatmap.unflip`)."""
        return self._maps.unflip(outputs, skeleton)


@dataclass(frozen=True)
class Combined:
    """Body and feet as peaks of their maps, faces and hands as integrals (arXiv:2211.03375).

    outputs: heatmap (B, K, h / stride, w / stride).  integrals: how many joints, the last ones, are
    read as integrals: 110 of halpe136 and coco133.  sigma: cells, of the target's Gaussian.
    """

    kind: ClassVar[str] = "combined"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 256)
    stride: int = 4
    sigma: float = 2.0
    normalise: Normalise = "sigmoid"
    integrals: int = 110
    padding: float = 1.25

    def __post_init__(self) -> None:
        if self.integrals < 1:
            raise UsageError(
                f"integrals={self.integrals}; it must be positive; without integrals "
                "use the codec heatmap"
            )
        _check_kind(self.normalise)

    @property
    def _maps(self) -> Heatmap:
        return Heatmap(
            self.input_size, self.stride, self.sigma, padding=self.padding, quantised=True
        )

    @property
    def _integral(self) -> Integral:
        return Integral(self.input_size, self.stride, self.normalise, self.padding)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        return self._maps.warps(image_size, people)

    def encode(self, people: People) -> dict[str, Floats]:
        """Return heatmap (N, K - I, h, w), points (N, I, 2) and weight (N, K) for I integrals."""
        first, last = (
            replace(people, keypoints=people.keypoints[:, part], scores=people.scores[:, part])
            for part in (slice(-self.integrals), slice(-self.integrals, None))
        )
        maps, points = self._maps.encode(first), self._integral.encode(last)
        weight = np.concatenate([maps["weight"], points["weight"]], 1)
        return {"heatmap": maps["heatmap"], "points": points["points"], "weight": weight}

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where a map is not finite.

        Scores are those of `Heatmap` and `Integral`.  ModelError: the maps do not have this
        codec's size.
        """
        maps = outputs["heatmap"]
        _check_size(maps, self._maps)
        body, rest = maps[:, : -self.integrals], maps[:, -self.integrals :]
        xy, scores = peaks(body)
        xy = to_numpy(quarter_shift(body, xy)) * np.float32(self.stride)
        points, weights = self._integral.read(rest)
        return one_person_per_view(
            np.concatenate([xy, points], 1),
            np.concatenate([to_numpy(scores), weights], 1),
            self.input_size,
        )

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the columns, shifted by one, and exchange left and right (`Heatmap.unflip`)."""
        return self._maps.unflip(outputs, skeleton)


def normalised(maps: Array, kind: Normalise) -> tuple[Array, Array]:
    """(B, K, h, w) -> maps whose cells sum to 1, and (B, K) their peaks before the division.

    "sum": maps of sum 0 become NaN.
    """
    xp = namespace(maps)
    if kind == "sigmoid":
        maps = (xp.tanh(maps / 2) + 1) / 2  # which cannot overflow
    elif kind == "softmax":
        maps = xp.exp(maps - xp.amax(maps, (2, 3))[:, :, None, None])
    total = maps.sum((2, 3))[:, :, None, None]
    weights = maps / xp.where(total == 0, float("nan"), total)
    return weights, xp.amax(maps if kind == "sigmoid" else weights, (2, 3))


def expectation(weights: Array) -> Array:
    """(B, K, h, w), each map of sum 1 -> (B, K, 2) mean x, y in cells."""
    xp = namespace(weights)
    h, w = weights.shape[2:]
    columns, rows = (xp.asarray(like(np.arange(n), weights), dtype=weights.dtype) for n in (w, h))
    return xp.stack([weights.sum(2) @ columns, weights.sum(3) @ rows], 2)


def _check_kind(kind: str) -> None:
    if kind not in _KNOWN:
        raise UsageError(f"normalise={kind!r}; known: {', '.join(_KNOWN)}")


def _check_size(maps: Array, codec: Heatmap) -> None:
    if tuple(maps.shape[2:]) != codec.map_size[::-1]:
        raise ModelError(
            f"heatmaps are {tuple(maps.shape[2:])} (h, w), but a view of {codec.input_size} at "
            f"stride {codec.stride} has {codec.map_size[::-1]}; correct stride or input_size"
        )
