"""Hands and faces where they meet the body: their joints join those of the person."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from posewright.errors import UsageError
from posewright.people import OPTIONAL, Floats, Frame, Ints, People, triples
from posewright.pipeline.estimate import Faults, Spread, estimate_views
from posewright.runtimes import Model
from posewright.skeletons import Skeleton
from posewright.skeletons.whole_body import joined, of_side
from posewright.warp import Warp

__all__ = ["Parts", "face_squares", "hand_squares"]

_SEEN = 0.3  # score from which a joint of the body tells where a part is
_SMALLEST = 8.0  # px, side of a square below which fingers cannot be told apart
_SIDES = ("left", "right")
_HEAD = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


@dataclass(frozen=True)
class _Part:
    """One part: the numbers of its joints in the result, and where its crops are.

    anchor: joint of the body at which a part lies that is not seen.  squares: People -> (N, 4) px,
    of no width where the body does not tell it.  mirrored: the network knows the other side.
    """

    joints: Ints
    anchor: int
    squares: Callable[[People], Floats]
    mirrored: bool = False


class Parts:
    """Finds hands and faces in crops that the body tells, and joins them with it.

    hands: a network of one hand's joints, which sees both hands; where its joints are named after
    one side ("right_thumb1"), crops of the other hand are mirrored for it.  face: a network of a
    face's joints.  skeleton: the joints of the body, then of the face, the left and the right hand,
    named as in COCO-WholeBody; joints that the body has already are replaced where there is a crop.

    A part that is not seen keeps what the body's network found of it; without that its joints lie
    at the wrist or nose with scores of 0.  UsageError: networks of something else, or a body
    without the joints that tell where a part is.
    """

    def __init__(
        self,
        body: Skeleton,
        hands: Model | None = None,
        face: Model | None = None,
        *,
        flip: bool = False,
        batch: int = 4,
    ) -> None:
        self.networks = {n: m for n, m in (("face", face), ("hands", hands)) if m is not None}
        self._flip, self._batch, self._body = flip, batch, body
        skeletons: list[Skeleton] = []
        if face is not None:
            _check("--face", face, {"face"}, body, _HEAD)
            skeletons.append(face.skeleton)
        if hands is not None:
            arms = [f"{side}_{joint}" for joint in ("wrist", "elbow") for side in _SIDES]
            _check("--hands", hands, {"hand", "left_hand", "right_hand"}, body, arms)
            skeletons += [of_side(hands.skeleton, side) for side in _SIDES]
        self.skeleton = joined(body, *skeletons)
        places = [np.array([self.skeleton[joint] for joint in s.joints]) for s in skeletons]
        self._parts: dict[str, list[_Part]] = {}
        if face is not None:
            squares = partial(face_squares, skeleton=body)
            self._parts["face"] = [_Part(places[0], body["nose"], squares)]
        if hands is not None:
            known = hands.skeleton.side(0)
            self._parts["hands"] = [
                _Part(
                    joints,
                    body[f"{side}_wrist"],
                    partial(hand_squares, skeleton=body, side=side),
                    known not in ("middle", side),
                )
                for side, joints in zip(_SIDES, places[-2:], strict=True)
            ]

    def __call__(
        self, frames: Sequence[Frame], people: Sequence[People], spread: Spread = map
    ) -> tuple[list[People], dict[str, Faults]]:
        """Return the people of each frame with their parts, and which views failed, by network.

        Boxes, box scores and ids stay.  A view whose outputs are not finite gives no part.
        """
        whole = [self._room(p) for p in people]
        failed = {name: Faults() for name in self.networks}
        for name, model in self.networks.items():
            jobs: list[tuple[int, Warp]] = []
            places: list[tuple[int, Ints]] = []  # row and joints of each job
            for number, (frame, bodies) in enumerate(zip(frames, people, strict=True)):
                for part in self._parts[name]:
                    rows, warps = _views(model, frame, part, bodies)
                    jobs += [(number, warp) for warp in warps]
                    places += [(row, part.joints) for row in rows]
            # the mirror image of a hand shows the other one
            sided = model.skeleton.parts[0] in ("left_hand", "right_hand")
            found = estimate_views(
                model,
                frames,
                jobs,
                flip=self._flip and model.codec.mirrors and not sided,
                batch=self._batch,
                spread=spread,
                faults=failed[name],
            )
            for (number, _), (row, joints), seen in zip(jobs, places, found, strict=True):
                for array, values in _arrays(whole[number], seen) if len(seen) else ():
                    array[row, joints] = values[0]
        return whole, failed

    def _room(self, people: People) -> People:
        """Return people with all joints of the result, those that are new at their anchors."""
        count, more = len(self._body), len(self.skeleton) - len(self._body)
        source = np.zeros(count + more, np.int64)
        for part in (part for parts in self._parts.values() for part in parts):
            source[part.joints] = part.anchor
        source[:count] = np.arange(count)
        room = {"keypoints": people.keypoints[:, source], "scores": people.scores[:, source]}
        room["scores"][:, count:] = 0
        for name in OPTIONAL:
            array = getattr(people, name)
            if array is not None:
                room[name] = array[:, source]
                room[name][:, count:] = np.nan
        return people.replace(**room)


def hand_squares(people: People, skeleton: Skeleton, side: str) -> Floats:
    """(N, 4) px: the square round each person's hand; of no width where wrist or elbow is unseen.

    The middle lies a third of the forearm (0.33) beyond the wrist, the side is 1.5 times the longer
    of the forearm and 0.9 of the upper arm: OpenPose's rule (arXiv:1812.08008 and its published
    handDetector).  An unseen shoulder leaves the forearm alone.
    """
    wrist, elbow = (triples(people)[:, skeleton[f"{side}_{j}"]] for j in ("wrist", "elbow"))
    arm = wrist[:, :2] - elbow[:, :2]
    length = np.hypot(*arm.T)
    if f"{side}_shoulder" in skeleton.joints:
        shoulder = triples(people)[:, skeleton[f"{side}_shoulder"]]
        upper = np.hypot(*(elbow[:, :2] - shoulder[:, :2]).T)
        length = np.maximum(length, 0.9 * upper * (shoulder[:, 2] >= _SEEN))
    seen = np.minimum(wrist[:, 2], elbow[:, 2]) >= _SEEN
    return _squares(wrist[:, :2] + 0.33 * arm, 1.5 * length * seen)


def face_squares(people: People, skeleton: Skeleton) -> Floats:
    """(N, 4) px: the square round each person's face; of no width where too little is seen.

    The mean of two squares, both round the middle of a pair: three times the distance of the eyes,
    and twice that of the ears.  Where only one side is seen, the middle of nose, eye and ear, and
    1.7 times the sum of their distances from the nose.  The factors of the pairs are OpenPose's
    (its published faceDetector).
    """
    head = triples(people)[:, [skeleton[joint] for joint in _HEAD]]  # (N, 5, 3)
    points, seen = head[..., :2], head[..., 2] >= _SEEN
    middles, sides, counts = [], [], []
    for a, b, factor in ((1, 2, 3.0), (3, 4, 2.0)):
        middles.append((points[:, a] + points[:, b]) / 2)
        sides.append(factor * np.hypot(*(points[:, a] - points[:, b]).T))
        counts.append(seen[:, a] & seen[:, b])
    alone = ~(counts[0] | counts[1])
    for eye, ear in ((1, 3), (2, 4)):
        middles.append(points[:, [0, eye, ear]].mean(1))
        sides.append(1.7 * np.linalg.norm(points[:, [eye, ear]] - points[:, :1], axis=2).sum(1))
        counts.append(alone & seen[:, [0, eye, ear]].all(1))
    share = np.array(counts, np.float32)  # (4, N)
    share /= np.maximum(share.sum(0), 1)
    middle = np.einsum("cn,cnd->nd", share, np.array(middles))
    return _squares(middle, (share * np.array(sides)).sum(0))


def _squares(middle: Floats, side: Floats) -> Floats:
    half = side[:, None] / 2
    return np.concatenate([middle - half, middle + half], 1).astype(np.float32)


def _views(model: Model, frame: Frame, part: _Part, people: People) -> tuple[Ints, list[Warp]]:
    """Return the rows of people whose part can be seen, and the view of each.

    The view shows the square itself, whatever room the network's codec leaves round boxes.
    """
    squares = part.squares(people)
    low, high = squares[:, :2], squares[:, 2:]
    good = (high - low).min(1, initial=np.inf) >= _SMALLEST
    good &= ((high > 0) & (low < frame.size)).all(1)
    rows = np.flatnonzero(good)
    if not len(rows):
        return rows, []
    middle, half = (low + high)[rows] / 2, (high - low)[rows] / 2
    half = half / getattr(model.codec, "padding", 1.0)
    boxes = People.of(boxes=np.concatenate([middle - half, middle + half], 1))
    warps = model.codec.warps(frame.size, boxes)
    return rows, [_mirrored(warp) for warp in warps] if part.mirrored else warps


def _mirrored(warp: Warp) -> Warp:
    """Return the view whose first column is the last one of a view."""
    matrix = warp.matrix.copy()
    matrix[0] = (0, 0, warp.size[0] - 1) - matrix[0]
    return replace(warp, matrix=matrix)


def _arrays(whole: People, seen: People) -> list[tuple[Floats, Floats]]:
    """Return the arrays of joints that both have."""
    names = ("keypoints", "scores", *OPTIONAL)
    pairs = [(getattr(whole, name), getattr(seen, name)) for name in names]
    return [(a, b) for a, b in pairs if a is not None and b is not None]


def _check(
    option: str, model: Model, kinds: set[str], body: Skeleton, needed: Sequence[str]
) -> None:
    """Raise a UsageError where a network does not find that part, or the body does not tell it."""
    name, found = model.info.name, set(model.skeleton.parts)
    if not found or not found <= kinds or len(found) > 1 or not model.codec.top_down:
        raise UsageError(
            f"{name} does not find the joints of a {min(kinds)} in a crop of one; give {option} a "
            "network that does"
        )
    absent = [joint for joint in needed if joint not in body.joints]
    if absent:
        raise UsageError(
            f"{option} needs {absent[0]}, which {body.name} does not have; use a pose model of "
            "people"
        )
