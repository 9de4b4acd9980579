"""The report of a training run, from the files of its folder."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from posewright.errors import SourceError
from posewright.evaluation.measures import MAIN
from posewright.reports import page, plots

__all__ = ["training_report"]

Columns = dict[str, list[float]]

_CURVES = 6  # metrics in the plot
_LISTED = 8  # entries of a list that are written out


def training_report(folder: Path) -> Path:
    """Write report.html into a run folder and return its path.

    Reads log.csv, validation.csv, recipe.toml, environment.json, data.json and targets.jpg; what
    is missing or empty is said on the page.  SourceError: there is no such folder.
    """
    if not folder.is_dir():
        raise SourceError(f"{folder} is not a run folder; give the one that training wrote")
    log, held = _columns(folder / "log.csv"), _columns(folder / "validation.csv")
    recipe = _text(folder / "recipe.toml")
    text = page.page(
        f"Training: {folder.resolve().name}",
        page.facts(_facts(log, held)),
        page.section(
            "Curves", _curves(log, held) or page.note("No training step has been logged yet.")
        ),
        page.section("Validation", _validation(held)),
        page.section("Training images with their targets", _targets(folder / "targets.jpg")),
        page.section("Data", _json_table(folder / "data.json")),
        page.section(
            "Recipe", page.code(recipe) if recipe else page.note("The recipe was not written.")
        ),
        page.section("Environment", _json_table(folder / "environment.json")),
    )
    return page.write_page(folder / "report.html", text)


def _facts(log: Columns, held: Columns) -> dict[str, Any]:
    """Return the few numbers on top."""
    found: dict[str, Any] = {}
    if log.get("step"):
        found["steps"] = _whole(log["step"][-1])
    if log.get("loss"):
        found["last loss"] = log["loss"][-1]
    best = _best(held)
    if best:
        name, value, epoch = best
        found[f"best {name}"] = value
        if epoch is not None:
            found["in epoch"] = epoch
    rates = [v for v in log.get("images_per_second", ()) if math.isfinite(v)]
    if rates:
        found["images per second"] = float(np.median(rates))
    seconds, waited = (np.nansum(log.get(k, [])) for k in ("seconds", "data_wait"))
    if seconds > 0:
        hours, rest = divmod(round(float(seconds)), 3600)
        minutes, left = divmod(rest, 60)
        found["training time"] = (
            f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {left:02d} s"
        )
        found["waiting for data"] = f"{waited / seconds:.1%}"
    return found


def _best(held: Columns) -> tuple[str, float, int | None] | None:
    """Return the main metric's name, highest value and epoch; None where nothing was measured."""
    name = _main(held)
    if name is None:
        return None
    values = np.array(held[name])
    if not (np.isfinite(values) & (values > -1)).any():
        return None
    row = int(np.nanargmax(values))
    epochs = held.get("epoch", [])
    return name, float(values[row]), _whole(epochs[row]) if epochs else None


def _main(held: Columns) -> str | None:
    metrics = _metrics(held)
    return next((name for name in MAIN if name in metrics), metrics[0] if metrics else None)


def _metrics(held: Columns) -> list[str]:
    return [name for name in held if name not in ("epoch", "step")]


def _curves(log: Columns, held: Columns) -> str:
    """Return the plots beside each other."""
    steps = log.get("step", [])
    drawn = [
        plots.lines({name: _series(steps, log.get(name, []))}, title, "step", "")
        for name, title in (("loss", "Loss"), ("lr", "Learning rate"))
    ]
    epochs, main = held.get("epoch", []), _main(held)
    if main is not None:
        series = {main: _series(epochs, held[main])}
        title = f"Validation: {main}"
        drawn.insert(1, plots.lines(series, title, "epoch", "", _from_0(held, [main])))
        names = _alike(held, main)
        others = {m: _series(epochs, held[m]) for m in names}
        drawn.append(plots.lines(others, "Validation: all", "epoch", "", _from_0(held, names)))
    speed = {"images per second": _series(steps, log.get("images_per_second", []))}
    drawn.append(plots.lines(speed, "Speed", "step", "images per second"))
    return page.columns(*drawn)


def _alike(held: Columns, main: str) -> list[str]:
    """Return metrics that share an axis with the main one: all shares, or all percentages."""
    share = max(_finite(held[main]), default=0.0) <= 1
    found = [m for m in _metrics(held) if (max(_finite(held[m]), default=-1.0) <= 1) == share]
    return found[:_CURVES]


def _from_0(held: Columns, names: list[str]) -> tuple[float, float]:
    """Return the range of an axis for metrics, from 0."""
    return 0.0, 1.05 * max((v for name in names for v in _finite(held[name])), default=0.0) or 1.0


def _finite(values: list[float]) -> list[float]:
    return [v for v in values if math.isfinite(v)]


def _series(x: list[float], y: list[float]) -> list[tuple[float, float]]:
    """Return points; -1, nothing to measure, is left out."""
    return [(a, math.nan if b == -1 else b) for a, b in zip(x, y, strict=False)]


def _validation(held: Columns) -> str:
    """Return the numbers of the best and the last validation."""
    best, count = _best(held), len(held.get("epoch", []))
    if best is None or count == 0:
        return page.note("No validation has been run yet.")
    rows = {"best": int(np.nanargmax(held[best[0]])), "last": count - 1}
    table = {
        name: {"epoch": _whole(held["epoch"][row]), **{m: held[m][row] for m in _metrics(held)}}
        for name, row in rows.items()
    }
    return page.table(*page.rows_of(table))


def _targets(path: Path) -> str:
    if not path.is_file():
        return page.note("No image of the training targets was written.")
    return page.jpeg(path.read_bytes(), "The network's inputs and its training targets.")


def _json_table(path: Path) -> str:
    """Return a JSON object as a table of its values; nested names are joined by a dot."""
    try:
        data = json.loads(_text(path) or "null")
    except ValueError:
        return page.note(f"{path.name} cannot be read.")
    if not isinstance(data, dict) or not data:
        return page.note(f"{path.name} was not written.")
    return page.table(["", ""], [[key, value] for key, value in _flat(data)])


def _flat(data: Mapping[str, Any], before: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in data.items():
        if isinstance(value, dict):
            rows += _flat(value, f"{before}{key}.")
        elif isinstance(value, list):
            some = ", ".join(map(str, value[:_LISTED]))
            more = f" and {len(value) - _LISTED} more" if len(value) > _LISTED else ""
            rows.append((before + key, some + more))
        else:
            rows.append((before + key, value))
    return rows


# --- files ---------------------------------------------------------------------------------------


def _text(path: Path) -> str:
    """Return a file's text; "" where it is not there."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _columns(path: Path) -> Columns:
    """Read a CSV of numbers by column; a cell that is none is NaN, a row cut short is left out."""
    rows = list(csv.reader(_text(path).replace("\0", "").splitlines()))
    if not rows:
        return {}
    whole = [row for row in rows[1:] if len(row) == len(rows[0])]
    return {name: [_value(row[n]) for row in whole] for n, name in enumerate(rows[0])}


def _value(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return value if math.isfinite(value) else math.nan


def _whole(value: float) -> int | None:
    return int(value) if math.isfinite(value) else None
