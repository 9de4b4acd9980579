"""Results measured by PCK: MPII's PCKh, PCK of LSP's torsos, and of the boxes of any joints."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from posewright.evaluation.arrays import lsp_persons, mpii_persons
from posewright.evaluation.by_oks import score_any_file, score_instances
from posewright.evaluation.coco_files import Labels
from posewright.evaluation.person_files import Persons, read_lsp, read_mpii, read_persons
from posewright.evaluation.report import Scoring, percent
from posewright.metrics.diagnosis import matched
from posewright.metrics.instances import Detections
from posewright.metrics.oks import sigmas_of
from posewright.metrics.pck import Pck, auc, box_sizes, epe, normalised, pck, pckh
from posewright.people import Doubles, Ints, Mask
from posewright.skeletons import LSP14, MPII16, Skeleton

if TYPE_CHECKING:
    from posewright.evaluation.measures import Measure
    from posewright.evaluation.measuring import Measured

__all__ = [
    "score_lsp_file",
    "score_lsp_people",
    "score_mpii_file",
    "score_mpii_people",
    "score_own_file",
    "score_own_people",
]


def score_own_file(
    measure: Measure, ann: Path, predictions: Path, class_name: str | None = None
) -> Scoring:
    """Score a COCO result file of any joints."""
    return score_any_file(_score_own, ann, predictions, class_name)


def score_own_people(measured: Measured) -> Scoring:
    """Score people of any joints found by a model."""
    skeleton = measured.dataset.skeleton
    return _score_own(measured.labels, measured.found, skeleton, measured.chosen())


def _score_own(
    labels: Labels, found: Detections, skeleton: Skeleton, chosen: Ints | None = None
) -> Scoring:
    """Score people of any skeleton: PCK@0.2 of the labelled box, AUC, EPE, and COCO's numbers.

    chosen: (G,) row of `found` that stands for each labelled person, -1 for none; by default the
    best of an OKS of at least 0.1.  EPE is that of the people for whom there is one.
    """
    truth, sigmas = labels.truth, sigmas_of(skeleton)
    rows = matched(truth, found, sigmas)[0] if chosen is None else chosen
    points = np.full((*truth.keypoints.shape[:2], 2), np.nan)
    points[rows >= 0] = found.keypoints[rows[rows >= 0], :, :2]
    known = (truth.keypoints[:, :, 2] > 0) & ~truth.ignored[:, None]
    errors = normalised(points, truth.keypoints[:, :, :2], truth.boxes[:, 2:].max(1, initial=0))
    near = pck(errors, known, 0.2)
    numbers = {
        "PCK@0.2": percent(near.mean_by_count),
        "mean over joints": percent(near.mean_of_joints),
        "AUC": percent(auc(errors, known, 0.2)),
        "EPE": epe(points, truth.keypoints[:, :, :2], known & (rows >= 0)[:, None]),
    }
    scoring = score_instances("pck", labels, found, skeleton)
    return replace(scoring, numbers=scoring.numbers | numbers)


def score_mpii_file(measure: Measure, ann: Path, predictions: Path) -> Scoring:
    """Score a result file of MPII's labelled people."""
    people = read_mpii(ann)
    return _score_mpii(people, read_persons(predictions, people, MPII16))


def score_mpii_people(measured: Measured) -> Scoring:
    """Score people found by a model on MPII."""
    people = mpii_persons(measured.dataset, measured.shared)
    return _score_mpii(people, measured.points(measured.chosen()))


def _score_mpii(people: Persons, points: Doubles) -> Scoring:
    """Score (N, 16, 2) px, NaN where nobody was found, by PCKh."""
    errors = normalised(points, people.keypoints, people.sizes)
    thresholds = {f"PCKh@{t:g}": pck(errors, people.labelled, t) for t in (0.5, 0.1)}
    numbers = {
        **pckh(errors, people.labelled),
        "PCKh@0.1": pckh(errors, people.labelled, 0.1)["PCKh@0.1"],
    }
    joints = _by_joint(MPII16, thresholds)
    return Scoring("mpii", numbers, joints, {"labelled": len(people)})


def score_lsp_file(measure: Measure, ann: Path, predictions: Path) -> Scoring:
    """Score a result file of LSP.

    A split is whatever images have predictions: the file of labels holds all of them.
    """
    everybody = read_lsp(ann)
    points = read_persons(predictions, everybody, LSP14)
    there: Mask = np.asarray(~np.isnan(points).any((1, 2)), bool)
    scoring = _score_lsp(everybody[there], points[there])
    return replace(scoring, more={**scoring.more, "of": len(everybody)})


def score_lsp_people(measured: Measured) -> Scoring:
    """Score the best person that a model found in each image of LSP."""
    people = lsp_persons(measured.dataset, measured.shared)
    return _score_lsp(people, measured.points(measured.best()))


def _score_lsp(people: Persons, points: Doubles) -> Scoring:
    """Score (N, 14, 2) px, NaN where nobody was found, by PCK."""
    errors = normalised(points, people.keypoints, people.sizes)
    by_box = normalised(points, people.keypoints, box_sizes(people.keypoints, people.labelled))
    known = people.labelled & (people.sizes > 0)[:, None]
    near = pck(errors, known, 0.2)
    numbers = {
        "PCK@0.2": percent(near.mean_by_count),
        "mean over joints": percent(near.mean_of_joints),
        "PCK@0.2 of the box": percent(pck(by_box, people.labelled, 0.2).mean_by_count),
        "AUC": percent(auc(errors, known, 0.2)),
        "EPE": epe(points, people.keypoints, people.labelled & np.isfinite(points).all(2)),
    }
    joints = _by_joint(LSP14, {"PCK@0.2": near, "PCK@0.1": pck(errors, known, 0.1)})
    return Scoring("lsp", numbers, joints, {"labelled": len(people)})


def _by_joint(skeleton: Skeleton, scores: dict[str, Pck]) -> dict[str, dict[str, float]]:
    return {
        joint: {name: percent(float(each.joints[k])) for name, each in scores.items()}
        for k, joint in enumerate(skeleton.joints)
    }
