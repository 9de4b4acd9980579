"""A study of several models as Markdown, CSV, JSON and one page of HTML."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.errors import OutputError, counted
from posewright.files.part import check_local
from posewright.reports import page, plots
from posewright.reports.page import number
from posewright.writers.text import harmless

if TYPE_CHECKING:
    from posewright.compare.study import Row, Study

__all__ = ["comma_separated", "comparison_page", "markdown", "pipes", "write_study", "write_texts"]

_COLUMNS = 8  # models that a plot can tell apart


def write_study(study: Study, folder: Path) -> list[Path]:
    """Write compare.md, .json, .csv and .html into a folder, replacing them; return their paths."""
    texts = {
        "md": markdown(study),
        "json": json.dumps(study.to_dict(), allow_nan=False, indent=1) + "\n",
        "csv": comma_separated(study),
        "html": comparison_page(study),
    }
    return write_texts(folder, "compare", texts)


def write_texts(folder: Path, name: str, texts: Mapping[str, str]) -> list[Path]:
    """Write texts by the endings of their files into a folder, replacing them; return the paths."""
    check_local(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder} cannot be made ({error.strerror}); choose another") from error
    return [page.write_page(folder / f"{name}.{end}", text) for end, text in texts.items()]


def markdown(study: Study) -> str:
    """Return the tables as text."""
    parts = [_about(study), pipes(*_main_table(study))]
    if study.degradations:
        parts += [
            f"{study.metric} on degraded images, and the difference from clean ones:",
            pipes(*_robust_table(study)),
        ]
    return "\n\n".join(parts) + "\n"


def comma_separated(study: Study) -> str:
    """Return one line a model; empty cells where nothing is known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    changes = study.degradations
    writer.writerow(
        [
            "model",
            "network",
            "view_width",
            "view_height",
            "parameters",
            "gmacs",
            "gflops",
            "person_ms",
            "picture_ms",
            "picture_ms_low",
            "picture_ms_high",
            "memory_mb",
            "runtime",
            study.metric,
            *(f"{study.metric} {name}" for name in changes),
        ]
    )
    for row in study.rows:
        cost = row.cost
        values: list[Any] = [
            row.model,
            row.network,
            *row.view,
            cost.parameters,
            cost.gmacs,
            cost.gflops,
            cost.person_ms,
            cost.picture_ms,
            cost.low,
            cost.high,
            cost.memory_mb,
            cost.runtime,
            row.value,
            *(row.degraded[name] for name in changes),
        ]
        cells = ["" if v is None or v == -1 else v for v in values]
        writer.writerow([harmless(v) if isinstance(v, str) else v for v in cells])
    return text.getvalue()


def comparison_page(study: Study) -> str:
    """Return the page: plots, then the tables."""
    head, rows = _main_table(study)
    drawn = [
        _against(study, "Accuracy and time", "ms per person", lambda row: row.cost.person_ms),
        _against(study, "Accuracy and work", "GMACs per view", lambda row: row.cost.gmacs),
    ]
    parts = [
        page.note(_about(study)),
        page.section("Models", page.columns(*drawn), page.table(head, rows), page.note(_HOW)),
    ]
    if study.degradations:
        parts.append(
            page.section(
                "Degraded images",
                page.columns(_robust_plot(study)),
                page.table(*_robust_table(study)),
            )
        )
    unread = ", ".join(study.unreadable)
    parts.append(page.section("Skipped", page.note(f"cannot be read: {unread}") if unread else ""))
    return page.page(f"Models on {study.data}", *parts)


_HOW = (
    "Times are medians on one core (or the device) with warm caches, crops and decoding included, "
    "with the quartiles per image in brackets; memory is the peak of a process that runs this "
    "model "
    "alone, its runtime included; GMACs are multiply-accumulates / 1e9, GFLOPs those of HRNet's "
    "tables (/ 1024^3, transposed convolutions at output cells). A dash means that the value is "
    "unknown or was not measured."
)


def _about(study: Study) -> str:
    flip = ", flip test" if study.flip else ""
    bare = [row.model for row in study.rows if not row.weights]
    random = f"; random weights, so no accuracy: {', '.join(bare)}" if bare else ""
    return (
        f"{study.data}: {counted(study.pictures, 'image')}, "
        f"{counted(study.people, 'person', 'people')}, labelled boxes{flip}; "
        f"on {study.machine}{random}"
    )


def _main_table(study: Study) -> tuple[list[str], list[list[str]]]:
    head = [
        "model",
        "view",
        "params (M)",
        "GMACs",
        "GFLOPs",
        "ms per person",
        "ms per image",
        "memory (MiB)",
        study.metric or "score",
    ]
    return head, [_cells(row) for row in study.rows]


def _cells(row: Row) -> list[str]:
    cost = row.cost
    return [
        row.model,
        f"{row.view[0]} x {row.view[1]}",
        "-" if cost.parameters is None else f"{cost.parameters / 1e6:.2f}",
        "-" if cost.gmacs is None else f"{cost.gmacs:.2f}",
        "-" if cost.gflops is None else f"{cost.gflops:.2f}",
        f"{cost.person_ms:.1f}",
        f"{cost.picture_ms:.1f} ({cost.low:.1f} to {cost.high:.1f})",
        "-" if cost.memory_mb is None else f"{cost.memory_mb:.0f}",
        number(row.value),
    ]


def _robust_table(study: Study) -> tuple[list[str], list[list[str]]]:
    return ["model", "clean", *study.degradations], [
        [row.model, number(row.value), *(_changed(row, name) for name in row.degraded)]
        for row in study.rows
    ]


def _changed(row: Row, name: str) -> str:
    """Return the metric and in brackets how it differs from that on clean images."""
    drop = row.drop(name)
    if drop is None:
        return number(row.degraded[name])
    digits = 4 if abs(row.value) <= 1 else 2
    return f"{number(row.degraded[name])} ({0 - drop:+.{digits}f})"


def _robust_plot(study: Study) -> str:
    """Return a line a model over the degradations, which are numbered from the left."""
    names = ["clean", *study.degradations]
    series = {
        row.model: [
            (float(n), v) for n, v in enumerate([row.value, *row.degraded.values()]) if v != -1
        ]
        for row in study.rows[:_COLUMNS]
    }
    title = f"{study.metric} on degraded images"
    return plots.lines(series, title, "", "", x_labels=names)


def _against(study: Study, title: str, x_name: str, x: Callable[[Row], float | None]) -> str:
    places = {row.model: (x(row) or 0.0, row.value) for row in study.rows if row.value != -1}
    return plots.points(places, title, x_name, study.metric)


def pipes(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns are aligned as text too."""
    safe = [[cell.replace("|", "\\|") for cell in row] for row in [head, *rows]]
    widths = [max(len(row[n]) for row in safe) for n in range(len(head))]
    lines = [
        "| "
        + " | ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        + " |"
        for row in safe
    ]
    rule = "|".join(["-" * (widths[0] + 2), *("-" * (w + 1) + ":" for w in widths[1:])])
    return "\n".join([lines[0], f"|{rule}|", *lines[1:]])
