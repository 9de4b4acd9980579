"""The pictures of a container in the order in which they are shown, the lost ones among them."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import cast

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from posewright.sources.avi import ChunkIndex
from posewright.sources.decoding import AV_ERRORS, rate, why

__all__ = ["Decoder", "Lost"]

MOST_FAILURES = 8  # in a row, of a demuxer that may find its way again
NEAR = 20  # packets round a damaged place in which pictures may be missing without a packet
REORDERED = 32  # packets after which a picture has been shown, in every format
MOST_PENDING = 2 * REORDERED
LONGEST_HOLE = 10.0  # seconds without a packet that are counted as lost pictures
SPARE_BYTES = 1024  # that Matroska may put between two pictures


@dataclass(frozen=True, slots=True)
class Lost:
    """A picture of the source that cannot be decoded: its time in seconds where known, and why."""

    time: float | None
    reason: str


Item = VideoFrame | Lost


class Decoder:
    """The frames of a container in order, with a Lost for each picture that damage took away.

    packets, unshown, lost: read, marked by the file as not to be shown, and not decoded.  broken:
    places where the container itself could not be read.  reached: end of the last packet in seconds
    of the stream's clock.  index: what an AVI says that it holds.

    A lost picture has a packet of its own, or an entry in an AVI's index.  In a transport stream or
    Matroska file its packet may be gone, too: near a damaged place the times tell, if the frames
    come at a constant rate.  Packets that hold nothing to be shown are normal in many formats.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.packets = self.unshown = self.broken = self.lost = 0
        self.reached = 0.0
        self._container, self._stream = container, stream
        forms = set(container.format.name.split(","))
        # A transport stream marks the packet before a seam, the others only those cut off.
        self._marks_seams = "mpegts" in forms
        self.index = ChunkIndex(stream) if "avi" in forms else None
        # Whatever lies between the packets of a Matroska file has been skipped as damaged.
        self._adjoin = "matroska" in forms
        self._keeps_packets = "mov" in forms  # its packets come from a table
        self._sections = _Sections()
        # The number and section of a packet, and what it held.
        self._pending: list[tuple[int, int, Lost]] = []
        self._hurt = -NEAR - 1  # number of the last packet near which something was damaged
        self._end: int | None = None  # where the last packet ended in the file

    def __iter__(self) -> Iterator[Item]:
        for item in _filled(self._in_order(), rate(self._stream), self._is_hurt):
            self.lost += isinstance(item, Lost)
            yield item

    def _is_hurt(self) -> bool:
        return not self._keeps_packets and self.packets - self._hurt <= NEAR

    def _in_order(self) -> Iterator[Item]:
        """Yield each lost picture before the first frame that is shown later."""
        for packet in self._packets():
            for frame in self._decode(packet):
                self._sections.show(frame.time, self.packets)
                yield from self._due(frame.time)
                yield Lost(frame.time, "it is damaged") if frame.is_corrupt else frame
            while len(self._pending) > MOST_PENDING:  # nothing is shown for long
                yield self._pending.pop(0)[-1]
        yield from self._due(None)

    def _due(self, time: float | None) -> list[Lost]:
        """Take out the lost pictures that come before a frame of this time, or all."""
        if not self._pending:
            return []
        due: list[tuple[int, int, Lost]] = []
        waiting: list[tuple[int, int, Lost]] = []
        for entry in self._pending:
            ripe = time is None or self._precedes(*entry, time)
            (due if ripe else waiting).append(entry)
        self._pending = waiting
        return [lost for *_, lost in sorted(due, key=lambda entry: (entry[1], entry[2].time or 0))]

    def _precedes(self, number: int, section: int, lost: Lost, time: float) -> bool:
        if lost.time is None or number + REORDERED < self.packets:
            return True
        if section != self._sections.shown:
            return section < self._sections.shown
        return lost.time < time

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        failures = 0
        while failures < MOST_FAILURES:
            try:
                for packet in self._demux():
                    failures = 0
                    if packet.size:
                        self._count(packet)
                    yield packet
                return
            except av.error.InvalidDataError:
                failures += 1
                self._break()
            except AV_ERRORS:  # the disk or the line failed: what follows is out of reach
                self._break()
                return

    def _demux(self) -> Iterator[av.Packet[VideoStream]]:
        """Yield the video's packets; of a Matroska file, look at the others' places, too."""
        streams = self._container.streams if self._adjoin else [self._stream]
        for packet in self._container.demux(*streams):
            if self._adjoin and packet.pos is not None:
                if self._end is not None and packet.pos - self._end > SPARE_BYTES:
                    self._hurt = self.packets
                self._end = packet.pos + packet.size
            if packet.stream_index == self._stream.index:
                yield cast("av.Packet[VideoStream]", packet)

    def _break(self) -> None:
        self.broken += 1
        self._hurt = self.packets

    def _count(self, packet: av.Packet[VideoStream]) -> None:
        if self.index is not None:
            for time in self.index.passed_over(packet):
                self._wait(Lost(time, "its chunk is damaged"))
        self.packets += 1
        self._sections.take(packet.dts, self.packets)
        self.unshown += packet.is_discard
        start = _time(packet)
        if start is not None and packet.time_base is not None:
            end = start + float((packet.duration or 0) * packet.time_base)
            self.reached = max(self.reached, end)

    def _decode(self, packet: av.Packet[VideoStream]) -> list[VideoFrame]:
        if packet.is_corrupt:
            self._hurt = self.packets
            if not self._marks_seams:
                self._lose(packet, "it is cut off")
                return []
        try:
            return packet.decode()
        except av.error.EOFError:  # asked again after the end
            return []
        except AV_ERRORS as error:
            self._lose(packet, why(error))
            return []

    def _lose(self, packet: av.Packet[VideoStream], reason: str) -> None:
        self._hurt = self.packets
        if packet.size and not packet.is_discard:
            self._wait(Lost(_time(packet), reason))

    def _wait(self, lost: Lost) -> None:
        self._pending.append((self.packets, self._sections.read, lost))


class _Sections:
    """Parts of a file between which the times start again.

    read, shown: number of the section of the last packet, and of the last frame, which comes later.
    """

    def __init__(self) -> None:
        self.read = self.shown = 0
        self._stamp = self._time = -math.inf
        self._seam = 0  # number of a section's first packet

    def take(self, stamp: int | None, number: int) -> None:
        """Note a packet by its decoding time."""
        if stamp is not None:
            if stamp < self._stamp:
                self.read, self._seam = self.read + 1, number
            self._stamp = stamp

    def show(self, time: float | None, number: int) -> None:
        """Note a frame that is shown after so many packets."""
        if number > self._seam + REORDERED:
            self.shown = self.read
        elif time is not None and time < self._time:
            self.shown = min(self.shown + 1, self.read)
        self._time = self._time if time is None else time


def _time(packet: av.Packet[VideoStream]) -> float | None:
    stamp = packet.dts if packet.pts is None else packet.pts
    if stamp is None or packet.time_base is None:
        return None
    return float(stamp * packet.time_base)


def _filled(
    items: Iterable[Item], fps: float | None, is_hurt: Callable[[], bool]
) -> Iterator[Item]:
    """Yield the items, and near a damaged place a Lost for each that is missing by the times.

    A decoder that lost a packet may show a frame too late: it is left out, as its place is taken.
    """
    steps: deque[float] = deque(maxlen=8)
    taken: deque[float] = deque(maxlen=NEAR)
    last: float | None = None
    for item in items:
        time = item.time
        if last is not None and time is not None:
            if time < last and steps and any(abs(time - at) < steps[-1] / 3 for at in taken):
                continue
            hole = _hole(last, time, steps, fps) if time > last and is_hurt() else []
            yield from (Lost(at, "the file is damaged there") for at in hole)
            taken.extend(hole)
            if time > last and not hole:
                steps.append(time - last)
        last = last if time is None else time
        yield item


def _hole(last: float, time: float, steps: Sequence[float], fps: float | None) -> list[float]:
    """Return the times between two pictures that a constant frame rate would have filled."""
    step = 1 / fps if fps else None
    if len(steps) > 1:
        mean = sum(steps) / len(steps)
        if max(steps) > 1.3 * min(steps):  # a variable rate: nobody knows
            return []
        if step is None or abs(mean / step - 1) > 0.05:
            step = mean
    if step is None or time - last > LONGEST_HOLE:
        return []
    places = (time - last) / step
    missing = round(places) - 1
    if abs(places - missing - 1) > 0.3:
        return []
    return [last + (n + 1) * (time - last) / (missing + 1) for n in range(missing)]
