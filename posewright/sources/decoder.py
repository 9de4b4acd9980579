"""The frames of a container in presentation order, lost ones included."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from posewright.sources.avi import ChunkIndex
from posewright.sources.decoding import AV_ERRORS, rate, why
from posewright.sources.waiting import REORDERED, Lost, Waiting, time_of

__all__ = ["Decoder", "Lost"]

MOST_FAILURES = 8  # in a row, of a demuxer that may find its way again
NEAR = 20  # packets round a damaged place in which images may be missing without a packet
LONGEST_HOLE = 10.0  # seconds without a packet that are counted as lost images
SPARE_BYTES = 1024  # that Matroska may put between two images
MOST_HELD = 8  # frames that are put in order behind a damaged place

Item = VideoFrame | Lost


class Decoder:
    """The frames of a container in order, with a Lost for each frame that damage made undecodable.

    packets, lost: numbers of packets read and of frames not decoded.  broken: places where the
    container could not be read.  reached: end of the last packet in seconds of the stream's clock.
    index: of an AVI file.

    A lost image has a packet of its own, or an entry in an AVI's index.  In a transport stream or
    Matroska file its packet may be missing, too: near a damaged place the timestamps tell, if the
    frame rate is constant.  Packets that hold nothing to be shown are normal in many formats.
    """

    def __init__(self, container: InputContainer, stream: VideoStream) -> None:
        self.broken = self.lost = 0
        self.reached = 0.0
        self._container, self._stream = container, stream
        forms = set(container.format.name.split(","))
        # A transport stream marks the packet before a seam, the others only those cut off.
        self._marks_seams = "mpegts" in forms
        self.index = ChunkIndex(stream) if "avi" in forms else None
        # Whatever lies between the packets of a Matroska file has been skipped as damaged.
        self._adjoin = "matroska" in forms
        self._keeps_packets = "mov" in forms  # its packets come from a table
        self._waiting = Waiting(every=stream.codec_context.name == "hevc")
        self._hurt = -REORDERED - 1  # number of the last packet near which something was damaged
        self._end: int | None = None  # where the last packet ended in the file

    @property
    def packets(self) -> int:
        """Number of packets that were read."""
        return self._waiting.sent

    def __iter__(self) -> Iterator[Item]:
        for item in _filled(self._in_order(), rate(self._stream), self._is_hurt):
            self.lost += isinstance(item, Lost)
            yield item

    def _is_hurt(self) -> bool:
        return not self._keeps_packets and self.packets - self._hurt <= NEAR

    def _in_order(self) -> Iterator[Item]:
        """Yield each lost image before the first frame that is shown later."""
        for frame in self._frames():
            due = self._waiting.overdue() if frame is None else self._waiting.show(frame)
            if due is None:
                continue
            yield from due
            if frame is not None:
                yield Lost(frame.time, "it is damaged") if frame.is_corrupt else frame
        yield from self._waiting.rest()

    def _frames(self) -> Iterator[VideoFrame | None]:
        """Yield frames, and None after each packet's.

        A decoder that lost a packet may show the frames round it in the wrong order: some are held.
        """
        held: list[VideoFrame] = []
        for packet in self._packets():
            held += self._decode(packet)
            room = MOST_HELD if packet.size and self.packets - self._hurt <= REORDERED else 0
            while len(held) > room:
                first = min(held, key=self._waiting.place)
                held.remove(first)
                yield first
            yield None
        yield from sorted(held, key=self._waiting.place)

    def _packets(self) -> Iterator[av.Packet[VideoStream]]:
        """Yield the packets that hold something, and an empty one: the decoder shows what it has.

        Also where the disk or the line fails.  One of a frame that a recorder dropped is empty too,
        and would end the decoding.
        """
        for packet in self._read():
            if packet.size:
                self._count(packet)
                yield packet
        end = cast("av.Packet[VideoStream]", av.Packet())
        end.stream = self._stream
        if self._stream.time_base is not None:
            end.time_base = self._stream.time_base
        yield end

    def _read(self) -> Iterator[av.Packet[VideoStream]]:
        failures = 0
        while failures < MOST_FAILURES:
            try:
                for packet in self._demux():
                    failures = 0
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
                    self._note_damage()
                self._end = packet.pos + packet.size
            if packet.stream_index == self._stream.index:
                yield cast("av.Packet[VideoStream]", packet)

    def _break(self) -> None:
        self.broken += 1
        self._note_damage()

    def _note_damage(self) -> None:
        self._hurt = self.packets
        self._waiting.hurt()

    def _count(self, packet: av.Packet[VideoStream]) -> None:
        if self.index is not None:
            for time in self.index.passed_over(packet):
                self._waiting.lose(Lost(time, "its chunk is damaged"))
                self._waiting.hurt()
        self._waiting.count(packet)
        start = time_of(packet)
        if start is not None and packet.time_base is not None:
            end = start + float((packet.duration or 0) * packet.time_base)
            self.reached = max(self.reached, end)

    def _decode(self, packet: av.Packet[VideoStream]) -> list[VideoFrame]:
        if packet.is_corrupt:
            self._note_damage()
            if not self._marks_seams:
                self._lose(packet, "it is cut off")
                return []
        try:
            frames = packet.decode()
        except av.error.EOFError:  # asked again after the end
            return []
        except AV_ERRORS as error:
            self._note_damage()
            self._lose(packet, why(error))
            return []
        if packet.size and not packet.is_discard:
            self._waiting.expect(packet)
        return frames

    def _lose(self, packet: av.Packet[VideoStream], reason: str) -> None:
        if packet.size and not packet.is_discard:
            self._waiting.lose(Lost(time_of(packet), reason), packet.pts)


def _filled(
    items: Iterable[Item], fps: float | None, is_hurt: Callable[[], bool]
) -> Iterator[Item]:
    """Yield the items, and near a damaged place a Lost for each that is missing by the times.

    A decoder that lost a packet may show a frame too late: it is left out, as its place is taken.
    """
    steps: deque[float] = deque(maxlen=8)
    taken: deque[float] = deque(maxlen=NEAR)
    last: float | None = None
    near = 0.0  # seconds within which two times are of one image
    for item in items:
        time = item.time
        if last is not None and time is not None:
            if time < last and any(abs(time - at) < near for at in taken):
                continue
            hole = _hole(last, time, steps, fps) if time > last and is_hurt() else []
            yield from (Lost(at, "the file is damaged there") for at in hole)
            taken.extend(hole)
            near = (time - last) / (len(hole) + 1) / 3 if hole else near
            if time > last and not hole:
                steps.append(time - last)
        last = last if time is None else time
        yield item


def _hole(last: float, time: float, steps: Sequence[float], fps: float | None) -> list[float]:
    """Return the times between two images that a constant frame rate would have filled."""
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
