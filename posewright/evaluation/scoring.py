"""Results against labels, files or arrays, by the measure that each data set publishes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import UsageError, nearest
from posewright.evaluation.coco_files import (
    Labels,
    box_detections,
    detections,
    read_box_truth,
    read_entries,
    read_truth,
)
from posewright.evaluation.person_files import Persons, read_lsp, read_mpii, read_persons
from posewright.evaluation.report import Scoring, joined
from posewright.evaluation.track_files import read_mot, read_posetrack, read_posetrack_boxes
from posewright.metrics.box_tracks import BoxFrame, track_numbers
from posewright.metrics.boxes import evaluate_boxes
from posewright.metrics.diagnosis import KINDS, joint_table, matched, oks_histogram
from posewright.metrics.hota import hota, hota_numbers
from posewright.metrics.instances import Detections, Doubles, Ints, Mask, Truth
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
from posewright.metrics.pck import Pck, auc, box_sizes, epe, normalised, pck, pckh
from posewright.metrics.posetrack import PoseFrame, joint_ap, joint_tallies
from posewright.metrics.ranking import THRESHOLDS, average
from posewright.metrics.tracking import Tally, in_percent, mot_numbers, tally
from posewright.skeletons import (
    COCO17,
    COCO133,
    CROWDPOSE14,
    LSP14,
    MPII16,
    POSETRACK15,
    Skeleton,
)

__all__ = [
    "DATA",
    "MAIN",
    "METRICS",
    "Scoring",
    "check_metrics",
    "joined",
    "main_metric",
    "score_boxes",
    "score_files",
    "score_instances",
    "score_lsp",
    "score_mpii",
    "score_own",
    "score_posetrack",
]

# What models are chosen by: the first of these that a measure has.
MAIN = ("AP", "PCKh@0.5", "PCK@0.2", "mAP", "MOTA", "box_MOTA")


# What videos of PoseTrack can be measured by: joints, and people's boxes.
METRICS = ("posetrack", "mot")


def score_files(
    data: str,
    labels: str | Path,
    predictions: str | Path,
    metrics: Sequence[str] = (),
    class_name: str | None = None,
) -> Scoring:
    """Score the predictions of a file.

    data: one of DATA.  labels, predictions: files as the data set publishes and evaluates them
    (docs/evaluation.md).  metrics: of METRICS, for posetrack; none are the first.  class_name: of
    the labels, as of `open_dataset`.  SourceError for a broken file, UsageError for files that do
    not belong together.
    """
    if data not in DATA:
        raise UsageError(f"no data set {data!r}{nearest(data, DATA)}; known: {', '.join(DATA)}")
    check_metrics(data, metrics)
    if metrics:
        return _posetrack(data, Path(labels), Path(predictions), metrics)
    ann, found = Path(labels), Path(predictions)
    if data in _WITH_CLASSES:
        return _WITH_CLASSES[data](data, ann, found, class_name)
    if class_name and class_name.casefold() != "person":
        raise UsageError(f"{data} measures people alone; leave class {class_name!r} out")
    return DATA[data](data, ann, found)


def check_metrics(data: str, metrics: Sequence[str]) -> None:
    """Raise a UsageError for a word that is not of METRICS, and for data that has one measure."""
    for name in metrics:
        if name not in METRICS:
            known = ", ".join(METRICS)
            raise UsageError(f"no metric {name!r}{nearest(name, METRICS)}; known: {known}")
    if metrics and data != "posetrack":
        raise UsageError(
            f"--metrics (metrics=...) is for posetrack, whose people have boxes, too; {data} has "
            "one measure: leave it out"
        )


# --- OKS -----------------------------------------------------------------------------------------

_INSTANCES = {
    "coco": COCO17,
    "ochuman": COCO17,
    "crowdpose": CROWDPOSE14,
    "coco-wholebody": COCO133,
}


def score_instances(data: str, labels: Labels, found: Detections, skeleton: Skeleton) -> Scoring:
    """Score people by OKS, by the rules of `data`; its sigmas are those of `skeleton`."""
    if data == "crowdpose":
        return _crowdpose(labels, found, skeleton)
    if data == "coco-wholebody":
        return _whole_body(labels, found)
    scores = evaluate_keypoints(labels.truth, found, sigmas_of(skeleton))
    return _with_details(data, scores, labels.truth, found, skeleton)


def _instances(data: str, ann: Path, predictions: Path, class_name: str | None = None) -> Scoring:
    entries = read_entries(predictions)
    boxes = entries and isinstance(entries[0], dict) and "keypoints" not in entries[0]
    if boxes and data in ("coco", "ochuman"):
        return _boxes(data, ann, entries, predictions, class_name)
    whole = data == "coco-wholebody"
    labels = read_truth(ann, len(_INSTANCES[data]), whole, class_name)
    found = detections(entries, labels, predictions, whole)
    scoring = score_instances(data, labels, found, _INSTANCES[data])
    return replace(scoring, notes=labels.notes, remarks=labels.remarks)


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


def _any_skeleton(
    data: str, ann: Path, predictions: Path, class_name: str | None = None
) -> Scoring:
    """Score by the labels' own skeleton, which the reader of data sets finds out."""
    from posewright.datasets.opening import open_part
    from posewright.evaluation.arrays import in_order, labels_of

    kind = "halpe" if data == "halpe" else None
    dataset = open_part(ann, kind, None, "val", "test", class_name=class_name)
    dataset = dataset[in_order(dataset.samples)]
    labels = labels_of(dataset, ann)
    found = detections(read_entries(predictions), labels, predictions)
    score = partial(score_instances, data) if data == "halpe" else score_own
    scoring = score(labels, found, dataset.skeleton)
    return replace(scoring, notes=dataset.notes, remarks=dataset.remarks)


# --- PCK -----------------------------------------------------------------------------------------


def score_own(
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
        "PCK@0.2": _percent(near.mean_by_count),
        "mean over joints": _percent(near.mean_of_joints),
        "AUC": _percent(auc(errors, known, 0.2)),
        "EPE": epe(points, truth.keypoints[:, :, :2], known & (rows >= 0)[:, None]),
    }
    scoring = score_instances("pck", labels, found, skeleton)
    return replace(scoring, numbers=scoring.numbers | numbers)


def _mpii(data: str, ann: Path, predictions: Path) -> Scoring:
    people = read_mpii(ann)
    return score_mpii(people, read_persons(predictions, people, MPII16))


def score_mpii(people: Persons, points: Doubles) -> Scoring:
    """Score (N, 16, 2) px, NaN where nobody was found, by PCKh."""
    errors = normalised(points, people.keypoints, people.sizes)
    thresholds = {f"PCKh@{t:g}": pck(errors, people.labelled, t) for t in (0.5, 0.1)}
    numbers = {
        **pckh(errors, people.labelled),
        "PCKh@0.1": pckh(errors, people.labelled, 0.1)["PCKh@0.1"],
    }
    joints = _by_joint(MPII16, thresholds)
    return Scoring("mpii", numbers, joints, {"labelled": len(people)})


def _lsp(data: str, ann: Path, predictions: Path) -> Scoring:
    everybody = read_lsp(ann)
    points = read_persons(predictions, everybody, LSP14)
    # A split is whatever pictures have predictions: the file of labels holds all of them.
    there: Mask = np.asarray(~np.isnan(points).any((1, 2)), bool)
    scoring = score_lsp(everybody[there], points[there])
    return replace(scoring, more={**scoring.more, "of": len(everybody)})


def score_lsp(people: Persons, points: Doubles) -> Scoring:
    """Score (N, 14, 2) px, NaN where nobody was found, by PCK."""
    errors = normalised(points, people.keypoints, people.sizes)
    by_box = normalised(points, people.keypoints, box_sizes(people.keypoints, people.labelled))
    known = people.labelled & (people.sizes > 0)[:, None]
    near = pck(errors, known, 0.2)
    numbers = {
        "PCK@0.2": _percent(near.mean_by_count),
        "mean over joints": _percent(near.mean_of_joints),
        "PCK@0.2 of the box": _percent(pck(by_box, people.labelled, 0.2).mean_by_count),
        "AUC": _percent(auc(errors, known, 0.2)),
        "EPE": epe(points, people.keypoints, people.labelled & np.isfinite(points).all(2)),
    }
    joints = _by_joint(LSP14, {"PCK@0.2": near, "PCK@0.1": pck(errors, known, 0.1)})
    return Scoring("lsp", numbers, joints, {"labelled": len(people)})


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
    numbers = mot_numbers(tally(frames)) | hota_numbers(hota(read_mot(ann, predictions, 0.0)))
    return Scoring(data, in_percent(numbers), {}, {"frames": len(frames)})


def _posetrack(
    data: str, ann: Path, predictions: Path, metrics: Sequence[str] = METRICS[:1]
) -> Scoring:
    parts = []
    if "posetrack" in metrics:
        sequences = read_posetrack(ann, predictions)
        parts.append(score_posetrack(sequences, sequences))
    if "mot" in metrics:
        parts.append(score_boxes(*read_posetrack_boxes(ann, predictions)))
    return joined(parts)


def score_posetrack(
    sequences: Sequence[Sequence[PoseFrame]], tracks: Sequence[Sequence[PoseFrame]] | None = None
) -> Scoring:
    """Score the frames of each sequence; tracks: the same frames with those who have identities.

    mAP is that of `sequences`, the rest of `tracks`; None leaves it out.  Joints that are labelled
    nowhere are not measured.
    """
    count = len(POSETRACK15)
    ap = joint_ap([frame for frames in sequences for frame in frames], count)
    known = ap[ap >= 0]
    numbers = {"mAP": _percent(float(known.mean()) if len(known) else -1.0)}
    joints = {j: {"AP": _percent(float(ap[k]))} for k, j in enumerate(POSETRACK15.joints)}
    if tracks is not None:
        tallies = joint_tallies(tracks, count)
        measured = [each for each in tallies if each.objects]  # as in mAP
        numbers |= in_percent(mot_numbers(sum(measured, Tally())))
        for row, each in zip(joints.values(), tallies, strict=True):
            row["MOTA"] = 100 * each.mota if each.objects else -1.0
    return Scoring("posetrack", numbers, joints, _length(sequences))


def score_boxes(sequences: Sequence[Sequence[BoxFrame]], own: bool) -> Scoring:
    """Score people's boxes with identities; every name begins with "box_".

    own: the boxes are those of labels and results, not extents of joints; "box_of" says which.
    """
    numbers = {f"box_{k}": v for k, v in in_percent(track_numbers(sequences)).items()}
    more = {"box_of": "bbox" if own else "joints", **_length(sequences)}
    return Scoring("posetrack", numbers, {}, more)


def _length(sequences: Sequence[Sequence[Any]]) -> dict[str, int]:
    return {"sequences": len(sequences), "frames": sum(map(len, sequences))}


_WITH_CLASSES: dict[str, Callable[[str, Path, Path, str | None], Scoring]] = {
    "coco": _instances,
    "coco-wholebody": _instances,
    "crowdpose": _instances,
    "ochuman": _instances,
    "halpe": _any_skeleton,
    "pck": _any_skeleton,
}

DATA: dict[str, Callable[[str, Path, Path], Scoring]] = {
    "coco": _instances,
    "coco-wholebody": _instances,
    "crowdpose": _instances,
    "ochuman": _instances,
    "halpe": _any_skeleton,
    "mpii": _mpii,
    "lsp": _lsp,
    "posetrack": _posetrack,
    "mot": _mot,
    "pck": _any_skeleton,
}


def main_metric(scoring: Scoring) -> tuple[str, float]:
    """Return name and value of the number that models are chosen by: AP, PCKh@0.5, PCK@0.2, mAP."""
    name = next(name for name in MAIN if name in scoring.numbers)
    return name, scoring.numbers[name]
