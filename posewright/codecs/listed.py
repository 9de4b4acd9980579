"""Networks whose graphs list people, or their boxes, in view pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from posewright.codecs.anchors import picked
from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.errors import UsageError
from posewright.people import Floats, Ints, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["ListedPeople", "YoloBoxes", "YoloRows"]


@dataclass(frozen=True)
class ListedPeople:
    """People after box NMS inside of the graph, the layout that mmdeploy publishes for RTMO.

    outputs: dets (B, N, 5) x1, y1, x2, y2 in view px and score; keypoints (B, N, K, 3) x, y in view
    px and score.
    """

    kind: ClassVar[str] = "listed_people"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    coordinates: ClassVar[bool] = True
    input_size: tuple[int, int] = (640, 640)
    threshold: float = 0.3
    iou: float = 0.65
    max_people: int = 100
    fill: int = 114

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image."""
        return [Warp.letterbox(image_size, self.input_size, self.fill)]

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, after box NMS, best first."""
        dets, points = to_numpy(outputs["dets"]), to_numpy(outputs["keypoints"])
        view, row = np.nonzero(dets[..., 4] > self.threshold)  # NaN is never above
        box, joint = dets[view, row], points[view, row]
        found = box[:, :4], np.minimum(box[:, 4], 1), joint[..., :2], joint[..., 2].clip(0, 1)
        return picked(view, found, len(dets), self.input_size, self.iou, self.max_people)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror boxes and keypoints about the view's middle, exchange left and right joints."""
        dets, right = outputs["dets"], self.input_size[0] - 1
        points = outputs["keypoints"][:, :, skeleton.flip_index]
        xp = namespace(dets)
        columns = [right - dets[..., 2], dets[..., 1], right - dets[..., 0], dets[..., 3]]
        return {
            "dets": xp.stack([*columns, dets[..., 4]], 2),
            "keypoints": xp.stack([right - points[..., 0], points[..., 1], points[..., 2]], 3),
        }


@dataclass(frozen=True)
class _Yolo:
    """What the codecs of YOLO networks from version 8 on share; they answer in one array of rows.

    form "anchors": (B, 4 + C ..., A), for each cell of the grid centre x, y, width and height of a
    box in view px and scores of C classes; box NMS is ours.  form "people": (B, N, 6 ...), x1, y1,
    x2, y2, score and class number after NMS.  Class 0 is the person.  The view is the image in the
    middle of a grey square.  Coordinates count from the view's outer edge, half a pixel before the
    centre of its first pixel.
    """

    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    coordinates: ClassVar[bool] = True
    input_size: tuple[int, int] = (640, 640)
    form: Literal["anchors", "people"] = "anchors"
    threshold: float = 0.25
    iou: float = 0.7
    max_people: int = 300
    fill: int = 114

    def __post_init__(self) -> None:
        if self.form not in ("anchors", "people"):
            raise UsageError(f"form={self.form!r}; known: anchors, people")

    def warps(self, image_size: tuple[int, int], people: People | None) -> list[Warp]:
        """Return the letterbox view of the whole image, in the middle."""
        return [Warp.letterbox(image_size, self.input_size, self.fill, centred=True)]

    def above(self, rows: Array) -> tuple[Ints, Floats, Floats]:
        """Return view (M,), box (M, 4) x1, y1, x2, y2 and row (M, ...) of people that count."""
        rows = to_numpy(rows)
        if self.form == "anchors":
            rows = rows.swapaxes(1, 2)
        person = rows[..., 4] > self.threshold  # NaN is never above
        if self.form == "people":
            person &= rows[..., 5] == 0
        view, row = np.nonzero(person)
        chosen = rows[view, row]
        box = _corners(chosen[:, :4]) if self.form == "anchors" else chosen[:, :4]
        return view, box - np.float32(0.5), chosen

    def picked(self, view: Ints, found: tuple[Floats, ...], views: int) -> list[People]:
        """Return the people of each view that are left after NMS, as `anchors.picked` does."""
        box, score, points, seen = found
        numbers = box, np.minimum(score, 1), points - np.float32(0.5), seen.clip(0, 1)
        iou = self.iou if self.form == "anchors" else 1.0
        return picked(view, numbers, views, self.input_size, iou, self.max_people)

    def mirrored(self, rows: Array) -> Array:
        """Return rows, one for each box, whose boxes are mirrored about the view's middle."""
        rows = np.array(rows)
        if self.form == "anchors":
            rows = rows.swapaxes(1, 2)
            rows[..., 0] = self.input_size[0] - rows[..., 0]
        else:
            rows[..., [0, 2]] = self.input_size[0] - rows[..., [2, 0]]
        return rows


@dataclass(frozen=True)
class YoloRows(_Yolo):
    """People of YOLO pose networks: each row ends with x, y in view px and score of K joints.

    outputs: rows (B, 4 + C + 3K, A) or (B, N, 6 + 3K).
    """

    kind: ClassVar[str] = "yolo_rows"
    task: ClassVar[Task] = "people"
    joints: int = 17

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, best first."""
        view, box, rows = self.above(outputs["rows"])
        joints = rows[:, rows.shape[1] - 3 * self.joints :].reshape(-1, self.joints, 3)
        found = box, rows[:, 4], joints[..., :2], joints[..., 2]
        return self.picked(view, found, len(outputs["rows"]))

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror boxes and keypoints about the view's middle, exchange left and right joints."""
        rows = self.mirrored(outputs["rows"])
        first = rows.shape[2] - 3 * self.joints
        joints = rows[..., first:].reshape(*rows.shape[:2], self.joints, 3)[
            :, :, skeleton.flip_index
        ]
        joints[..., 0] = self.input_size[0] - joints[..., 0]
        rows[..., first:] = joints.reshape(*rows.shape[:2], -1)
        return {"rows": rows.swapaxes(1, 2) if self.form == "anchors" else rows}


@dataclass(frozen=True)
class YoloBoxes(_Yolo):
    """Boxes of YOLO detectors.

    outputs: rows (B, 4 + C, A) or (B, N, 6).  A box scores what class 0 scores.
    """

    kind: ClassVar[str] = "yolo_boxes"
    task: ClassVar[Task] = "boxes"

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, best first."""
        view, box, rows = self.above(outputs["rows"])
        none = np.zeros((len(rows), 0, 2), np.float32)
        return self.picked(view, (box, rows[:, 4], none, none[..., 0]), len(outputs["rows"]))

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror the boxes about the view's middle."""
        rows = self.mirrored(outputs["rows"])
        return {"rows": rows.swapaxes(1, 2) if self.form == "anchors" else rows}


def _corners(boxes: Floats) -> Floats:
    """(M, 4) centre x, y, width, height -> (M, 4) x1, y1, x2, y2."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    with np.errstate(invalid="ignore", over="ignore"):  # infinities, which `picked` leaves out
        return np.concatenate([middle - half, middle + half], axis=1)
