"""Trackers: identities of people across frames.  (frame, People) -> People with ids.

A tracker is a file that declares TRACKERS, a table from names to factories.

oks         OKS and box overlap
bytetrack   ByteTrack
ocsort      OC-SORT
poseflow    PoseFlow; links and flow are its parts
appearance  motion and re-identification
motion      Kalman filter, assignment and identities, shared
tracks      tracks of boxes, shared
sequences   a new start with each video
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from inspect import signature
from typing import Any, Protocol

from posewright.errors import UsageError, nearest
from posewright.files.modules import declared
from posewright.people import Frame, People
from posewright.skeletons import Skeleton
from posewright.trackers.appearance import AppearanceTracker, Embed
from posewright.trackers.bytetrack import ByteTracker
from posewright.trackers.ocsort import OcSortTracker
from posewright.trackers.oks import OksTracker
from posewright.trackers.poseflow import PoseFlowTracker

__all__ = [
    "AppearanceTracker",
    "ByteTracker",
    "Embed",
    "OcSortTracker",
    "OksTracker",
    "PoseFlowTracker",
    "Tracker",
    "create_tracker",
    "trackers",
]


class Tracker(Protocol):
    """Gives each person an identity: an int from 1, never used twice by one tracker; -1 = none."""

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people in the same order with their ids.

        Call it for every frame, in order, also with nobody.
        """

    def predict(self, frame: Frame) -> People:
        """Return the people of the last frame, with ids, predicted for the time of this coming one.

        Identities do not change; the boxes replace detections where the detector is skipped.
        """

    def reset(self) -> None:
        """Forget all tracks; their ids are still not reused."""


@cache
def trackers() -> dict[str, Callable[..., Tracker]]:
    """Return the factory of each tracker by name, the default first.

    It is called with a skeleton and a frame rate, and, where they are given, with buffer= and
    embed= as of `create_tracker`; embed only if it has such a parameter.
    """
    found = dict(declared(__name__, "TRACKERS"))
    return {"oks": found.pop("oks"), **found}


def create_tracker(
    name: str = "oks",
    *,
    skeleton: Skeleton,
    fps: float = 30.0,
    buffer: float | None = None,
    embed: Embed | None = None,
) -> Tracker:
    """Return a new tracker by its name.

    fps: frame rate, for frames without timestamps.  buffer: seconds that a person may be missing
    and keep the identity; None: 8 for the appearance tracker, 1 for the others.  embed: features of
    people, which the appearance tracker needs and the others ignore.  Errors: UsageError
    for an unknown name (it suggests the nearest) and for invalid numbers.
    """
    known = trackers()
    if name not in known:
        raise UsageError(f"no tracker {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    options: dict[str, Any] = {} if buffer is None else {"buffer": buffer}
    if "embed" in signature(known[name]).parameters:
        options["embed"] = embed
    return known[name](skeleton, fps, **options)
