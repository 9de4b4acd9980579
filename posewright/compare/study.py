"""Models compared on one data set: cost, accuracy and robustness to degraded images."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.codecs.base import refines
from posewright.compare.cost import Cost, counted, measure_cost
from posewright.compare.degrade import Degradation, degraded
from posewright.compare.networks import is_unweighted, open_network
from posewright.errors import SourceError, UsageError
from posewright.machine import cpu_name
from posewright.runtimes import Model

if TYPE_CHECKING:
    from posewright.datasets import Dataset

__all__ = ["Row", "Study", "compare"]

Say = Callable[[str], None]


@dataclass(frozen=True)
class Row:
    """One model.  network, view: its name and (width, height) px.  value: of the study's metric,
    -1 for nothing to measure; numbers: all others.  degraded: the metric by degradation.
    weights: False for a network of the zoo without, whose cost alone is known."""

    model: str
    network: str
    view: tuple[int, int]
    cost: Cost
    value: float
    numbers: dict[str, float]
    degraded: dict[str, float] = field(default_factory=dict)
    weights: bool = True

    def drop(self, name: str) -> float | None:
        """Return what a degradation costs, in units of the metric; None without one of the two."""
        value = self.degraded[name]
        return None if -1 in (value, self.value) else self.value - value


@dataclass(frozen=True)
class Study:
    """The models in the given order, and what they were compared on.

    people: those with labelled joints, crowds left out.  unreadable: a line for each image that
    was left out.
    """

    data: str
    pictures: int
    people: int
    metric: str
    machine: str
    flip: bool
    rows: tuple[Row, ...]
    unreadable: tuple[str, ...] = ()

    @property
    def degradations(self) -> list[str]:
        """Their names, in the order asked for."""
        return list(self.rows[0].degraded) if self.rows else []

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that --json prints."""
        data = asdict(self)
        for plain, row in zip(data["rows"], self.rows, strict=True):
            plain |= plain.pop("cost")
            plain["drop"] = {name: row.drop(name) for name in row.degraded}
        return data


def compare(
    models: Sequence[str],
    dataset: Dataset,
    *,
    degradations: Sequence[Degradation] = (),
    flip: bool = False,
    runtime: str = "auto",
    device: str = "auto",
    machine: str = "",
    own: Sequence[str] = (),
    progress: Say | None = None,
) -> Study:
    """Evaluate and time models, one after the other, on a labelled set.

    models: files (.safetensors, .onnx, .xml), names of networks, or names of the zoo, of which
    without weights the cost alone is measured.  People come from the labels'
    boxes.  degradations: repeat the evaluation on degraded images.  machine: its name, for the
    tables.  own: files of the user's, as they were typed, see models.own.load_own.  progress:
    called with a line on what is being done.  UsageError: no model, or one that does not find
    joints by itself.  SourceError: no person is labelled.
    """
    if not models:
        raise UsageError("there is nothing to compare; name a model")
    people = sum(len(counted(sample)) for sample in dataset)
    if not people:
        raise SourceError(f"{dataset.name} has no people with joints to compare models on")
    for model in models:
        _open(model, runtime, device)  # what is no pose model is refused before hours pass
    metric, rows, bad = "", [], dict[str, None]()
    for model, label in zip(models, _labels(models), strict=True):
        name, row, unreadable = _row(
            model, label, dataset, degradations, flip, (runtime, device), own, progress or _silent
        )
        metric = metric or name
        rows.append(row)
        bad |= dict.fromkeys(unreadable)
    return Study(
        dataset.name,
        len(dataset),
        people,
        metric,
        machine or cpu_name(),
        flip,
        tuple(rows),
        tuple(bad),
    )


def _silent(line: str) -> None:
    """Say nothing."""


def _open(name: str, runtime: str, device: str) -> Model:
    """Return a pose model; a UsageError for a detector or a network that refines poses."""
    model = open_network(name, runtime, device, os.cpu_count() or 1)
    if model.codec.task == "boxes":
        raise UsageError(f"{name} is a detector; compare takes pose models")
    if model.codec.task == "embed":
        raise UsageError(f"{name} re-identifies people; compare takes pose models")
    if refines(model.codec):
        raise UsageError(f"{name} refines the poses of another model; compare takes pose models")
    return model


def _labels(models: Sequence[str]) -> list[str]:
    """Return a short name for each model: its file's, or all of what was given where two agree."""
    short = [Path(m).name for m in models]
    counts = Counter(short)
    return [s if counts[s] == 1 else m for s, m in zip(short, models, strict=True)]


def _row(
    name: str,
    label: str,
    dataset: Dataset,
    degradations: Sequence[Degradation],
    flip: bool,
    where: tuple[str, str],
    own: Sequence[str],
    say: Say,
) -> tuple[str, Row, Sequence[str]]:
    """Return the metric's name, the model's row and the images that could not be read."""
    from posewright.evaluation.evaluate import evaluate
    from posewright.evaluation.scoring import main_metric

    model = _open(name, *where)
    metric, value, weights = "", -1.0, not is_unweighted(name)
    worse = {change.name: -1.0 for change in degradations}
    numbers: dict[str, float] = {}
    unreadable: list[str] = []
    if weights:
        say(f"{label}: evaluating on {len(dataset)} images")
        clean = evaluate(model, dataset, flip=flip)
        metric, value = main_metric(clean.scoring)
        numbers, unreadable = dict(clean.scoring.numbers), [*clean.unreadable, *clean.failed]
        for change in degradations:
            say(f"{label}: {change.name}")
            changed, pictures = degraded(model, dataset, change)
            worse[change.name] = main_metric(evaluate(changed, pictures, flip=flip).scoring)[1]
    say(f"{label}: timing" if weights else f"{label}: timing alone, it has no weights")
    cost = measure_cost(
        name, dataset.samples, flip=flip, runtime=where[0], device=where[1], own=own
    )
    view = model.codec.input_size
    row = Row(label, model.info.name, view, cost, value, numbers, worse, weights)
    return metric, row, unreadable
