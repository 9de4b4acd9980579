"""Results measured by OKS, as COCO, CrowdPose, OCHuman, COCO-WholeBody and Halpe are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.evaluation.arrays import in_order, labels_of
from posewright.evaluation.coco_files import (
    Labels,
    box_detections,
    detections,
    read_box_truth,
    read_entries,
    read_truth,
)
from posewright.evaluation.report import Scoring
from posewright.metrics.boxes import evaluate_boxes
from posewright.metrics.diagnosis import KINDS, joint_table, oks_histogram
from posewright.metrics.instances import Detections, Truth
from posewright.metrics.oks import (
    AREAS,
    PARTS,
    Scores,
    crowdpose_numbers,
    crowdpose_truth,
    evaluate_keypoints,
    part_of,
    sigmas_of,
)
from posewright.metrics.ranking import THRESHOLDS, average
from posewright.skeletons import COCO133, Skeleton, get_skeleton

if TYPE_CHECKING:
    from posewright.evaluation.measures import Measure
    from posewright.evaluation.measuring import Measured

__all__ = [
    "score_any_file",
    "score_file",
    "score_halpe_file",
    "score_instances",
    "score_people",
]

Score = Callable[[Labels, Detections, Skeleton], Scoring]


def score_file(
    measure: Measure, ann: Path, predictions: Path, class_name: str | None = None
) -> Scoring:
    """Score a COCO result file of people, or of boxes where the first entry has no keypoints."""
    entries, data = read_entries(predictions), measure.name
    boxes = entries and isinstance(entries[0], dict) and "keypoints" not in entries[0]
    if boxes and data in ("coco", "ochuman"):
        return _boxes(data, ann, entries, predictions, class_name)
    skeleton, whole = get_skeleton(measure.joints), data == "coco-wholebody"
    labels = read_truth(ann, len(skeleton), whole, class_name)
    found = detections(entries, labels, predictions, whole)
    scoring = score_instances(data, labels, found, skeleton)
    return replace(scoring, notes=labels.notes, remarks=labels.remarks)


def score_halpe_file(
    measure: Measure, ann: Path, predictions: Path, class_name: str | None = None
) -> Scoring:
    """Score a result file of Halpe's 26 or 136 keypoints."""
    score = partial(score_instances, measure.name)
    return score_any_file(score, ann, predictions, class_name, measure.name)


def score_any_file(
    score: Score, ann: Path, predictions: Path, class_name: str | None, kind: str | None = None
) -> Scoring:
    """Score by the labels' own skeleton, which the reader of data sets finds out.

    kind: the layout of the labels, guessed if None.
    """
    from posewright.datasets.opening import open_part

    dataset = open_part(ann, kind, None, "val", "test", class_name=class_name)
    dataset = dataset[in_order(dataset.samples)]
    labels = labels_of(dataset, ann)
    found = detections(read_entries(predictions), labels, predictions)
    scoring = score(labels, found, dataset.skeleton)
    return replace(scoring, notes=dataset.notes, remarks=dataset.remarks)


def score_people(measured: Measured) -> Scoring:
    """Score people found by a model."""
    skeleton = measured.dataset.skeleton
    return score_instances(measured.data, measured.labels, measured.found, skeleton)


def score_instances(data: str, labels: Labels, found: Detections, skeleton: Skeleton) -> Scoring:
    """Score people by OKS, by the rules of `data`; its sigmas are those of `skeleton`."""
    if data == "crowdpose":
        return _crowdpose(labels, found, skeleton)
    if data == "coco-wholebody":
        return _whole_body(labels, found)
    scores = evaluate_keypoints(labels.truth, found, sigmas_of(skeleton))
    return _with_details(data, scores, labels.truth, found, skeleton)


def _boxes(
    data: str, ann: Path, entries: list[Any], predictions: Path, class_name: str | None
) -> Scoring:
    labels = read_box_truth(ann, class_name)
    found = box_detections(entries, labels, predictions)
    numbers = evaluate_boxes(labels.truth, found, len(labels.images))
    more = _counts(labels.truth, found)
    return Scoring(data, numbers, {}, more, {}, labels.notes, labels.remarks)


def _crowdpose(labels: Labels, found: Detections, skeleton: Skeleton) -> Scoring:
    sigmas = sigmas_of(skeleton)
    truth = crowdpose_truth(labels.truth)
    numbers = crowdpose_numbers(labels.truth, found, sigmas, labels.crowd_index)
    curves = evaluate_keypoints(truth, found, sigmas, {"all": AREAS["all"]}).curves
    return _with_details("crowdpose", Scores(curves, numbers), truth, found, skeleton)


def _whole_body(labels: Labels, found: Detections) -> Scoring:
    scores = {name: evaluate_keypoints(*part_of(name, labels.truth, found)) for name in PARTS}
    truth, seen, _ = part_of("whole", labels.truth, found)
    scoring = _with_details("coco-wholebody", scores["whole"], truth, seen, COCO133)
    parts = {name: each.numbers for name, each in scores.items()}
    return replace(scoring, more={"parts": parts, **scoring.more})


def _with_details(
    data: str, scores: Scores, truth: Truth, found: Detections, skeleton: Skeleton
) -> Scoring:
    sigmas = sigmas_of(skeleton)
    table = joint_table(truth, found, sigmas)
    joints = {
        joint: dict(zip(KINDS, map(float, row), strict=True))
        for joint, row in zip(skeleton.joints, table, strict=True)
    }
    by_threshold = {
        f"{t:.2f}": average(row)
        for t, row in zip(THRESHOLDS, scores.curves["all"].precision, strict=True)
    }
    more = {
        **_counts(truth, found),
        "oks_histogram": oks_histogram(truth, found, sigmas).tolist(),
        "AP_by_threshold": by_threshold,
    }
    return Scoring(data, scores.numbers, joints, more, scores.curves)


def _counts(truth: Truth, found: Detections) -> dict[str, int]:
    return {"labelled": int((~truth.ignored).sum()), "predictions": len(found)}
