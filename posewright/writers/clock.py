"""Timestamps of a drawn video: always increasing, whatever those of the frames."""

from __future__ import annotations

import math

__all__ = ["CLOCK", "Clock"]

CLOCK = (
    60_000  # ticks a second; MPEG-4 has room for 65,535, and 24, 25, 29.97, 30, 60 fps divide it
)
# MP4 counts the ticks between two images, and between decoding and showing one, in 31 bits, which
# is 9.9 hours; an encoder may show an image five images after its turn to be decoded.
LONGEST = 1.0  # hours that one image is shown
MOST = 720.0  # hours; a longer jump is a clock that was set, not a gap


class Clock:
    """Turns the times of frames (s) into ticks from 0.

    A time that does not increase, is not finite or jumps by more than a month continues one frame
    after the one before, and `jumps` counts it.
    """

    def __init__(self, fps: float) -> None:
        self.jumps = 0
        self._step = 1 / fps
        self._shift: float | None = None
        self._last = -1

    def ticks(self, time: float) -> list[int]:
        """Return the tick of a frame, last; before it, those at which the image before repeats.

        Repeats cut a gap that the container cannot hold.
        """
        if self._last < 0:
            self._last = 0
            self._shift = -time if math.isfinite(time) else None
            return [0]
        before = self._last
        shown = self._shown(time, before / CLOCK)
        self._last = max(round(shown * CLOCK), before + 1)
        pieces = math.ceil((self._last - before) / (LONGEST * 3600 * CLOCK))
        return [before + (self._last - before) * i // pieces for i in range(1, pieces + 1)]

    def _shown(self, time: float, before: float) -> float:
        shown = math.nan if self._shift is None else time + self._shift
        if before < shown <= before + MOST * 3600:  # false for NaN
            return shown
        self.jumps += 1
        if math.isfinite(time):
            self._shift = before + self._step - time
        return before + self._step
