"""What a set holds twice: people within an image, and images under several ids."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Callable, Hashable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from posewright.datasets.base import MAX_PIXELS, Sample
from posewright.files.embedded import open_image
from posewright.nms import box_iou

__all__ = ["labelled_twice", "same_picture"]

_NEAR = 0.03  # of the longer side: the mean distance of the joints of a person labelled twice
_FEW = 3  # joints from which on they tell a person without their box
_BOX, _ALONE = 0.8, 0.95  # least IoU of the boxes, beside a few joints and without any
_HEAD, _CHUNK = 4096, 1 << 20  # bytes that are compared before whole files, and read at once


def labelled_twice(sample: Sample) -> list[int]:
    """Return the numbers of the people who repeat an earlier one of the image.

    Their joints lie within 3 % of their size of one another; where one of them has none, their
    boxes are the same (IoU of at least 0.95).  Crowd regions are no people.
    """
    rows = np.flatnonzero(~sample.crowd)
    boxes = sample.people.boxes
    overlap = box_iou(boxes[rows], boxes[rows]) if len(rows) > 1 else np.zeros((len(rows),) * 2)
    return [
        int(row)
        for j, row in enumerate(rows)
        if any(_same(sample, int(rows[i]), int(row), float(overlap[i, j])) for i in range(j))
    ]


def _same(sample: Sample, one: int, other: int, overlap: float) -> bool:
    """Tell whether two people of an image are one; overlap: the IoU of their boxes."""
    seen = sample.visibility[[one, other]] > 0
    if not seen.any(1).all():
        return overlap >= _ALONE
    both = seen.all(0)
    if both.sum() * 2 < seen.sum(1).max() or (both.sum() < _FEW and overlap < _BOX):
        return False
    points = sample.people.keypoints
    apart = np.linalg.norm(points[one, both] - points[other, both], axis=1).mean()
    boxes = sample.people.boxes[[one, other]]
    return bool(apart <= _NEAR * max((boxes[:, 2:] - boxes[:, :2]).max(), 1))


def same_picture(samples: Sequence[Sample]) -> NDArray[np.int64]:
    """Return (P,) for each sample the number of the first that shows the same image.

    The same file, by whatever path, or another one of the same bytes.  Images of a single colour
    tell nothing and count as different.
    """
    paths = [_real(sample.image) for sample in samples]
    first = {path: row for row, path in reversed(list(enumerate(paths)))}
    same = {path: path for path in first}
    # the groups of files with the same bytes, each in the order of `paths`
    groups = [list(dict.fromkeys(paths))]
    for look in (_size, _head, _digest):
        groups = [part for group in groups for part in _parted(group, look)]
    for equal in [group for group in groups if not _blank(group[0])]:
        same |= dict.fromkeys(equal, equal[0])
    return np.array([first[same[path]] for path in paths], np.int64)


def _real(path: Path) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):  # a name that no file can have
        return str(path)


def _parted(paths: list[str], look: Callable[[str], Hashable]) -> list[list[str]]:
    """Return groups of at least two files that look the same; those that cannot be read are out."""
    groups: dict[Hashable, list[str]] = defaultdict(list)
    for path in paths:
        try:
            groups[look(path)].append(path)
        except (OSError, ValueError):
            continue
    return [group for group in groups.values() if len(group) > 1]


def _size(path: str) -> int:
    """Return the bytes of a file; an OSError for a device or a pipe, which never end."""
    with open_image(path) as file:
        return file.seek(0, os.SEEK_END)


def _head(path: str) -> bytes:
    with open_image(path) as file:
        return file.read(_HEAD)


def _digest(path: str) -> bytes:
    digest = hashlib.sha256()
    with open_image(path) as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.digest()


def _blank(path: str) -> bool:
    """Tell an image of one colour, and what is no image."""
    from posewright.sources.images import file_frame

    frame = file_frame(Path(path), MAX_PIXELS)
    return frame.status != "ok" or bool((frame.image == frame.image[:1, :1]).all())
