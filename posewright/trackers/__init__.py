"""Trackers: who is who from frame to frame.  (frame, People) -> People with ids."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from posewright.errors import UsageError, nearest
from posewright.people import Frame, People
from posewright.skeletons import Skeleton
from posewright.trackers.appearance import AppearanceTracker, Embed
from posewright.trackers.bytetrack import ByteTracker
from posewright.trackers.ocsort import OcSortTracker
from posewright.trackers.oks import OksTracker
from posewright.trackers.poseflow import PoseFlowTracker, poseflow_original

__all__ = [
    "AppearanceTracker",
    "ByteTracker",
    "Embed",
    "OcSortTracker",
    "OksTracker",
    "PoseFlowTracker",
    "Tracker",
    "create_tracker",
]

_TRACKERS: dict[str, Callable[..., Tracker]] = {
    "oks": OksTracker,
    "bytetrack": ByteTracker,
    "ocsort": OcSortTracker,
    "poseflow": PoseFlowTracker,
    "poseflow-original": poseflow_original,
    "appearance": AppearanceTracker,
}


class Tracker(Protocol):
    """Gives each person an identity: an int from 1, never used twice by one tracker; -1 = none."""

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people in the same order with their ids.

        Call it for every frame, in order, also with nobody.
        """

    def predict(self, frame: Frame) -> People:
        """Return those seen in the last frame, with ids, moved to the time of this coming one.

        It changes nobody's identity; their boxes stand in where the detector is left out.
        """

    def reset(self) -> None:
        """Forget everybody; ids that were given are still not used again."""


def create_tracker(
    name: str = "oks",
    *,
    skeleton: Skeleton,
    fps: float = 30.0,
    buffer: float | None = None,
    embed: Embed | None = None,
) -> Tracker:
    """Return a new tracker by its name.

    fps: frames a second, for frames that carry no time.  buffer: seconds that somebody may be away
    and keep the identity; None: 8 of the appearance tracker, 1 of the others.  embed: features of
    people, which the appearance tracker needs and the others do not look at.  Errors: UsageError
    for an unknown name (it suggests the nearest) and for numbers that cannot be meant.
    """
    if name not in _TRACKERS:
        raise UsageError(f"no tracker {name!r}{nearest(name, _TRACKERS)}; known: {[*_TRACKERS]}")
    options = {} if buffer is None else {"buffer": buffer}
    if name == "appearance":
        return AppearanceTracker(skeleton, fps, **options, embed=embed)
    return _TRACKERS[name](skeleton, fps, **options)
