"""Bounding boxes of people from a file, in place of a detector."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from threading import Lock
from typing import Any

import numpy as np

from posewright.errors import SourceError, counted
from posewright.files.names import integer_in, is_picture
from posewright.files.paths import PathIndex
from posewright.files.values import BROKEN, corners, finite, identity, image_id, load, number_id
from posewright.people import Floats, Frame, People
from posewright.readers.results import MOST_PEOPLE

__all__ = ["BoxFile", "read_boxes"]


def read_boxes(path: str | Path, category: int = 1) -> BoxFile:
    """Read boxes of people: COCO detection results or an AlphaPose detfile.

    A list of {image_id, bbox [x, y, w, h] px, score} with an optional category_id.  Entries of
    `category` are read, by default people; where none has it, as of a detector of one class, those
    of 1.  Others are skipped.  An idx is kept as the person's identity, unless it is negative or
    two boxes of one image have it.  Invalid entries are skipped and counted.  SourceError for a
    file that is broken, has entries but no usable box, or more than 1,000 of an image.
    """
    path = Path(path)
    data = load(path)
    if not isinstance(data, list):
        raise SourceError(
            f"{path} is not a list of boxes; give COCO detection results or an AlphaPose detfile"
        )
    boxes: dict[int | str, list[Floats]] = {}
    ids: dict[int | str, list[int]] = {}
    bad: list[str] = []
    wanted = category if any(_category(entry) == category for entry in data) else 1
    for number, entry in enumerate(data):
        try:
            if number_id(entry.get("category_id", 1)) == wanted:
                row = np.append(corners(entry["bbox"]), finite(entry["score"]).reshape(()))
                boxes.setdefault(image_id(entry["image_id"]), []).append(row)
                ids.setdefault(image_id(entry["image_id"]), []).append(_idx(entry))
        except BROKEN as error:
            bad.append(f"entry {number}: {error!r}")
    for image, rows in boxes.items():
        if len(rows) > MOST_PEOPLE:
            raise SourceError(
                f"{path}: image {image} has {len(rows)} boxes of people, more than {MOST_PEOPLE}; "
                "remove those with low scores"
            )
    if data and not boxes:
        raise SourceError(f"{path}: {_none_of(data, wanted, bad)}")
    kept = {image: np.stack(rows) for image, rows in boxes.items()}
    return BoxFile(path, kept, bad, {image: _apart(numbers) for image, numbers in ids.items()})


def _idx(entry: dict[str, Any]) -> int:
    """Return the identity that an entry states; -1 where that is none."""
    try:
        return identity(entry.get("idx", -1))
    except BROKEN:
        return -1


def _apart(numbers: list[int]) -> list[int]:
    """Return the identities of an image; -1 for those that several boxes have, as 0 for all."""
    counts = Counter(numbers)
    return [number if counts[number] == 1 else -1 for number in numbers]


def _none_of(data: list[Any], wanted: int, bad: list[str]) -> str:
    """Return why no entry is read."""
    if bad:
        return f"none of {len(data)} entries is a box of a person ({bad[0]})"
    found = list(dict.fromkeys(repr(entry.get("category_id")) for entry in data))
    listed = ", ".join(found[:10])[:200]
    return f"none of {len(data)} boxes is of category {wanted}; its categories are {listed}"


def _category(entry: Any) -> int | None:
    """Return the category of an entry; None where that is none."""
    try:
        return number_id(entry["category_id"])
    except BROKEN:
        return None


class BoxFile:
    """Boxes by image; a source of Boxes for the pipeline.

    boxes: image id or name -> (N, 5) x1, y1, x2, y2 px, score. bad: what was skipped, and why.
    ids: image id or name -> N identities, -1 = none.
    It records which of them were used, so that `report` can tell what did not match; several
    threads may use it.
    """

    def __init__(
        self,
        path: Path,
        boxes: dict[int | str, Floats],
        bad: list[str] | None = None,
        ids: Mapping[int | str, list[int]] | None = None,
    ) -> None:
        self.path, self.boxes, self.bad = path, boxes, bad or []
        self._ids = ids or {}
        self.asked = self.missing = self.unclear = 0
        names = [image for image in boxes if isinstance(image, str)]
        self._names = (PathIndex(names), PathIndex(names, suffix=False))
        # short form -> name, for the short forms that stand for one name only
        found: dict[Any, list[str]] = {}
        for name in names:
            found.setdefault(integer_in(name), []).append(name)
        self._frames = {
            key: many[0] for key, many in found.items() if key is not None and len(many) == 1
        }
        self._used: set[int | str] = set()
        self._lock = Lock()

    def people(self, frame: Frame) -> People:
        """Return the boxes of a frame.

        An image is found by its name, with or without folder and suffix, or by the last integer in
        it; a video's frame by its number.  Of equal names in several folders the one with the most
        folders in common counts.  No people where the file has no boxes of the frame or the match
        is ambiguous.
        """
        found = self._find(frame.name, frame.index)
        image = found[0] if len(found) == 1 else None
        with self._lock:
            self.asked += 1
            self.missing += not found
            self.unclear += len(found) > 1
            if image is not None:
                self._used.add(image)
        rows = np.zeros((0, 5), np.float32) if image is None else self.boxes[image]
        ids = None if image is None else self._ids.get(image)
        return People.of(rows[:, :4], rows[:, 4].clip(0, 1), ids=ids)

    def unused(self) -> int:
        """Return how many images of the file no frame has asked for yet."""
        return len(self.boxes) - len(self._used)

    def report(self) -> str:
        """Return one line on what did not match so far; "" where everything did."""
        parts = []
        if self.missing:
            parts.append(f"{self.missing} of {counted(self.asked, 'image')} without a box in it")
        if self.unclear:
            parts.append(
                f"{self.unclear} of {counted(self.asked, 'image')} matched by several image_ids"
            )
        if self.unused():
            parts.append(f"{self.unused()} of {counted(len(self.boxes), 'image_id')} in it unused")
        if self.bad:
            boxes = counted(len(self.bad), "invalid bounding box", "invalid bounding boxes")
            parts.append(f"{boxes} ({self.bad[0]})")
        return f"{self.path}: {'; '.join(parts)}" if parts else ""

    def _find(self, source: str, index: int) -> Sequence[int | str]:
        """Return the image that a frame is, several where that is not clear, or none."""
        if source in self.boxes:
            return [source]
        if not is_picture(source):
            return self._find_frame(source, index)
        for names in self._names:
            if found := names.find(source):
                return found
        number = integer_in(source)
        return [number] if number is not None and number in self.boxes else []

    def _find_frame(self, source: str, index: int) -> Sequence[int | str]:
        if index in self.boxes:
            return [index]
        video = source.removesuffix(PurePath(source).suffix)
        if found := self._names[0].find(f"{video}/{index}.jpg"):
            return found
        return [self._frames[index]] if index in self._frames else []
