"""PoseFlow: people are linked by the overlap of boxes, joints and image correspondences.

Source: Xiu et al., "Pose Flow: Efficient Online Pose Tracking", arXiv:1802.00977, with the weights
and thresholds of its published program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import lap
import numpy as np

from posewright.errors import UsageError, nearest
from posewright.people import Doubles, Floats, Frame, Ints, Mask, People
from posewright.skeletons import Skeleton
from posewright.trackers import motion
from posewright.trackers.flow import Correspondences, OpticalFlow, Orb, Pairs, inside, no_pairs
from posewright.trackers.links import ENOUGH, Shapes, link_scores, outwards
from posewright.trackers.motion import Clock, Ids

__all__ = ["TRACKERS", "PoseFlowTracker", "poseflow_original"]

Way = Literal["flow", "orb", "none"]

_MATCH = 0.2  # least score of a link
_LINK = 100  # frames for which the published program waits for somebody
_SURE = 0.3  # score of a person who may start a track
_ROOM = 0.1  # of its sides, by which each edge of a predicted box is moved out

_WAYS: dict[str, Correspondences | None] = {"flow": OpticalFlow(), "orb": Orb(), "none": None}


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """T tracks.  people: as last seen, with ids.  away: (T,) frames since then."""

    people: People
    away: Doubles

    @property
    def adjacent(self) -> Mask:
        """(T,) whether they were in the very last frame."""
        return np.asarray(self.away == 0)

    def __getitem__(self, rows: Mask) -> _Tracks:
        return _Tracks(self.people[rows], self.away[rows])

    def after(self, elapsed: float, people: People) -> _Tracks:
        """Return the remaining tracks and the just detected `people`; all of these have ids."""
        lost = ~np.isin(self.people.ids, people.ids)
        away = np.append(self.away[lost] + elapsed, np.zeros(len(people)))
        return _Tracks(People.concat([self.people[lost], people]), away)


class PoseFlowTracker:
    """Links each person to the track with the highest `link_scores`, by one assignment for all.

    Motion is not predicted: people are compared with their last detections, up to `buffer` seconds
    ago (five times that, from one frame to the next).  A person without a link starts a track, from
    a score of 0.3 (geometric mean of box score and mean joint score); ids count from 1.

    correspondences: "flow" (of the people's own joints), "orb" or "none"; frames without pixels
    always have none.  scaled: squares round joints grow with the person.  published: as the
    published program: tracks are kept 100 frames whatever `fps` and `buffer`, joints count whatever
    their score, every person without a link starts a track, and an empty frame repeats the previous
    one.  Errors: UsageError for invalid numbers, an unknown name and another skeleton.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        fps: float = 30.0,
        buffer: float = 1.0,
        *,
        correspondences: Way | Correspondences = "flow",
        scaled: bool = True,
        published: bool = False,
    ) -> None:
        self._way = _way(correspondences)
        self._clock = Clock(fps, buffer)
        if published:
            self._clock = Clock(1.0, float(_LINK))  # frames, however long they are
        self._scaled, self._published = scaled, published
        self._joints = len(skeleton)
        self._weights = skeleton.weights
        # of many points close together, the best few would all be of the face
        self._compared = np.flatnonzero((skeleton.weights == 1) | published)
        self._ids = Ids()
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; their ids are still not reused."""
        self._tracks = _Tracks(People.empty(self._joints), np.zeros(0))
        self._clock.reset()
        self._view: Any = None  # of the last frame's image
        self._coming: tuple[tuple[int, float], Any, Pairs] | None = None

    def predict(self, frame: Frame) -> People:
        """Return the people of the last frame, moved by their correspondences.

        Their boxes are those of their joints, slightly enlarged and clipped to the image; people
        outside of it are dropped.
        """
        people = self._tracks.people[self._tracks.adjacent]
        pairs = self._look(frame)[1]
        shapes = self._shapes(people)
        shift = _shift(shapes.boxes, pairs)
        boxes = shapes.boxes + np.tile(shift, 2)
        boxes += np.where(shapes.there.any(1, keepdims=True), _ROOM * outwards(boxes), 0)
        moved = people.replace(boxes=boxes, keypoints=people.keypoints + shift[:, None])
        return motion.inside(moved, frame)

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people in the same order with their ids; also call it with nobody."""
        seen = self._full(people)
        elapsed = 1.0 if self._published else self._clock.since(frame)
        tracks = self._tracks[self._clock.reaches(self._tracks.away, elapsed)]
        view, pairs = self._look(frame)
        old, new = self._shapes(tracks.people), self._shapes(seen)
        owner = _linked(link_scores(old, new, tracks.adjacent, pairs))
        # (N,) who starts a track where nothing links
        score = people.box_scores
        if people.scores.shape[1]:
            means = (people.scores * self._weights).sum(1) / self._weights.sum()
            score = np.sqrt(score * means)
        fresh = (owner < 0) & np.asarray((score >= _SURE) | self._published)
        ids = self._ids.given(np.append(tracks.people.ids, -1)[owner], fresh)
        if len(people) or not self._published:
            self._tracks = tracks.after(elapsed, seen.replace(ids=ids)[ids > 0])
        self._view, self._coming = view, None
        self._clock.set(frame)
        return people.replace(ids=ids)

    def _look(self, frame: Frame) -> tuple[Any, Pairs]:
        """Return what is kept of the frame's image, and its pairs with the last one."""
        now = frame.index, frame.time
        if self._coming is not None and self._coming[0] == now:
            return self._coming[1:]
        view, pairs = None, no_pairs()
        if self._way is not None and frame.image.size:
            view = self._way.look(frame.image)
            if self._view is not None:
                shapes = self._shapes(self._tracks.people[self._tracks.adjacent])
                pairs = self._way.pairs(self._view, view, shapes.joints[shapes.there])
        self._coming = now, view, pairs
        return view, pairs

    def _shapes(self, people: People) -> Shapes:
        at = self._compared
        seen = people.replace(keypoints=people.keypoints[:, at], scores=people.scores[:, at])
        return Shapes.of(seen, self._scaled, every=self._published)

    def _full(self, people: People) -> People:
        """Return people with every joint of the skeleton; of boxes only, at corners, scored 0."""
        seen = motion.full(people, self._joints)
        if people.scores.shape[1]:
            return seen
        corners = seen.boxes[:, np.array([[0, 1], [2, 3], [0, 3], [2, 1]])]  # (N, 4, 2)
        return seen.replace(keypoints=corners[:, np.arange(self._joints) % 4])


def poseflow_original(
    skeleton: Skeleton, fps: float = 30.0, buffer: float = 1.0
) -> PoseFlowTracker:
    """Return PoseFlow as published: 10,000 ORB features of the whole image, squares of 60 px.

    Nearest features are exact where the program's were approximate, which is all that differs.
    """
    return PoseFlowTracker(
        skeleton,
        fps,
        buffer,
        correspondences=Orb(count=10_000, side=0),
        scaled=False,
        published=True,
    )


def _way(name: Way | Correspondences) -> Correspondences | None:
    if not isinstance(name, str):
        return name
    if name not in _WAYS:
        raise UsageError(f"no correspondences {name!r}{nearest(name, _WAYS)}; known: {[*_WAYS]}")
    return _WAYS[name]


def _linked(scores: Floats) -> Ints:
    """(T, N) -> (N,) the track of each person by the largest total score; -1 = none."""
    owner = np.full(scores.shape[1], -1)
    if scores.size == 0:
        return owner
    _, found, _ = lap.lapjv(float(scores.max()) - scores.astype(np.float64), extend_cost=True)
    rows = np.flatnonzero(found >= 0)
    rows = rows[scores[rows, found[rows]] > _MATCH]
    owner[found[rows]] = rows
    return owner


def _shift(boxes: Floats, pairs: Pairs) -> Floats:
    """(T, 4) boxes -> (T, 2) median px that the pairs in them lead; 0 where there are few."""
    row, column = inside(pairs[0], boxes[:, :2], boxes[:, 2:])
    moves = (pairs[1] - pairs[0])[column]
    shift = np.zeros((len(boxes), 2), np.float32)
    for person in np.flatnonzero(np.bincount(row, minlength=len(boxes)) >= ENOUGH):
        shift[person] = np.median(moves[row == person], 0)
    return shift


TRACKERS = {"poseflow": PoseFlowTracker, "poseflow-original": poseflow_original}
