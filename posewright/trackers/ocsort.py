"""OcSortTracker: observation-centric motion in place of filter predictions (arXiv:2203.14360)."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posewright.nms import box_iou
from posewright.people import Doubles, Floats, Frame, Ints, Mask, People
from posewright.skeletons import Skeleton
from posewright.trackers.motion import Clock, Ids, Kalman, Round, centre, full, in_rounds, inside

__all__ = ["TRACKERS", "OcSortTracker", "Tracks", "momentum"]

# The paper's and its authors' constants.
_SURE = 0.6  # box scores that start tracks and are matched first
_DOUBTFUL = 0.1  # box scores that continue what is left
_MATCH = 0.3  # least overlap
_MOMENTUM = 0.2  # weight of the direction, as of the overlap
_PAST = 3  # frames between the two sights that make a direction
_CONFIRMED = 3  # sights from which somebody has an id

# Variances of SORT's filter of centre x, y (px), area (px²) and aspect, whose speed is 0.
_START, _START_SPEED = np.full(4, 10.0), np.array([1e4, 1e4, 1e4, 0.0])
_DRIFT, _PUSH = np.ones(4), np.array([1e-2, 1e-2, 1e-4, 0.0])
_NOISE = np.array([1.0, 1.0, 10.0, 10.0])


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """T tracks.  people: as last seen; id -1 until the third sight.

    state: of centre x, y, area and aspect at the last sight: what a filter would make of the frames
    since then is never used.  away: (T,) frames since.  sights: (T,) times seen.
    past: (T, 1 + 3, 4) boxes seen in this frame, the one before ...; NaN where not seen.
    heading: (T, 2) direction of length 1 at the last sight; 0 until there are two.
    """

    people: People
    state: Kalman
    away: Doubles
    sights: Ints
    past: Doubles
    heading: Doubles

    @classmethod
    def start(cls, people: People) -> Tracks:
        n = len(people)
        past = np.full((n, 1 + _PAST, 4), np.nan)
        past[:, 0] = people.boxes
        state = Kalman.start(_measured(people.boxes), _START, _START_SPEED)
        return cls(people, state, np.zeros(n), np.ones(n, np.int64), past, np.zeros((n, 2)))

    def __getitem__(self, rows: Ints) -> Tracks:
        return Tracks(
            self.people[rows],
            self.state[rows],
            self.away[rows],
            self.sights[rows],
            self.past[rows],
            self.heading[rows],
        )

    def joined(self, other: Tracks) -> Tracks:
        join = np.concatenate
        return Tracks(
            People.concat([self.people, other.people]),
            self.state.joined(other.state),
            join([self.away, other.away]),
            join([self.sights, other.sights]),
            join([self.past, other.past]),
            join([self.heading, other.heading]),
        )

    def later(self, frames: float) -> Tracks:
        """Return the tracks in a coming frame, before its detections."""
        past = np.full_like(self.past, np.nan)
        step = max(round(frames), 1)
        if step <= _PAST:
            past[:, step:] = self.past[:, :-step]
        return replace(self, away=self.away + frames, past=past)

    def ahead(self) -> People:
        """Return people at the places predicted since the last detection."""
        state = self.state.moved(self.away[:, None], _DRIFT, _PUSH)
        value = state.value.copy()
        # An area that shrank to nothing is no box: it stays what it was.
        value[:, 2] = np.where(value[:, 2] > 0, value[:, 2], self.state.value[:, 2])
        shift = (value - self.state.value)[:, None, :2].astype(np.float32)
        points = self.people.keypoints + shift
        return self.people.replace(boxes=_boxes(value), keypoints=points)

    def earlier(self) -> Doubles:
        """(T, 4) the box of three frames ago, else the oldest since then, else the last."""
        boxes = self.people.boxes.astype(np.float64)
        for ago in range(1 + _PAST):
            boxes = np.where(np.isfinite(self.past[:, ago]), self.past[:, ago], boxes)
        return boxes

    def seen(self, people: People, followed: Mask) -> Tracks:
        """Return the tracks updated with one detection each.

        followed: (T,) whose boxes were predicted from the track and add no evidence.
        """
        moved = self.state.moved(self.away[:, None], _DRIFT, _PUSH)
        heading = _direction(centre(people.boxes) - centre(self.earlier()))
        past = self.past.copy()
        past[:, 0] = people.boxes
        return Tracks(
            people,
            moved.where(followed, self._updated(people.boxes)),
            np.zeros_like(self.away),
            self.sights + 1,
            past,
            np.where(followed[:, None], self.heading, heading),
        )

    def _updated(self, boxes: Floats) -> Kalman:
        """Return the state as if everybody had gone straight from the last sight to this one.

        The filter lives through each frame between (observation-centric re-update).
        """
        state = self.state
        steps = np.maximum(np.round(self.away), 1)
        last, way = self.people.boxes, boxes - self.people.boxes
        for step in range(1, int(steps.max(initial=0)) + 1):
            there = last + np.minimum(step / steps, 1)[:, None] * way
            frames = (self.away / steps)[:, None]
            after = state.moved(frames, _DRIFT, _PUSH).corrected(_measured(there), _NOISE)
            state = after.where(step <= steps, state)
        return state


class OcSortTracker:
    """Matches boxes by overlap and direction, and prefers observations to predictions.

    Three ideas of the paper.  Momentum: of two boxes that overlap alike, the one in the direction
    of the last three frames is preferred.  Recovery: who is not at the predicted place may be at
    the last observed one.  Re-update: when a person is found again, the filter is reset and run
    along the straight line between both observations.

    Box scores of at least 0.6 are matched first and start tracks; those of at least 0.1 continue
    what is left (the round of ByteTrack that its authors offer).  A track gets its id at the third
    detection, in a source's first three frames immediately.  People without a track have id -1.
    Joints are ignored.

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
        self._tracks = Tracks.start(People.empty(self._joints))
        self._clock.reset()
        self._frames = 0

    def predict(self, frame: Frame) -> People:
        """Return the people of the last frame, predicted for this one and clipped to the image.

        Their keypoints move along; people outside of the image are dropped.
        """
        self._clock.expect(frame)
        last = self._tracks[np.flatnonzero(self._tracks.away == 0)]
        return inside(last.later(self._clock.since(frame)).ahead(), frame)

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people in the same order with their ids; also call it with nobody."""
        seen = full(people, self._joints)
        frames = self._clock.since(frame)
        self._clock.set(frame)
        self._frames += 1
        kept = self._clock.reaches(self._tracks.away, frames)
        tracks = self._tracks[np.flatnonzero(kept)].later(frames)
        owner = in_rounds(_rounds(seen, tracks))
        new = (owner < 0) & (seen.box_scores >= _SURE)
        ids = self._named(tracks, owner, new)
        followed = self._clock.expected(frame) & (ids > 0) & (people.ids == ids)
        seen = seen.replace(ids=ids)
        rows = np.flatnonzero(owner >= 0)
        lost = self._clock.waits(tracks.away)
        lost[owner[rows]] = False
        found = tracks[owner[rows]].seen(seen[rows], followed[rows])
        lost_tracks = tracks[np.flatnonzero(lost)]
        self._tracks = found.joined(lost_tracks).joined(Tracks.start(seen[new]))
        return people.replace(ids=ids)

    def _named(self, tracks: Tracks, owner: Ints, new: Mask) -> Ints:
        """Return (N,) ids; tracks that are confirmed now get theirs."""
        ids = np.append(tracks.people.ids, -1)[owner]
        sights = np.append(tracks.sights, 0)[owner] + 1
        early = self._frames <= _CONFIRMED
        named = (ids < 0) & ((owner >= 0) & ((sights >= _CONFIRMED) | early) | new & early)
        return self._ids.given(ids, named)


def _rounds(people: People, tracks: Tracks) -> list[Round]:
    """Return who is matched with whom: by motion, doubtful ones by motion, by the last sight."""
    ahead = box_iou(people.boxes, tracks.ahead().boxes).astype(np.float64)
    last = box_iou(people.boxes, tracks.people.boxes).astype(np.float64)
    going = np.where(ahead >= _MATCH, ahead + momentum(people, tracks), -1.0)
    sure = people.box_scores >= _SURE
    doubtful = ~sure & (people.box_scores >= _DOUBTFUL)
    anybody = np.ones(len(tracks.people), bool)
    return [
        Round(going, sure, anybody, _MATCH - _MOMENTUM / 2),  # the overlap alone is the limit
        Round(ahead, doubtful, anybody, _MATCH),
        Round(last, sure, anybody, _MATCH),
    ]


def momentum(people: People, tracks: Tracks) -> Doubles:
    """(N, T) from -0.1 to 0.1: how well the way to a person keeps a track's direction."""
    way = _direction(centre(people.boxes)[:, None] - centre(tracks.earlier()))
    cosine = (way * tracks.heading).sum(2).clip(-1, 1)
    turn = np.arccos(cosine)  # a quarter turn, which counts nothing, where there is no direction
    return np.asarray(_MOMENTUM * (0.5 - turn / np.pi) * people.box_scores[:, None])


def _direction(way: Doubles) -> Doubles:
    """(..., 2) -> the same of length 1; about 0 where there is no way."""
    return np.asarray(way / (np.linalg.norm(way, axis=-1, keepdims=True) + 1e-6))


def _measured(boxes: Floats | Doubles) -> Doubles:
    """(T, 4) x1, y1, x2, y2 px -> (T, 4) centre x, y, area, width / height; sides at least 1 px."""
    wide, tall = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 1).T
    return np.column_stack([centre(boxes), wide * tall, wide / tall])


def _boxes(value: Doubles) -> Floats:
    """Return the boxes of measured values; the inverse of _measured."""
    area, aspect = np.maximum(value[:, 2], 1), np.maximum(value[:, 3], 1e-3)
    wide = np.sqrt(area * aspect)
    half = np.column_stack([wide, area / wide]) / 2
    return np.concatenate([value[:, :2] - half, value[:, :2] + half], 1).astype(np.float32)


TRACKERS = {"ocsort": OcSortTracker}
