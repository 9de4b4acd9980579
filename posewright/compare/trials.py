"""The variants of a study, trained and evaluated one after the other, and kept in its folder.

    DIR/runs/VARIANT/seed-0/        a run folder of `posewright train`
    DIR/runs/VARIANT/seed-0/trial.json     how that run was evaluated
    DIR/runs/VARIANT/cost.json      what the variant costs

What is there is not done again; a run that was interrupted goes on from its state.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from posewright.compare.cost import Cost, measure_cost
from posewright.compare.plan import Plan, Variant
from posewright.errors import ModelError, PosewrightError, UsageError, one_line
from posewright.evaluation.evaluate import evaluate
from posewright.evaluation.scoring import main_metric
from posewright.files.fields import parsed
from posewright.machine import cpu_name
from posewright.metrics.bootstrap import Difference, paired_difference
from posewright.people import Doubles
from posewright.runtimes import load_model

if TYPE_CHECKING:
    from posewright.datasets import Dataset
    from posewright.evaluation.evaluate import Evaluation
    from posewright.recipes.recipe import Recipe

__all__ = ["Finished", "Line", "Trial", "run_plan"]

Say = Callable[[str], None]

_TRIAL, _COST = "trial.json", "cost.json"
_DIGITS = 5  # of what is kept of each person


@dataclass(frozen=True)
class Trial:
    """One training of a variant.  value: of the metric, -1 for nothing to measure.  joints: a table
    by joint.  likeness: of each image the OKS of its people, -1 of those who do not count.
    epoch: whose weights were evaluated."""

    seed: int
    metric: str
    value: float
    epoch: int
    numbers: dict[str, float]
    joints: dict[str, dict[str, float]]
    likeness: list[list[float]]


@dataclass(frozen=True)
class Line:
    """A variant with what is known of it.  failed: why a training gave no result, "" if all did.
    difference: of the OKS per person to the first variant."""

    name: str
    network: str
    view: tuple[int, int] = (0, 0)
    trials: tuple[Trial, ...] = ()
    cost: Cost | None = None
    failed: str = ""
    difference: Difference | None = None

    @property
    def values(self) -> list[float]:
        """The metric of each training that has one."""
        return [trial.value for trial in self.trials if trial.value != -1]

    @property
    def mean(self) -> float:
        """Of the metric over trainings; -1 without one."""
        return float(np.mean(self.values)) if self.values else -1.0

    @property
    def deviation(self) -> float | None:
        """Standard deviation over trainings, with n - 1; None of fewer than two."""
        return float(np.std(self.values, ddof=1)) if len(self.values) > 1 else None

    def joints(self) -> dict[str, float]:
        """Return the first number of each joint, the mean over trainings."""
        tables = [trial.joints for trial in self.trials]
        names = tables[0] if tables else {}
        return {j: float(np.mean([next(iter(t[j].values())) for t in tables])) for j in names}

    def likeness(self) -> list[Doubles]:
        """Return of each image the OKS of its people, the mean over trainings."""
        each = zip(*(trial.likeness for trial in self.trials), strict=True)
        return [np.where(np.min(rows, 0) < 0, -1.0, np.mean(rows, 0)) for rows in each]


@dataclass(frozen=True)
class Finished:
    """A study as far as it went.

    chosen: whether the images that it is evaluated on also chose the epoch.  exit_code: 0; 4 where
    a training failed; 128 and the number of the signal that asked to stop.
    """

    data: str
    pictures: int
    metric: str
    machine: str
    flip: bool
    repeat: int
    chosen: bool
    lines: tuple[Line, ...]
    exit_code: int = 0
    unreadable: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the plain form that --json prints; what each person scores is left out."""
        data = asdict(self)
        for plain, line in zip(data["lines"], self.lines, strict=True):
            plain |= {"mean": line.mean, "deviation": line.deviation, "joints": line.joints()}
            for trial in plain["trials"]:
                del trial["likeness"]
        return data


@dataclass
class _Work:
    """A study in progress: what every variant shares."""

    plan: Plan
    folder: Path
    test: Dataset
    device: str
    own: Sequence[str]
    say: Say
    stopped: int = 0
    unreadable: dict[str, None] = field(default_factory=dict)


def run_plan(
    plan: Plan,
    folder: Path,
    *,
    device: str = "auto",
    own: Sequence[str] = (),
    progress: Say | None = None,
) -> Finished:
    """Train and evaluate what of a study is not done yet.

    own: files of the user's, as they were typed, see models.own.load_own.  A training that fails
    is a line with its reason, and the others go on.  UsageError: a network that cannot be built, a
    folder whose runs had other settings; before anything is trained.
    """
    test = _test_set(plan)
    _check_networks(plan, test)
    work = _Work(plan, folder, test, device, own, progress or (lambda line: None))
    for variant in plan.variants:
        for number in range(plan.repeat):
            _check_same(_place(work, variant, number), variant, variant.seeded(number))
    lines = [_line(work, variant) for variant in plan.variants]
    failed = 4 if any(line.failed for line in lines) else 0
    first = next((line for line in lines if line.trials), None)
    return Finished(
        test.name,
        len(test),
        next((line.trials[0].metric for line in lines if line.trials), ""),
        cpu_name(),
        plan.flip,
        plan.repeat,
        not plan.test,
        tuple(_compared(lines[0], line) for line in lines) if first else tuple(lines),
        work.stopped or failed,
        tuple(work.unreadable),
    )


def _test_set(plan: Plan) -> Dataset:
    """Return the images that every variant is evaluated on."""
    from posewright.datasets.opening import open_part
    from posewright.training.data import open_sets

    recipe = plan.variants[0].recipe
    train, held = open_sets(recipe)
    if plan.test:
        kind, name = recipe.kind or None, recipe.class_name or None
        found = open_part(plan.test, kind, plan.test_images or None, "test", "val", class_name=name)
        return found.to(train.skeleton)
    assert held is not None  # the plan names one
    return held


def _check_networks(plan: Plan, test: Dataset) -> None:
    """Build every network without memory, so that a wrong option is told before hours pass."""
    import torch

    from posewright.models import create
    from posewright.models.saving import revived

    for variant in plan.variants:
        options = {**variant.recipe.options, "skeleton": test.skeleton}
        try:
            with torch.device("meta"):
                create(variant.recipe.model, **{k: revived(k, v) for k, v in options.items()})
        except UsageError as error:
            raise UsageError(f"{plan.path}: variant {variant.name!r}: {error}") from error


def _check_same(folder: Path, variant: Variant, recipe: Recipe) -> None:
    """Raise a UsageError where a run is there that had other settings."""
    file = folder / "recipe.toml"
    if file.is_file() and file.read_text("utf-8") != recipe.to_toml():
        raise UsageError(
            f"{folder}: variant {variant.name!r} was trained with other settings; give another -o, "
            "or remove this folder to train it again"
        )


def _place(work: _Work, variant: Variant, number: int) -> Path:
    return work.folder / "runs" / variant.name / f"seed-{variant.seeded(number).seed}"


def _line(work: _Work, variant: Variant) -> Line:
    """Return a variant's line: its trainings as far as they succeed, and its cost."""
    line = Line(variant.name, variant.recipe.model)
    for number in range(work.plan.repeat):
        try:
            trial = _trial(work, variant, number)
            if trial is None:  # the study was stopped, and what is kept is shown
                continue
            line = replace(line, trials=(*line.trials, trial))
            if line.cost is None:
                view, cost = _cost(work, variant, number)
                line = replace(line, cost=cost, view=view)
        except (PosewrightError, RuntimeError, MemoryError) as error:  # torch raises the second
            reason = one_line(str(error)) or type(error).__name__
            work.say(f"{variant.name}: failed: {reason}")
            line = replace(line, failed=line.failed or reason)
    return line


def _trial(work: _Work, variant: Variant, number: int) -> Trial | None:
    """Return how a training was evaluated, after it was trained if need be; None if stopped."""
    from posewright.train import train
    from posewright.training.folder import STATE

    folder, recipe = _place(work, variant, number), variant.seeded(number)
    kept: Trial | None = _read(folder / _TRIAL, Trial)
    label = f"{variant.name}, seed {recipe.seed}"
    if kept is not None:
        work.say(f"{label}: {kept.metric} {kept.value:.4g}, kept")
        return kept
    if work.stopped:
        return None
    resume = (folder / STATE).is_file()
    work.say(f"{label}: {'resumed' if resume else 'training'}")
    outcome = train(recipe, folder, resume=resume, device=work.device, progress=work.say)
    if outcome.exit_code > 128:
        work.stopped = outcome.exit_code
        return None
    work.unreadable |= dict.fromkeys(outcome.skipped)
    model = load_model(_weights(folder), device=work.device)
    evaluation = evaluate(model, work.test, flip=work.plan.flip, batch=recipe.batch)
    work.unreadable |= dict.fromkeys([*evaluation.unreadable, *evaluation.failed])
    trial = _of(evaluation, recipe.seed, outcome.place.best_epoch or outcome.place.epoch)
    _write(folder / _TRIAL, asdict(trial))
    work.say(f"{label}: {trial.metric} {trial.value:.4g}")
    return trial


def _of(evaluation: Evaluation, seed: int, epoch: int) -> Trial:
    scoring = evaluation.scoring
    metric, value = main_metric(scoring)
    likeness = [np.round(people, _DIGITS).tolist() for people in evaluation.likeness]
    numbers = {name: float(number) for name, number in scoring.numbers.items()}
    return Trial(seed, metric, float(value), epoch, numbers, scoring.joints, likeness)


def _weights(folder: Path) -> Path:
    """Return the weights that a run is judged by: the best ones of its validation."""
    best = folder / "best.safetensors"
    return best if best.is_file() else folder / "last.safetensors"


def _cost(work: _Work, variant: Variant, number: int) -> tuple[tuple[int, int], Cost | None]:
    """Return the view of a variant and what it costs, measured once; None if stopped before."""
    folder = _place(work, variant, number)
    view = load_model(_weights(folder), device="cpu").codec.input_size
    file = folder.parent / _COST
    cost: Cost | None = _read(file, Cost)
    if cost is None and not work.stopped:
        work.say(f"{variant.name}: timing")
        cost = measure_cost(
            str(_weights(folder)),
            work.test.samples,
            flip=work.plan.flip,
            device=work.device,
            own=work.own,
        )
        _write(file, asdict(cost))
    return view, cost


def _compared(first: Line, line: Line) -> Line:
    """Return a line with its difference to the first one."""
    if line is first or not (first.trials and line.trials):
        return line
    return replace(line, difference=paired_difference(first.likeness(), line.likeness()))


def _write(path: Path, data: Any) -> None:
    from posewright.training.logs import write_text

    write_text(path, json.dumps(data, allow_nan=False) + "\n")


def _read(path: Path, kind: Any) -> Any:
    """Return what `_write` has kept of a class; None where there is nothing, or another form."""
    if not path.is_file():
        return None
    try:
        data = parsed(path.read_text("utf-8"))
    except ValueError as error:
        raise ModelError(f"{path}: {error}; remove it, and it is made again") from error
    known = {one.name for one in fields(kind)}
    return kind(**data) if set(data) == known else None
