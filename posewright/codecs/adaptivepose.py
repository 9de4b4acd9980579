"""AdaptivePose's codec: people are peaks of a centre map, joints are offsets (arXiv:2112.13635)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import Array, Outputs, Task, logit, to_numpy
from posewright.codecs.dekr import (
    centres,
    check_sides,
    joints_inside,
    mirrored,
    mirrored_pairs,
    whole_image,
)
from posewright.errors import UsageError
from posewright.nms import box_iou
from posewright.people import Floats, Ints, Mask, People, extent
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["AdaptivePose", "parts_of"]

# joints by adaptive point, in the order of the published networks
_LIMBS = (
    ("left_shoulder", "right_shoulder"),
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    ("left_hip", "right_hip"),
    ("left_knee", "left_ankle"),
    ("right_knee", "right_ankle"),
)
_PARTS: Mapping[str, Sequence[Sequence[str]]] = {
    "coco17": (("nose", "left_eye", "right_eye", "left_ear", "right_ear"), *_LIMBS),
    "crowdpose14": (*_LIMBS, ("top_head", "neck")),
}
_SOFT = 0.5  # sigma of soft-NMS
_FILLED = 0.53  # of a box by its person, as CrowdPose's evaluator estimates areas


def parts_of(skeleton: Skeleton) -> list[list[int]]:
    """Return the joints of each adaptive point; UsageError: the skeleton has none."""
    if skeleton.name not in _PARTS:
        raise UsageError(
            f"AdaptivePose has no adaptive points for {skeleton.name!r}; known: {', '.join(_PARTS)}"
        )
    return [[skeleton[joint] for joint in part] for part in _PARTS[skeleton.name]]


@dataclass(frozen=True)
class AdaptivePose:
    """All people in one view of the whole image, `stride` view pixels to a cell.

    outputs: centre (B, 1, h, w) logits; offset (B, 2 K, h, w) x, y in cells from centre to joint;
    points (B, 2 P, h, w) likewise of the adaptive points, which are not decoded.
    input_size: its shorter side is what an image's shorter side is scaled to; the other follows, in
    multiples of 32, unless `square`.  slots: maximum number of people in the targets.
    """

    kind: ClassVar[str] = "adaptivepose"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = True
    input_size: tuple[int, int] = (512, 512)
    stride: int = 4
    square: bool = False
    threshold: float = 0.01
    max_people: int = 20
    slots: int = 32

    def __post_init__(self) -> None:
        check_sides(self.input_size)

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the one view of the whole image."""
        return [whole_image(image_size, self.input_size, 32, square=self.square)]

    def encode(self, people: People) -> dict[str, NDArray[np.generic]]:
        """Return centre (1, 1, h, w) in [0, 1] and the joints of at most `slots` people.

        cell (1, S) int64 number of the centre's cell; joints (1, S, K, 2) x, y in cells from there;
        weight (1, S, K); area (1, S) in cells, 1 in empty slots.  People without two joints inside
        of the view, of which neither lies above nor beside the other, are dropped, and the smallest
        ones if there are more than slots.
        """
        w, h = (side // self.stride for side in self.input_size)
        at = people.keypoints / np.float32(self.stride)  # (N, K, 2) cells
        seen = joints_inside(people, at, (w, h))
        middle, span = _extents(at, seen)
        order = np.argsort(-span.prod(1), kind="stable")[: self.slots]
        order = order[(span[order] > 0).all(1)]
        cells = np.floor(middle[order])  # (M, 2)
        boxes = people.boxes[order] / self.stride
        area = _FILLED * (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        joints = (at[order] - cells[:, None]) * seen[order][..., None]
        return {
            "centre": _bells(cells, np.ceil(span[order]), (w, h))[None, None],
            "cell": self._filled((cells[:, 1] * w + cells[:, 0]).astype(np.int64)),
            "joints": self._filled(joints.astype(np.float32)),
            "weight": self._filled(seen[order].astype(np.float32)),
            "area": self._filled(np.maximum(area, 1).astype(np.float32), 1),
        }

    def _filled(self, values: NDArray[np.generic], fill: int = 0) -> NDArray[np.generic]:
        """(M, ...) -> (1, S, ...)."""
        whole = np.full((1, self.slots, *values.shape[1:]), fill, values.dtype)
        whole[0, : len(values)] = values
        return whole

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view, best first; a joint's score is that of its person."""
        logits, offsets = to_numpy(outputs["centre"]), to_numpy(outputs["offset"])
        return [self._decode_view(c[0], o) for c, o in zip(logits, offsets, strict=True)]

    def _decode_view(self, logits: Floats, offsets: Floats) -> People:
        h, w = logits.shape
        limit = logit(self.threshold)
        y, x, peak = centres(logits, 5, self.max_people, limit)
        moved = offsets.reshape(-1, 2, h, w)[:, :, y, x].transpose(2, 0, 1)  # (M, K, 2)
        at = (np.stack([x, y], 1)[:, None] + moved) * self.stride
        good = np.isfinite(at).all((1, 2))
        score = 1 / (1 + np.exp(-peak[good]))
        scores = np.repeat(score[:, None], at.shape[1], 1)
        return People.of(None, score, at[good].astype(np.float32), scores)

    def merged(self, people: People) -> People:
        """Return the people of all scales, best first, with the scores of soft-NMS.

        As the published code: for each person, best first, the scores of those still to come fall
        by exp(-IoU² / 0.5) of the extents of their joints (arXiv:1704.04503).
        """
        shares = _soft_shares(extent(people.keypoints), people.box_scores)
        scores = people.scores * shares[:, None]
        softer = people.replace(box_scores=people.box_scores * shares, scores=scores)
        return softer[np.argsort(-softer.box_scores, kind="stable")]

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the maps, exchange left and right joints and points, mirror the offsets.

        As in `Heatmap`, the mirror image of column j is column w - j, and column 0 stays.
        """
        shift = -1 / self.stride
        found = {
            "centre": mirrored(outputs["centre"]),
            "offset": mirrored_pairs(outputs["offset"], skeleton.flip_index, shift),
        }
        if "points" in outputs:
            found["points"] = mirrored_pairs(outputs["points"], _partners(skeleton), shift)
        return {**outputs, **found}


def _soft_shares(boxes: Floats, scores: Floats) -> Floats:
    """(N, 4), (N,) -> (N,) what soft-NMS leaves of each score."""
    shares, left = np.ones(len(boxes), np.float32), np.ones(len(boxes), np.bool_)
    falls = np.exp(-np.square(box_iou(boxes, boxes)) / _SOFT)  # (N, N)
    for _ in range(len(boxes)):
        best = int(np.argmax(np.where(left, scores * shares, -np.inf)))
        left[best] = False
        shares[left] *= falls[best, left]
    return shares


def _partners(skeleton: Skeleton) -> Ints:
    """(P,) the adaptive point of the mirror images of each point's joints."""
    parts = [set(part) for part in parts_of(skeleton)]
    images = [set(skeleton.flip_index[list(part)].tolist()) for part in parts]
    return np.array([parts.index(image) for image in images], np.int64)


def _extents(at: Floats, seen: Mask) -> tuple[Floats, Floats]:
    """(N, K, 2), (N, K) -> mean and size (N, 2) of the joints that are seen."""
    middle = (at * seen[..., None]).sum(1) / np.maximum(seen.sum(1), 1)[:, None]
    inner = np.where(seen[..., None], at, middle[:, None])
    span = inner.max(1, initial=0) - inner.min(1, initial=1e9)
    return middle.astype(np.float32), np.maximum(span, 0).astype(np.float32)


def _bells(cells: Floats, span: Floats, size: tuple[int, int]) -> Floats:
    """(M, 2) centres and sizes -> (h, w) the highest of their Gaussians, cut at their radii."""
    w, h = size
    radius = np.floor(np.maximum(_radius(span), 0))[:, None]
    sigma = (2 * radius + 1) / 6
    axes = []
    for side, middle in ((h, cells[:, 1:]), (w, cells[:, :1])):
        distance = np.arange(side) - middle  # (M, side)
        axes.append(np.exp(-np.square(distance / sigma) / 2) * (np.abs(distance) <= radius))
    rows, columns = axes
    bells = rows[:, :, None] * columns[:, None]  # (M, h, w)
    return np.asarray(bells.max(0, initial=0), np.float32)


def _radius(span: Floats, overlap: float = 0.7) -> Floats:
    """(M, 2) box sizes -> (M,) how far a corner may go until boxes overlap by less (CornerNet).

    Roots as in CenterNet's code, of which two are larger than those of the equations.
    """
    total, area = span.sum(1), span.prod(1)
    one = total + np.sqrt(total**2 - 4 * area * (1 - overlap) / (1 + overlap))
    two = 2 * total + np.sqrt(4 * total**2 - 16 * area * (1 - overlap))
    three = -2 * overlap * total + np.sqrt(
        4 * overlap**2 * total**2 + 16 * overlap * (1 - overlap) * area
    )
    return np.asarray(np.minimum(np.minimum(one, two), three) / 2)
