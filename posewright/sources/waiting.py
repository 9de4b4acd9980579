"""Packets that wait for their frames; those without one are found by the others' timestamps."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

__all__ = ["REORDERED", "Lost", "Waiting", "time_of"]

REORDERED = 32  # packets after which an image has been shown, in every format
MOST_WAITING = 2 * REORDERED
MOST_HIDDEN = 0.01  # of the packets before any damage, in a format that shows them all


@dataclass(frozen=True, slots=True)
class Lost:
    """An image of the source that cannot be decoded: its time in seconds where known, and why."""

    time: float | None
    reason: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """A packet without an image so far: its number, section and pts, and what is said of it.

    pts: None where the image is known to be lost.  key: it refers to no other.
    """

    number: int
    section: int
    pts: int | None
    lost: Lost
    key: bool = False

    @property
    def place(self) -> tuple[int, float]:
        """Where it stands in the order of showing."""
        return self.section, self.lost.time or 0.0


class Waiting:
    """The packets whose frames have not arrived.

    A decoder refuses a damaged packet, but silently drops the frames that refer to it: they are
    lost as soon as a later one is shown.  A packet that holds nothing to be shown is normal in some
    formats, and so is an image before the first that can be decoded.  So those before the first
    damage never count, and none counts where packets without images were usual before it.

    every: each packet holds an image to be shown, and the decoder may not tell a damaged one, as
    with HEVC: each counts behind the first frame.
    """

    def __init__(self, every: bool = False) -> None:
        self.sent = 0  # packets
        self._every = every
        self._entries: list[_Entry] = []
        self._sections = _Sections()
        self._damaged: int | None = None  # number of the first packet that damage may have reached
        self._hidden = 0  # packets before it that never showed anything
        self._begun = False
        # pts of what is lost or has been shown near damage, and may be shown once more.
        self._replaced: deque[int] = deque(maxlen=MOST_WAITING)

    def count(self, packet: av.Packet[VideoStream]) -> None:
        """Note that a packet has been read."""
        self.sent += 1
        self._sections.take(packet.dts, self.sent)

    def hurt(self) -> None:
        """Note that something was damaged at the last packet."""
        self._damaged = self.sent if self._damaged is None else self._damaged

    def expect(self, packet: av.Packet[VideoStream]) -> None:
        """Wait for the image of the last packet."""
        if packet.pts is not None:
            lost = Lost(time_of(packet), "it refers to a damaged frame")
            self._add(packet.pts, lost, packet.is_keyframe)

    def lose(self, lost: Lost, pts: int | None = None) -> None:
        """Wait for the place of an image that is lost; the decoder may show what is left of it."""
        self._add(None, lost)
        self._replaced += [] if pts is None else [pts]

    def _add(self, pts: int | None, lost: Lost, key: bool = False) -> None:
        self._entries.append(_Entry(self.sent, self._sections.read, pts, lost, key))

    def place(self, frame: VideoFrame) -> tuple[int, float]:
        """Return what sorts frames that have come into the order of showing."""
        own = self._own(frame)
        return (-1, 0.0) if own is None else own.place

    def _own(self, frame: VideoFrame) -> _Entry | None:
        """Return the entry of a frame's packet."""
        return next((e for e in self._entries if e.pts is not None and e.pts == frame.pts), None)

    def show(self, frame: VideoFrame) -> list[Lost] | None:
        """Return the lost images that come before a frame; None where its place is taken."""
        own = self._own(frame)
        if own is not None and own.pts is not None:
            self._entries.remove(own)
            self._replaced += [own.pts] if self._damaged is not None else []
        elif frame.pts in self._replaced:
            return None
        self._sections.show(frame.time, self.sent)
        if not self._begun:
            self._leave_out_first(frame.time)
        due = [e for e in self._entries if self._precedes(e, frame.time)]
        return self._take(due)

    def overdue(self) -> list[Lost]:
        """Return the lost images that waited for too long, as nothing is shown."""
        count = max(len(self._entries) - MOST_WAITING, 0)
        return self._take(sorted(self._entries, key=lambda entry: entry.place)[:count])

    def rest(self) -> list[Lost]:
        """Return the lost images after the last frame."""
        return self._take(list(self._entries))

    def _take(self, due: list[_Entry]) -> list[Lost]:
        """Take entries out -> those that are lost, in the order of showing."""
        if not due:
            return []
        self._entries = [entry for entry in self._entries if entry not in due]
        lost = []
        for entry in sorted(due, key=lambda entry: entry.place):
            if entry.pts is None or self._counts(entry):
                lost.append(entry.lost)
                self._replaced += [] if entry.pts is None else [entry.pts]
            else:
                self._hidden += self._begun
        return lost

    def _counts(self, entry: _Entry) -> bool:
        """Tell whether a packet that showed nothing is one that damage may have reached."""
        if self._every and self._begun:
            return True
        if self._damaged is None or entry.number < self._damaged:
            return False
        return self._hidden <= MOST_HIDDEN * self._damaged

    def _precedes(self, entry: _Entry, time: float | None) -> bool:
        if entry.number + REORDERED < self.sent:
            return True
        if entry.pts is not None and (time is None or not self._counts(entry)):
            return False  # it may come out of order
        if time is None or entry.lost.time is None:
            return True
        if entry.section != self._sections.shown:
            return entry.section < self._sections.shown
        return entry.lost.time < time

    def _leave_out_first(self, time: float | None) -> None:
        """Forget the packets of before the first frame; what they refer to is not in the file.

        Unless there is a key frame among them, which must have been damaged.
        """
        until = -math.inf if time is None else time
        early = [e for e in self._entries if e.pts is not None and e.place[1] < until]
        keys = [entry.number for entry in early if entry.key]
        if keys:  # it could have been decoded
            self._damaged = min(keys[0], self._damaged or keys[0])
        left_out = [entry for entry in early if not self._counts(entry)]
        self._entries = [entry for entry in self._entries if entry not in left_out]
        self._begun = True


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


def time_of(packet: av.Packet[VideoStream]) -> float | None:
    """Return when a packet is shown, in seconds of the stream's clock."""
    stamp = packet.dts if packet.pts is None else packet.pts
    if stamp is None or packet.time_base is None:
        return None
    return float(stamp * packet.time_base)
