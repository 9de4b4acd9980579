"""How people are ranked: box and joint scores combined into one score."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from posewright.codecs.base import refines
from posewright.errors import UsageError, nearest
from posewright.nms import proposal_score
from posewright.people import Floats, People
from posewright.runtimes import Model
from posewright.runtimes.expected_oks import ExpectedOKS

__all__ = ["RESCORE", "rescored", "way_of"]

_SEEN = 0.2  # score above which a joint counts for HRNet


def _hrnet(people: People) -> Floats:
    seen = people.scores > _SEEN
    total = np.where(seen, people.scores, 0).sum(1)
    return np.asarray(people.box_scores * total / np.maximum(seen.sum(1), 1), np.float32)


RESCORE: dict[str, Callable[[People], Floats]] = {
    "box": lambda people: people.box_scores,
    "mean": lambda people: people.pose_scores,
    "box*mean": lambda people: people.box_scores * people.pose_scores,
    "hrnet": _hrnet,
    "alphapose": proposal_score,
}


def way_of(rescore: str | ExpectedOKS, model: Model) -> tuple[str, ExpectedOKS | None]:
    """Return the way to rank people, and the network that changes their scores before.

    UsageError: another word, or a network for other joints, or for poses that are only refined.
    """
    if isinstance(rescore, str):
        rescored(People.empty(model.skeleton), rescore)
        return rescore, None
    if refines(model.codec):
        raise UsageError(
            f"{model.info.name} refines labelled poses; leave the re-scoring network out"
        )
    rescore.check(model.info.name, model.skeleton)
    return "box*mean", rescore


def rescored(people: People, way: str) -> Floats:
    """Return (N,) the score that ranks people.

    box: of the detector, or of a model that finds people by itself.  mean: of all joint scores.
    box*mean: their product, which result files have.  hrnet: box score times the mean of the joint
    scores above 0.2 (the HRNet and Simple Baselines code).  alphapose: mean + box + 1.25 times the
    best joint score.  UsageError: another word.
    """
    if way not in RESCORE:
        raise UsageError(
            f"no rescoring {way!r}{nearest(way, RESCORE)}; {', '.join(RESCORE)}, or the file of a "
            "re-scoring network"
        )
    return RESCORE[way](people)
