"""Result files against labels, by the measure that each data set publishes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from posewright.datasets.formats.coco_folder import part_files
from posewright.errors import UsageError, nearest
from posewright.evaluation.measures import MEASURES, METRICS, get_measure
from posewright.evaluation.report import Scoring

__all__ = ["Scoring", "check_metrics", "main_metric", "score_files"]


def score_files(
    data: str,
    labels: str | Path,
    predictions: str | Path,
    metrics: Sequence[str] = (),
    class_name: str | None = None,
) -> Scoring:
    """Score the predictions of a file.

    data: one of MEASURES.  labels, predictions: files as the data set publishes and evaluates them
    (docs/evaluation.md); of a folder of COCO's layout the labels are those of val, else test.
    metrics: of METRICS, for posetrack; none are the first.  class_name: of
    the labels, as of `open_dataset`.  SourceError for a broken file, UsageError for files that do
    not belong together.
    """
    measure = get_measure(data)
    check_metrics(data, metrics)
    if class_name and class_name.casefold() != "person" and not measure.classes:
        raise UsageError(f"{data} evaluates only people; leave class {class_name!r} out")
    options: dict[str, Any] = {"class_name": class_name} if measure.classes else {}
    if metrics:
        options["metrics"] = metrics
    labels = Path(labels)
    parts = part_files(labels) if labels.is_dir() else {}
    labels = parts.get("val") or parts.get("test") or labels
    return measure.score_files(labels, Path(predictions), **options)


def check_metrics(data: str, metrics: Sequence[str]) -> None:
    """Raise a UsageError for a word that is not of METRICS, and for data that has one measure."""
    for name in metrics:
        if name not in METRICS:
            known = ", ".join(METRICS)
            raise UsageError(f"no metric {name!r}{nearest(name, METRICS)}; known: {known}")
    if metrics and not MEASURES[data].metrics:
        raise UsageError(
            f"--metrics (metrics=...) works only with posetrack; {data} has a single metric: "
            f"leave it out"
        )


def main_metric(scoring: Scoring) -> tuple[str, float]:
    """Return name and value of the number that models are chosen by: AP, PCKh@0.5, PCK@0.2, mAP."""
    name = next(name for name in MEASURES[scoring.data].main if name in scoring.numbers)
    return name, scoring.numbers[name]
