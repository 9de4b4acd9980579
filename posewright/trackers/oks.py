"""OksTracker: poses and boxes matched to predicted tracks, confident people first."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from posewright.nms import box_iou, oks
from posewright.people import Doubles, Floats, Frame, Ints, People
from posewright.skeletons import Skeleton
from posewright.trackers.motion import Clock, Ids, Kalman, Round, centre, full, in_rounds, inside

__all__ = ["TRACKERS", "OksTracker"]

# Chosen on the identities of 60 labelled videos (3,092 frames) with joints moved, people left out
# and false ones put in; the counts of wrong identities change little around these values.
_SURE = 0.3  # scores of the first round
_NEW = 0.4  # score from which a person may start a track; ghosts of one frame are below
_DOUBTFUL = 0.1  # scores from which a person may continue one
_MATCH = 0.2  # least likeness of a sure person with a track
_MATCH_DOUBTFUL = 0.3  # and of a doubtful one
_DUPLICATE = 0.9  # likeness with a better person above which a person starts no track
_POSE = 0.5  # share of the pose in the likeness; the rest is the boxes' overlap
_TOLERANCE = 1.5  # times the annotators' sigmas: people move between frames
_CONFIRMED = 3  # sights after which a track is somebody
_PATIENCE = 1 / 3  # share of the buffer for which a track of fewer sights waits
_DRIFT = 0.95  # share of the velocity that somebody unseen keeps, each frame
_POSITION = 1 / 20  # standard deviations as shares of the person's size (DeepSORT's)
_VELOCITY = 1 / 160


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """T tracks.  people: as last seen, moved to the current time, with ids.

    state: of the boxes' centres, px, with the noise of DeepSORT (arXiv:1703.07402).
    sights: (T,) times seen.  away: (T,) frames since the last sight.
    """

    people: People
    state: Kalman
    sights: Ints
    away: Doubles

    @classmethod
    def start(cls, people: People) -> _Tracks:
        n, size = len(people), _size(people.boxes)
        known, moving = _noise(2 * _POSITION, size), _noise(10 * _VELOCITY, size)
        state = Kalman.start(centre(people.boxes), known, moving)
        return cls(people, state, np.ones(n, np.int64), np.zeros(n))

    def __len__(self) -> int:
        return len(self.away)

    def __getitem__(self, rows: Ints) -> _Tracks:
        return _Tracks(self.people[rows], self.state[rows], self.sights[rows], self.away[rows])

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            People.concat([self.people, other.people]),
            self.state.joined(other.state),
            np.concatenate([self.sights, other.sights]),
            np.concatenate([self.away, other.away]),
        )

    def moved(self, frames: float) -> _Tracks:
        """Return the tracks some frames later; undetected ones slow down."""
        keep, size = np.where(self.away > 0, _DRIFT**frames, 1.0), _size(self.people.boxes)
        slower = replace(self.state, speed=self.state.speed * keep[:, None])
        state = slower.moved(frames, _noise(_POSITION, size), _noise(_VELOCITY, size))
        shift = (state.value - self.state.value).astype(np.float32)  # (T, 2)
        # Sizes stay: extrapolated ones cost identities in occlusions.
        boxes = self.people.boxes + np.tile(shift, 2)
        people = self.people.replace(boxes=boxes, keypoints=self.people.keypoints + shift[:, None])
        return _Tracks(people, state, self.sights, self.away + frames)

    def seen(self, people: People) -> _Tracks:
        """Return the tracks updated with one detection each."""
        noise = _noise(_POSITION, _size(people.boxes))
        state = self.state.corrected(centre(people.boxes), noise)
        now = people.replace(ids=self.people.ids)
        return _Tracks(now, state, self.sights + 1, np.zeros_like(self.away))


class OksTracker:
    """Matches people to tracks by the mean of OKS and box overlap at the predicted place.

    As in ByteTrack (arXiv:2110.06864) confident people are matched first and others only continue
    the tracks left.  A confident person who matches no track starts one and has an id immediately.
    A track is kept `buffer` seconds without a detection, a third of that before its third
    detection.  A person's score is the geometric mean of the box score and the mean joint score.
    In both a face and hands count for no more than their Skeleton.weights.

    The id is -1 for a person with a score below 0.4 who continues no track, and for a near
    duplicate of a better person of the same frame; all others have an id.  Ids count from 1.

    skeleton: of the people, who may also be boxes without joints.  fps: frame rate, for frames
    without timestamps; tracks are predicted across gaps in timestamps or frame numbers.  Errors:
    UsageError for fps or buffer that are not positive, and for people of another skeleton.
    """

    def __init__(self, skeleton: Skeleton, fps: float = 30.0, buffer: float = 1.0) -> None:
        self._clock = Clock(fps, buffer)
        self._joints = len(skeleton)
        self._sigmas = skeleton.oks_sigmas * _TOLERANCE
        self._weights = skeleton.weights
        self._ids = Ids()
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; their ids are still not reused."""
        self._tracks = _Tracks.start(People.empty(self._joints))
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
        if self._clock.expected(frame):
            seen = _followed(seen, tracks.people, self._weights)
        score = _score(seen, self._weights if people.scores.shape[1] else None)
        owner = _assigned(self._likeness(seen, tracks.people), score)
        new = self._new(seen, score, owner)
        ids = self._ids.given(np.append(tracks.people.ids, -1)[owner], new)
        self._tracks = self._continued(tracks, seen.replace(ids=ids), owner, new)
        self._clock.set(frame)
        return people.replace(ids=ids)

    def _new(self, people: People, score: Floats, owner: Ints) -> Ints:
        """Return who starts a track: sure, matched to nothing, repeating nobody better."""
        new = np.flatnonzero((owner < 0) & (score >= _NEW))
        new = new[np.argsort(-score[new], kind="stable")]
        like = self._likeness(people[new], people) > _DUPLICATE
        repeats = like[:, owner >= 0].any(1) | np.tril(like[:, new], -1).any(1)
        return np.sort(new[~repeats])

    def _continued(self, tracks: _Tracks, people: People, owner: Ints, new: Ints) -> _Tracks:
        """Return the tracks after a frame: those seen, those lost that may return, the new."""
        seen = np.flatnonzero(owner >= 0)
        found = tracks[owner[seen]].seen(people[seen])
        share = np.where(tracks.sights >= _CONFIRMED, 1, _PATIENCE)
        waits = self._clock.waits(tracks.away, share)
        waits[owner[seen]] = False
        lost = tracks[np.flatnonzero(waits)]
        return found.joined(lost).joined(_Tracks.start(people[new]))

    def _likeness(self, a: People, b: People) -> Floats:
        """(N, M) mean of OKS and box overlap, in [0, 1]; the overlap alone without joints."""
        overlap = box_iou(a.boxes, b.boxes)
        near = oks(a, b, self._sigmas, weighted=True, weights=self._weights)
        joints = np.logical_and.outer(a.scores.any(1), b.scores.any(1))
        return np.asarray(overlap + _POSE * joints * (near - overlap), np.float32)


def _followed(people: People, tracks: People, weights: Floats) -> People:
    """Return people with the boxes to learn from, where theirs were predicted from tracks.

    A predicted box says nothing new.  The track's box is moved and scaled as its joints did instead
    (by their mean and spread, weighted with their scores and `weights`, (K,)).
    """
    row, column = np.nonzero(people.ids[:, None] == tracks.ids)
    weight = people.scores[row] * tracks.scores[column] * weights
    total = weight.sum(1)
    good = total > 0
    row, column, weight = row[good], column[good], (weight / total[:, None])[good, :, None]
    before, now = tracks.keypoints[column], people.keypoints[row]  # (F, K, 2)
    old, new = ((points * weight).sum(1) for points in (before, now))  # (F, 2)
    spread = [
        (weight * np.square(points - middle[:, None])).sum((1, 2))
        for points, middle in ((before, old), (now, new))
    ]
    scale = np.sqrt((spread[1] + 1) / (spread[0] + 1)).clip(0.8, 1.25)
    corners = tracks.boxes[column].reshape(-1, 2, 2) - old[:, None]
    boxes = people.boxes.copy()
    boxes[row] = (corners * scale[:, None, None] + new[:, None]).reshape(-1, 4)
    return people.replace(boxes=boxes)


def _score(people: People, weights: Floats | None) -> Floats:
    """(N,) geometric mean of box score and weighted mean joint score; box scores without joints."""
    if weights is None:
        return people.box_scores
    means = (people.scores * weights).sum(1) / max(weights.sum(), 1e-9)
    return np.asarray(np.sqrt(people.box_scores * means))


def _assigned(likeness: Floats, score: Floats) -> Ints:
    """(N, T) likeness, (N,) score -> (N,) the track of each person, -1 = none, in two rounds."""
    sure = score >= _SURE
    doubtful = ~sure & (score >= _DOUBTFUL)
    every = np.ones(likeness.shape[1], bool)
    alike = likeness.astype(np.float64)
    return in_rounds(
        [Round(alike, sure, every, _MATCH), Round(alike, doubtful, every, _MATCH_DOUBTFUL)]
    )


def _size(boxes: Floats) -> Doubles:
    """(T, 4) -> (T, 1) px: the longer side, so that people who lie are not held to be small."""
    sides = boxes[:, 2:].astype(np.float64) - boxes[:, :2]
    return np.asarray(sides.max(1, initial=1.0))[:, None]


def _noise(share: float, size: Doubles) -> Doubles:
    """(T, 1) px -> (T, 1) variance of either coordinate."""
    return np.square(share * size)


TRACKERS = {"oks": OksTracker}
