"""The limbs of a pose, by which a network expects its OKS (DEKR, arXiv:2104.02300)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from posewright.codecs.base import Array, namespace
from posewright.errors import UsageError
from posewright.skeletons import Skeleton

__all__ = ["LIMBS", "limb_features", "limbs_of"]

# first and second joints of the limbs in the order in which published networks take them; their
# unit is the mean of numbers 9 and 11
LIMBS: Mapping[str, tuple[Sequence[int], Sequence[int]]] = {
    "coco17": (
        (0, 0, 1, 1, 2, 3, 4, 5, 5, 5, 6, 6, 7, 8, 11, 11, 12, 13, 14),
        (1, 2, 2, 3, 4, 5, 6, 6, 7, 11, 8, 12, 9, 10, 12, 13, 14, 15, 16),
    ),
    "crowdpose14": (
        (12, 13, 13, 0, 1, 2, 3, 0, 1, 6, 7, 8, 9, 6, 0),
        (13, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 7, 1),
    ),
}


def limbs_of(skeleton: Skeleton) -> tuple[Sequence[int], Sequence[int]]:
    """Return the first and second joint of each limb; UsageError: the skeleton has none."""
    if skeleton.name not in LIMBS:
        raise UsageError(f"rescoring has no limbs for {skeleton.name!r}; known: {', '.join(LIMBS)}")
    return LIMBS[skeleton.name]


def limb_features(keypoints: Array, scores: Array, skeleton: Skeleton) -> Array:
    """(N, K, 2) px, (N, K) -> (N, 3 L + K) x, y and then lengths of the limbs, and the scores."""
    first, second = (list(joints) for joints in limbs_of(skeleton))
    xp = namespace(keypoints)
    limbs = keypoints[:, first] - keypoints[:, second]  # (N, L, 2)
    lengths = xp.sqrt((limbs**2).sum(2))
    unit = ((lengths[:, 9] + lengths[:, 11]) / 2).clip(1)[:, None]
    pairs = (limbs / unit[..., None]).reshape(len(limbs), 2 * len(first))
    return xp.concatenate([pairs, lengths / unit, scores], 1)
