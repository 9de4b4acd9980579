"""Shared by the codecs of networks that propose people at every cell, or anchor, of a grid."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from posewright.codecs.base import Array, Outputs, like, namespace, to_numpy
from posewright.errors import ModelError
from posewright.nms import box_nms_indices
from posewright.people import Floats, Ints, People
from posewright.skeletons import Skeleton

__all__ = [
    "anchor_places",
    "mirrored_order",
    "padded",
    "picked",
    "proposals",
    "sigmoid",
    "unflipped",
]

Found = tuple[Floats, Floats, Floats, Floats]


def padded(people: People, count: int) -> dict[str, Floats]:
    """Return the people of one view (the largest, if more than `count`) padded to `count` rows.

    boxes (1, P, 4) and keypoints (1, P, K, 2) in view px; weight (1, P, K): 1 for labelled joints;
    area (1, P) in px^2: 0.53 of the box, COCO's mean ratio of a person's area to its box; person
    (1, P): 1 for people, 0 for padding.
    """
    sides = people.sides
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


def sigmoid(x: Array) -> Array:
    """Return 1 / (1 + exp(-x)), 0 where that overflows."""
    with np.errstate(over="ignore"):
        return 1 / (1 + namespace(x).exp(-x))


def proposals(outputs: Outputs, places: int, threshold: float) -> tuple[Ints, Ints, Found]:
    """Return view, place (M,) and numbers of all places whose cls * objectness is above.

    outputs: cls and objectness (B, N, 1) logits, box (B, N, 4), keypoints (B, N, 2K), visibility
    (B, N, K) logits.  Numbers: box (M, 4), score (M,), keypoints (M, K, 2), joint scores (M, K).
    ModelError: N is not `places`.
    """
    count = outputs["cls"].shape[1]
    if count != places:
        raise ModelError(f"outputs have {count} cells or anchors, but a view has {places}")
    scores = sigmoid(outputs["cls"])[..., 0] * sigmoid(outputs["objectness"])[..., 0]
    at = namespace(scores).argwhere(scores > threshold)  # (M, 2) view, place; NaN is never above
    view, place = at[:, 0], at[:, 1]
    box, points, seen, score = (
        to_numpy(a[view, place])
        for a in (outputs["box"], outputs["keypoints"], outputs["visibility"], scores)
    )
    points = points.reshape(len(points), points.shape[1] // 2, 2)
    # `at` may be on another device
    numbers = np.asarray(at.tolist(), np.int64).reshape(-1, 2)
    return numbers[:, 0], numbers[:, 1], (box, score, points, sigmoid(seen))


def picked(
    view: Ints, found: Found, views: int, size: tuple[int, int], iou: float, most: int
) -> list[People]:
    """Return the people that NMS keeps of each view's proposals, boxes clipped to the view.

    found: boxes (M, 4), scores (M,), keypoints (M, K, 2) in px, joint scores (M, K); people with a
    number that is not finite are dropped.
    """
    good = np.logical_and.reduce([np.isfinite(a).all(tuple(range(1, a.ndim))) for a in found])
    edge = np.array([size[0] - 1, size[1] - 1] * 2, np.float32)
    people = []
    for i in range(views):
        boxes, scores, points, joints = (a[good & (view == i)] for a in found)
        keep = box_nms_indices(boxes, scores, iou)[:most]
        cut = np.clip(boxes[keep], 0, edge)
        kept = People.of(cut, scores[keep], points[keep], joints[keep])
        people.append(kept.replace(visibility=joints[keep]))  # which is what they score
    return people


@lru_cache(maxsize=16)
def anchor_places(
    size: tuple[int, int], strides: tuple[int, ...], anchors: tuple[float, ...]
) -> Floats:
    """(N, 5) x, y of the cell in view px, stride, width and height of the anchor in px.

    anchors: width, height of each, equally many of each stride.  Levels by `strides`, in each all
    cells of the first anchor, row by row, before those of the next.
    """
    sides = np.reshape(anchors, (len(strides), -1, 2))
    levels = []
    for stride, boxes in zip(strides, sides, strict=True):
        y, x = np.indices((size[1] // stride, size[0] // stride)).reshape(2, -1) * stride
        cells = np.stack([x, y, np.full(len(x), stride)], 1)  # (cells, 3)
        box = np.repeat(boxes, len(cells), 0)
        levels.append(np.concatenate([np.tile(cells, (len(boxes), 1)), box], 1))
    places = np.concatenate(levels).astype(np.float32)
    places.flags.writeable = False
    return places


@lru_cache(maxsize=16)
def mirrored_order(size: tuple[int, int], strides: tuple[int, ...], anchors: int = 1) -> Ints:
    """(N,) number of each cell's mirror image; with anchors, of each anchor of each cell's."""
    levels, start = [], 0
    for stride in strides:
        shape = anchors * (size[1] // stride), size[0] // stride
        numbers = np.arange(start, start + shape[0] * shape[1]).reshape(shape)
        levels.append(numbers[:, ::-1].ravel())
        start += shape[0] * shape[1]
    return np.concatenate(levels)


def unflipped(
    outputs: Outputs, order: Ints, strides: Floats, skeleton: Skeleton
) -> dict[str, Array]:
    """Reverse the cells of each row, mirror x within its cell, exchange left and right joints.

    outputs: as of `proposals`, x in strides from a cell's first pixel.  order: `mirrored_order`.
    strides: (N, 1) px.  The mirror maps view pixel x to w - 1 - x, hence x strides from a cell's
    first pixel to (stride - 1) / stride - x from the mirrored cell's.
    """
    turned = {key: a[:, order] for key, a in outputs.items()}
    box, xp = turned["box"], namespace(turned["box"])
    stride = like(strides.copy(), box)
    first = (stride - 1) / stride
    points = turned["keypoints"].reshape(*box.shape[:2], len(skeleton), 2)
    points = points[:, :, skeleton.flip_index]
    points = xp.stack([first - points[..., 0], points[..., 1]], 3)
    return {
        **turned,
        "box": xp.concatenate([first - box[..., :1], box[..., 1:]], 2),
        "keypoints": points.reshape(turned["keypoints"].shape),
        "visibility": turned["visibility"][:, :, skeleton.flip_index],
    }
