"""PoseFlow: people are linked by the overlap of boxes, of joints and of what moved with them.

Source: Xiu et al., "Pose Flow: Efficient Online Pose Tracking", arXiv:1802.00977, with the weights
and thresholds of its published program.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import lap
import numpy as np

from posewright.errors import UsageError, nearest
from posewright.nms import Indices
from posewright.people import Floats, Frame, People
from posewright.skeletons import Skeleton
from posewright.trackers.flow import Correspondences, OpticalFlow, Orb, Pairs, inside, no_pairs
from posewright.trackers.links import ENOUGH, Mask, Shapes, link_scores, outwards

__all__ = ["PoseFlowTracker", "poseflow_original"]

Way = Literal["flow", "orb", "none"]

_MATCH = 0.2  # least score of a link
_LINK = 100  # frames for which the published program waits for somebody
_SURE = 0.3  # score of a person who may start a track
_LEAP = 5  # times the buffer that may lie between one frame and the next
_ROOM = 0.1  # of its sides, by which each edge of a predicted box is moved out

_WAYS: dict[str, Correspondences | None] = {"flow": OpticalFlow(), "orb": Orb(), "none": None}


@dataclass(frozen=True, slots=True, eq=False)
class _Tracks:
    """T tracks.  people: as last seen, with ids.  away: (T,) frames since then.

    adjacent: (T,) whether they were in the very last frame.
    """

    people: People
    away: Floats
    adjacent: Mask

    def __getitem__(self, rows: Mask) -> _Tracks:
        return _Tracks(self.people[rows], self.away[rows], self.adjacent[rows])

    def after(self, elapsed: float, people: People) -> _Tracks:
        """Return those who are left and, seen just now, `people`; all of these have ids."""
        lost = ~np.isin(self.people.ids, people.ids)
        n = len(people)
        return _Tracks(
            People.concat([self.people[lost], people]),
            np.append(self.away[lost] + np.float32(elapsed), np.zeros(n, np.float32)),
            np.append(np.zeros(lost.sum(), bool), np.ones(n, bool)),
        )


class PoseFlowTracker:
    """Links each person to the track with the highest `link_scores`, by one assignment for all.

    Nothing is predicted: people are compared with where they were last seen, up to `buffer` seconds
    ago (five times that, from one frame to the next).  Whoever links to nothing starts a track,
    from a score of 0.3 (geometric mean of box score and mean joint score); ids count from 1.

    correspondences: "flow" (of the people's own joints), "orb" or "none"; frames without pixels
    always have none.  scaled: squares round joints grow with the person.  published: as the
    published program: tracks wait 100 frames whatever `fps` and `buffer`, joints count whatever
    their score, everybody without a link starts a track, and an empty frame repeats the one before.
    Errors: UsageError for numbers, a name or a skeleton that cannot be meant.
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
        for name, value in {"fps": fps, "buffer": buffer}.items():
            if not 0 < value < np.inf:
                raise UsageError(f"the tracker's {name} must be a positive number, not {value}")
        self._way = _way(correspondences)
        self._fps = fps
        self._link = float(_LINK) if published else buffer * fps
        self._scaled, self._published = scaled, published
        self._joints = len(skeleton)
        self._next = 1
        self.reset()

    def reset(self) -> None:
        """Forget everybody; ids that were given are still not used again."""
        self._tracks = _Tracks(
            People.empty(self._joints), np.zeros(0, np.float32), np.zeros(0, np.bool_)
        )
        self._last: tuple[int, float] | None = None
        self._view: Any = None  # of the last frame's picture
        self._coming: tuple[tuple[int, float], Any, Pairs] | None = None

    def predict(self, frame: Frame) -> People:
        """Return those seen in the last frame, moved as their correspondences are.

        Their boxes are those of their joints, a little wider, cut off at the picture's edges; a
        person of whom nothing is left inside is left out.
        """
        people = self._tracks.people[self._tracks.adjacent]
        pairs = self._look(frame)[1]
        shapes = self._shapes(people)
        shift = _shift(shapes.boxes, pairs)
        boxes = shapes.boxes + np.tile(shift, 2)
        boxes += np.where(shapes.there.any(1, keepdims=True), _ROOM * outwards(boxes), 0)
        moved = people.replace(boxes=boxes, keypoints=people.keypoints + shift[:, None])
        width, height = frame.size
        if width == 0:
            return moved
        boxes = np.clip(boxes, 0, np.array([width, height] * 2, np.float32))
        return moved.replace(boxes=boxes)[(boxes[:, 2:] - boxes[:, :2]).min(1, initial=np.inf) >= 1]

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people in the same order with their ids; also call it with nobody."""
        seen = self._full(people)
        elapsed = self._elapsed(frame)
        tracks = self._candidates(elapsed)
        view, pairs = self._look(frame)
        old, new = self._shapes(tracks.people), self._shapes(seen)
        owner = _linked(link_scores(old, new, tracks.adjacent, pairs))
        ids = np.append(tracks.people.ids, -1)[owner]
        fresh = np.flatnonzero((owner < 0) & self._may_start(people))
        ids[fresh] = np.arange(self._next, self._next + len(fresh))
        self._next += len(fresh)
        if len(people) or not self._published:
            self._tracks = tracks.after(elapsed, seen.replace(ids=ids)[ids > 0])
        self._view, self._coming = view, None
        self._last = frame.index, frame.time
        return people.replace(ids=ids)

    def _candidates(self, elapsed: float) -> _Tracks:
        """Return the tracks that may still go on, some frames later."""
        limit = self._link * np.where(self._tracks.adjacent, _LEAP, 1)
        return self._tracks[self._tracks.away + elapsed <= limit]

    def _look(self, frame: Frame) -> tuple[Any, Pairs]:
        """Return what is kept of the frame's picture, and its pairs with the last one."""
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
        return Shapes.of(people, self._scaled, every=self._published)

    def _may_start(self, people: People) -> Mask:
        """(N,) who starts a track where nothing links."""
        score = people.box_scores
        if people.scores.shape[1]:
            score = np.sqrt(score * people.pose_scores)
        return np.asarray((score >= _SURE) | self._published)

    def _full(self, people: People) -> People:
        """Return people with every joint of the skeleton; of boxes only, at corners and scored 0.

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
        corners = boxes[:, np.array([[0, 1], [2, 3], [0, 3], [2, 1]])]  # (N, 4, 2)
        points = corners[:, np.arange(self._joints) % 4]
        return people.replace(
            boxes=boxes, keypoints=points, scores=np.zeros((n, self._joints), np.float32)
        )

    def _elapsed(self, frame: Frame) -> float:
        """Return how many frames lie between the last one and this, by time, else by number."""
        if self._last is None or self._published:
            return 1.0
        index, time = self._last
        if frame.time > time:
            return (frame.time - time) * self._fps
        return float(max(frame.index - index, 1))


def poseflow_original(
    skeleton: Skeleton, fps: float = 30.0, buffer: float = 1.0
) -> PoseFlowTracker:
    """Return PoseFlow as published: 10,000 ORB features of the whole picture, squares of 60 px.

    Nearest features are exact where the program's were approximate, which is all that differs.
    """
    return PoseFlowTracker(
        skeleton, fps, buffer,
        correspondences=Orb(count=10_000, side=0), scaled=False, published=True,
    )  # fmt: skip


def _way(name: Way | Correspondences) -> Correspondences | None:
    if not isinstance(name, str):
        return name
    if name not in _WAYS:
        raise UsageError(f"no correspondences {name!r}{nearest(name, _WAYS)}; known: {[*_WAYS]}")
    return _WAYS[name]


def _linked(scores: Floats) -> Indices:
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
