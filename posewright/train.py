"""Training: from labelled images to a network, in one loop that can be read from top to bottom.

A run folder holds recipe.toml, environment.json, data.json, targets.jpg (what the network is
asked for), log.csv, log.jsonl, validation.csv, last.safetensors and best.safetensors (what
`posewright predict -m` takes), state.safetensors (what the run resumes from) and report.html.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from posewright.recipes.lookup import has_recipe
from posewright.recipes.recipe import Recipe
from posewright.training.logs import Place
from posewright.training.processes import joined
from posewright.training.run import Run
from posewright.training.signals import Stop, listening

__all__ = ["Outcome", "train"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a training run.

    folder: of the run.  metric, best: name and value of the validation's main number, "" and None
    where nothing was held back.  skipped: images that could not be read.  exit_code: 0, 3 with
    unreadable images, or 128 and the number of the signal that asked to stop.
    """

    folder: Path
    metric: str
    best: float | None
    place: Place
    skipped: tuple[str, ...] = ()
    exit_code: int = 0


def train(
    recipe: Recipe,
    folder: str | Path,
    *,
    resume: bool = False,
    device: str = "auto",
    progress: Callable[[str], None] | None = None,
) -> Outcome:
    """Train the network of `recipe`; write everything to `folder`.

    resume: continue from the folder's state; on the same device and number of processes the weights
    become those of a run that was never interrupted, to the last bit.  progress: called with
    each line of progress, in the first process only.  UsageError: the folder holds a run and
    `resume` is off, or it holds none and `resume` is on.
    """
    import cv2

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)  # the feed's own threads share the cores; OpenCV's would fight with them
    try:
        with listening() as stop, joined(device) as world:
            run = Run.open(recipe, Path(folder), world, progress or (lambda line: None), resume)
            if not has_recipe(recipe.model):
                run.say(
                    f"no recipe is published for {recipe.model}: unset settings are those of HRNet"
                )
            with closing(run):
                _loop(run, stop)
                run.report()
    finally:
        cv2.setNumThreads(threads)
    skipped = tuple(run.feed.bad.values())
    code = stop.exit_code or (3 if skipped else 0)
    return Outcome(run.folder, run.place.metric, run.place.best, run.place, skipped, code)


def _loop(run: Run, stop: Stop) -> None:
    """Train to the last epoch, or until asked to stop."""
    recipe, place = run.recipe, run.place
    while place.epoch < recipe.epochs:
        run.training_mode()
        clock = time.perf_counter()
        with closing(run.feed.epoch(place.epoch, start=place.batch)) as batches:
            for batch in batches:
                waited = time.perf_counter() - clock
                rate = run.set_rate(run.at)
                run.stages.at(run.epochs)
                loss = run.stepper(batch)
                if run.ema is not None and loss == loss:
                    run.ema.update(run.model)
                place.step += 1
                place.batch += 1
                run.meter.add(loss, waited, run.stepper.accuracy)
                if place.step % recipe.log_every == 0:
                    run.log_row(rate)
                asked = run.asked_to_stop(stop)
                if asked:
                    run.stop()
                    return
                if recipe.save_every and place.step % recipe.save_every == 0:
                    run.save()
                clock = time.perf_counter()
        if not run.end_of_epoch(stop):
            return
