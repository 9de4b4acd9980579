"""Pose-guided proposals: training boxes as inexact as a detector's (RMPE, arXiv:1612.00137).

Two distributions of how a detector's box lies beside the true one: the fixed one of AlphaPose's
training code, and one that `posewright fit boxes` learned for each kind of pose.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np

from posewright.augment.drawing import Draws
from posewright.augment.offsets import BoxOffsets
from posewright.errors import SourceError
from posewright.people import Doubles, Floats, People
from posewright.skeletons import Skeleton

__all__ = ["alphapose_boxes", "proposals"]

_PATCH_FROM = 0.85  # a patch is drawn with the remaining probability, and this is its least share
_MEAN = np.array([-0.0142, 0.0043, 0.0154, -0.0013])  # of left, top, right, bottom, in sides
_DEVIATION = np.array([0.1158, 0.068, 0.1337, 0.0711])
_LEAST = 2  # px, side of a box


def proposals(
    kind: str, people: People, size: tuple[int, int], skeleton: Skeleton, draws: Draws
) -> Floats:
    """(N, 4) px boxes as a detector might find them in an image of `size`.

    kind: "alphapose", or the path of a fitted file.  SourceError: the file cannot be read.
    """
    if kind == "alphapose":
        return alphapose_boxes(people.boxes, size, draws)
    try:
        changed = Path(kind).stat().st_mtime_ns
    except OSError as error:
        raise SourceError(
            f"pgpg={kind!r}: {error.strerror}; give alphapose or a file of posewright fit boxes"
        ) from error
    boxes = _read(kind, changed).sample(people, skeleton, draws)
    return _inside(boxes, size, 0)


@lru_cache(maxsize=4)
def _read(path: str, changed: int) -> BoxOffsets:
    """Read a fit once; `changed` makes a file that was written again another one."""
    return BoxOffsets.read(path)


def alphapose_boxes(boxes: Floats, size: tuple[int, int], draws: Draws) -> Floats:
    """(N, 4) px -> (N, 4) px drawn from AlphaPose's fixed distribution.

    With probability 0.15 a patch of the box with the same aspect, 0.85 to 1 of its sides long;
    otherwise the edges move by normal offsets, and the box is cut to the image.
    """
    true = boxes.astype(np.float64)
    sides = true[:, 2:] - true[:, :2]
    share = draws.choice[:, None]
    low = true[:, :2] + draws.place * (1 - share) * sides
    patch = np.concatenate([low, low + share * sides + 1], 1)
    moved = true + (_MEAN + _DEVIATION * draws.box) * np.tile(sides, 2)
    return np.where(share > _PATCH_FROM, patch, _inside(moved, size, 1)).astype(np.float32)


def _inside(boxes: Floats | Doubles, size: tuple[int, int], edge: int) -> Floats:
    """Cut boxes to an image but for `edge` pixels; a side stays at least 2 px long."""
    last = np.maximum(np.array(size) - 1 - 2 * edge, edge)
    low = np.clip(boxes[:, :2], edge, last)
    high = np.maximum(np.minimum(boxes[:, 2:], last), low + _LEAST)
    return np.concatenate([low, high], 1).astype(np.float32)
