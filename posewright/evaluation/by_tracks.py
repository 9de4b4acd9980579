"""Tracks measured: PoseTrack's joints, people's boxes with identities, and MOTChallenge's files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.evaluation.report import Scoring, joined, percent
from posewright.evaluation.track_files import read_mot, read_posetrack, read_posetrack_boxes
from posewright.evaluation.videos import box_frames, posetrack_frames
from posewright.metrics.box_tracks import BoxFrame, track_numbers
from posewright.metrics.hota import hota, hota_numbers
from posewright.metrics.posetrack import PoseFrame, joint_ap, joint_tallies
from posewright.metrics.tracking import Tally, in_percent, mot_numbers, tally
from posewright.skeletons import POSETRACK15

if TYPE_CHECKING:
    from posewright.evaluation.measures import Measure
    from posewright.evaluation.measuring import Measured

__all__ = ["score_mot_file", "score_posetrack_files", "score_posetrack_people"]


def score_mot_file(measure: Measure, ann: Path, predictions: Path) -> Scoring:
    """Score a MOTChallenge file of one sequence."""
    frames = read_mot(ann, predictions)
    numbers = mot_numbers(tally(frames)) | hota_numbers(hota(read_mot(ann, predictions, 0.0)))
    return Scoring(measure.name, in_percent(numbers), {}, {"frames": len(frames)})


def score_posetrack_files(
    measure: Measure, ann: Path, predictions: Path, metrics: Sequence[str] = ()
) -> Scoring:
    """Score PoseTrack 2018 files by joints, by boxes ("mot") or by both; joints if none is asked
    for."""
    parts, metrics = [], metrics or measure.metrics[:1]
    if "posetrack" in metrics:
        sequences = read_posetrack(ann, predictions)
        parts.append(_score_joints(sequences, sequences))
    if "mot" in metrics:
        parts.append(_score_boxes(*read_posetrack_boxes(ann, predictions)))
    return joined(parts)


def score_posetrack_people(measured: Measured) -> Scoring:
    """Score the predictions of a model on PoseTrack's videos with the requested metrics."""
    found, parts = (measured.dataset, measured.people, measured.shared), []
    if "posetrack" in measured.metrics:
        tracks = posetrack_frames(*found, tracked=True) if measured.tracked else None
        parts.append(_score_joints(posetrack_frames(*found), tracks))
    if "mot" in measured.metrics:
        parts.append(_score_boxes(*box_frames(*found)))
    return joined(parts)


def _score_joints(
    sequences: Sequence[Sequence[PoseFrame]], tracks: Sequence[Sequence[PoseFrame]] | None = None
) -> Scoring:
    """Score the frames of each sequence; tracks: the same frames with those who have identities.

    mAP is that of `sequences`, the rest of `tracks`; None leaves it out.  Joints that are labelled
    nowhere are not measured.
    """
    count = len(POSETRACK15)
    ap = joint_ap([frame for frames in sequences for frame in frames], count)
    known = ap[ap >= 0]
    numbers = {"mAP": percent(float(known.mean()) if len(known) else -1.0)}
    joints = {j: {"AP": percent(float(ap[k]))} for k, j in enumerate(POSETRACK15.joints)}
    if tracks is not None:
        tallies = joint_tallies(tracks, count)
        measured = [each for each in tallies if each.objects]  # as in mAP
        numbers |= in_percent(mot_numbers(sum(measured, Tally())))
        for row, each in zip(joints.values(), tallies, strict=True):
            row["MOTA"] = 100 * each.mota if each.objects else -1.0
    return Scoring("posetrack", numbers, joints, _length(sequences))


def _score_boxes(sequences: Sequence[Sequence[BoxFrame]], own: bool) -> Scoring:
    """Score people's boxes with identities; every name begins with "box_".

    own: the boxes are those of labels and results, not extents of joints; "box_of" says which.
    """
    numbers = {f"box_{k}": v for k, v in in_percent(track_numbers(sequences)).items()}
    more = {"box_of": "bbox" if own else "joints", **_length(sequences)}
    return Scoring("posetrack", numbers, {}, more)


def _length(sequences: Sequence[Sequence[Any]]) -> dict[str, int]:
    return {"sequences": len(sequences), "frames": sum(map(len, sequences))}
