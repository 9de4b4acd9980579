"""Networks whose graphs list people with boxes and keypoints in view pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from posewright.codecs.anchors import picked
from posewright.codecs.base import Array, Outputs, Task, namespace, to_numpy
from posewright.errors import UsageError
from posewright.people import Floats, People
from posewright.skeletons import Skeleton
from posewright.warp import Warp

__all__ = ["ListedPeople", "YoloRows"]


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
class YoloRows:
    """Rows of numbers as YOLO pose networks from version 8 on export them.

    outputs: rows.  form "anchors": (B, 4 + C + 3K, A), for each cell of the grid centre x, y, width
    and height of a box in view px, scores of C classes, and x, y in view px and score of `joints` K
    joints; box NMS is ours.  form "people": (B, N, 6 + 3K), x1, y1, x2, y2, score, class number and
    joints of N people after NMS.  Class 0 is the person.  The view is the image in the middle of a
    grey square.  Coordinates count from the view's outer edge, half a pixel before the centre of
    its first pixel.
    """

    kind: ClassVar[str] = "yolo_rows"
    task: ClassVar[Task] = "people"
    top_down: ClassVar[bool] = False
    mirrors: ClassVar[bool] = False
    coordinates: ClassVar[bool] = True
    input_size: tuple[int, int] = (640, 640)
    form: Literal["anchors", "people"] = "anchors"
    joints: int = 17
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

    def decode(self, outputs: Outputs) -> list[People]:
        """Return the people of each view above the threshold, best first."""
        rows = to_numpy(outputs["rows"])
        if self.form == "anchors":
            rows = rows.swapaxes(1, 2)
        person = rows[..., 4] > self.threshold  # NaN is never above
        if self.form == "people":
            person &= rows[..., 5] == 0
        view, row = np.nonzero(person)
        chosen = rows[view, row]
        box = chosen[:, :4]
        if self.form == "anchors":
            box = _corners(box)
        joints = chosen[:, chosen.shape[1] - 3 * self.joints :].reshape(-1, self.joints, 3)
        scores = np.minimum(chosen[:, 4], 1), joints[..., 2].clip(0, 1)
        found = box - np.float32(0.5), scores[0], joints[..., :2] - np.float32(0.5), scores[1]
        iou = self.iou if self.form == "anchors" else 1.0
        return picked(view, found, len(rows), self.input_size, iou, self.max_people)

    def unflip(self, outputs: Outputs, skeleton: Skeleton) -> dict[str, Array]:
        """Mirror boxes and keypoints about the view's middle, exchange left and right joints."""
        rows = np.array(outputs["rows"])
        if self.form == "anchors":
            rows = rows.swapaxes(1, 2)
            rows[..., 0] = self.input_size[0] - rows[..., 0]
        else:
            rows[..., [0, 2]] = self.input_size[0] - rows[..., [2, 0]]
        first = rows.shape[2] - 3 * self.joints
        joints = rows[..., first:].reshape(*rows.shape[:2], self.joints, 3)[
            :, :, skeleton.flip_index
        ]
        joints[..., 0] = self.input_size[0] - joints[..., 0]
        rows[..., first:] = joints.reshape(*rows.shape[:2], -1)
        return {"rows": rows.swapaxes(1, 2) if self.form == "anchors" else rows}


def _corners(boxes: Floats) -> Floats:
    """(M, 4) centre x, y, width, height -> (M, 4) x1, y1, x2, y2."""
    middle, half = boxes[:, :2], boxes[:, 2:] / 2
    with np.errstate(invalid="ignore", over="ignore"):  # infinities, which `picked` leaves out
        return np.concatenate([middle - half, middle + half], axis=1)
