"""OksTracker: poses and boxes matched to moving tracks, sure people before doubtful ones."""

from __future__ import annotations

from dataclasses import dataclass

import lap
import numpy as np
from numpy.typing import NDArray

from posewright.errors import UsageError
from posewright.nms import box_iou, oks
from posewright.people import Floats, Frame, People, extent
from posewright.skeletons import Skeleton
from posewright.trackers.motion import Motion

__all__ = ["OksTracker"]

Indices = NDArray[np.int64]

_SURE = 0.4  # scores from which a person may start a track
_DOUBTFUL = 0.1  # scores from which a person may continue one
_MATCH = 0.2  # least likeness of a sure person with a track; of a doubtful one
_MATCH_DOUBTFUL = 0.4
_DUPLICATE = 0.9  # likeness with a better person from which a person starts no track
_POSE = 0.5  # share of the pose in the likeness, the rest is box overlap
_TOLERANCE = 3.0  # times the annotators' sigmas: people move between frames
_CONFIRMED = 3  # sights after which a track outlives the buffer's first frames
_PATIENCE = 3.0  # frames for which an unconfirmed track waits
_DRIFT = 0.9  # share of the velocity that somebody unseen keeps, each frame


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """T tracks.  people: boxes, joints and ids at the current time.  sights: (T,) times seen.

    away: (T,) frames since the last sight.  margins: (T, 4) px from the extent of the joints to
    the box at the last detection.
    """

    people: People
    motion: Motion
    sights: Indices
    away: Floats
    margins: Floats

    @classmethod
    def start(cls, people: People, margins: Floats) -> _Tracks:
        n = len(people)
        motion = Motion.start(people.boxes)
        return cls(people, motion, np.ones(n, np.int64), np.zeros(n, np.float32), margins)

    def __len__(self) -> int:
        return len(self.away)

    def __getitem__(self, rows: Indices) -> _Tracks:
        return _Tracks(
            self.people[rows], self.motion[rows], self.sights[rows], self.away[rows],
            self.margins[rows],
        )  # fmt: skip

    def joined(self, other: _Tracks) -> _Tracks:
        return _Tracks(
            People.concat([self.people, other.people]),
            self.motion.joined(other.motion),
            np.concatenate([self.sights, other.sights]),
            np.concatenate([self.away, other.away]),
            np.concatenate([self.margins, other.margins]),
        )

    def moved(self, frames: float) -> _Tracks:
        """Return the tracks some frames later; those unseen slow down."""
        drift = np.where(self.away > 0, _DRIFT**frames, 1).astype(np.float32)
        motion = self.motion.moved(frames, drift)
        shift = (motion.position - self.motion.position)[:, None, :2].astype(np.float32)
        people = self.people.replace(boxes=motion.boxes, keypoints=self.people.keypoints + shift)
        return _Tracks(people, motion, self.sights, self.away + np.float32(frames), self.margins)

    def seen(self, people: People, margins: Floats) -> _Tracks:
        """Return the tracks after one person was seen for each of them."""
        motion = self.motion.corrected(people.boxes)
        now = people.replace(boxes=motion.boxes, ids=self.people.ids)
        return _Tracks(now, motion, self.sights + 1, np.zeros_like(self.away), margins)


class OksTracker:
    """Matches people to tracks by the mean of OKS and box overlap at the predicted place.

    As in ByteTrack (arXiv:2110.06864) sure people are matched first and doubtful ones only continue
    tracks seen a moment ago.  A sure person who matches nothing starts a track and has its id at
    once; a track that is not seen again within a few frames is forgotten, one seen several times
    waits for `buffer` seconds.  A person's score is the geometric mean of box and joint scores.

    id -1 remains on a person with a score below 0.4 who continues no track, and on one who nearly
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
        nobody = People.empty(self._joints)
        self._tracks = _Tracks.start(nobody, nobody.boxes)
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
        seen, margins = self._measured(frame, seen)
        frames = self._elapsed(frame)
        tracks = self._tracks[np.flatnonzero(self._tracks.away + frames <= self._buffer)]
        lately = tracks.away == 0
        tracks = tracks.moved(frames)
        score = _score(seen, people.scores.shape[1] > 0)
        likeness = self._likeness(seen, tracks.people)
        owner = _assigned(likeness, score, tracks.sights >= _CONFIRMED, lately)
        new = np.flatnonzero((owner < 0) & (score >= _SURE))
        new = new[~self._repeats(seen, score, new)]
        ids = np.append(tracks.people.ids, -1)[owner]
        ids[new] = np.arange(self._next, self._next + len(new))
        self._next += len(new)
        self._tracks = _continued(tracks, seen.replace(ids=ids), margins, owner, new)
        self._last = frame.index, frame.time
        return people.replace(ids=ids)

    def _full(self, people: People) -> People:
        """Return people with every joint of the skeleton, scored 0 where they are boxes only."""
        n, joints = people.scores.shape
        if joints == self._joints:
            return people
        if joints != 0:
            raise UsageError(
                f"the tracker was made for {self._joints} joints and got people of {joints}; "
                "create it with the skeleton of the model"
            )
        points = np.zeros((n, self._joints, 2), np.float32)
        return people.replace(keypoints=points, scores=points[..., 0])

    def _elapsed(self, frame: Frame) -> float:
        """Return how many frames lie between the last one and this, by time, else by number."""
        if self._last is None:
            return 1.0
        index, time = self._last
        if frame.time > time:
            return (frame.time - time) * self._fps
        return float(max(frame.index - index, 1))

    def _measured(self, frame: Frame, people: People) -> tuple[People, Floats]:
        """Return people with the boxes to learn from, and their margins round the joints.

        A box that came from `predict` says nothing new: where the pose found in it is that of a
        track, the box is the extent of the joints with the margins of the last detection.
        """
        spread = extent(people.keypoints)
        margins = people.boxes - spread
        if self._predicted != (frame.index, frame.time) or len(self._tracks) == 0:
            return people, margins
        tracks = self._tracks
        order = np.argsort(tracks.people.ids)
        at = order[np.searchsorted(tracks.people.ids, people.ids, sorter=order) % len(order)]
        own = (tracks.people.ids[at] == people.ids) & (people.scores.max(1, initial=0) > 0)
        margins = np.where(own[:, None], tracks.margins[at], margins)
        return people.replace(boxes=np.where(own[:, None], spread + margins, people.boxes)), margins

    def _likeness(self, a: People, b: People) -> Floats:
        """Return (N, M) in [0, 1]: the mean of OKS and box overlap; overlap alone without joints."""
        overlap = box_iou(a.boxes, b.boxes)
        near = oks(a, b, self._sigmas, weighted=True)
        joints = (a.scores.any(1)[:, None] & b.scores.any(1)).astype(np.float32)
        return overlap + _POSE * joints * (near - overlap)

    def _repeats(self, people: People, score: Floats, new: Indices) -> NDArray[np.bool_]:
        """(N,) which of the new people nearly repeat a better person of the same frame."""
        like = self._likeness(people[new], people) > _DUPLICATE
        old = np.ones(len(people), bool)
        old[new] = False
        rank = np.empty(len(people), np.int64)
        rank[np.lexsort((-score, ~old))] = np.arange(len(people))
        return np.asarray((like & (rank < rank[new][:, None])).any(1))


def _score(people: People, posed: bool) -> Floats:
    """(N,) geometric mean of box score and mean joint score; the box score of boxes alone."""
    return np.sqrt(people.box_scores * people.pose_scores) if posed else people.box_scores


def _assigned(
    likeness: Floats, score: Floats, confirmed: NDArray[np.bool_], lately: NDArray[np.bool_]
) -> Indices:
    """(N, T) likeness -> (N,) the track of each person, -1 = none, in three rounds."""
    owner = np.full(len(score), -1)
    sure = score >= _SURE
    doubtful = ~sure & (score >= _DOUBTFUL)
    for people, tracks, least in (
        (sure, confirmed, _MATCH),
        (doubtful, confirmed & lately, _MATCH_DOUBTFUL),
        (sure, ~confirmed, _MATCH),
    ):
        free = tracks.copy()
        free[owner[owner >= 0]] = False
        rows, columns = np.flatnonzero(people & (owner < 0)), np.flatnonzero(free)
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


def _continued(
    tracks: _Tracks, people: People, margins: Floats, owner: Indices, new: Indices
) -> _Tracks:
    """Return the tracks after a frame: those seen corrected, those given up gone, new ones last."""
    seen = np.flatnonzero(owner >= 0)
    found = tracks[owner[seen]].seen(people[seen], margins[seen])
    waits = (tracks.sights >= _CONFIRMED) | (tracks.away <= _PATIENCE)
    waits[owner[seen]] = False
    lost = tracks[np.flatnonzero(waits)]
    return found.joined(lost).joined(_Tracks.start(people[new], margins[new]))
