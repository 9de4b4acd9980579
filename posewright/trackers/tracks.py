"""Tracks of boxes with DeepSORT's Kalman filter, for ByteTrack and the appearance tracker."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posewright.people import Doubles, Floats, Ints, Mask, People
from posewright.trackers.motion import Kalman, centre

__all__ = ["BoxTracks", "boxes_of", "measured"]

# Of cx, cy, aspect, height: shares of the height, but for the aspect, which is a plain number.
_OF_HEIGHT = np.array([1.0, 1.0, 0.0, 1.0])
_POSITION = 1 / 20
_VELOCITY = 1 / 160
_START, _SEEN = (2 * _POSITION, 0.01), (_POSITION, 0.1)
_START_SPEED, _DRIFT, _PUSH = (10 * _VELOCITY, 1e-5), (_POSITION, 0.01), (_VELOCITY, 1e-5)


@dataclass(frozen=True, slots=True, eq=False)
class BoxTracks:
    """T tracks.  people: as last detected; id -1 until the second detection.

    state: of centre x, y, aspect (width / height) and height, at the current time.
    away: (T,) frames since the last detection.
    """

    people: People
    state: Kalman
    away: Doubles

    @classmethod
    def start(cls, people: People) -> BoxTracks:
        """Return the tracks of newly detected people: at rest."""
        value = measured(people.boxes)
        known, moving = _noise(_START, value), _noise(_START_SPEED, value)
        return cls(people, Kalman.start(value, known, moving), np.zeros(len(people)))

    def __getitem__(self, rows: Ints) -> BoxTracks:
        return BoxTracks(self.people[rows], self.state[rows], self.away[rows])

    def __len__(self) -> int:
        return len(self.away)

    def joined(self, other: BoxTracks) -> BoxTracks:
        """Return the tracks of both, in order."""
        people = People.concat([self.people, other.people])
        away = np.concatenate([self.away, other.away])
        return BoxTracks(people, self.state.joined(other.state), away)

    def moved(self, frames: float) -> BoxTracks:
        """Return the tracks some frames later; undetected ones keep their shape."""
        state, seen = self.state, (self.away == 0)[:, None]
        speed = np.where(seen, state.speed, state.speed * [1, 1, 0, 0])
        state = Kalman(state.value, speed, state.variance).moved(
            frames, _noise(_DRIFT, state.value), _noise(_PUSH, state.value)
        )
        shift = (state.value - self.state.value)[:, None, :2].astype(np.float32)
        points = self.people.keypoints + shift
        people = self.people.replace(boxes=boxes_of(state.value), keypoints=points)
        return BoxTracks(people, state, self.away + frames)

    def seen(self, people: People, followed: Mask) -> BoxTracks:
        """Return the tracks updated with one detection each.

        followed: (T,) whose boxes were predicted from the track and add no evidence.
        """
        noise = _noise(_SEEN, self.state.value)
        corrected = self.state.corrected(measured(people.boxes), noise)
        return BoxTracks(people, self.state.where(followed, corrected), np.zeros(len(people)))

    def distances(self, boxes: Floats) -> Doubles:
        """(N, 4) boxes -> (N, T) squared Mahalanobis distances from the predicted measurements."""
        noise = self.state.variance[0] + _noise(_SEEN, self.state.value)  # (T, 4)
        gaps = measured(boxes)[:, None] - self.state.value  # (N, T, 4)
        return np.asarray((np.square(gaps) / noise).sum(2))


def _noise(deviations: tuple[float, float], value: Doubles) -> Doubles:
    """(T, 4) variances from deviations as a share of the height, and of the aspect."""
    share, plain = deviations
    return np.square(_OF_HEIGHT * share * value[:, 3:] + (1 - _OF_HEIGHT) * plain)


def measured(boxes: Floats) -> Doubles:
    """(T, 4) x1, y1, x2, y2 px -> (T, 4) centre x, y, width / height, height, at least 1 px."""
    wide, tall = np.maximum(boxes[:, 2:].astype(np.float64) - boxes[:, :2], 1).T
    return np.column_stack([centre(boxes), wide / tall, tall])


def boxes_of(value: Doubles) -> Floats:
    """Return the boxes of measured values; the inverse of `measured`."""
    tall = np.maximum(value[:, 3:], 1)
    half = np.concatenate([np.maximum(value[:, 2:3] * tall, 1), tall], 1) / 2
    return np.concatenate([value[:, :2] - half, value[:, :2] + half], 1).astype(np.float32)
