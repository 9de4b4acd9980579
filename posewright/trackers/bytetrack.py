"""ByteTracker: every box is matched, confident ones first (ByteTrack, arXiv:2110.06864)."""

from __future__ import annotations

import numpy as np

from posewright.nms import box_iou
from posewright.people import Frame, Ints, Mask, People
from posewright.skeletons import Skeleton
from posewright.trackers.motion import Clock, Ids, Round, full, in_rounds, inside
from posewright.trackers.tracks import BoxTracks

__all__ = ["TRACKERS", "ByteTracker"]

# The paper's and its authors' constants.
_SURE = 0.6  # box scores of the first round
_DOUBTFUL = 0.1  # and of the second
_NEW = 0.7  # box score from which somebody starts a track
_MATCH = 0.2  # least overlap with a track in the first round
_MATCH_DOUBTFUL = 0.5  # in the second
_MATCH_NEW = 0.3  # and with somebody who was seen once


class ByteTracker:
    """Matches boxes to predicted tracks by their overlap, those with high scores first.

    Box scores of at least 0.6 are matched first, with all tracks; those of at least 0.1 only
    continue tracks of the last frame.  A box of at least 0.7 that matches no track starts one,
    which gets its id in the second consecutive frame, in the first frame of a source immediately.
    People without a track have id -1.  Joints are ignored.

    skeleton: of the people, who may also be boxes without joints.  fps: frame rate, for frames
    without timestamps.  buffer: seconds that a person may be missing (the paper's 30 frames).
    Errors: UsageError for fps or buffer that are not positive, and for people of another skeleton.
    """

    def __init__(self, skeleton: Skeleton, fps: float = 30.0, buffer: float = 1.0) -> None:
        self._clock = Clock(fps, buffer)
        self._joints = len(skeleton)
        self._ids = Ids()
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; their ids are still not reused."""
        self._tracks = BoxTracks.start(People.empty(self._joints))
        self._clock.reset()

    def predict(self, frame: Frame) -> People:
        """Return the people of the last frame, predicted for this one and clipped to the image.

        Their keypoints move along; people outside of the image are dropped.
        """
        self._clock.expect(frame)
        last = self._tracks[np.flatnonzero(self._tracks.away == 0)]
        return inside(last.moved(self._clock.since(frame)).people, frame)

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people in the same order with their ids; also call it with nobody."""
        seen = full(people, self._joints)
        frames = self._clock.since(frame)
        kept = self._clock.reaches(self._tracks.away, frames)
        tracks = self._tracks[np.flatnonzero(kept)].moved(frames)
        owner = in_rounds(_rounds(seen, tracks, frames))
        new = (owner < 0) & (seen.box_scores >= _NEW)
        ids = np.append(tracks.people.ids, -1)[owner]
        named = (owner >= 0) & (ids < 0) if self._clock.started else new
        ids = self._ids.given(ids, named)
        followed = self._clock.expected(frame) & (ids > 0) & (people.ids == ids)
        seen = seen.replace(ids=ids)
        found = self._continued(tracks, seen, owner, followed)
        self._tracks = found.joined(BoxTracks.start(seen[new]))
        self._clock.set(frame)
        return people.replace(ids=ids)

    def _continued(
        self, tracks: BoxTracks, people: People, owner: Ints, followed: Mask
    ) -> BoxTracks:
        """Return the tracks after a frame: those seen, and those lost that have an id."""
        rows = np.flatnonzero(owner >= 0)
        lost = self._clock.waits(tracks.away) & (tracks.people.ids > 0)
        lost[owner[rows]] = False
        found = tracks[owner[rows]].seen(people[rows], followed[rows])
        return found.joined(tracks[np.flatnonzero(lost)])


def _rounds(people: People, tracks: BoxTracks, frames: float) -> list[Round]:
    """Return who is matched with whom, in the paper's order."""
    alike = box_iou(people.boxes, tracks.people.boxes).astype(np.float64)
    sure = people.box_scores >= _SURE
    doubtful = ~sure & (people.box_scores >= _DOUBTFUL)
    somebody, lately = tracks.people.ids > 0, tracks.away == frames
    return [
        Round(alike, sure, somebody, _MATCH),
        Round(alike, doubtful, somebody & lately, _MATCH_DOUBTFUL),
        Round(alike, sure, ~somebody, _MATCH_NEW),
    ]


TRACKERS = {"bytetrack": ByteTracker}
