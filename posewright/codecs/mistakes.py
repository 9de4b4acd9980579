"""Synthetic errors: plausible mistakes of a pose network (arXiv:1812.03595).

A joint is well placed, jittered, missed, or confused with its mirror image or another person; the
classes are those of arXiv:1707.05388, distinguished by the joint's own OKS: .85, .50 and .10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from posewright.people import Floats, Ints, Mask, People
from posewright.skeletons import Skeleton

__all__ = ["MISTAKES", "mistake_rates", "with_mistakes"]

MISTAKES = ("jitter", "miss", "inversion", "swap", "good")
TRIALS = 50  # places that are tried for each mistake

# jitter of a person of more than 10 labelled joints (5 points more of others); miss of more than
# 10, of 6 to 10 and of fewer; inversion; swap of a person who stands alone and in a crowd
_LIMB = (0.15, 0.10, 0.15, 0.25, 0.03, 0.06, 0.15)
_RATES = {
    "nose": (0.10, 0.02, 0.10, 0.15, 0.01, 0.01, 0.02),
    "eye": (0.15, 0.02, 0.10, 0.15, 0.01, 0.01, 0.02),
    "ear": (0.15, 0.02, 0.10, 0.15, 0.01, 0.01, 0.02),
    "shoulder": (0.15, 0.05, 0.13, 0.20, 0.03, 0.06, 0.15),
    "elbow": _LIMB,
    "wrist": _LIMB,
    "hip": (0.20, 0.10, 0.15, 0.25, 0.06, 0.03, 0.10),
    "knee": (0.10, 0.10, 0.15, 0.25, 0.06, 0.03, 0.10),
    "ankle": (0.10, 0.05, 0.13, 0.20, 0.06, 0.03, 0.10),
}


def mistake_rates(skeleton: Skeleton, labelled: Ints, overlaps: Ints) -> Floats:
    """Return (N, K, 5) probabilities of MISTAKES, which sum to 1.

    labelled: (N,) joints that are.  overlaps: (N,) others whose box overlaps the person's.  Joints
    that COCO does not have are treated like elbows.
    """
    parts = [j.removeprefix("left_").removeprefix("right_") for j in skeleton.joints]
    table = np.array([_RATES.get(part, _LIMB) for part in parts])  # (K, 7)
    few, very_few = labelled <= 10, labelled <= 5
    crowd = (few & (overlaps > 0)) | ((labelled <= 15) & (overlaps >= 3))
    jitter = table[:, 0] + 0.05 * few[:, None]  # (N, K)
    miss = table[:, 1 + few.astype(int) + very_few].T
    swap = table[:, 5 + crowd.astype(int)].T
    bad = np.stack([jitter, miss, np.broadcast_to(table[:, 4], miss.shape), swap], 2)
    return np.concatenate([bad, 1 - bad.sum(2, keepdims=True)], 2).astype(np.float32)


@dataclass(frozen=True)
class _Scene:
    """Where joints are, for one view of N people.

    places: (K, S, 2) px, S = 2 N: joint k of everybody, then everybody's mirror image of k.
    known: (K, S).  itself, mirror: (N, 1, S) the person's own two slots.  reach: (3, N, K) px at
    which a joint's OKS is .85, .50 and .10.
    """

    places: Floats
    known: Mask
    itself: Mask
    mirror: Mask
    reach: Floats
    rng: np.random.Generator

    def draw(
        self,
        sources: Floats,
        rivals: Mask,
        near: Floats | float,
        far: Floats,
        clearance: Floats | None = None,
    ) -> tuple[Floats, Mask]:
        """Return (N, K, 2) places at `near` to `far` from a source, and whether there are any.

        sources: (N, K, S) relative weights of the slots to start from.  rivals: (N, K, S) slots
        that must be farther away than the source, or than `clearance`.
        """
        n, k, slots = sources.shape
        ends = sources.cumsum(2)
        aim = self.rng.random((n, k, TRIALS)) * ends[:, :, -1:]
        slot = (aim[..., None] >= ends[:, :, None]).sum(3).clip(max=slots - 1)  # (N, K, T)
        span = far - near
        radius = np.asarray(near)[..., None] + self.rng.random(slot.shape) * span[..., None]
        angle = self.rng.random(slot.shape) * 2 * np.pi
        step = np.stack([np.cos(angle), np.sin(angle)], 3) * radius[..., None]
        points = self.places[np.arange(k)[:, None], slot] + step.astype(np.float32)  # (N, K, T, 2)
        gap = np.linalg.norm(points[:, :, :, None] - self.places[:, None], axis=4)  # (N, K, T, S)
        least = radius if clearance is None else clearance[..., None]
        others = rivals[:, :, None] & (np.arange(slots) != slot[..., None])
        good = ~(others & (gap <= least[..., None])).any(3)  # (N, K, T)
        first = good.argmax(2)[..., None, None]
        chosen = np.take_along_axis(points, first, 2)[:, :, 0]
        return chosen.astype(np.float32), good.any(2) & (ends[:, :, -1] > 0)


def with_mistakes(
    people: People, rng: np.random.Generator, skeleton: Skeleton, guessed: Mask | None = None
) -> tuple[People, Ints]:
    """Return the people of one view with mistakes, and (N, K) numbers in MISTAKES, -1 for none.

    Joints that are not labelled (score 0) stay as they are; those for which no mistake is possible,
    since others are too near, lose their score.  Distances follow from the area of a person's box.
    guessed: (N, K) joints whose place another model has estimated: they get mistakes like those
    that are labelled, but do not count as labelled, and no mirror image is confused with them.
    """
    labelled = people.scores > 0  # (N, K)
    sure = labelled if guessed is None else labelled & ~guessed
    if not len(people):
        return people, np.zeros(labelled.shape, np.int64)
    scene = _scene(people, labelled, sure, skeleton, rng)
    rates = mistake_rates(skeleton, sure.sum(1), _overlaps(people))
    points, possible = _places(scene, labelled)
    rates = rates * possible
    ends = rates.cumsum(2)
    total = ends[:, :, -1]
    aim = rng.random(labelled.shape) * total
    kind = (aim[..., None] >= ends).sum(2).clip(max=len(MISTAKES) - 1)
    found = labelled & (total > 0)
    moved = np.take_along_axis(points, kind[..., None, None], 2)[:, :, 0]  # (N, K, 2)
    changed = people.replace(
        keypoints=np.where(found[..., None], moved, people.keypoints),
        scores=np.where(found, people.scores, 0).astype(np.float32),
    )
    return changed, np.where(found, kind, -1)


def _scene(
    people: People, labelled: Mask, sure: Mask, skeleton: Skeleton, rng: np.random.Generator
) -> _Scene:
    n, flip = len(people), skeleton.flip_index
    paired = flip != np.arange(len(flip))
    places = np.concatenate([people.keypoints, people.keypoints[:, flip]]).swapaxes(0, 1)
    known = np.concatenate([labelled, sure[:, flip] & paired]).T
    own = np.eye(n, dtype=bool)[:, None]  # (N, 1, N)
    none = np.zeros_like(own)
    sides = people.sides
    # OKS = exp(-d^2 / (2 area (2 sigma)^2))
    scale = np.sqrt(np.maximum(sides.prod(1), 0))[:, None] * 2 * skeleton.oks_sigmas  # (N, K)
    reach = np.sqrt(-2 * np.log([0.85, 0.50, 0.10]))[:, None, None] * scale
    itself, mirror = np.concatenate([own, none], 2), np.concatenate([none, own], 2)
    return _Scene(places, known, itself, mirror, reach.astype(np.float32), rng)


def _places(scene: _Scene, labelled: Mask) -> tuple[Floats, Mask]:
    """Return (N, K, 5, 2) where each of MISTAKES would put a joint, and (N, K, 5) if it can."""
    known = np.broadcast_to(scene.known, (*labelled.shape, scene.known.shape[1]))
    itself, mirror = known & scene.itself, known & scene.mirror
    elsewhere = known & ~scene.itself & ~scene.mirror
    near, middle, far = scene.reach
    drawn = [
        scene.draw(itself.astype(np.float32), known, near, middle),
        # four in five of a lone person's places, as in the published code, begin at the truth
        scene.draw(
            np.where(itself, 1, 0.25 * known).astype(np.float32), known, middle, far, middle
        ),
        scene.draw(mirror.astype(np.float32), known, 0.0, middle),
        scene.draw(elsewhere.astype(np.float32), itself | mirror, 0.0, middle),
        scene.draw(itself.astype(np.float32), known, 0.0, near),
    ]
    points, possible = zip(*drawn, strict=True)
    return np.stack(points, 2), np.stack(possible, 2)


def _overlaps(people: People) -> Ints:
    """(N,) number of others whose box overlaps a person's."""
    low, high = people.boxes[:, None, :2], people.boxes[:, None, 2:]
    inner = np.minimum(high, high.swapaxes(0, 1)) - np.maximum(low, low.swapaxes(0, 1))
    touching = (inner > 0).all(2) & ~np.eye(len(people), dtype=bool)
    return np.asarray(touching.sum(1), np.int64)
