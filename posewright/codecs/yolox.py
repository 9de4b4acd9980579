"""One-pass networks on a grid: every cell proposes a person; box NMS picks (YOLOX-Pose, RTMO)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import Array, Outputs, like, namespace, to_numpy
from posewright.errors import ModelError
from posewright.nms import box_nms_indices
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["RTMO", "YoloxPose", "padded"]


@dataclass(frozen=True)
class YoloxPose:
    """Raw numbers of each of the N cells of all levels (mmpose's YOLOX-Pose).

    outputs: cls and objectness (B, N, 1), logits; box (B, N, 4): centre x, y in strides from the
    cell's first pixel, then log of width and height in strides; keypoints (B, N, 2K): x, y of each
    joint in strides; visibility (B, N, K), logits.  Cells row by row, levels by `strides`.
    threshold: least cls * objectness of a person; mmpose counts AP at 0.001.
    """

    kind: ClassVar[str] = "yolox_pose"
    top_down: ClassVar[bool] = False
    input_size: tuple[int, int] = (640, 640)
    strides: tuple[int, ...] = (8, 16, 32)
    threshold: float = 0.3
    iou: float = 0.65
    max_people: int = 100
    fill: int = 114

    @property
    def locations(self) -> Floats:
        """(N, 3) x, y in view px and stride of each cell."""
        return _cells(self.input_size, self.strides, False)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, self.fill)]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return all people of one view as `padded` does."""
        return padded(people, self.max_people)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first.

        ModelError: another number of cells than `input_size` has.
        """
        cells, xp = self.locations, namespace(outputs["cls"])
        views, count = outputs["cls"].shape[:2]
        if count != len(cells):
            raise ModelError(
                f"outputs have {count} cells, a view of {self.input_size} {len(cells)}"
            )
        with np.errstate(over="ignore"):
            scores = _sigmoid(outputs["cls"])[..., 0] * _sigmoid(outputs["objectness"])[..., 0]
            at = xp.argwhere(scores > self.threshold)  # (M, 2) view, cell; NaN is never above
            view, cell = at[:, 0], at[:, 1]
            box, points, seen, score = (
                to_numpy(a[view, cell])
                for a in (outputs["box"], outputs["keypoints"], outputs["visibility"], scores)
            )
            view, place = np.asarray(view.tolist(), int), cells[cell.tolist()]
            boxes, points = _from_strides(box, points, place)
            found = boxes, score, points, _sigmoid(seen)
        return _people(view, found, views, self.input_size, self.iou, self.max_people)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Reverse the cells of each row, mirror x within its cell, exchange left and right joints.

        The mirror maps view pixel x to w - 1 - x, hence x strides from a cell's first pixel to
        (stride - 1) / stride - x from the mirrored cell's.
        """
        order = _mirrored(self.input_size, self.strides)
        turned = {key: a[:, order] for key, a in outputs.items()}
        stride = like(self.locations[:, 2:].copy(), turned["box"])  # (N, 1)
        first = (stride - 1) / stride
        xp, box = namespace(turned["box"]), turned["box"]
        points = turned["keypoints"].reshape(*box.shape[:2], len(skeleton), 2)
        points = points[:, :, skeleton.flip_index]
        points = xp.stack([first - points[..., 0], points[..., 1]], 3)
        return {
            **turned,
            "box": xp.concatenate([first - box[..., :1], box[..., 1:]], 2),
            "keypoints": points.reshape(turned["keypoints"].shape),
            "visibility": turned["visibility"][:, :, skeleton.flip_index],
        }


@dataclass(frozen=True)
class RTMO:
    """Finished people of the M cells with the highest scores (arXiv:2312.07526).

    outputs: scores (B, M), logits; boxes (B, M, 4) x1, y1, x2, y2 and keypoints (B, M, K, 2), both
    in view px; visibility (B, M, K), logits.  A joint's bins depend on the box and on the network's
    weights, so that the network itself turns them to pixels, for its best cells only; threshold
    and NMS are left to `decode`.  threshold: least score of a person; mmpose counts AP at 0.1.

    Cells of a mirrored view come in another order, so that their mean with the plain view's has no
    meaning: `unflip` mirrors people, and flip tests are not for this codec.
    """

    kind: ClassVar[str] = "rtmo"
    top_down: ClassVar[bool] = False
    input_size: tuple[int, int] = (640, 640)
    strides: tuple[int, ...] = (16, 32)
    threshold: float = 0.3
    iou: float = 0.65
    max_people: int = 100
    fill: int = 114

    @property
    def locations(self) -> Floats:
        """(N, 3) x, y in view px of the middle and stride of each cell, row by row."""
        return _cells(self.input_size, self.strides, True)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, self.fill)]

    def encode(self, people: People) -> dict[str, Floats]:
        """Return all people of one view as `padded` does."""
        return padded(people, self.max_people)

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first."""
        xp = namespace(outputs["scores"])
        with np.errstate(over="ignore"):
            scores = _sigmoid(outputs["scores"])
            at = xp.argwhere(scores > self.threshold)  # (M, 2) view, candidate
            view, one = at[:, 0], at[:, 1]
            boxes, score, points, seen = (
                to_numpy(a[view, one])
                for a in (outputs["boxes"], scores, outputs["keypoints"], outputs["visibility"])
            )
            found = boxes, score, points, _sigmoid(seen)
        view, views = np.asarray(view.tolist(), int), len(outputs["scores"])
        return _people(view, found, views, self.input_size, self.iou, self.max_people)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror boxes and key points about the view's middle, exchange left and right joints."""
        boxes, right = outputs["boxes"], self.input_size[0] - 1
        points = outputs["keypoints"][:, :, skeleton.flip_index]
        xp = namespace(boxes)
        sides = [right - boxes[..., 2], boxes[..., 1], right - boxes[..., 0], boxes[..., 3]]
        return {
            **outputs,
            "boxes": xp.stack(sides, 2),
            "keypoints": xp.stack([right - points[..., 0], points[..., 1]], 3),
            "visibility": outputs["visibility"][:, :, skeleton.flip_index],
        }


def padded(people: People, count: int) -> dict[str, Floats]:
    """Return people of one view (the largest, if more than `count`) padded with nobody to `count`.

    boxes (1, P, 4) and keypoints (1, P, K, 2) in view px; weight (1, P, K): 1 for labelled joints;
    area (1, P) in px^2: 0.53 of the box, COCO's mean share of a person in the own box; person
    (1, P): 1 for people, 0 for padding.
    """
    sides = people.boxes[:, 2:] - people.boxes[:, :2]
    area = np.maximum(0.53 * np.maximum(sides, 0).prod(1), 1)
    kept = np.sort(np.argsort(-area, kind="stable")[:count])
    arrays = {
        "boxes": people.boxes[kept],
        "keypoints": people.keypoints[kept],
        "weight": people.scores[kept] > 0,
        "area": area[kept],
        "person": np.ones(len(kept)),
    }
    missing = count - len(kept)
    return {
        key: np.pad(a.astype(np.float32), [(0, missing)] + [(0, 0)] * (a.ndim - 1))[None]
        for key, a in arrays.items()
    }


@lru_cache(maxsize=16)
def _cells(size: tuple[int, int], strides: tuple[int, ...], middle: bool) -> Floats:
    """Return (N, 3) x, y and stride of the cells' first pixels or, where asked, middles."""
    levels = []
    for stride in strides:
        y, x = np.indices((size[1] // stride, size[0] // stride)).reshape(2, -1) * stride
        shift = (stride - 1) / 2 if middle else 0
        levels.append(np.stack([x + shift, y + shift, np.full(len(x), stride)], 1))
    cells = np.concatenate(levels).astype(np.float32)
    cells.flags.writeable = False
    return cells


@lru_cache(maxsize=16)
def _mirrored(size: tuple[int, int], strides: tuple[int, ...]) -> NDArray[np.int64]:
    """Return (N,) the number of each cell's mirror image."""
    levels, start = [], 0
    for stride in strides:
        rows, columns = size[1] // stride, size[0] // stride
        numbers = np.arange(start, start + rows * columns).reshape(rows, columns)
        levels.append(numbers[:, ::-1].ravel())
        start += rows * columns
    return np.concatenate(levels)


def _sigmoid(x: Array) -> Array:
    return 1 / (1 + namespace(x).exp(-x))


def _from_strides(box: Floats, points: Floats, cells: Floats) -> tuple[Floats, Floats]:
    """(M, 4), (M, 2K) in strides, (M, 3) cells -> (M, 4) x1, y1, x2, y2 and (M, K, 2) in px."""
    place, stride = cells[:, :2], cells[:, 2:]
    centre, half = box[:, :2] * stride + place, np.exp(box[:, 2:]) * stride / 2
    boxes = np.concatenate([centre - half, centre + half], 1)
    joints = points.reshape(len(points), points.shape[1] // 2, 2)
    return boxes, joints * stride[:, None] + place[:, None]


def _people(
    view: NDArray[np.int64],
    found: tuple[Floats, Floats, Floats, Floats],
    views: int,
    size: tuple[int, int],
    iou: float,
    most: int,
) -> list[People]:
    """Return the people that NMS leaves of each view's proposals, boxes cut at the view's edge.

    found: boxes (M, 4), scores (M,), key points (M, K, 2) in px, joint scores (M, K); who has a
    number that is not finite is left out.
    """
    good = np.logical_and.reduce([np.isfinite(a).all(tuple(range(1, a.ndim))) for a in found])
    people = []
    for i in range(views):
        boxes, scores, points, joints = (a[good & (view == i)] for a in found)
        keep = box_nms_indices(boxes, scores, iou)[:most]
        edge = np.array([size[0] - 1, size[1] - 1] * 2, np.float32)
        cut = np.clip(boxes[keep], 0, edge)
        people.append(People.of(cut, scores[keep], points[keep], joints[keep]))
    return people
