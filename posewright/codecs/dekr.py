"""DEKR's codec: people are peaks of a centre map, joints are offsets (arXiv:2104.02300)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.errors import UsageError
from posewright.people import Doubles, Floats, Ints, Mask, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["DEKR", "centres", "joints_inside", "mirrored", "mirrored_pairs", "whole_image"]

_DECREASE = 0.9  # of peaks of other scales; the authors' configurations of CrowdPose have 0.8
_WIDER = 3  # times `near` between people of several scales: the authors' .05 becomes .15 there
_LONGEST = 4  # a view's long side, in short sides; longer images are made smaller than published


@dataclass(frozen=True)
class DEKR:
    """All people in one view of the whole image, `stride` view pixels to a cell.

    outputs: heatmap (B, K + 1, h, w), the last the centres; offset (B, 2 K, h, w) x, y in cells
    from joint to centre.  input_size: its shorter side is what an image's shorter side is scaled
    to; the other side follows, in multiples of 64, unless `square`.  sigma, centre_sigma: cells, of
    the targets' Gaussians.  radius: cells about a centre that have an offset.  background: weight
    of a map's cells far from all people.  threshold: of a centre.  near, alike: a pose duplicates
    another if more than `alike` joints are nearer than `near` of its extent's diagonal.  outward:
    offsets lead from centre to joint instead, as in mmpose 1.x.
    """

    kind: ClassVar[str] = "dekr"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (512, 512)
    stride: int = 4
    square: bool = False
    sigma: float = 2.0
    centre_sigma: float = 4.0
    radius: int = 4
    background: float = 0.1
    threshold: float = 0.01
    max_people: int = 30
    near: float = 0.05
    alike: int = 8
    outward: bool = False

    def __post_init__(self) -> None:
        check_sides(self.input_size)

    @property
    def _sign(self) -> int:
        return 1 if self.outward else -1

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the one view of the whole image."""
        return [whole_image(image_size, self.input_size, 64, square=self.square)]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return heatmap, offset as `decode` takes them and their weights, all with leading 1.

        heatmap_weight (1, K + 1, h, w), offset_weight (1, 2 K, h, w): one by the square root of the
        person's area in cells.  Joints outside of the view do not count; of two people at a cell,
        the smaller has the offset.
        """
        w, h = (side // self.stride for side in self.input_size)
        at = people.keypoints / np.float32(self.stride)  # (N, K, 2) cells
        seen = joints_inside(people, at, (w, h))
        middle, diagonal = _extents(at, seen)
        heatmap, weight = self._maps(
            np.concatenate([at, middle[:, None]], 1),
            np.concatenate([seen, seen.any(1, keepdims=True)], 1),
            (w, h),
        )
        offset, offset_weight = self._offsets(at, seen, middle, diagonal, (w, h))
        arrays = {"heatmap": heatmap, "heatmap_weight": weight}
        arrays |= {"offset": offset, "offset_weight": offset_weight}
        return {key: a[None] for key, a in arrays.items()}

    def _maps(self, at: Floats, seen: Mask, size: tuple[int, int]) -> tuple[Floats, Floats]:
        """(N, K + 1, 2) cells, (N, K + 1) -> maps and weights (K + 1, h, w)."""
        sigma = np.full(at.shape[1], self.sigma, np.float32)
        sigma[-1] = self.centre_sigma
        maps = np.zeros((at.shape[1], size[1], size[0]), np.float32)
        close = np.zeros(maps.shape, np.bool_)
        for person, counts in zip(at, seen, strict=True):  # one at a time: N maps are large
            columns, rows = (_bell(person[:, i], size[i], sigma, counts) for i in (0, 1))
            np.maximum(maps, rows[:, :, None] * columns[:, None], out=maps)
            close |= (rows > 0)[:, :, None] & (columns > 0)[:, None]
        return maps, np.where(close, 1, self.background).astype(np.float32)

    def _offsets(
        self,
        at: Floats,
        seen: Mask,
        middle: Floats,
        diagonal: Floats,
        size: tuple[int, int],
    ) -> tuple[Floats, Floats]:
        """Return the offsets and their weights, (2 K, h, w)."""
        w, h = size
        offset = np.zeros((at.shape[1], 2, h, w), np.float32)
        weight = np.zeros(offset.shape, np.float32)
        for i in np.argsort(-diagonal, kind="stable"):  # the smallest is the last to write
            x, y = (int(c) for c in middle[i])
            left, top = max(x - self.radius, 0), max(y - self.radius, 0)
            columns = np.arange(left, min(x + self.radius, w), dtype=np.float32)
            rows = np.arange(top, min(y + self.radius, h), dtype=np.float32)
            down, across = slice(top, top + len(rows)), slice(left, left + len(columns))
            joints = np.flatnonzero(seen[i])
            offset[joints, 0, down, across] = self._sign * (at[i, joints, :1, None] - columns)
            offset[joints, 1, down, across] = self._sign * (at[i, joints, 1:, None] - rows[:, None])
            weight[joints, :, down, across] = 1 / max(float(diagonal[i]), 1.0)
        return offset.reshape(-1, h, w), weight.reshape(-1, h, w)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view, best first.

        The box score is the height of the centre's peak, and a joint's score that of its map.
        """
        return self.decode_scales([outputs], [1.0])

    def decode_scales(self, outputs: Sequence[Outputs], scales: Sequence[float]) -> list[People]:
        """Return the people of each view, as of scale 1, whose image is seen at several scales.

        As the published code: people are candidates of every scale; a joint's score is the mean
        height of its maps of all scales, and of candidates alike, within 3 times `near`, the one
        with the highest maps stays.  The peaks of each other scale are stretched until their
        highest is 0.9 of that of scale 1, or of the scale nearest to it.
        """
        order = np.argsort(-np.asarray(scales), kind="stable")  # as published, the largest first
        maps = [to_numpy(outputs[i]["heatmap"]) for i in order]
        offsets = [to_numpy(outputs[i]["offset"]) for i in order]
        sizes = [float(scales[i]) for i in order]
        views = zip(zip(*maps, strict=True), zip(*offsets, strict=True), strict=True)
        return [self._decode_view(m, o, sizes) for m, o in views]

    def _decode_view(
        self, maps: Sequence[Floats], offsets: Sequence[Floats], scales: Sequence[float]
    ) -> People:
        found = [self._candidates(*each) for each in zip(maps, offsets, scales, strict=True)]
        first = int(np.argmin(np.abs(np.log(scales))))
        at = np.concatenate([points for points, _ in found])  # (M, K, 2)
        score = np.concatenate(_stretched([peaks for _, peaks in found], first))
        heat = self._heat(maps, at, scales)  # (M, K)
        near = self.near * (_WIDER if len(scales) > 1 else 1)
        keep = self._distinct(at, heat.mean(1), near)
        if len(keep) > self.max_people:
            keep = keep[np.argsort(-heat.mean(1)[keep], kind="stable")[: self.max_people]]
        people = People.of(None, np.clip(score, 0, 1), at.astype(np.float32), np.clip(heat, 0, 1))[
            keep
        ]
        return people[np.argsort(-people.box_scores * people.pose_scores, kind="stable")]

    def _candidates(self, maps: Floats, offsets: Floats, scale: float) -> tuple[Doubles, Floats]:
        """Return (M, K, 2) px of the view at scale 1 and (M,) peaks, best first."""
        joints, (h, w) = len(maps) - 1, maps.shape[1:]
        kernel = 3 + 2 * ((h + w) / 2 > 200) + 2 * ((h + w) / 2 > 300)
        y, x, peak = centres(maps[-1], kernel, self.max_people, self.threshold)
        moved = offsets.reshape(joints, 2, h, w)[:, :, y, x].transpose(2, 0, 1)  # (M, K, 2)
        at = np.stack([x, y], 1)[:, None] + self._sign * moved
        good = np.isfinite(at).all((1, 2))
        return at[good] * (self.stride / scale), peak[good]

    def _heat(self, maps: Sequence[Floats], at: Doubles, scales: Sequence[float]) -> Floats:
        """Return (M, K) the mean heights of all scales at (M, K, 2) px of the view at scale 1."""
        steps = [scale / self.stride for scale in scales]  # cells of a pixel
        sizes = [np.array(m.shape[:0:-1]) / step for m, step in zip(maps, steps, strict=True)]
        # below the pixel nothing is read, as in the published code; views may be filled up
        pixel = np.clip(np.floor(at), 0, np.min(sizes, 0) - 1)
        heats = [_heights(m[:-1], pixel * step) for m, step in zip(maps, steps, strict=True)]
        return np.asarray(np.mean([np.where(np.isfinite(h), h, 0) for h in heats], 0), np.float32)

    def _distinct(self, at: Doubles, heat: Floats, near: float) -> Ints:
        """(M, K, 2), (M,) -> which people stay: of those alike, the one with the highest maps."""
        span = np.ptp(at, axis=1) if len(at) else np.zeros((0, 2))
        reach = near * np.sqrt(np.square(span).sum(1))  # (M,)
        distance = np.sqrt(np.square(at[:, None] - at[None]).sum(3))  # (M, M, K)
        same = (distance < reach[:, None, None]).sum(2) > self.alike
        np.fill_diagonal(same, True)  # also where all joints lie in one place
        taken = np.zeros(len(at), np.bool_)
        keep = []
        for i in range(len(at)):  # greedy: who stays depends on who stayed before
            best = int(np.argmax(np.where(same[i], heat, -np.inf)))
            if not taken[i] and not taken[best]:
                keep.append(best)
                taken |= same[i]
        return np.array(keep, np.int64)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the maps, exchange left and right joints, mirror the offsets.

        As in `Heatmap`, the mirror image of column j is column w - j, and column 0 stays.
        """
        order = np.append(skeleton.flip_index, len(skeleton))
        heatmap = mirrored(outputs["heatmap"])[:, order]
        shift = -self._sign / self.stride
        offset = mirrored_pairs(outputs["offset"], skeleton.flip_index, shift)
        return {**outputs, "heatmap": heatmap, "offset": offset}


def _stretched(peaks: Sequence[Floats], first: int) -> list[Floats]:
    """Return peaks of each scale, best first, with the highest as high as those of `first`."""
    tops = [float(peak[0]) if len(peak) else 1.0 for peak in peaks]
    return [
        peak if i == first else peak / np.float32(top) * np.float32(tops[first] * _DECREASE)
        for i, (peak, top) in enumerate(zip(peaks, tops, strict=True))
    ]


def check_sides(size: tuple[int, int]) -> None:
    """UsageError: a side is not a multiple of 32, the stride of the networks' smallest map."""
    if size[0] % 32 or size[1] % 32 or min(size) <= 0:
        raise UsageError(f"input_size={size}: sides must be multiples of 32")


def whole_image(
    image_size: tuple[int, int], input_size: tuple[int, int], multiple: int, *, square: bool
) -> Warp:
    """Return the view in which the image's shorter side is the shorter side of `input_size`.

    Its other side is filled up to `multiple`.  square: the view is `input_size` instead.
    """
    if square:
        return Warp.letterbox(image_size, input_size, 0)
    short, long = min(image_size), max(image_size)
    scale = min(min(input_size) / short, _LONGEST * min(input_size) / long)
    width, height = (
        max(1, int(np.ceil(side * scale / multiple - 1e-6))) * multiple for side in image_size
    )
    return Warp.letterbox(image_size, (width, height), 0)


def joints_inside(people: People, at: Floats, size: tuple[int, int]) -> Mask:
    """(N, K) whether a joint is labelled and its cell `at` inside of a map of `size`."""
    inside = ((at >= 0) & (at < np.array(size))).all(2)
    return np.asarray(inside & (people.scores > 0))


def _extents(at: Floats, seen: Mask) -> tuple[Floats, Floats]:
    """(N, K, 2), (N, K) -> mean (N, 2) and diagonal (N,) of the joints that are seen."""
    counts = np.maximum(seen.sum(1), 1)[:, None]
    middle = (at * seen[..., None]).sum(1) / counts
    inner = np.where(seen[..., None], at, middle[:, None])
    span = inner.max(1, initial=0) - inner.min(1, initial=1e9)
    return middle.astype(np.float32), np.sqrt(np.square(span).sum(1)).astype(np.float32)


def _bell(at: Floats, cells: int, sigma: Floats, counts: Mask) -> Floats:
    """(K,) centres -> (K, cells) of a Gaussian along one axis, 0 from 3 sigma + 2 cells on."""
    distance = np.arange(cells) - at[:, None]
    wide = sigma[:, None]
    near = (np.abs(distance) < 3 * wide + 2) & counts[:, None]
    return np.asarray(np.exp(-np.square(distance) / (2 * wide**2)) * near, np.float32)


def centres(scores: Floats, kernel: int, count: int, threshold: float) -> tuple[Ints, Ints, Floats]:
    """(h, w) -> rows, columns and values of the highest cells, best first.

    Cells count that are the maximum of their kernel x kernel patch and above the threshold; at
    most `count`.  Cells that are not finite do not count.
    """
    clean = np.where(np.isfinite(scores), scores, -np.inf)
    high, reach = clean, kernel // 2
    for axis in (0, 1):  # the maximum of a square is that of its rows' maxima
        padded = np.pad(
            high,
            [(reach, reach) if a == axis else (0, 0) for a in (0, 1)],
            constant_values=-np.inf,
        )
        high = np.lib.stride_tricks.sliding_window_view(padded, kernel, axis).max(2)
    y, x = np.nonzero((clean == high) & (clean > threshold))
    order = np.argsort(-clean[y, x], kind="stable")[:count]
    return y[order], x[order], np.asarray(clean[y[order], x[order]], np.float32)


def _heights(maps: Floats, at: Floats | Doubles) -> Floats:
    """(K, h, w), (M, K, 2) x, y in cells -> (M, K) bilinear heights; outside, of the nearest."""
    k, h, w = maps.shape
    joint = np.arange(k)
    x, y = np.clip(at[..., 0], 0, w - 1), np.clip(at[..., 1], 0, h - 1)
    left, top = np.floor(x).astype(np.int64), np.floor(y).astype(np.int64)
    right, bottom = np.minimum(left + 1, w - 1), np.minimum(top + 1, h - 1)
    u, v = x - left, y - top
    upper = maps[joint, top, left] * (1 - u) + maps[joint, top, right] * u
    lower = maps[joint, bottom, left] * (1 - u) + maps[joint, bottom, right] * u
    return np.asarray(upper * (1 - v) + lower * v, np.float32)


def mirrored(maps: Array) -> Array:
    """(B, C, h, w) -> the same with column w - j at j; column 0 stays."""
    return maps[..., np.roll(np.arange(maps.shape[3])[::-1], 1)]


def mirrored_pairs(maps: Array, partner: Ints, shift: float) -> Array:
    """(B, 2 P, h, w) x, y in cells of P places -> those of the mirror image.

    partner: (P,) which place becomes which.  shift: x becomes shift - x, since the outer columns
    of view pixels, not of cells, are each other's mirror images.
    """
    pairs = mirrored(maps).reshape(len(maps), len(partner), 2, *maps.shape[2:])[:, partner]
    x, y = shift - pairs[:, :, 0], pairs[:, :, 1]
    return namespace(maps).stack([x, y], 2).reshape(maps.shape)
