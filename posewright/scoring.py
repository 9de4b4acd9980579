"""Result files against label files, by the measure that each data set publishes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import UsageError, nearest
from posewright.metrics.boxes import evaluate_boxes
from posewright.metrics.diagnosis import KINDS, joint_table, oks_histogram
from posewright.metrics.instances import Detections, Mask, Truth
from posewright.metrics.oks import (
    PARTS,
    crowdpose_numbers,
    crowdpose_truth,
    evaluate_keypoints,
    part_of,
    sigmas_of,
)
from posewright.metrics.pck import Pck, auc, box_sizes, epe, normalised, pck, pckh
from posewright.metrics.posetrack import joint_ap, joint_tallies
from posewright.metrics.ranking import THRESHOLDS, average
from posewright.metrics.tracking import Tally, mot_numbers, tally
from posewright.readers.instances import (
    box_detections,
    detections,
    read_box_truth,
    read_entries,
    read_truth,
)
from posewright.readers.persons import read_lsp, read_mpii, read_persons
from posewright.readers.sequences import read_mot, read_posetrack
from posewright.skeletons import COCO17, COCO133, CROWDPOSE14, LSP14, MPII16, POSETRACK15, Skeleton

__all__ = ["DATA", "Scoring", "score_files"]

_PERCENT = ("MOTA", "Rcll", "Prcn")  # of MOT; IDF1 stays a share, as py-motmetrics returns it


@dataclass(frozen=True, slots=True)
class Scoring:
    """What a result file is worth.

    numbers: the published names; -1 where there is nothing to measure.  joints: a table by joint.
    more: what else belongs into a report (parts of the body, OKS histogram, counts).
    """

    data: str
    numbers: dict[str, float]
    joints: dict[str, dict[str, float]] = field(default_factory=dict)
    more: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return one object: the numbers by their names, then "data", "joints" and the rest."""
        return {**self.numbers, "data": self.data, "joints": self.joints, **self.more}


def score_files(data: str, labels: str | Path, predictions: str | Path) -> Scoring:
    """Score the predictions of a file.

    data: one of DATA.  labels, predictions: files as the data set publishes and evaluates them
    (docs/evaluation.md).  SourceError for a broken file, UsageError for files that do not belong
    together.
    """
    if data not in DATA:
        raise UsageError(f"no data set {data!r}{nearest(data, DATA)}; known: {', '.join(DATA)}")
    return DATA[data](data, Path(labels), Path(predictions))


# --- OKS -----------------------------------------------------------------------------------------


def _coco(data: str, ann: Path, predictions: Path) -> Scoring:
    entries = read_entries(predictions)
    if entries and isinstance(entries[0], dict) and "keypoints" not in entries[0]:
        return _boxes(data, ann, entries, predictions)
    labels = read_truth(ann, len(COCO17))
    found = detections(entries, labels, predictions)
    scores = evaluate_keypoints(labels.truth, found, sigmas_of(COCO17))
    scoring = _with_details(data, scores.numbers, labels.truth, found, COCO17)
    table = zip(THRESHOLDS, scores.curves["all"].precision, strict=True)
    scoring.more["AP_by_threshold"] = {f"{t:.2f}": average(row) for t, row in table}
    return scoring


def _boxes(data: str, ann: Path, entries: list[Any], predictions: Path) -> Scoring:
    labels = read_box_truth(ann)
    found = box_detections(entries, labels, predictions)
    numbers = evaluate_boxes(labels.truth, found, len(labels.images))
    return Scoring(data, numbers, {}, _counts(labels.truth, found))


def _crowdpose(data: str, ann: Path, predictions: Path) -> Scoring:
    labels = read_truth(ann, len(CROWDPOSE14))
    found = detections(read_entries(predictions), labels, predictions)
    sigmas = sigmas_of(CROWDPOSE14)
    numbers = crowdpose_numbers(labels.truth, found, sigmas, labels.crowd_index)
    return _with_details(data, numbers, crowdpose_truth(labels.truth), found, CROWDPOSE14)


def _whole_body(data: str, ann: Path, predictions: Path) -> Scoring:
    labels = read_truth(ann, len(COCO133), whole_body=True)
    found = detections(read_entries(predictions), labels, predictions, whole_body=True)
    parts = {
        name: evaluate_keypoints(*part_of(name, labels.truth, found)).numbers for name in PARTS
    }
    truth, seen, _ = part_of("whole", labels.truth, found)
    scoring = _with_details(data, parts["whole"], truth, seen, COCO133)
    return Scoring(data, scoring.numbers, scoring.joints, {"parts": parts, **scoring.more})


def _with_details(
    data: str, numbers: dict[str, float], truth: Truth, found: Detections, skeleton: Skeleton
) -> Scoring:
    sigmas = sigmas_of(skeleton)
    table = joint_table(truth, found, sigmas)
    joints = {
        joint: dict(zip(KINDS, map(float, row), strict=True))
        for joint, row in zip(skeleton.joints, table, strict=True)
    }
    histogram = oks_histogram(truth, found, sigmas).tolist()
    return Scoring(data, numbers, joints, {**_counts(truth, found), "oks_histogram": histogram})


def _counts(truth: Truth, found: Detections) -> dict[str, int]:
    return {"labelled": int((~truth.ignored).sum()), "predictions": len(found)}


# --- PCK -----------------------------------------------------------------------------------------


def _mpii(data: str, ann: Path, predictions: Path) -> Scoring:
    people = read_mpii(ann)
    points = read_persons(predictions, people, MPII16)
    errors = normalised(points, people.keypoints, people.sizes)
    thresholds = {f"PCKh@{t:g}": pck(errors, people.labelled, t) for t in (0.5, 0.1)}
    numbers = {
        **pckh(errors, people.labelled),
        "PCKh@0.1": pckh(errors, people.labelled, 0.1)["PCKh@0.1"],
    }
    joints = _by_joint(MPII16, thresholds)
    return Scoring(data, numbers, joints, {"labelled": len(people)})


def _lsp(data: str, ann: Path, predictions: Path) -> Scoring:
    everybody = read_lsp(ann)
    points = read_persons(predictions, everybody, LSP14)
    # A split is whatever pictures have predictions: the file of labels holds all of them.
    there: Mask = np.asarray(~np.isnan(points).any((1, 2)), bool)
    people, points = everybody[there], points[there]
    errors = normalised(points, people.keypoints, people.sizes)
    by_box = normalised(points, people.keypoints, box_sizes(people.keypoints, people.labelled))
    known = people.labelled & (people.sizes > 0)[:, None]
    near = pck(errors, known, 0.2)
    numbers = {
        "PCK@0.2": _percent(near.mean_by_count),
        "mean over joints": _percent(near.mean_of_joints),
        "PCK@0.2 of the box": _percent(pck(by_box, people.labelled, 0.2).mean_by_count),
        "AUC": _percent(auc(errors, known, 0.2)),
        "EPE": epe(points, people.keypoints, people.labelled),
    }
    joints = _by_joint(LSP14, {"PCK@0.2": near, "PCK@0.1": pck(errors, known, 0.1)})
    return Scoring(data, numbers, joints, {"labelled": len(people), "of": len(everybody)})


def _by_joint(skeleton: Skeleton, scores: dict[str, Pck]) -> dict[str, dict[str, float]]:
    return {
        joint: {name: _percent(float(each.joints[k])) for name, each in scores.items()}
        for k, joint in enumerate(skeleton.joints)
    }


def _percent(share: float) -> float:
    return 100 * share if share >= 0 else -1.0


# --- tracks --------------------------------------------------------------------------------------


def _mot(data: str, ann: Path, predictions: Path) -> Scoring:
    frames = read_mot(ann, predictions)
    numbers = mot_numbers(tally(frames))
    shown = {k: _percent(v) if k in _PERCENT and v > -1 else v for k, v in numbers.items()}
    return Scoring(data, shown, {}, {"frames": len(frames)})


def _posetrack(data: str, ann: Path, predictions: Path) -> Scoring:
    sequences = read_posetrack(ann, predictions)
    count = len(POSETRACK15)
    ap = joint_ap([frame for frames in sequences for frame in frames], count)
    tallies = joint_tallies(sequences, count)
    total = mot_numbers(sum(tallies, Tally()))
    known = ap[ap >= 0]
    numbers = {"mAP": _percent(float(known.mean()) if len(known) else -1.0)}
    numbers |= {k: 100 * v if k in _PERCENT and v > -1 else v for k, v in total.items()}
    joints = {
        joint: {"AP": _percent(float(ap[k])), "MOTA": 100 * tallies[k].mota}
        for k, joint in enumerate(POSETRACK15.joints)
    }
    frames = sum(len(frames) for frames in sequences)
    return Scoring(data, numbers, joints, {"sequences": len(sequences), "frames": frames})


DATA: dict[str, Callable[[str, Path, Path], Scoring]] = {
    "coco": _coco, "coco-wholebody": _whole_body, "crowdpose": _crowdpose, "ochuman": _coco,
    "mpii": _mpii, "lsp": _lsp, "posetrack": _posetrack, "mot": _mot,
}  # fmt: skip
