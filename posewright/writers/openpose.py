"""OpenPose: one JSON file a frame, the layout that pose2sim and many others read."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from posewright.files.names import safe, stem
from posewright.files.values import dumps, plain
from posewright.results import Result
from posewright.schema.rows import sequence_of
from posewright.writers import WriterOptions
from posewright.writers.names import Names
from posewright.writers.orders import Order, face_and_hands, reorder
from posewright.writers.text import PagesWriter, starts_with

__all__ = ["OpenPosePage", "create"]

_OTHERS = (
    "face_keypoints_2d",
    "hand_left_keypoints_2d",
    "hand_right_keypoints_2d",
    "pose_keypoints_3d",
    "face_keypoints_3d",
    "hand_left_keypoints_3d",
    "hand_right_keypoints_3d",
)


def create(_: str, folder: Path, options: WriterOptions) -> PagesWriter:
    """Return the writer of the folder `openpose`."""
    page = OpenPosePage(options.openpose_order)
    ours = partial(starts_with, name="*_keypoints.json", start=b'{"version":1.3,"source":')
    return PagesWriter(folder / "openpose", page, options.overwrite, ours)


class OpenPosePage:
    """`NAME_000000000012_keypoints.json` of frame 12 of a video or of a folder of images.

    The number is the last one in the name: pose2sim takes that for the frame.  Beside OpenPose's
    fields a file names its `source` and `sequence` (the video or folder), by which it is read back.
    Each person has person_id [id] (-1 = none) and pose_keypoints_2d, a flat x, y, score of every
    joint in the skeleton's own order (pose2sim names its orders after the skeletons: COCO_17,
    HALPE_26, ...) or in OpenPose's `coco18` or `body25`.  With these two, hands and face stand in
    OpenPose's own lists, 21 joints for each hand and 70 for the face, where the skeleton has them.
    A frame without people has an empty list.
    `box` (x1, y1, x2, y2) and `box_score`, which OpenPose lacks, let `track` work as on
    poses.jsonl.
    """

    def __init__(self, order: Order = "own") -> None:
        self.notes: list[str] = []
        self._order = order
        self._names = Names()

    def page(self, result: Result) -> tuple[str, bytes] | None:
        """Return a frame's file; None for one that could not be read."""
        if result.status != "ok":
            return None
        name = self._names.of(result.source, safe(stem(result.source)))
        where = {"source": result.source, "sequence": sequence_of(result)}
        content = dumps({"version": 1.3, **where, "people": list(self._people(result))})
        return f"{name}_{result.frame:012d}_keypoints.json", content.encode()

    def _people(self, result: Result) -> Iterator[dict[str, Any]]:
        points = {"pose_keypoints_2d": reorder(result.people, result.skeleton, self._order)}
        if self._order != "own":
            points |= face_and_hands(result.people, result.skeleton)
        columns: dict[str, Any] = {"person_id": ([number] for number in result.ids.tolist())}
        columns |= {name: plain(p.reshape(len(p), p.shape[1] * 3)) for name, p in points.items()}
        columns |= {"box": plain(result.people.boxes), "box_score": plain(result.people.box_scores)}
        empty: dict[str, Any] = {key: [] for key in _OTHERS if key not in columns}
        for row in zip(*columns.values(), strict=True):
            yield dict(zip(columns, row, strict=True)) | empty
