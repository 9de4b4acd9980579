"""Scores as the lines that a command prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from posewright.errors import counted

if TYPE_CHECKING:
    from posewright.evaluation.evaluate import Evaluation
    from posewright.evaluation.scoring import Scoring

__all__ = ["print_numbers", "score_lines", "summary"]

_BOXES = {
    "bbox": "box_...: for people's bounding boxes",
    "joints": "box_...: for the extents of people's joints, enlarged by an eighth on each side",
}


def summary(evaluation: Evaluation, labelled: bool, files: list[str]) -> list[str]:
    """Return the numbers, then how they came about."""
    how = ", ".join(f"{name} {value}" for name, value in evaluation.settings.items())
    bad = len(evaluation.unreadable)
    lines = score_lines(evaluation.scoring) if labelled else ["no labels, so no metric is computed"]
    if "measured" in evaluation.scoring.more:
        lines.append(f"measured on {evaluation.scoring.more['measured']}")
    lines += [
        f"{evaluation.model} ({evaluation.runtime}): {how}",
        f"{counted(len(evaluation.samples) - bad, 'image')} in {evaluation.seconds:.1f} s"
        + (
            f"; {bad} could not be read and {'is' if bad == 1 else 'are'} not counted"
            if bad
            else ""
        ),
    ]
    return lines + [f"  {path}" for path in files]


def score_lines(scoring: Scoring) -> list[str]:
    """Return the numbers, the parts of the body, then the joints."""
    width = max(map(len, scoring.numbers))
    lines = [f"{name:<{width}}  {_number(value)}" for name, value in scoring.numbers.items()]
    for rows in (scoring.more.get("parts"), scoring.joints):
        if rows:
            lines += ["", *_table(rows)]
    if "box_of" in scoring.more:
        lines += ["", _BOXES[scoring.more["box_of"]]]
    counts = [f"{k} {v}" for k, v in scoring.more.items() if isinstance(v, int)]
    return [*lines, "", f"{scoring.data}: {', '.join(counts)}"]


def _table(rows: dict[str, dict[str, float]]) -> list[str]:
    first = max(map(len, rows))
    columns = list(next(iter(rows.values())))
    widths = [max(len(c), 7) for c in columns]
    head = " " * first + "".join(f"  {c:>{w}}" for c, w in zip(columns, widths, strict=True))
    return [
        head,
        *(
            f"{name:<{first}}"
            + "".join(f"  {_number(row[c]):>{w}}" for c, w in zip(columns, widths, strict=True))
            for name, row in rows.items()
        ),
    ]


def _number(value: float) -> str:
    """Write counts as they are, shares with four digits, percentages and pixels with two."""
    if isinstance(value, int) or value == -1:
        return f"{value:g}"
    return f"{value:.4f}" if abs(value) <= 1 else f"{value:.2f}"


def print_numbers(numbers: dict[str, Any]) -> None:
    """Print a line for each number; lists and tables in one line."""
    for key, value in numbers.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v}" for k, v in value.items())
        elif isinstance(value, (list, tuple)):
            value = ", ".join(map(str, value))
        label = key.replace("_", " ").replace("picture", "image")
        print(f"{label:18} {value}")
