"""Megvii's heatmaps (arXiv:1711.07319): a single cell, blurred, with a peak of 255."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, like, namespace, to_numpy
from posewright.codecs.heatmap import gaussian, one_person_per_view, peaks, quarter_shift
from posewright.errors import ModelError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["Megvii", "blur", "blurred"]


@dataclass(frozen=True)
class Megvii:
    """One map per joint, its peak 255, read from the blurred map (CPN, MSPN, RSN).

    outputs: heatmap (B, K, h / stride, w / stride).  kernel: cells, odd, of the Gaussian that makes
    the target and blurs the output; its sigma follows from its size as in OpenCV.
    """

    kind: ClassVar[str] = "megvii"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 256)
    stride: int = 4
    kernel: int = 11
    padding: float = 1.25

    @property
    def map_size(self) -> tuple[int, int]:
        """(width, height) of a map in cells."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        boxes = People.empty().boxes if people is None else people.boxes
        return [Warp.crop(box, self.input_size, self.padding) for box in boxes]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return heatmap (N, K, h, w) and weight (N, K) of N people, each in its own view.

        The cell that a joint lies in is blurred and scaled to a peak of 255.  weight is 0 for
        joints that are not labelled (score 0) or outside of the view.
        """
        cell = np.floor(people.keypoints / np.float32(self.stride))  # (N, K, 2)
        seen = ((cell >= 0) & (cell < np.array(self.map_size))).all(2) & (people.scores > 0)
        columns, rows = (
            (blur(n, self.kernel) / blur(1, self.kernel))[cell[..., i].clip(0, n - 1).astype(int)]
            for i, n in enumerate(self.map_size)
        )  # (N, K, w), (N, K, h), 1 at the cell itself
        maps = 255 * (rows * seen[..., None])[..., :, None] * columns[..., None, :]
        return {"heatmap": maps.astype(np.float32), "weight": seen.astype(np.float32)}

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where a map is not finite.

        Peaks of the blurred map move a quarter cell towards the higher neighbour and half a cell
        further, because the target's cell is the one that the joint lies in.  Scores are the peak
        / 255 clipped to [0, 1]; the published 0.5 on top would make most of them 1.  ModelError:
        the maps do not have this codec's size.
        """
        maps = outputs["heatmap"]
        if tuple(maps.shape[2:]) != self.map_size[::-1]:
            raise ModelError(
                f"heatmaps are {tuple(maps.shape[2:])} (h, w), but a view of {self.input_size} at "
                f"stride {self.stride} has {self.map_size[::-1]}; correct stride or input_size"
            )
        smooth = blurred(maps, self.kernel)
        # each map keeps the height of its peak, as in the published decoder
        xp = namespace(maps)
        before, after = (xp.amax(m, (2, 3)) for m in (maps, smooth))
        smooth = smooth * (before / xp.where(after == 0, 1.0, after))[:, :, None, None]
        xy, scores = peaks(smooth)
        points = (to_numpy(quarter_shift(smooth, xy)) + np.float32(0.5)) * self.stride
        return one_person_per_view(points, to_numpy(scores / 255), self.input_size)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the columns and exchange left and right joints.

        A joint's cell is the one that it lies in, whose mirror image is a cell again.
        """
        maps = outputs["heatmap"]
        order = np.arange(maps.shape[3])[::-1].copy()
        return {**outputs, "heatmap": maps[:, skeleton.flip_index][..., order]}


def blurred(maps: Array, kernel: int) -> Array:
    """(B, K, h, w) -> the same, blurred by a Gaussian; NaN where a map is not finite.

    Nothing lies outside of the map.  OpenCV, which published decoders of UDP use, mirrors the map
    there, which pulls joints near the edge towards it.
    """
    xp = namespace(maps)
    finite = xp.isfinite(maps).all((2, 3))[:, :, None, None]
    known = xp.asarray(xp.where(finite, maps, 0.0), dtype=xp.float32)
    rows, columns = (like(blur(n, kernel), maps) for n in maps.shape[2:])
    return xp.where(finite, rows @ known @ columns, float("nan"))


def blur(size: int, kernel: int) -> Floats:
    """(size, size), symmetric: blurs along an axis of `size` cells."""
    half = np.pad(gaussian(kernel)[kernel // 2 :], (0, 1))  # from the middle outwards
    distance = np.abs(np.arange(size)[:, None] - np.arange(size))
    return np.asarray(half[np.minimum(distance, len(half) - 1)])
