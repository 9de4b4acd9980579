"""Result files of an evaluation, as the data sets' own evaluators read them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.datasets.base import Sample
from posewright.errors import UsageError
from posewright.evaluation.arrays import in_skeleton
from posewright.evaluation.columns import WHOLE_BODY
from posewright.evaluation.measures import MEASURES
from posewright.evaluation.rescoring import rescored
from posewright.files.part import PartFile
from posewright.files.values import dumps, plain
from posewright.people import People, triples, xywh

if TYPE_CHECKING:
    from posewright.evaluation.evaluate import Evaluation

__all__ = ["check_results", "write_results"]


def check_results(data: str, labelled_boxes: bool) -> None:
    """Raise a UsageError where `write_results` could not write what is going to be found."""
    if data == "posetrack":
        raise UsageError(
            "PoseTrack's result files, one for each video, cannot be written; eval writes --report "
            "and --json, predict --track writes tracks as jsonl, coco or csv"
        )
    if data == "mpii" and not labelled_boxes:
        raise UsageError("MPII's results are for its labelled people; use --boxes truth")


def write_results(evaluation: Evaluation, path: Path, overwrite: bool = False) -> Path:
    """Write all detected people; return the path.

    COCO results: a list of image_id, category_id, keypoints (x, y px, score), score and bbox, with
    the joints of the labels; those that the model lacks have a score of 0.  COCO-WholeBody's joints
    are in its five fields; MPII's image_id is the number of the labelled person, its pixels count
    from 1.  Errors: `check_results`; OutputError where it cannot be written.
    """
    data = evaluation.scoring.data
    check_results(data, evaluation.settings["boxes"] == "labels")
    part, before = PartFile(path, overwrite), b"["
    try:
        for sample, people in zip(evaluation.samples, evaluation.results, strict=True):
            for entry in _entries(evaluation, data, sample, people):
                part.write(before + b"\n" + dumps(entry).encode())
                before = b","
        part.write((b"[" if before == b"[" else b"") + b"\n]\n")
        return part.finish()
    except BaseException:
        part.abort()
        raise


def _entries(
    evaluation: Evaluation, data: str, sample: Sample, people: People
) -> Iterator[dict[str, Any]]:
    """Yield the people of one image."""
    ranks = plain(rescored(people, evaluation.settings["rescore"]))
    people = in_skeleton(people, evaluation.found, evaluation.skeleton)
    points, ids = triples(people), [sample.image_id] * len(people)
    if data == "mpii":
        points = points + np.array([1, 1, 0], np.float32)
        ids = sample.numbers[people.ids].tolist()
    category = evaluation.category if MEASURES[data].classes else 1
    fields = WHOLE_BODY if data == "coco-wholebody" else {"keypoints": points.shape[1]}
    cuts = np.cumsum(list(fields.values()))[:-1]
    parts = [plain(p.reshape(len(p), p.shape[1] * 3)) for p in np.split(points, cuts, 1)]
    for i, box in enumerate(plain(xywh(people))):
        joints = {name: part[i] for name, part in zip(fields, parts, strict=True)}
        head = {"image_id": ids[i], "category_id": category}
        yield {**head, **joints, "score": ranks[i], "bbox": box}
