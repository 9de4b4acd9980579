"""Augmentation of a view's pixels: colour jitter, and dropping of what is seen."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["erased", "hidden", "recoloured"]

_LUMA = np.array([0.299, 0.587, 0.114])  # of red, green and blue (ITU-R BT.601)
_RADIUS = 0.1  # of the view's width: the least half axis of a hole; the largest is twice that
_SQUARES = (0, 16, 32, 44)  # px, sides that are drawn from; 0: nothing is hidden


def recoloured(
    view: NDArray[np.uint8], strength: float, rng: np.random.Generator
) -> NDArray[np.uint8]:
    """(h, w, 3) -> a copy with another brightness, contrast and saturation.

    Each of the three factors is drawn from [1 - strength, 1 + strength].  Saturation mixes a pixel
    with its own grey, contrast with the view's mean grey.  All three are one linear map.
    """
    import cv2

    bright, contrast, saturation = 1 + strength * (2 * rng.random(3) - 1)
    mix = saturation * np.eye(3) + (1 - saturation) * _LUMA  # rows: red, green, blue
    mean = float(_LUMA @ np.array(cv2.mean(view)[:3]))
    offset = np.full((3, 1), bright * (1 - contrast) * mean)
    changed = cv2.transform(view, np.hstack([bright * contrast * mix, offset]))
    return np.asarray(changed, np.uint8)


def erased(view: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """(h, w, 3) -> a copy with a black ellipse somewhere (AID's cutout, arXiv:2008.07139).

    Its half axes are 0.1 to 0.2 of the view's width, its centre anywhere in the view.
    """
    import cv2

    h, w = view.shape[:2]
    x, y, across, down = rng.random(4)
    axes = (round(_RADIUS * (1 + across) * w), round(_RADIUS * (1 + down) * w))
    hole = cv2.ellipse(view.copy(), (int(x * w), int(y * h)), axes, 0, 0, 360, (0, 0, 0), -1)
    return np.asarray(hole, np.uint8)


def hidden(view: NDArray[np.uint8], share: float, rng: np.random.Generator) -> NDArray[np.uint8]:
    """(h, w, 3) -> a copy of which some squares are black (AID's hide-and-seek, arXiv:2008.07139).

    The squares tile the view from its first pixel on; their side is drawn evenly from 16, 32 and 44
    px or, in a quarter of the cases, nothing is hidden.  Each is black with probability `share`.
    """
    side = _SQUARES[rng.integers(len(_SQUARES))]
    if not side:
        return view
    rows, columns = (-(-length // side) for length in view.shape[:2])
    seen = rng.random((rows, columns)) >= share
    mask = seen.repeat(side, 0).repeat(side, 1)[: view.shape[0], : view.shape[1], None]
    return np.asarray(view * mask, np.uint8)
