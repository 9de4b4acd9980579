"""The report of an evaluation: curves, joints, errors and the people with the worst predictions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.errors import counted
from posewright.metrics.diagnosis import KINDS
from posewright.metrics.ranking import RECALLS, THRESHOLDS
from posewright.reports import page, plots
from posewright.reports.gallery import worst_people

if TYPE_CHECKING:
    from posewright.datasets import Dataset
    from posewright.evaluation.evaluate import Evaluation
    from posewright.evaluation.scoring import Scoring

__all__ = ["evaluation_report", "scoring_parts"]

_ON_TOP = 6  # numbers written large


def evaluation_report(evaluation: Evaluation, dataset: Dataset, folder: Path) -> Path:
    """Write report.html into a folder, which is made where it is not there; return its path.

    dataset: what was evaluated on, whose images are read again for the gallery.
    """
    figures = worst_people(
        dataset.samples,
        evaluation.results,
        evaluation.likeness,
        evaluation.skeleton,
        evaluation.found,
    )
    read = len(dataset) - len(evaluation.unreadable)
    bad = f" ({len(evaluation.unreadable)} cannot be read)" if evaluation.unreadable else ""
    found = sum(map(len, evaluation.results))
    counts = {k: v for k, v in evaluation.scoring.more.items() if isinstance(v, (int, str))}
    plain = {"measure": evaluation.scoring.data, "joints": evaluation.skeleton.name, **counts}
    settings = [(key, str(value)) for key, value in {**plain, **evaluation.settings}.items()]
    worst = page.note("Labels on the left, what was found on the right, the lowest OKS first.")
    text = page.page(
        f"{evaluation.model} on {dataset.name}",
        page.note(
            f"{counted(read, 'image')}{bad} with {counted(dataset.people, 'person', 'people')} in "
            f"the labels; {found} found in "
            f"{evaluation.seconds:.1f} s by {evaluation.runtime}"
        ),
        *scoring_parts(evaluation.scoring),
        page.section("Worst people", worst, page.pictures(figures)) if figures else "",
        page.section("Left out", page.code("\n".join(evaluation.unreadable)))
        if evaluation.unreadable
        else "",
        page.section("Settings", page.table(["", ""], settings)),
    )
    return page.write_page(folder / "report.html", text)


def scoring_parts(scoring: Scoring) -> list[str]:
    """Return the sections that follow from the numbers alone."""
    numbers = {k: v for k, v in scoring.numbers.items() if v != -1}
    if not numbers:
        return [page.note("There were no labels to measure against.")]
    first = dict(list(scoring.numbers.items())[:_ON_TOP])
    return [
        page.facts(first),
        page.section("Numbers", page.table(["", "value"], list(scoring.numbers.items()))),
        page.section("Curves", page.columns(*_curves(scoring))),
        page.section("Parts", _by_name(scoring.more.get("parts"))),
        page.section("Joints", *_joints(scoring.joints)),
    ]


def _curves(scoring: Scoring) -> list[str]:
    """Return plots of what was measured at several thresholds."""
    drawn, more = [], scoring.more
    if "all" in scoring.curves:
        series = {
            f"OKS {t:.2f}": list(zip(RECALLS.tolist(), row.tolist(), strict=True))
            for t, row in zip(THRESHOLDS, scoring.curves["all"].precision, strict=True)
            if row.min() >= 0
        }
        drawn.append(plots.lines(series, "Precision over recall", "recall", "precision", (0, 1)))
    levels = {k: v for k, v in (more.get("AP_by_threshold") or {}).items() if v >= 0}
    at = [(float(k), float(v)) for k, v in levels.items()]
    drawn.append(plots.lines({"AP": at}, "AP by OKS threshold", "OKS threshold", "AP", (0, 1)))
    counts = more.get("oks_histogram") or []
    if sum(counts):
        names = {f"{n / len(counts):.2f}": float(c) for n, c in enumerate(counts)}
        drawn.append(plots.bars(names, "People by OKS", "OKS from", "people"))
    return drawn


def _by_name(rows: Mapping[str, Mapping[str, float]] | None) -> str:
    return page.table(*page.rows_of(rows)) if rows else ""


def _joints(joints: Mapping[str, Mapping[str, float]]) -> Sequence[str]:
    """Return the table of joints and, where it is of mistakes, its plot."""
    if not joints:
        return []
    parts = [_by_name(joints)]
    if all(tuple(row) == KINDS for row in joints.values()):
        text = (
            "Shares of a joint's labels. good: similarity of at least .85; jitter: at least .5; "
            "inversion: at another joint of the same person; swap: at a joint of another person; "
            "miss: anything else, or nobody matched the person (arXiv:1707.05388)."
        )
        parts = [page.columns(plots.stacked(joints, "Mistakes by joint")), *parts, page.note(text)]
    return parts
