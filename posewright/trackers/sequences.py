"""Tracking over several videos or folders: nobody keeps an identity from one to the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from posewright.people import Frame, People

if TYPE_CHECKING:
    from posewright.trackers import Tracker

__all__ = ["PerSequence"]


class PerSequence:
    """A tracker that is reset where the frames of another sequence begin."""

    def __init__(self, tracker: Tracker) -> None:
        self._tracker = tracker
        self._sequence: str | None = None

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people with their ids."""
        self.enter(frame)
        return self._tracker(frame, people)

    def predict(self, frame: Frame) -> People:
        """Return those seen in the last frame of the same sequence."""
        self.enter(frame)
        return self._tracker.predict(frame)

    @property
    def trouble(self) -> str:
        """What is wrong with the last frame, by a tracker that knows such things."""
        return str(getattr(self._tracker, "trouble", ""))

    def reset(self) -> None:
        """Forget everybody."""
        self._tracker.reset()

    def enter(self, frame: Frame) -> bool:
        """Reset the tracker if a sequence begins with this frame; tell whether one does.

        Nothing is reset for the first frame: whoever passes a tracker that knows people wants them
        to be recognised.
        """
        last, self._sequence = self._sequence, frame.sequence
        if last is not None and last != frame.sequence:
            self._tracker.reset()
        return last != frame.sequence
