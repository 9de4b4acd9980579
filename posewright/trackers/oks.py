"""OksTracker: poses and boxes matched to moving tracks, sure people before doubtful ones."""

from __future__ import annotations

from dataclasses import dataclass

import lap
import numpy as np
from numpy.typing import NDArray

from posewright.errors import UsageError
from posewright.nms import box_iou, oks
from posewright.people import Floats, Frame, People
from posewright.skeletons import Skeleton
from posewright.trackers.motion import Motion

__all__ = ["OksTracker"]

Indices = NDArray[np.int64]

# Chosen on the identities of 60 labelled videos (3,092 frames) with joints moved, people left out
# and false ones put in; the counts of wrong identities change little around these values.
_SURE = 0.3  # scores from which a person may start a track
_DOUBTFUL = 0.1  # scores from which a person may continue one
_MATCH = 0.2  # least likeness of a sure person with a track
_MATCH_DOUBTFUL = 0.3  # and of a doubtful one
_DUPLICATE = 0.9  # likeness with a better person above which a person starts no track
_POSE = 0.5  # share of the pose in the likeness; the rest is the boxes' overlap
_TOLERANCE = 1.5  # times the annotators' sigmas: people move between frames
_CONFIRMED = 3  # sights after which a track is somebody
_PATIENCE = 1 / 3  # share of the buffer for which a track of fewer sights waits
_LEAP = 5  # times the buffer that may lie between one frame and the next
_DRIFT = 0.95  # share of the velocity that somebody unseen keeps, each frame


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """T tracks.  people: as last seen, moved to the current time, with ids.

    sights: (T,) times seen.  away: (T,) frames since the last sight.
    """

    people: People
    motion: Motion
    sights: Indices
    away: Floats

    @classmethod
    def start(cls, people: People) -> _Tracks:
        n = len(people)
        motion = Motion.start(people.boxes)
        return cls(people, motion, np.ones(n, np.int64), np.zeros(n, np.float32))

    def __len__(self) -> int:
        return len(self.away)

    def __getitem__(self, rows: Indices) -> _Tracks:
        return _Tracks(self.people[rows], self.motion[rows], self.sights[rows], self.away[rows])

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            People.concat([self.people, other.people]),
            self.motion.joined(other.motion),
            np.concatenate([self.sights, other.sights]),
            np.concatenate([self.away, other.away]),
        )

    def moved(self, frames: float) -> _Tracks:
        """Return the tracks some frames later; those unseen slow down."""
        keep = np.where(self.away > 0, _DRIFT**frames, 1.0)
        motion = self.motion.moved(frames, keep)
        shift = (motion.position - self.motion.position).astype(np.float32)  # (T, 2)
        # Sizes stay: extrapolated ones cost identities in occlusions.
        boxes = self.people.boxes + np.tile(shift, 2)
        people = self.people.replace(boxes=boxes, keypoints=self.people.keypoints + shift[:, None])
        return _Tracks(people, motion, self.sights, self.away + np.float32(frames))

    def seen(self, people: People) -> _Tracks:
        """Return the tracks after one person was seen for each of them."""
        motion = self.motion.corrected(people.boxes)
        now = people.replace(ids=self.people.ids)
        return _Tracks(now, motion, self.sights + 1, np.zeros_like(self.away))


class OksTracker:
    """Matches people to tracks by the mean of OKS and box overlap at the predicted place.

    As in ByteTrack (arXiv:2110.06864) sure people are matched first and doubtful ones only continue
    what is left.  A sure person who matches nothing starts a track and has its id at once.  A track
    waits `buffer` seconds for somebody who is out of sight, a third of that before its third sight.
    A person's score is the geometric mean of the box score and the mean joint score.

    id -1 remains on a person with a score below 0.3 who continues no track, and on one who nearly
    repeats a better person of the same frame; everybody else has an id.  Ids count from 1.

    skeleton: of the people, who may also be boxes without joints.  fps: frames a second, for frames
    without times; where times or numbers have gaps, tracks are moved across them.  Errors:
    UsageError for fps or buffer that are not positive, and for people of another skeleton.
    """

    def __init__(self, skeleton: Skeleton, fps: float = 30.0, buffer: float = 1.0) -> None:
        for name, value in {"fps": fps, "buffer": buffer}.items():
            if not 0 < value < np.inf:
                raise UsageError(f"the tracker's {name} must be a positive number, not {value}")
        self._fps = fps
        self._buffer = buffer * fps  # frames
        self._joints = len(skeleton)
        self._sigmas = skeleton.oks_sigmas * _TOLERANCE
        self._next = 1
        self.reset()

    def reset(self) -> None:
        """Forget everybody; ids that were given are still not used again."""
        self._tracks = _Tracks.start(People.empty(self._joints))
        self._last: tuple[int, float] | None = None
        self._predicted: tuple[int, float] | None = None

    def predict(self, frame: Frame) -> People:
        """Return those seen in the last frame, moved to this coming one and cut off at its edges.

        Their key points move along; a person of whom nothing is left inside is left out.
        """
        self._predicted = (frame.index, frame.time)
        tracks = self._tracks
        people = tracks[np.flatnonzero(tracks.away == 0)].moved(self._elapsed(frame)).people
        width, height = frame.size
        if width == 0:
            return people
        boxes = np.clip(people.boxes, 0, np.array([width, height] * 2, np.float32))
        inside = (boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= 1
        return people.replace(boxes=boxes)[inside]

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people in the same order with their ids; also call it with nobody."""
        seen = self._full(people)
        tracks = self._candidates(self._elapsed(frame))
        if self._predicted == (frame.index, frame.time):
            seen = _followed(seen, tracks.people)
        score = _score(seen, people.scores.shape[1] > 0)
        owner = _assigned(self._likeness(seen, tracks.people), score)
        new = self._new(seen, score, owner)
        ids = np.append(tracks.people.ids, -1)[owner]
        ids[new] = np.arange(self._next, self._next + len(new))
        self._next += len(new)
        self._tracks = self._continued(tracks, seen.replace(ids=ids), owner, new)
        self._last = frame.index, frame.time
        return people.replace(ids=ids)

    def _candidates(self, frames: float) -> _Tracks:
        """Return the tracks that may still go on, some frames later."""
        tracks = self._tracks
        # Those of the very last frame wait longer, else a slow source would have no identities.
        limit = self._buffer * np.where(tracks.away == 0, _LEAP, 1)
        return tracks[np.flatnonzero(tracks.away + frames <= limit)].moved(frames)

    def _new(self, people: People, score: Floats, owner: Indices) -> Indices:
        """Return who starts a track: sure, matched to nothing, repeating nobody better."""
        new = np.flatnonzero((owner < 0) & (score >= _SURE))
        new = new[np.argsort(-score[new], kind="stable")]
        like = self._likeness(people[new], people) > _DUPLICATE
        repeats = like[:, owner >= 0].any(1) | np.tril(like[:, new], -1).any(1)
        return np.sort(new[~repeats])

    def _continued(self, tracks: _Tracks, people: People, owner: Indices, new: Indices) -> _Tracks:
        """Return the tracks after a frame: those seen, those lost that may return, the new."""
        seen = np.flatnonzero(owner >= 0)
        found = tracks[owner[seen]].seen(people[seen])
        patience = np.where(tracks.sights >= _CONFIRMED, 1, _PATIENCE) * self._buffer
        waits = tracks.away <= patience
        waits[owner[seen]] = False
        lost = tracks[np.flatnonzero(waits)]
        return found.joined(lost).joined(_Tracks.start(people[new]))

    def _full(self, people: People) -> People:
        """Return people with every joint of the skeleton, scored 0 where they are boxes only.

        Places beyond a million px are cut off, so that no square overflows.
        """
        n, joints = people.scores.shape
        boxes = np.clip(people.boxes, -1e6, 1e6)
        if joints == self._joints:
            return people.replace(boxes=boxes, keypoints=np.clip(people.keypoints, -1e6, 1e6))
        if joints != 0:
            raise UsageError(
                f"the tracker was made for {self._joints} joints and got people of {joints}; "
                "create it with the skeleton of the model"
            )
        points = np.zeros((n, self._joints, 2), np.float32)
        return people.replace(boxes=boxes, keypoints=points, scores=points[..., 0])

    def _elapsed(self, frame: Frame) -> float:
        """Return how many frames lie between the last one and this, by time, else by number."""
        if self._last is None:
            return 1.0
        index, time = self._last
        if frame.time > time:
            return (frame.time - time) * self._fps
        return float(max(frame.index - index, 1))

    def _likeness(self, a: People, b: People) -> Floats:
        """(N, M) mean of OKS and box overlap, in [0, 1]; the overlap alone without joints."""
        overlap = box_iou(a.boxes, b.boxes)
        near = oks(a, b, self._sigmas, weighted=True)
        joints = np.logical_and.outer(a.scores.any(1), b.scores.any(1))
        return np.asarray(overlap + _POSE * joints * (near - overlap), np.float32)


def _followed(people: People, tracks: People) -> People:
    """Return people with the boxes to learn from, where theirs were predicted from tracks.

    A predicted box says nothing new.  The track's box is moved and scaled as its joints did instead
    (by their mean and spread, weighted with their scores).
    """
    row, column = np.nonzero(people.ids[:, None] == tracks.ids)
    weight = people.scores[row] * tracks.scores[column]
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


def _score(people: People, posed: bool) -> Floats:
    """(N,) geometric mean of box score and mean joint score; the box score of boxes alone."""
    return np.sqrt(people.box_scores * people.pose_scores) if posed else people.box_scores


def _assigned(likeness: Floats, score: Floats) -> Indices:
    """(N, T) likeness, (N,) score -> (N,) the track of each person, -1 = none, in two rounds."""
    owner = np.full(len(score), -1)
    sure = score >= _SURE
    doubtful = ~sure & (score >= _DOUBTFUL)
    for people, least in ((sure, _MATCH), (doubtful, _MATCH_DOUBTFUL)):
        free = np.ones(likeness.shape[1], bool)
        free[owner[owner >= 0]] = False
        rows, columns = np.flatnonzero(people), np.flatnonzero(free)
        row, column = _paired(likeness[np.ix_(rows, columns)], least)
        owner[rows[row]] = columns[column]
    return owner


def _paired(likeness: Floats, least: float) -> tuple[Indices, Indices]:
    """(N, T) -> rows and columns of the best assignment, each pair at least `least` alike."""
    if likeness.size == 0:
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    # A pair costs less than leaving both alone only where it is alike enough.
    cost = 1 - likeness.astype(np.float64)
    _, found, _ = lap.lapjv(cost, extend_cost=True, cost_limit=1 - least)
    rows = np.flatnonzero(found >= 0)
    return rows, np.asarray(found[rows], np.int64)
