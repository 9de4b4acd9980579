"""Tracking over several videos or folders: identities are not carried from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posewright.people import Frame, People

if TYPE_CHECKING:
    from posewright.trackers import Tracker

__all__ = ["PerSequence"]


class PerSequence:
    """A tracker that is reset at the first frame of another sequence."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._sequence: str | None = None

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people with their ids."""
        self.enter(frame)
        return self._tracker(frame, people)

    def predict(self, frame: Frame) -> People:
        """Return the people of the last frame of the same sequence."""
        self.enter(frame)
        return self._tracker.predict(frame)

    @property
    def trouble(self) -> str:
        """What is wrong with the last frame, if the tracker reports such problems."""
        return str(getattr(self._tracker, "trouble", ""))

    def reset(self) -> None:
        """Forget all tracks."""
        self._tracker.reset()

    def enter(self, frame: Frame) -> bool:
        """Reset the tracker if a sequence begins with this frame; return whether one does.

        The first frame resets nothing, so that a tracker passed with existing tracks continues
        them.
        """
        last, self._sequence = self._sequence, frame.sequence
        if last is not None and last != frame.sequence:
            self._tracker.reset()
        return last != frame.sequence
