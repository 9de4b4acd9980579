"""AppearanceTracker: association by appearance, gated by motion.

Two rounds as in JDE (arXiv:1909.12605), with the thresholds of AlphaPose (arXiv:2211.03375).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from posewright.errors import UsageError, not_finite
from posewright.nms import box_iou
from posewright.people import Doubles, Floats, Frame, Ints, Mask, People
from posewright.skeletons import Skeleton
from posewright.trackers.motion import Clock, Ids, Round, full, in_rounds, inside
from posewright.trackers.tracks import BoxTracks

__all__ = ["TRACKERS", "AppearanceTracker", "Embed", "Tracks", "likeness", "merged"]

# (N, D) features of the people of a frame: of length 1, or 0 where nothing is known
Embed = Callable[[Frame, People], Floats]

_KEPT = 0.9  # share of a track's features that a new sight leaves
_GATE = 9.4877  # of squared Mahalanobis distances: 95 % of a chi-squared of 4 numbers
_LOOKS = 0.98  # weight of the cosine distance; the rest is the Mahalanobis distance's
_FAR = 0.7  # largest weighed distance of a match
_MATCH = 0.5  # least overlap in the second round
_MATCH_NEW = 0.3  # and with somebody who was seen once
_NEW = 0.5  # box score from which somebody starts a track
_SAME_PLACE = 0.85  # overlap from which two tracks may be one person's


@dataclass(frozen=True, slots=True, eq=False)
class Tracks:
    """T tracks.  boxes: who and where.  looks: (T, D) mean features, of length 1 or 0.

    lasted: (T,) frames from the first sight to the last.
    """

    boxes: BoxTracks
    looks: Floats
    lasted: Doubles

    @classmethod
    def start(cls, people: People, looks: Floats) -> Tracks:
        return cls(BoxTracks.start(people), looks, np.zeros(len(people)))

    @property
    def ids(self) -> Ints:
        return self.boxes.people.ids

    def __getitem__(self, rows: Ints) -> Tracks:
        return Tracks(self.boxes[rows], self.looks[rows], self.lasted[rows])

    def joined(self, other: Tracks) -> Tracks:
        """Return the tracks of both, in order; features of no people may have any width."""
        parts = [x.looks for x in (self, other) if len(x.looks)] or [self.looks]
        lasted = np.concatenate([self.lasted, other.lasted])
        return Tracks(self.boxes.joined(other.boxes), np.concatenate(parts), lasted)

    def moved(self, frames: float) -> Tracks:
        return Tracks(self.boxes.moved(frames), self.looks, self.lasted)

    def seen(self, people: People, looks: Floats, followed: Mask) -> Tracks:
        """Return the tracks updated with one detection each."""
        mean = _of_length_1(_KEPT * self.looks + (1 - _KEPT) * looks) if len(people) else looks
        return Tracks(self.boxes.seen(people, followed), mean, self.lasted + self.boxes.away)


class AppearanceTracker:
    """Matches features of people to tracks within the motion gate, then boxes by their overlap.

    A weighed distance, 0.98 of cosine and 0.02 of squared Mahalanobis, of at most 0.7 continues a
    track, also a lost one; matches outside the 95 % gate of the motion's distribution are excluded.
    Unmatched people continue a track of the last frame by an overlap of 0.5.  A box of at least 0.5
    that matches no track starts one, which gets its id in the second consecutive frame (overlap
    0.3), in the first frame of a source immediately.  People without a track have id -1.  Of two
    tracks that turn out to be one person's, the longer one's identity is kept.

    embed: features of people, e.g. reid.Embedder.  skeleton: of the people, who may also be boxes
    without joints.  fps: frame rate, for frames without timestamps.  buffer: seconds that a person
    may be missing (AlphaPose: 240 frames at 30 per second).  Errors: UsageError for fps or buffer
    that are not positive, for people of another skeleton, and without `embed`.
    """

    def __init__(
        self,
        skeleton: Skeleton,
        fps: float = 30.0,
        buffer: float = 8.0,
        *,
        embed: Embed | None = None,
    ) -> None:
        if embed is None:
            raise UsageError(
                "the appearance tracker needs a re-identification network: --reid FILE "
                "(reid=...); `posewright models pull osnet_ain_x1_0-msmt17` says where to get one"
            )
        self._embed = embed
        self._clock = Clock(fps, buffer)
        self._joints = len(skeleton)
        self._ids = Ids()
        self.reset()

    def reset(self) -> None:
        """Forget all tracks; their ids are still not reused."""
        self._tracks = Tracks.start(People.empty(self._joints), np.zeros((0, 0), np.float32))
        self._clock.reset()
        self._unknown = 0

    @property
    def trouble(self) -> str:
        """What is wrong with the last frame: people for whom the network returned no features."""
        name = getattr(self._embed, "name", "the re-identification network")
        return not_finite([(name, self._unknown)])

    def predict(self, frame: Frame) -> People:
        """Return the people of the last frame, predicted for this one and clipped to the image.

        Their keypoints move along; people outside of the image are dropped.
        """
        self._clock.expect(frame)
        boxes = self._tracks.boxes
        last = boxes[np.flatnonzero(boxes.away == 0)]
        return inside(last.moved(self._clock.since(frame)).people, frame)

    def __call__(self, frame: Frame, people: People) -> People:
        """Return the same people in the same order with their ids; also call it with nobody."""
        seen, looks = full(people, self._joints), self._embed(frame, people)
        self._unknown = sum(not look.any() for look in looks)  # 0 stands for what is not finite
        frames = self._clock.since(frame)
        kept = self._clock.reaches(self._tracks.boxes.away, frames)
        tracks = self._tracks[np.flatnonzero(kept)].moved(frames)
        # who is matched with whom: by looks, by overlap, and who was seen once
        overlap = box_iou(seen.boxes, tracks.boxes.people.boxes).astype(np.float64)
        anybody, named = np.ones(len(seen), bool), tracks.ids > 0
        owner = in_rounds(
            [
                Round(likeness(seen, looks, tracks), anybody, named, 1 - _FAR),
                Round(overlap, anybody, named & (tracks.boxes.away == frames), _MATCH),
                Round(overlap, anybody, ~named, _MATCH_NEW),
            ]
        )
        new = (owner < 0) & (seen.box_scores >= _NEW)
        ids = self._named(tracks, owner, new)
        followed = self._clock.expected(frame) & (ids > 0) & (people.ids == ids)
        seen = seen.replace(ids=ids)
        rows = np.flatnonzero(owner >= 0)
        found = tracks[owner[rows]].seen(seen[rows], looks[rows], followed[rows])
        found, lost = merged(found, self._lost(tracks, owner[rows]))
        ids[rows] = found.ids
        started = Tracks.start(seen[new], looks[new])
        self._tracks = found.joined(lost).joined(started)
        self._clock.set(frame)
        return people.replace(ids=ids)

    def _named(self, tracks: Tracks, owner: Ints, new: Mask) -> Ints:
        """Return (N,) ids; who is seen for the second time gets one, at first everybody new."""
        ids = np.append(tracks.ids, -1)[owner]
        named = (owner >= 0) & (ids < 0) if self._clock.started else new
        return self._ids.given(ids, named)

    def _lost(self, tracks: Tracks, found: Ints) -> Tracks:
        """Return the tracks with an id that were not found and may still be."""
        lost = self._clock.waits(tracks.boxes.away) & (tracks.ids > 0)
        lost[found] = False
        return tracks[np.flatnonzero(lost)]


def likeness(people: People, looks: Floats, tracks: Tracks) -> Doubles:
    """(N, T) 1 - the weighed distance; -1 out of reach."""
    reach = tracks.boxes.distances(people.boxes)
    distance = _LOOKS * _cosine_distance(looks, tracks.looks) + (1 - _LOOKS) * reach
    return np.where(reach <= _GATE, 1 - distance, -1.0)


def _cosine_distance(a: Floats, b: Floats) -> Doubles:
    """(N, D), (T, D) of length 1 or 0 -> (N, T) in [0, 2]; 1 where nothing is known."""
    if not len(a) or not len(b):
        return np.ones((len(a), len(b)))
    return np.maximum(1 - a.astype(np.float64) @ b.T.astype(np.float64), 0)


def _of_length_1(looks: Floats) -> Floats:
    """(T, D) -> the same, of length 1; 0 stays 0."""
    length = np.linalg.norm(looks, axis=1, keepdims=True)
    return np.asarray(looks / np.where(length > 0, length, 1), np.float32)


def merged(found: Tracks, lost: Tracks) -> tuple[Tracks, Tracks]:
    """Return the tracks with only one of each two that are one person's.

    These are at one place, look alike, and were never both seen in one frame: the last is not in
    AlphaPose, whose trackers take whoever passes behind somebody for that one.
    """
    overlap = box_iou(found.boxes.people.boxes, lost.boxes.people.boxes)
    alike = _cosine_distance(found.looks, lost.looks) <= _FAR
    apart = found.lasted[:, None] < lost.boxes.away
    ids, lasted = found.ids.copy(), found.lasted.copy()
    stays = np.ones(len(lost.lasted), bool)
    for one, other in np.argwhere((overlap > _SAME_PLACE) & alike & apart).tolist():
        if stays[other] and lost.lasted[other] > lasted[one]:
            ids[one] = lost.ids[other]
            lasted[one] = lost.lasted[other] + lost.boxes.away[other]
        stays[other] = False
    people = found.boxes.people.replace(ids=ids)
    boxes = BoxTracks(people, found.boxes.state, found.boxes.away)
    return Tracks(boxes, found.looks, lasted), lost[np.flatnonzero(stays)]


TRACKERS = {"appearance": AppearanceTracker}
