"""Heatmaps: a joint is the peak of its own map, with sub-cell refinement.

`peaks`, `quarter_shift`, `dark` and `dark_udp` take numpy arrays and torch tensors on any device
and return the same kind; all of them work on every person and joint at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np

from posewright.codecs.base import Array, Outputs, Task, like, namespace, to_numpy
from posewright.errors import ModelError, UsageError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = [
    "Heatmap",
    "dark",
    "dark_udp",
    "gaussian",
    "one_person_per_view",
    "peaks",
    "quarter_shift",
    "usual_widths",
]

_SMALL = {1: [1], 3: [1, 2], 5: [1, 4, 6], 7: [2, 7, 14, 18]}  # up to the middle
Refine = Literal["argmax", "quarter", "dark", "udp"]


@dataclass(frozen=True)
class Heatmap:
    """One map per joint (arXiv:1804.06208), `stride` view pixels to a cell.

    outputs: heatmap (B, K, h / stride, w / stride).  sigma: cells, of the target's Gaussian.
    refine: sub-cell position by nothing, by a quarter towards the higher neighbour, by DARK
    (arXiv:1910.06278) or by DARK with UDP's differences (arXiv:1911.07524).  unbiased: UDP's crop
    and targets, in which the outer pixel centres of image, view and map coincide.  quantised: the
    target's centre is rounded to a cell (Simple Baselines) and its Gaussian cut at 3 sigma; not for
    DARK and UDP.  kernel: cells, odd, of the Gaussian that DARK blurs with.
    """

    kind: ClassVar[str] = "heatmap"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 256)
    stride: int = 4
    sigma: float = 2.0
    refine: Refine = "quarter"
    unbiased: bool = False
    padding: float = 1.25
    quantised: bool = False
    kernel: int = 11

    def __post_init__(self) -> None:
        if self.refine not in ("argmax", "quarter", "dark", "udp"):
            raise UsageError(f"refine={self.refine!r}; known: argmax, quarter, dark, udp")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise UsageError(f"kernel={self.kernel}; it must be odd and positive")

    @property
    def map_size(self) -> tuple[int, int]:
        """(width, height) of a map in cells."""
        return self.input_size[0] // self.stride, self.input_size[1] // self.stride

    @property
    def cell(self) -> tuple[float, float]:
        """(x, y) view pixels from one cell to the next."""
        if not self.unbiased:
            return float(self.stride), float(self.stride)
        (w, h), (columns, rows) = self.input_size, self.map_size
        return (w - 1) / (columns - 1), (h - 1) / (rows - 1)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        boxes = People.empty().boxes if people is None else people.boxes
        return [
            Warp.crop(box, self.input_size, self.padding, unbiased=self.unbiased) for box in boxes
        ]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return heatmap (N, K, h, w) and weight (N, K) of N people, each in its own view.

        weight is 0 for joints that are not labelled (score 0) or whose Gaussian, 3 sigma wide, lies
        outside of the map; otherwise 1.
        """
        at = np.divide(people.keypoints, self.cell, dtype=np.float32)  # (N, K, 2) cells
        size, radius = np.array(self.map_size), 3 * self.sigma
        centre = np.asarray(np.floor(at + 0.5), np.float32)
        seen = ((centre + radius >= 0) & (centre - radius < size)).all(2) & (people.scores > 0)
        if self.quantised:
            at = centre
        rows, columns = (self._bell(at[..., i], self.map_size[i]) for i in (1, 0))
        maps = (rows * seen[..., None])[..., :, None] * columns[..., None, :]  # (N, K, h, w)
        return {"heatmap": maps.astype(np.float32), "weight": seen.astype(np.float32)}

    def _bell(self, at: Floats, cells: int) -> Floats:
        """(N, K) centres -> (N, K, cells) values of a Gaussian along one axis."""
        distance = np.arange(cells, dtype=np.float32) - at[..., None]
        reach = 3 * self.sigma if self.quantised else np.inf
        bell = np.exp(-np.square(distance) / (2 * self.sigma**2)) * (np.abs(distance) <= reach)
        return np.asarray(bell, np.float32)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where a peak is not finite.

        Scores are the peaks clipped to [0, 1]; a map without a value above 0 keeps its peak with
        score 0.  ModelError: the maps do not have this codec's size.
        """
        maps = outputs["heatmap"]
        if tuple(maps.shape[2:]) != self.map_size[::-1]:
            raise ModelError(
                f"heatmaps are {tuple(maps.shape[2:])} (h, w), but a view of {self.input_size} at "
                f"stride {self.stride} has {self.map_size[::-1]}; correct stride or input_size"
            )
        xy, scores = peaks(maps)
        points = to_numpy(self._refined(maps, xy)) * np.array(self.cell, np.float32)
        return one_person_per_view(points, to_numpy(scores), self.input_size)

    def candidates(self, outputs: Outputs, most: int = 4) -> tuple[Floats, Floats]:
        """Return (B, K, most, 2) view px of each map's highest local maxima and their scores.

        Best first; a score of 0 where there are no more.  A maximum is the highest of its 5 x 5
        cells and above 0.
        """
        maps = np.nan_to_num(to_numpy(outputs["heatmap"]), posinf=0, neginf=0)
        heights = np.where(maps >= _highest_near(maps), np.maximum(maps, 0), 0)
        flat = heights.reshape(*maps.shape[:2], -1)
        best = np.argsort(-flat, axis=2, kind="stable")[..., :most]
        cells = np.stack([best % maps.shape[3], best // maps.shape[3]], 3).astype(np.float32)
        moved = [to_numpy(self._refined(maps, cells[:, :, i])) for i in range(cells.shape[2])]
        scores = np.take_along_axis(flat, best, 2).clip(0, 1)
        return np.stack(moved, 2) * np.array(self.cell, np.float32), scores

    def _refined(self, maps: Array, xy: Array) -> Array:
        if self.refine == "quarter":
            return quarter_shift(maps, xy)
        if self.refine == "dark":
            return dark(maps, xy, self.kernel)
        return dark_udp(maps, xy, self.kernel) if self.refine == "udp" else xy

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the columns and exchange left and right joints.

        In biased codecs the mirror image of cell j is w - 1 / stride - j, which Simple Baselines
        rounds to w - j: a shift by one cell.  Column 0 has no mirror image then and stays, so that
        two turns are the identity; the published code repeats column 1 there instead.
        """
        maps = outputs["heatmap"]
        order = np.arange(maps.shape[3])[::-1].copy()
        if not self.unbiased:
            order = np.roll(order, 1)
        return {**outputs, "heatmap": maps[:, skeleton.flip_index][..., order]}


def usual_widths(input_size: tuple[int, int]) -> dict[str, Any]:
    """Return the published fields sigma and kernel of `Heatmap` for views of a size.

    sigma is 1, 2 and 3 cells for a longer side of 128, 256 and 384 px (HRNet, DARK, mmpose), and
    not below 1; kernel 3 at 128 px and 11 from 256 px on (DARK).
    """
    sigma = max(max(input_size) / 128, 1.0)
    return {"sigma": sigma, "kernel": 3 if sigma < 1.5 else 11}


def one_person_per_view(points: Floats, scores: Floats, size: tuple[int, int]) -> list[People]:
    """(B, K, 2) view px, (B, K) scores -> B times one person whose box is the view of `size`.

    None where a number is not finite.  Scores are clipped to [0, 1].
    """
    box = np.array([[0, 0, size[0] - 1, size[1] - 1]], np.float32)
    finite = np.array(np.isfinite(points).all((1, 2)) & np.isfinite(scores).all(1))
    points = np.where(finite[:, None, None], points, 0).astype(np.float32)
    scores = np.clip(np.where(finite[:, None], scores, 0), 0, 1).astype(np.float32)
    views = len(points)
    people = People.of(np.repeat(box, views, 0), None, points, scores)
    return [people[i : i + int(finite[i])] for i in range(views)]


def peaks(maps: Array) -> tuple[Array, Array]:
    """(B, K, h, w) -> (B, K, 2) float32 x, y of each map's first maximum and (B, K) its value.

    The value is NaN where the map holds one.
    """
    xp = namespace(maps)
    b, k, h, w = maps.shape
    flat = maps.reshape(b * k, h * w)
    best = xp.argmax(flat, axis=1)
    scores = flat.reshape(-1)[_starts(maps) + best]
    y = best // w
    xy = xp.stack([best - y * w, y], 1)
    return xp.asarray(xy, dtype=xp.float32).reshape(b, k, 2), scores.reshape(b, k)


def _highest_near(maps: Floats) -> Floats:
    """(B, K, h, w) -> the highest of the 5 x 5 cells round each."""
    for axis in (2, 3):
        edge = [(2, 2) if a == axis else (0, 0) for a in range(4)]
        padded = np.pad(maps, edge, constant_values=-np.inf)
        maps = np.lib.stride_tricks.sliding_window_view(padded, 5, axis).max(-1)
    return maps


def quarter_shift(maps: Array, xy: Array) -> Array:
    """Move peaks a quarter of a cell towards the higher neighbour on each axis (arXiv:1603.06937).

    maps: (B, K, h, w).  xy: (B, K, 2) as of `peaks`.  Peaks in the two first or the last rows or
    columns stay, as in the published code.
    """
    xp = namespace(maps)
    b, k, h, w = maps.shape
    cells = xp.asarray(xy, dtype=xp.int64).reshape(-1, 2)
    x, y = cells[:, 0], cells[:, 1]
    inside = (x > 1) & (x < w - 1) & (y > 1) & (y < h - 1)
    # the cut keeps neighbours of peaks that will not move inside of the array
    at = xp.clip(_starts(maps) + y * w + x, w, b * k * h * w - 1 - w)
    near = maps.reshape(-1)[at + like(np.array([[1], [w], [-1], [-w]]), maps)]  # (4, B * K)
    after, before = near[:2], near[2:]  # right and below, left and above
    shift = ((after > before) * 0.25 - (after < before) * 0.25) * inside
    return xy + xp.asarray(shift.T, dtype=xp.float32).reshape(xy.shape)


def dark(maps: Array, xy: Array, kernel: int = 11) -> Array:
    """Move peaks by one Newton step on the log of the blurred map (arXiv:1910.06278).

    maps: (B, K, h, w).  xy: (B, K, 2) as of `peaks`.  kernel: cells of the Gaussian.  Only the
    patch that the step sees is blurred.  Peaks in the two outermost rows or columns stay, as in
    the published code; so do those whose step would be longer than 2 cells.
    """
    xp = namespace(maps)
    h, w = maps.shape[2:]
    x, y, inside = _inner(xy, (w, h), first=2, last=3)
    m = _log(_blurred(maps, x, y, 2, kernel), 1e-10, np.inf)  # (M, 5, 5)
    dx, dy = (m[:, 2, 3] - m[:, 2, 1]) / 2, (m[:, 3, 2] - m[:, 1, 2]) / 2
    dxx = (m[:, 2, 4] - 2 * m[:, 2, 2] + m[:, 2, 0]) / 4
    dyy = (m[:, 4, 2] - 2 * m[:, 2, 2] + m[:, 0, 2]) / 4
    dxy = (m[:, 3, 3] - m[:, 1, 3] - m[:, 3, 1] + m[:, 1, 1]) / 4
    step = _newton(dx, dy, dxx, dyy, dxy)
    return xy + xp.where(inside[:, None], step, 0.0).reshape(xy.shape)


def dark_udp(maps: Array, xy: Array, kernel: int = 11) -> Array:
    """Move peaks by one Newton step with UDP's one-cell differences (arXiv:1911.07524).

    maps, xy, kernel: as of `dark`.  The map is clipped to [0.001, 50] before the log, and continued
    by its outermost cells, so that every peak moves.
    """
    h, w = maps.shape[2:]
    x, y, _ = _inner(xy, (w, h), first=0, last=1)
    m = _edged(_blurred(maps, x, y, 1, kernel), x, y, (w, h))
    m = _log(m, 1e-3, 50.0)  # (M, 3, 3)
    dx, dy = (m[:, 1, 2] - m[:, 1, 0]) / 2, (m[:, 2, 1] - m[:, 0, 1]) / 2
    dxx, dyy = (m[:, 1, 2] - 2 * m[:, 1, 1] + m[:, 1, 0], m[:, 2, 1] - 2 * m[:, 1, 1] + m[:, 0, 1])
    corners = m[:, 2, 2] + m[:, 0, 0] - m[:, 1, 2] - m[:, 2, 1] - m[:, 1, 0] - m[:, 0, 1]
    dxy = corners / 2 + m[:, 1, 1]
    eps = float(np.finfo(np.float32).eps)
    return xy + _newton(dx, dy, dxx + eps, dyy + eps, dxy).reshape(xy.shape)


def _starts(maps: Array) -> Array:
    """(B * K,) where each map begins in the flattened maps."""
    b, k, h, w = maps.shape
    return like(np.arange(b * k) * (h * w), maps)


def _inner(xy: Array, size: tuple[int, int], first: int, last: int) -> tuple[Array, Array, Array]:
    """(B, K, 2) -> (M,) columns, rows cut to [first, size - last], and which needed no cut."""
    xp = namespace(xy)
    cells = xp.asarray(xy, dtype=xp.int64).reshape(-1, 2)
    low, high = like(np.array([[first] * 2, [size[0] - last, size[1] - last]]), xy)
    cut = xp.clip(cells, low, high)
    x, y = cut[:, 0], cut[:, 1]
    return x, y, (x == cells[:, 0]) & (y == cells[:, 1])


def _blurred(maps: Array, x: Array, y: Array, reach: int, kernel: int) -> Array:
    """Return the (M, 2 reach + 1, 2 reach + 1) blurred cells round each map's cell (x, y).

    Cells outside of the map, and numbers that are not finite, count as 0.  The blur is scaled so
    that the highest cell keeps the height of the map's peak.
    """
    xp = namespace(maps)
    h, w = maps.shape[2:]
    far = reach + kernel // 2
    offsets = like(np.arange(-far, far + 1), maps)
    rows, columns = y[:, None] + offsets, x[:, None] + offsets  # (M, 2 far + 1)
    inside = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None]
    at = (_starts(maps)[:, None] + xp.clip(rows, 0, h - 1) * w)[:, :, None]
    patch = maps.reshape(-1)[at + xp.clip(columns, 0, w - 1)[:, None]]
    patch = xp.where(inside & xp.isfinite(patch), patch, 0.0)
    patch = xp.asarray(patch, dtype=xp.float32)  # (M, 2 far + 1, 2 far + 1)
    band = like(_band(reach, kernel), maps)
    blurred = band @ patch @ band.T  # (M, 2 reach + 1, 2 reach + 1)
    top = xp.amax(blurred, (1, 2))
    scale = xp.where(top > 0, patch[:, far, far] / xp.where(top > 0, top, 1.0), 1.0)
    return blurred * scale[:, None, None]


def gaussian(kernel: int) -> Floats:
    """Return the (kernel,) weights, of sum 1, of OpenCV's blur, which published decoders use.

    Its sigma follows from its size; the smallest ones are rounded to fractions.
    """
    if kernel in _SMALL:
        half = np.array(_SMALL[kernel], np.float32)
        bell = np.append(half, half[-2::-1])
        return np.asarray(bell / bell.sum(), np.float32)
    sigma = 0.3 * ((kernel - 1) * 0.5 - 1) + 0.8
    bell = np.exp(-((np.arange(kernel) - kernel // 2) ** 2) / (2 * sigma**2))
    return np.asarray(bell / bell.sum(), np.float32)


def _band(reach: int, kernel: int) -> Floats:
    """Return the (2 reach + 1, 2 reach + kernel) matrix that blurs along one axis."""
    row = np.pad(gaussian(kernel), (0, 2 * reach))
    return np.stack([np.roll(row, i) for i in range(2 * reach + 1)]).astype(np.float32)


def _edged(m: Array, x: Array, y: Array, size: tuple[int, int]) -> Array:
    """(M, 3, 3) round (x, y) -> the same, cells outside of the map set to the nearest inside."""
    xp = namespace(m)
    left = xp.where((x > 0)[:, None], m[:, :, 0], m[:, :, 1])
    right = xp.where((x < size[0] - 1)[:, None], m[:, :, 2], m[:, :, 1])
    m = xp.stack([left, m[:, :, 1], right], 2)
    top = xp.where((y > 0)[:, None], m[:, 0], m[:, 1])
    bottom = xp.where((y < size[1] - 1)[:, None], m[:, 2], m[:, 1])
    return xp.stack([top, m[:, 1], bottom], 1)


def _log(m: Array, low: float, high: float) -> Array:
    xp = namespace(m)
    return xp.log(xp.clip(m, low, high))


def _newton(dx: Array, dy: Array, dxx: Array, dyy: Array, dxy: Array) -> Array:
    """Return the (M, 2) steps to where the gradient is 0; none where that is not near."""
    xp = namespace(dx)
    det = dxx * dyy - dxy * dxy
    safe = xp.where(det == 0, 1.0, det)
    step = xp.stack([(dxy * dy - dyy * dx) / safe, (dxy * dx - dxx * dy) / safe], 1)
    near = (det != 0) & (xp.abs(step) <= 2).all(1)
    return xp.where(near[:, None], step, 0.0)
