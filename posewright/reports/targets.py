"""A sheet of training views: the network's inputs and its training targets."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from posewright.codecs.base import Codec, to_numpy
from posewright.people import Floats, People, Pixels
from posewright.skeletons import Skeleton

__all__ = ["draw_targets"]


_MOST = 16  # views of a sheet
_SIDE = 320  # px that a view's longer side has at most on the sheet
_GAP = 4  # px
_COLUMNS = 4


def draw_targets(
    views: NDArray[np.uint8],
    people: Sequence[People],
    targets: Mapping[str, Any],
    codec: Codec,
    skeleton: Skeleton,
) -> Pixels:
    """(B, h, w, 3) RGB training views -> one RGB image of the first 16 with their joints.

    people: of each view, in view px.  targets: as of the codec, arrays or tensors; where they are
    maps ("heatmap" (B, C, h, w), otherwise "centre"), each view stands a second time beside itself
    with its maps over it.  No views give an image of no size.
    """
    count = min(len(views), _MOST)
    maps = _maps(targets, count, skeleton)
    tiles = []
    for i in range(count):
        tile = [_joints(views[i], people[i], skeleton)]
        if maps is not None:
            tile.append(_overlaid(views[i], maps[i], codec))
        tiles.append(np.concatenate([_sized(t) for t in tile], 1))
    return _grid(tiles)


def _maps(targets: Mapping[str, Any], count: int, skeleton: Skeleton) -> Floats | None:
    """(B, C, h, w) the maps to show, one a joint; None where the targets are no maps."""
    for name in ("heatmap", "centre"):
        value = targets.get(name)
        if value is None or value.ndim != 4 or len(value) < count:
            continue
        maps = to_numpy(value[:count])
        # UDP's combined targets hold, for each joint, a disc and its two offsets
        return maps[:, ::3] if maps.shape[1] == 3 * len(skeleton) else maps
    return None


def _joints(view: Pixels, people: People, skeleton: Skeleton) -> Pixels:
    """Draw everybody; a joint outside of the view is not drawn, as it is not a target either."""
    from posewright.draw import draw

    size = np.array(view.shape[1::-1], np.float32)
    inside = ((people.keypoints > -0.5) & (people.keypoints < size - 0.5)).all(2)
    return draw(view, people.replace(scores=people.scores * inside), skeleton)


def _overlaid(view: Pixels, maps: Floats, codec: Codec) -> Pixels:
    """Lay maps over a view so that a cell's centre lies where the codec says that it is."""
    from posewright.draw import heatmap_overlay
    from posewright.warp import Warp

    size = (view.shape[1], view.shape[0])
    pitch = np.array(size) / maps.shape[:0:-1]  # px of a cell where the edges coincide
    cell = np.array(getattr(codec, "cell", pitch))
    # The overlay takes cell c to pitch c + (pitch - 1) / 2; codecs have c at cell c.
    matrix = np.hstack([np.diag(pitch / cell), (pitch[:, None] - 1) / 2])
    return heatmap_overlay(view, np.abs(maps), Warp(matrix, size))


def _sized(picture: Pixels) -> Pixels:
    """Return the image at most _SIDE px long."""
    import cv2

    height, width = picture.shape[:2]
    scale = _SIDE / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), np.uint8)


def _grid(tiles: Sequence[Pixels]) -> Pixels:
    """Put tiles into rows, the last one filled up with grey."""
    if not tiles:
        return np.zeros((0, 0, 3), np.uint8)
    high, wide = (max(t.shape[axis] for t in tiles) for axis in (0, 1))
    across = min(_COLUMNS, len(tiles))
    down = math.ceil(len(tiles) / across)
    sheet = np.full((down * (high + _GAP) - _GAP, across * (wide + _GAP) - _GAP, 3), 96, np.uint8)
    for n, tile in enumerate(tiles):
        y, x = n // across * (high + _GAP), n % across * (wide + _GAP)
        sheet[y : y + tile.shape[0], x : x + tile.shape[1]] = tile
    return sheet
