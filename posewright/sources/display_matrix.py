"""How the stored frames of a video are displayed: rotation, mirroring and pixel aspect ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
from av.sidedata.sidedata import SideDataContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

__all__ = ["Orientation", "pixel_aspect"]

MOST_ASPECT = 16  # of a pixel; anything beyond is a mistake


@dataclass(frozen=True, slots=True)
class Orientation:
    """One of the eight orientations: rows become columns first, then come the mirrors."""

    transposed: bool = False
    left_right: bool = False
    up_down: bool = False

    @classmethod
    def of(cls, frame: VideoFrame) -> Orientation:
        """Read the display matrix of a frame, as FFmpeg's programs and video players do.

        The matrix takes a stored pixel (x, y) to (a x + c y, b x + d y) of what is shown (ISO/IEC
        14496-12, 6.2.2).  Any angle is rounded to a quarter turn.
        """
        # not frame.side_data, which the frame keeps: the two would hold each other, and the pixels
        # of a large video pile up to a gigabyte before Python looks for such pairs
        data: Any = cast(Any, SideDataContainer)(frame).get("DISPLAYMATRIX")
        if data is None:
            return cls()
        a, b, _, c, d, *_ = np.frombuffer(data, np.int32).tolist()
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def pixels(self, frame: VideoFrame) -> NDArray[np.uint8]:
        """Return the (H, W, 3) RGB pixels of a frame as it is shown, contiguous."""
        stored = frame.to_ndarray(format="rgb24")
        shown = stored.swapaxes(0, 1) if self.transposed else stored
        rows, columns = (slice(None, None, -1 if m else 1) for m in (self.up_down, self.left_right))
        return np.ascontiguousarray(shown[rows, columns], np.uint8)

    def aspect(self, stored: float) -> float:
        """Return the width of a shown pixel over its height."""
        return 1 / stored if self.transposed else stored


def pixel_aspect(stream: VideoStream) -> float:
    """Return the width of a stored pixel over its height; 1 where the file does not state it."""
    declared = stream.sample_aspect_ratio
    known = declared and 1 / MOST_ASPECT < declared < MOST_ASPECT
    return float(declared) if declared and known else 1.0
