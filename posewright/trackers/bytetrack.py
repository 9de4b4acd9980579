"""ByteTracker: every box is matched, sure ones first (ByteTrack, arXiv:2110.06864)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posewright.nms import box_iou
from posewright.people import Floats, Frame, People
from posewright.skeletons import Skeleton
from posewright.trackers.motion import (
    Clock,
    Doubles,
    Ids,
    Indices,
    Kalman,
    Mask,
    Round,
    centre,
    full,
    in_rounds,
    inside,
)

__all__ = ["ByteTracker"]

# The paper's and its authors' constants.
_SURE = 0.6  # box scores of the first round
_DOUBTFUL = 0.1  # and of the second
_NEW = 0.7  # box score from which somebody starts a track
_MATCH = 0.2  # least overlap with a track in the first round
_MATCH_DOUBTFUL = 0.5  # in the second
_MATCH_NEW = 0.3  # and with somebody who was seen once

# Of cx, cy, aspect, height: shares of the height, but for the aspect, which is a plain number.
_OF_HEIGHT = np.array([1.0, 1.0, 0.0, 1.0])
_POSITION = 1 / 20
_VELOCITY = 1 / 160
_START, _SEEN = (2 * _POSITION, 0.01), (_POSITION, 0.1)
_START_SPEED, _DRIFT, _PUSH = (10 * _VELOCITY, 1e-5), (_POSITION, 0.01), (_VELOCITY, 1e-5)


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """T tracks.  people: as last seen; id -1 until the second sight.

    state: of centre x, y, aspect (width / height) and height, at the current time.
    away: (T,) frames since the last sight.
    """

    people: People
    state: Kalman
    away: Doubles

    @classmethod
    def start(cls, people: People) -> _Tracks:
        value = _measured(people.boxes)
        known, moving = _noise(_START, value), _noise(_START_SPEED, value)
        return cls(people, Kalman.start(value, known, moving), np.zeros(len(people)))

    def __getitem__(self, rows: Indices) -> _Tracks:
        return _Tracks(self.people[rows], self.state[rows], self.away[rows])

    def joined(self, other: _Tracks) -> _Tracks:
        people = People.concat([self.people, other.people])
        away = np.concatenate([self.away, other.away])
        return _Tracks(people, self.state.joined(other.state), away)

    def moved(self, frames: float) -> _Tracks:
        """Return the tracks some frames later; the shape of those unseen stays."""
        state, seen = self.state, (self.away == 0)[:, None]
        speed = np.where(seen, state.speed, state.speed * [1, 1, 0, 0])
        state = Kalman(state.value, speed, state.variance).moved(
            frames, _noise(_DRIFT, state.value), _noise(_PUSH, state.value)
        )
        shift = (state.value - self.state.value)[:, None, :2].astype(np.float32)
        points = self.people.keypoints + shift
        people = self.people.replace(boxes=_boxes(state.value), keypoints=points)
        return _Tracks(people, state, self.away + frames)

    def seen(self, people: People, followed: Mask) -> _Tracks:
        """Return the tracks after one person was seen for each of them.

        followed: (T,) whose boxes were predicted from the track and say nothing new.
        """
        noise = _noise(_SEEN, self.state.value)
        corrected = self.state.corrected(_measured(people.boxes), noise)
        return _Tracks(people, self.state.where(followed, corrected), np.zeros(len(people)))


class ByteTracker:
    """Matches boxes to moving tracks by their overlap; scores decide who goes first.

    Box scores of at least 0.6 are matched first, with everybody; those of at least 0.1 only
    continue who was seen in the last frame.  A box of at least 0.7 that matches nothing starts a
    track, which has its id from the second frame in a row, in the first frame of a source at once.
    Whoever has no track has id -1.  Joints are not looked at.

    skeleton: of the people, who may also be boxes without joints.  fps: frames a second, for frames
    without times.  buffer: seconds that somebody may be away (the paper's 30 frames).  Errors:
    UsageError for fps or buffer that are not positive, and for people of another skeleton.
    """

    def __init__(self, skeleton: Skeleton, fps: float = 30.0, buffer: float = 1.0) -> None:
        self._clock = Clock(fps, buffer)
        self._joints = len(skeleton)
        self._ids = Ids()
        self.reset()

    def reset(self) -> None:
        """Forget everybody; ids that were given are still not used again."""
        self._tracks = _Tracks.start(People.empty(self._joints))
        self._clock.reset()

    def predict(self, frame: Frame) -> People:
        """Return those seen in the last frame, moved to this coming one and cut off at its edges.

        Their key points move along; a person of whom nothing is left inside is left out.
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
        self._tracks = found.joined(_Tracks.start(seen[new]))
        self._clock.set(frame)
        return people.replace(ids=ids)

    def _continued(
        self, tracks: _Tracks, people: People, owner: Indices, followed: Mask
    ) -> _Tracks:
        """Return the tracks after a frame: those seen, and those lost that have an id."""
        rows = np.flatnonzero(owner >= 0)
        lost = self._clock.waits(tracks.away) & (tracks.people.ids > 0)
        lost[owner[rows]] = False
        found = tracks[owner[rows]].seen(people[rows], followed[rows])
        return found.joined(tracks[np.flatnonzero(lost)])


def _rounds(people: People, tracks: _Tracks, frames: float) -> list[Round]:
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


def _noise(deviations: tuple[float, float], value: Doubles) -> Doubles:
    """(T, 4) variances from deviations as a share of the height, and of the aspect."""
    share, plain = deviations
    return np.square(_OF_HEIGHT * share * value[:, 3:] + (1 - _OF_HEIGHT) * plain)


def _measured(boxes: Floats) -> Doubles:
    """(T, 4) x1, y1, x2, y2 px -> (T, 4) centre x, y, width / height, height, at least 1 px."""
    wide, tall = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 1).T
    return np.column_stack([centre(boxes), wide / tall, tall])


def _boxes(value: Doubles) -> Floats:
    """Return the boxes of measured values; the inverse of _measured."""
    tall = np.maximum(value[:, 3:], 1)
    half = np.concatenate([np.maximum(value[:, 2:3] * tall, 1), tall], 1) / 2
    return np.concatenate([value[:, :2] - half, value[:, :2] + half], 1).astype(np.float32)
