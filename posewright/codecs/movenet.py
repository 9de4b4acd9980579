"""MoveNet's centre, heatmap, regression and offset maps, for one person a view and for several.

Source: the official graphs (Google, Apache-2.0), described in their model cards.  Both decode the
same way: a centre cell votes for a rough place of every joint (regression), the heatmap cell that
is high and near to it is taken, and its offset refines it below the stride.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import Array, Outputs, Task, like, namespace, to_numpy
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["MoveNet", "MoveNetMulti"]

Targets = NDArray[Any]


@dataclass(frozen=True)
class MoveNet:
    """One person per view (MoveNet Lightning and Thunder), the one nearest to the view's middle.

    outputs: centre (B, 1, h, w) and heatmap (B, K, h, w) in [0, 1]; regression and offset
    (B, 2K, h, w) in cells, for each joint dy then dx.  nearness: cells added to a distance before a
    score is divided by it (1.8 in the official graph); a larger value trusts the regression less.
    sigma: cells, of the targets' Gaussians.
    """

    kind: ClassVar[str] = "movenet"
    task: ClassVar[Task] = "joints"
    top_down: ClassVar[bool] = True
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (192, 256)
    stride: int = 4
    padding: float = 1.0
    nearness: float = 1.8
    sigma: float = 2.0

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the crop of each person."""
        boxes = People.empty().boxes if people is None else people.boxes
        return [Warp.crop(box, self.input_size, self.padding) for box in boxes]

    def encode(self, people: People) -> dict[str, Targets]:
        """Return targets of N people, each alone in its own view.

        centre (N, 1, h, w) and heatmap (N, K, h, w) in [0, 1]; cell (N, 1) int64 number of the
        centre's cell, that of the mean of the labelled joints; joint_cell (N, 1, K) int64; dy, dx
        in cells (N, 1, K, 2): regression from the centre's cell to the joint's, offset from there
        to the joint, in [0, 1); weight (N, 1, K): 1 for labelled joints inside of the view.
        """
        return _targets(people, self.input_size, self.stride, self.sigma)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return one person per view, its box the whole view; none where a map is not finite."""
        maps = [outputs[k] for k in ("centre", "heatmap", "regression", "offset")]
        if not len(maps[0]):
            return []
        xy, scores = nearest_joints(*maps, nearness=self.nearness)
        points, joint_scores = to_numpy(xy) * self.stride, to_numpy(scores)
        box = np.array([[0, 0, self.input_size[0] - 1, self.input_size[1] - 1]], np.float32)
        one = np.ones(1, np.float32)
        finite = np.isfinite(points.sum((1, 2)) + joint_scores.sum(1))
        joints = points.shape[1]
        return [
            People.of(box, one, p[None], s[None]) if ok else People.empty(joints)
            for p, s, ok in zip(points, joint_scores, finite, strict=True)
        ]

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the maps, exchange left and right joints, mirror dx within its cell."""
        return {key: _unflip(key, a, skeleton, self.stride) for key, a in outputs.items()}


@dataclass(frozen=True)
class MoveNetMulti:
    """Up to six people of one view of the whole image (MoveNet MultiPose).

    outputs: as MoveNet, and box_scale, box_offset (B, 2, h, w) in cells, y then x.  Any view whose
    sides are multiples of 32 is accepted.  sigma: cells, of the targets' Gaussians.  slots: maximum
    number of people in the targets.
    """

    kind: ClassVar[str] = "movenet_multi"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (256, 256)
    stride: int = 4
    max_people: int = 6
    threshold: float = 0.1
    sigma: float = 2.0
    slots: int = 32

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the one view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, 0)]

    def encode(self, people: People) -> dict[str, Targets]:
        """Return targets of all people of one view, of the S largest if there are more than slots.

        As those of `MoveNet`, the S people beside each other instead of N views: maps (1, C, h, w),
        the rest (1, S, ...), weight and person (1, S) 0 in empty slots; box_scale and box_offset
        (1, S, 2) y, x in cells.  A person without labelled joints has the box's middle as centre.
        """
        sides = people.sides
        largest = np.sort(np.argsort(-sides.prod(1), kind="stable")[: self.slots])
        people = people[largest]
        found = _targets(people, self.input_size, self.stride, self.sigma)
        w = self.input_size[0] // self.stride
        cells = np.stack([found["cell"][:, 0] // w, found["cell"][:, 0] % w], 1)  # (N, 2) y, x
        boxes = people.boxes.reshape(-1, 2, 2)[..., ::-1] / np.float32(self.stride)  # y before x
        found["box_scale"] = (boxes[:, 1] - boxes[:, 0])[:, None]
        found["box_offset"] = (boxes.mean(1) - cells).astype(np.float32)[:, None]
        found["person"] = np.ones((len(people), 1), np.float32)
        maps = {key: found.pop(key) for key in ("centre", "heatmap")}
        highest = {key: a.max(0, keepdims=True, initial=0) for key, a in maps.items()}
        return {**highest, **{key: self._filled(a[:, 0]) for key, a in found.items()}}

    def _filled(self, values: Targets) -> Targets:
        """(N, ...) -> (1, S, ...), zeros where nobody is."""
        missing = self.slots - len(values)
        return np.pad(values, [(0, missing)] + [(0, 0)] * (values.ndim - 1))[None]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view whose score is above the threshold, best first."""
        arrays = {key: to_numpy(a) for key, a in outputs.items()}
        return [
            self._decode_view({k: a[i] for k, a in arrays.items()})
            for i in range(len(arrays["centre"]))
        ]

    def _decode_view(self, maps: dict[str, Floats]) -> People:
        joints = len(maps["heatmap"])
        if not all(np.isfinite(a).all() for a in maps.values()):
            return People.empty(joints)
        cells = _peaks(maps["centre"][0], self.max_people)  # (M, 2) y, x
        boxes = _boxes(maps, cells)
        points, scores = _joints_in_boxes(maps, cells, boxes)
        sure = scores > 0.127  # the graph leaves less certain joints out of a person's score
        mean = (scores * sure).sum(1) / np.maximum(sure.sum(1), 1)
        person = maps["centre"][0][cells[:, 0], cells[:, 1]] * mean
        people = People.of(boxes * self.stride, person, points * self.stride, scores)
        return people[person > self.threshold]

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the maps, exchange left and right joints, mirror x within its cell."""
        return {key: _unflip(key, a, skeleton, self.stride) for key, a in outputs.items()}


def _targets(
    people: People, size: tuple[int, int], stride: int, sigma: float
) -> dict[str, Targets]:
    """Return the targets of each person alone, as `MoveNet.encode` documents them."""
    w, h = (side // stride for side in size)
    at = people.keypoints[..., ::-1] / np.float32(stride)  # (N, K, 2) y, x in cells
    cells, limit = np.floor(at), np.array([h, w])
    seen = (people.scores > 0) & ((cells >= 0) & (cells < limit)).all(2)  # (N, K)
    cells = np.clip(cells, 0, limit - 1)
    middle = people.boxes.reshape(-1, 2, 2)[..., ::-1].mean(1) / stride  # y, x
    count = seen.sum(1)[:, None]
    mean = (at * seen[..., None]).sum(1) / np.maximum(count, 1)
    centre = np.clip(np.floor(np.where(count > 0, mean, middle)), 0, limit - 1)  # (N, 2)
    weight = seen.astype(np.float32)
    return {
        "centre": _bells(centre[:, None], (h, w), sigma),
        "heatmap": _bells(cells, (h, w), sigma) * weight[..., None, None],
        "cell": (centre @ [w, 1]).astype(np.int64)[:, None],
        "joint_cell": (cells @ [w, 1]).astype(np.int64)[:, None],
        "regression": ((cells - centre[:, None]) * weight[..., None]).astype(np.float32)[:, None],
        "offset": ((at - cells) * weight[..., None]).astype(np.float32)[:, None],
        "weight": weight[:, None],
    }


def _bells(cells: NDArray[np.floating], size: tuple[int, int], sigma: float) -> Floats:
    """(N, K, 2) y, x -> (N, K, h, w) Gaussians that are 1 at the cells."""
    rows, columns = (
        np.exp(-np.square(np.arange(side) - cells[..., i, None]) / (2 * sigma**2))
        for i, side in enumerate(size)
    )
    return (rows[..., None] * columns[..., None, :]).astype(np.float32)


def nearest_joints(
    centre: Array, heatmap: Array, regression: Array, offset: Array, *, nearness: float
) -> tuple[Array, Array]:
    """Decode the maps -> (B, K, 2) x, y in cells and (B, K) scores, of the arrays' own kind."""
    xp = namespace(heatmap)
    b, k, h, w = heatmap.shape
    view, joint, ys, xs = (like(np.arange(n), heatmap) for n in (b, k, h, w))
    joint = joint[None]
    prior = 1 / (xp.sqrt((ys[:, None] - h / 2) ** 2 + (xs - w / 2) ** 2) + nearness)  # (h, w)
    cell = xp.argmax((centre[:, 0] * prior).reshape(b, -1), axis=1)  # (B,)
    rough = regression.reshape(b, k, 2, -1)[view, :, :, cell]  # (B, K, 2) dy, dx
    dy = ys - (cell // w)[:, None, None] - rough[..., :1]  # (B, K, h)
    dx = xs - (cell % w)[:, None, None] - rough[..., 1:]  # (B, K, w)
    distance = xp.sqrt((dy**2)[..., None] + (dx**2)[..., None, :])  # (B, K, h, w)
    best = xp.argmax((heatmap / (distance + nearness)).reshape(b, k, -1), axis=2)  # (B, K)
    fine = offset.reshape(b, k, 2, -1)[view[:, None], joint, :, best]  # (B, K, 2) dy, dx
    xy = xp.stack([best % w + fine[..., 1], best // w + fine[..., 0]], 2)
    return xy, heatmap.reshape(b, k, -1)[view[:, None], joint, best]


def _unflip(key: str, array: Array, skeleton: Skeleton, stride: int) -> Array:
    """Undo the mirror of one map; positions follow x' = (w - 1) - x in view pixels."""
    xp, k = namespace(array), len(skeleton)
    mirrored = xp.flip(array, (3,))
    if key == "heatmap":
        return mirrored[:, skeleton.flip_index]
    if key not in ("regression", "offset", "box_offset"):
        return mirrored
    joints = 1 if key == "box_offset" else k
    pairs = mirrored.reshape(len(array), joints, 2, *array.shape[2:])
    if joints == k:
        pairs = pairs[:, skeleton.flip_index]
    y, x = pairs[:, :, 0], (stride - 1) / stride - pairs[:, :, 1]
    return xp.stack([y, x], 2).reshape(array.shape)


def _peaks(centre: Floats, count: int) -> np.ndarray:
    """(h, w) -> (M, 2) y, x of the `count` best cells that are the maximum of their 5x5 patch."""
    padded = np.pad(centre, 2, constant_values=-np.inf)
    patches = np.lib.stride_tricks.sliding_window_view(padded, (5, 5))
    cells = np.argwhere(patches.max((2, 3)) == centre)
    order = np.argsort(-centre[cells[:, 0], cells[:, 1]], kind="stable")
    return np.asarray(cells[order[:count]])


def _boxes(maps: dict[str, Floats], cells: np.ndarray) -> Floats:
    """(M, 4) x1, y1, x2, y2 in cells of the people centred on `cells`."""
    at = (slice(None), cells[:, 0], cells[:, 1])
    middle, half = cells + maps["box_offset"][at].T, maps["box_scale"][at].T / 2
    return np.concatenate([(middle - half)[:, ::-1], (middle + half)[:, ::-1]], 1, dtype=np.float32)


def _joints_in_boxes(
    maps: dict[str, Floats], cells: np.ndarray, boxes: Floats
) -> tuple[Floats, Floats]:
    """Return (M, K, 2) x, y in cells and (M, K) scores of the people centred on `cells`.

    A heatmap cell counts within the person's box only, and less the farther it is from the rough
    place; a score is the best that any person has at the chosen cell.
    """
    heatmap = maps["heatmap"]
    (k, h, w), m = heatmap.shape, len(cells)
    rough = maps["regression"].reshape(k, 2, h, w)[:, :, cells[:, 0], cells[:, 1]]  # (K, 2, M)
    rough = rough.transpose(2, 0, 1) + cells[:, None]  # (M, K, 2) y, x
    ys, xs = np.arange(h), np.arange(w)
    fall = 0.3 * min(h, w)
    near_y = np.exp(-((ys - rough[..., :1]) ** 2) / fall)  # (M, K, h)
    near_x = np.exp(-((xs - rough[..., 1:]) ** 2) / fall)  # (M, K, w)
    near_y *= ((ys >= boxes[:, 1:2]) & (ys <= boxes[:, 3:]))[:, None]
    near_x *= ((xs >= boxes[:, :1]) & (xs <= boxes[:, 2:3]))[:, None]
    weighted = (heatmap * near_y[..., None] * near_x[..., None, :]).reshape(m, k, -1)
    best, joint = weighted.argmax(2), np.arange(k)[None]
    fine = maps["offset"].reshape(k, 2, -1)[joint, :, best]  # (M, K, 2) dy, dx
    scores = weighted.max(0)[joint, best] if m else np.zeros((0, k))
    xy = np.stack([best % w + fine[..., 1], best // w + fine[..., 0]], 2)
    return xy.astype(np.float32), scores.astype(np.float32)
