"""The data that all parts exchange: a Frame, and the People in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from posewright.skeletons import Skeleton

__all__ = [
    "OPTIONAL",
    "Doubles",
    "Floats",
    "Frame",
    "Ints",
    "Mask",
    "People",
    "Pixels",
    "Status",
    "extent",
    "proposal_score",
    "triples",
    "xywh",
]

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Ints = NDArray[np.int64]
Mask = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
OPTIONAL = ("visibility", "expected_error")  # arrays of People that few networks give
Status = Literal["ok", "decode_error", "gap", "truncated", "model_error"]


@dataclass(frozen=True, slots=True, eq=False)
class Frame:
    """One image of a source.

    image: (H, W, 3) uint8 RGB.  index: number of the frame in its source, from 0.
    time: seconds from the start of the source (0 for images without a rate).  name: where it
    came from.  status, message: anything but "ok" means that `image` must not be used, and why; a
    source yields such a frame instead of stopping a batch.  sequence: the video, stream or folder
    whose frames are consecutive and numbered together; "" where it is unknown.  pixel_aspect:
    width of a pixel over its height where it is shown; x and y are pixels of `image` whatever their
    shape.  note: what the file holds besides this image, "" for nothing.
    """

    image: Pixels
    index: int = 0
    time: float = 0.0
    name: str = ""
    status: Status = "ok"
    message: str = ""
    sequence: str = ""
    pixel_aspect: float = 1.0
    note: str = ""

    def __post_init__(self) -> None:
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise ValueError(
                f"a frame's image must be (H, W, 3) uint8 RGB, not {self.image.shape} "
                f"{self.image.dtype}; convert it first"
            )

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) in pixels."""
        return self.image.shape[1], self.image.shape[0]

    @classmethod
    def failed(
        cls,
        name: str,
        message: str,
        status: Status = "decode_error",
        index: int = 0,
        time: float = 0.0,
        sequence: str = "",
    ) -> Frame:
        """Return a frame without pixels in place of one that could not be read."""
        return cls(np.zeros((0, 0, 3), np.uint8), index, time, name, status, message, sequence)


@dataclass(frozen=True, slots=True, eq=False)
class People:
    """N people of one frame, ground truth or prediction; arrays are never changed in place.

    boxes: (N, 4) x1, y1, x2, y2 px.  box_scores: (N,) in [0, 1].  keypoints: (N, K, 2) x, y px.
    scores: (N, K) in [0, 1].  ids: (N,) int, -1 = none.  All numbers are finite: a ValueError says
    which array is not, or has the wrong shape.

    Where a network states more, else None: visibility: (N, K) probability that a joint can be seen.
    expected_error: (N, K) px, scale of its error.  NaN in them is unknown.  extra: (N,) dicts,
    fields of a result file that this version does not know, kept for whoever reads on.
    """

    boxes: Floats
    box_scores: Floats
    keypoints: Floats
    scores: Floats
    ids: Ints
    visibility: Floats | None = None
    expected_error: Floats | None = None
    extra: NDArray[np.object_] | None = None

    def __post_init__(self) -> None:
        n, k = self.keypoints.shape[:2]
        shapes = {"boxes": (n, 4), "box_scores": (n,), "keypoints": (n, k, 2), "scores": (n, k)}
        for name, shape in shapes.items():
            # the order in memory decides how sums are rounded: it is the same for everybody
            array = np.ascontiguousarray(getattr(self, name))
            object.__setattr__(self, name, array)
            if array.shape != shape:
                raise ValueError(f"People.{name} must have shape {shape}, not {array.shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"People.{name} holds NaN or infinity")
        optional = {name: (n, k) for name in OPTIONAL} | {"ids": (n,), "extra": (n,)}
        for name, shape in optional.items():
            array = getattr(self, name)
            if array is not None and array.shape != shape:
                raise ValueError(f"People.{name} must have shape {shape}, not {array.shape}")

    @classmethod
    def of(
        cls,
        boxes: ArrayLike | None = None,
        box_scores: ArrayLike | None = None,
        keypoints: ArrayLike | None = None,
        scores: ArrayLike | None = None,
        ids: ArrayLike | None = None,
    ) -> People:
        """Build from boxes, keypoints or both: boxes alone have K = 0, keypoints their extent."""
        if keypoints is None:
            n = len(np.asarray(boxes, np.float32).reshape(-1, 4)) if boxes is not None else 0
            points = np.zeros((n, 0, 2), np.float32)
        else:
            points = np.asarray(keypoints, np.float32)
            points = points.reshape(*points.shape[:2], 2)
        n, k = points.shape[:2]
        return cls(
            extent(points) if boxes is None else np.asarray(boxes, np.float32).reshape(n, 4),
            np.ones(n, np.float32) if box_scores is None else np.asarray(box_scores, np.float32),
            points,
            np.ones((n, k), np.float32) if scores is None else np.asarray(scores, np.float32),
            np.full(n, -1, np.int64) if ids is None else np.asarray(ids, np.int64),
        )

    @classmethod
    def empty(cls, joints: Skeleton | int = 0) -> People:
        """Return no people, with the array shapes of a skeleton of that many joints."""
        count = joints if isinstance(joints, int) else len(joints)
        return cls.of(keypoints=np.zeros((0, count, 2)))

    @classmethod
    def concat(cls, parts: Sequence[People]) -> People:
        """Return all people of `parts` (at least one) in order."""
        names = ("boxes", "box_scores", "keypoints", "scores", "ids")
        found = [np.concatenate([getattr(p, name) for p in parts]) for name in names]
        return cls(*found, *(_joined(parts, name) for name in (*OPTIONAL, "extra")))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: Any) -> People:
        """Return the people at `index`: an int, a slice, a mask or an array of ints."""
        at = [index] if isinstance(index, (int, np.integer)) else index
        if isinstance(at, (list, tuple)):  # numpy takes a tuple for one number per axis
            at = np.array(at, None if len(at) else np.int64)
        arrays = [(name, getattr(self, name)) for name in self.__slots__]
        taken: dict[str, Any] = {name: None if a is None else a[at] for name, a in arrays}
        return replace(self, **taken)

    def __iter__(self) -> Iterator[People]:
        return (self[i] for i in range(len(self)))

    def replace(self, **changes: Any) -> People:
        """Return a copy with some arrays exchanged; other joints have no optional arrays yet."""
        points = changes.get("keypoints", self.keypoints)
        if points.shape[1] != self.keypoints.shape[1]:
            changes = {**dict.fromkeys(OPTIONAL), **changes}
        return replace(self, **changes)

    @property
    def sides(self) -> Floats:
        """(N, 2) width, height px of the boxes."""
        return self.boxes[:, 2:] - self.boxes[:, :2]

    @property
    def pose_scores(self) -> Floats:
        """(N,) mean of a person's joint scores; 0 where there are no joints."""
        if self.scores.shape[1] == 0:
            return np.zeros(len(self), np.float32)
        return np.asarray(self.scores.mean(1), np.float32)


def _joined(parts: Sequence[People], name: str) -> NDArray[Any] | None:
    """Return an array that some of the parts may lack; unknown for those, None where all do."""
    if all(getattr(part, name) is None for part in parts):
        return None
    blank: list[NDArray[Any]] = [np.full(p.scores.shape, np.nan, np.float32) for p in parts]
    if name == "extra":
        blank = [np.full(len(p), None, object) for p in parts]
    arrays = [getattr(part, name) for part in parts]
    return np.concatenate([b if a is None else a for a, b in zip(arrays, blank, strict=True)])


def extent(keypoints: Floats) -> Floats:
    """(N, K, 2) px -> (N, 4) px: the smallest box round each person's keypoints."""
    if keypoints.shape[1] == 0:
        return np.zeros((len(keypoints), 4), np.float32)
    return np.concatenate([keypoints.min(1), keypoints.max(1)], 1)


def triples(people: People) -> Floats:
    """(N, K, 3) x, y px, score."""
    return np.concatenate([people.keypoints, people.scores[..., None]], 2)


def proposal_score(people: People) -> Floats:
    """(N,) mean joint score + box score + 1.25 best joint score, AlphaPose's score; up to 3.25."""
    if people.scores.shape[1] == 0:
        return people.box_scores
    return np.asarray(people.pose_scores + people.box_scores + 1.25 * people.scores.max(1))


def xywh(people: People) -> Floats:
    """(N, 4) left, top, width, height px of the boxes."""
    return np.concatenate([people.boxes[:, :2], np.maximum(people.sides, 0)], 1)
