"""UDP's combined target: for each joint a disc, and inside of it the offsets to the joint."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, like, namespace, to_numpy
from posewright.codecs.heatmap import one_person_per_view, peaks
from posewright.codecs.megvii import blur, blurred
from posewright.errors import ModelError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["CombinedUDP"]


@dataclass(frozen=True)
class CombinedUDP:
    """Disc, dx and dy per joint, in UDP's crop (arXiv:1911.07524, "combined").

    outputs: heatmap (B, 3K, h / stride, w / stride), of each joint the disc, dx and dy in radii.
    factor: radius of the disc in longer sides of the map.  kernel: cells, odd, of the blur before
    reading, for the offsets and, by the published code, 2 x kernel + 1 for the disc.
    """

    kind: ClassVar[str] = "udp_combined"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 256)
    stride: int = 4
    factor: float = 0.0546875
    kernel: int = 7
    padding: float = 1.25

    @property
    def map_size(self) -> tuple[int, int]:
        """(width, height) of a map in cells."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    @property
    def cell(self) -> tuple[float, float]:
        """(x, y) view pixels from one cell to the next: outer centres coincide."""
        (w, h), (columns, rows) = self.input_size, self.map_size
        return (w - 1) / (columns - 1), (h - 1) / (rows - 1)

    @property
    def radius(self) -> float:
        """Cells."""
        return self.factor * max(self.map_size)

    def channels(self, joints: int) -> int:
        """Return how many maps a network of `joints` joints emits."""
        return 3 * joints

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        boxes = People.empty().boxes if people is None else people.boxes
        return [Warp.crop(box, self.input_size, self.padding, unbiased=True) for box in boxes]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return heatmap (N, 3K, h, w) and weight (N, K) of N people, each in its own view.

        weight is 0 for joints that are not labelled (score 0) or whose disc is outside of the map.
        """
        at = np.divide(people.keypoints, self.cell, dtype=np.float32)  # (N, K, 2) cells
        size = np.array(self.map_size)
        seen = ((at > -self.radius) & (at < size - 1 + self.radius)).all(2) & (people.scores > 0)
        dx, dy = ((at[..., i, None] - np.arange(size[i])) / self.radius for i in (0, 1))
        dx, dy = np.broadcast_arrays(dx[..., None, :], dy[..., :, None])  # (N, K, h, w)
        inside = (dx**2 + dy**2 <= 1) & seen[..., None, None]
        maps = np.stack([inside, dx * inside, dy * inside], 2)  # (N, K, 3, h, w)
        n, k, _, h, w = maps.shape
        return {
            "heatmap": maps.reshape(n, 3 * k, h, w).astype(np.float32),
            "weight": seen.astype(np.float32),
        }

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where a map is not finite.

        Scores are the peak of the blurred disc relative to that of an ideal one.  ModelError: the
        maps do not have this codec's size.
        """
        maps = outputs["heatmap"]
        if tuple(maps.shape[2:]) != self.map_size[::-1]:
            raise ModelError(
                f"heatmaps are {tuple(maps.shape[2:])} (h, w), but a view of {self.input_size} at "
                f"stride {self.stride} has {self.map_size[::-1]}; correct stride or input_size"
            )
        disc = blurred(maps[:, ::3], 2 * self.kernel + 1)
        xy, scores = peaks(disc)
        smooth = (blurred(maps[:, i::3], self.kernel) for i in (1, 2))
        offsets = namespace(xy).stack([_at(m, xy) for m in smooth], 2)  # (B, K, 2) radii
        points = to_numpy(xy + offsets * self.radius) * np.array(self.cell, np.float32)
        return one_person_per_view(points, to_numpy(scores / self._whole), self.input_size)

    @property
    def _whole(self) -> float:
        """Peak of an ideal disc after the blur."""
        reach = self.kernel  # a kernel of 2 x kernel + 1 cells
        bell = blur(2 * reach + 1, 2 * reach + 1)[reach]
        steps = np.square(np.arange(-reach, reach + 1))
        return float(bell @ (steps[:, None] + steps <= self.radius**2) @ bell)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the columns, exchange left and right joints, negate dx."""
        maps = outputs["heatmap"]
        order = (3 * np.asarray(skeleton.flip_index)[:, None] + np.arange(3)).reshape(-1)
        sign = np.tile(np.array([1, -1, 1], np.float32), len(skeleton))[:, None, None]
        turned = maps[:, order][..., np.arange(maps.shape[3])[::-1].copy()]
        return {**outputs, "heatmap": turned * like(sign, maps)}


def _at(maps: Array, xy: Array) -> Array:
    """(B, K, h, w) maps, (B, K, 2) cells -> (B, K) values there."""
    b, k, h, w = maps.shape
    xp = namespace(maps)
    cells = xp.asarray(xy, dtype=xp.int64).reshape(-1, 2)
    start = like(np.arange(b * k) * (h * w), maps)
    return maps.reshape(-1)[start + cells[:, 1] * w + cells[:, 0]].reshape(b, k)
