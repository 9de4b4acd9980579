"""The index of an AVI file; it lists every frame, even those whose chunk cannot be found."""

from __future__ import annotations

import av
from av.video.stream import VideoStream

__all__ = ["ChunkIndex"]

HEADER = 8  # bytes of a chunk before its content
MOST_PASSED = 10_000  # images in a row that may be missing; more are a broken index


class ChunkIndex:
    """What the index lists, compared with the packets as they come.

    count: images that are listed; 0 where there is no index, which stands at the end of the file.
    FFmpeg counts packets to tell their times: `passed_over` corrects those after a missing one.
    Empty chunks, which a recorder writes for a frame that it dropped, are not listed.
    """

    def __init__(self, stream: VideoStream) -> None:
        self._entries = stream.index_entries
        self.count = len(self._entries)
        # Without an index FFmpeg lists the few packets at which it had a look.
        if self.count < 2 or 2 * self._entries[self.count - 1].timestamp + 2 < stream.frames:
            self.count = 0
        self._next = 0
        self._shift = 0

    @property
    def complete(self) -> bool:
        """Whether there is an index and every image of it has come or is known as missing."""
        return 0 < self.count <= self._next

    def passed_over(self, packet: av.Packet[VideoStream]) -> list[float]:
        """Return the times (s) of the images listed before this packet that did not come."""
        if not self.count or packet.pos is None or packet.dts is None or packet.time_base is None:
            return []
        at = self._next
        while at < self.count and self._entries[at].pos < packet.pos - HEADER:
            at += 1
        missing = range(self._next, at)
        found = at < self.count and self._entries[at].pos == packet.pos - HEADER
        if not found or len(missing) > MOST_PASSED:  # the index is of another file
            self.count = 0
            return []
        self._next = at + 1
        if missing:
            self._shift = self._entries[at].timestamp - packet.dts
        packet.dts += self._shift
        if packet.pts is not None:
            packet.pts += self._shift
        return [float(self._entries[i].timestamp * packet.time_base) for i in missing]
