"""The lines of `posewright study` as Markdown, CSV, JSON and one page of HTML."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.compare.report import pipes, write_texts
from posewright.errors import counted
from posewright.reports import page, plots
from posewright.reports.page import number
from posewright.writers.text import harmless

if TYPE_CHECKING:
    from posewright.compare.trials import Finished, Line

__all__ = ["table_of", "write_report"]

Table = tuple[list[str], list[list[str]]]


def write_report(study: Finished, folder: Path) -> list[Path]:
    """Write study.md, .csv, .json and .html into a folder, replacing them; return their paths."""
    texts = {
        "md": table_of(study),
        "json": json.dumps(study.to_dict(), allow_nan=False, indent=1) + "\n",
        "csv": _comma_separated(study),
        "html": _page(study),
    }
    return write_texts(folder, "study", texts)


def table_of(study: Finished) -> str:
    """Return the tables as text."""
    joints = _joints(study)
    parts = [_about(study), pipes(*_main(study)), _HOW]
    parts += [f"{_per_joint(study)}:", pipes(*joints)] if joints[1] else []
    parts += [f"{line.name} failed: {line.failed}" for line in study.lines if line.failed]
    return "\n\n".join(parts) + "\n"


_HOW = (
    "The difference is that of the OKS per person to the first variant, with the interval of 95 % "
    "of a paired bootstrap over images; it holds for these trainings, not for others with other "
    "seeds. One training of each cannot tell a better variant from a luckier seed."
)


def _about(study: Finished) -> str:
    flip = ", flip test" if study.flip else ""
    chosen = ", which also chose the epoch" if study.chosen else ""
    return (
        f"{study.data}: {counted(study.pictures, 'image')} evaluated{chosen}{flip}; "
        f"{counted(study.repeat, 'training')} of each variant; on {study.machine}"
    )


def _main(study: Finished) -> Table:
    head = ["variant", "network", "params (M)", "GMACs", "GFLOPs", "ms per person", "memory (MiB)"]
    head += [study.metric or "score", "difference in OKS"]
    return head, [_cells(line) for line in study.lines]


def _cells(line: Line) -> list[str]:
    cost = line.cost
    costs = (cost.parameters, cost.gmacs, cost.gflops, cost.memory_mb) if cost else (None,) * 4
    parameters, gmacs, gflops, memory = costs
    return [
        line.name,
        line.network,
        "-" if parameters is None else f"{parameters / 1e6:.3f}",
        "-" if gmacs is None else f"{gmacs:.3f}",
        "-" if gflops is None else f"{gflops:.3f}",
        "-" if cost is None else f"{cost.person_ms:.1f}",
        "-" if memory is None else f"{memory:.0f}",
        _value(line),
        _difference(line),
    ]


def _value(line: Line) -> str:
    """Return the metric with its deviation over trainings; in words where there is none."""
    if not line.trials:
        return "failed" if line.failed else "not finished"
    if line.deviation is None:
        return number(line.mean)
    return f"{number(line.mean)} ± {number(line.deviation)} ({len(line.values)})"


def _difference(line: Line) -> str:
    found = line.difference
    return "-" if found is None else f"{found.mean:+.4f} ({found.low:+.4f} to {found.high:+.4f})"


def _per_joint(study: Finished) -> str:
    """Return the name of the number that stands for each joint."""
    tables = [table for line in study.lines for t in line.trials for table in t.joints.values()]
    return f"{next(iter(tables[0]))} of each joint" if tables else ""


def _joints(study: Finished) -> Table:
    tables = {line.name: line.joints() for line in study.lines if line.trials}
    names = list(next(iter(tables.values()), {}))
    rows = [[joint, *(number(table[joint]) for table in tables.values())] for joint in names]
    return ["joint", *tables], rows


def _comma_separated(study: Finished) -> str:
    """Return one line a training; empty cells where nothing is known."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    costs = ["parameters", "gmacs", "gflops", "person_ms", "memory_mb", "runtime"]
    writer.writerow(["variant", "network", "seed", "epoch", study.metric, *costs, "failed"])
    for line in study.lines:
        of_cost = [getattr(line.cost, name, None) for name in costs]
        trials: list[tuple[Any, ...]] = [(t.seed, t.epoch, t.value) for t in line.trials]
        for trial in trials or [(None, None, None)]:
            cells: list[Any] = [line.name, line.network, *trial, *of_cost, line.failed]
            plain = ["" if cell is None or cell == -1 else cell for cell in cells]
            writer.writerow([harmless(c) if isinstance(c, str) else c for c in plain])
    return text.getvalue()


def _page(study: Finished) -> str:
    known = [line for line in study.lines if line.mean != -1 and line.cost is not None]
    drawn = [
        plots.points(
            {line.name: (getattr(line.cost, key) or 0.0, line.mean) for line in known},
            title,
            unit,
            study.metric,
        )
        for key, title, unit in (
            ("person_ms", "Accuracy and time", "ms per person"),
            ("gmacs", "Accuracy and work", "GMACs per view"),
        )
    ]
    failed = [page.note(f"{line.name}: {line.failed}") for line in study.lines if line.failed]
    return page.page(
        f"Study on {study.data}",
        page.note(_about(study)),
        page.section("Variants", page.columns(*drawn), page.table(*_main(study)), page.note(_HOW)),
        page.section(_per_joint(study) or "Joints", page.table(*_joints(study))),
        page.section("Failed", *failed),
        page.section("Skipped", *(page.note(line) for line in study.unreadable)),
    )
