"""A run: data, network, optimizer and folder put together, saved and restored."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch

from posewright.datasets.base import Dataset
from posewright.errors import ModelError, OutputError, UsageError
from posewright.models import PoseModel, create
from posewright.models.saving import describe, revived, save_model
from posewright.readers.boxes import read_boxes
from posewright.skeletons import Skeleton
from posewright.training.ema import Ema
from posewright.training.environment import environment
from posewright.training.feeding import Feed
from posewright.training.logs import Log, write_bytes, write_text
from posewright.training.optim import freeze, learning_rate, make_optimizer
from posewright.training.progress import Meter, Place
from posewright.training.recipe import Recipe
from posewright.training.sets import fingerprint, names, open_sets
from posewright.training.signals import Stop
from posewright.training.stages import Stages
from posewright.training.state import (
    optimizer_tensors,
    part_of,
    random_tensors,
    read_state,
    restore_optimizer,
    restore_random,
    write_state,
)
from posewright.training.steps import Stepper
from posewright.training.world import World

__all__ = ["Run"]

STATE = "state.safetensors"


class Run:
    """Everything of one run.  `Run.open` builds it; posewright.train holds the loop."""

    def __init__(
        self, recipe: Recipe, folder: Path, world: World, say: Callable[[str], None],
        train_set: Dataset, held: Dataset | None,
    ) -> None:  # fmt: skip
        self.recipe, self.folder, self.world = recipe, folder, world
        self.say: Callable[[str], None] = say if world.first else (lambda line: None)
        self.train_set, self.held = train_set, held
        torch.manual_seed(recipe.seed)
        self.model = _network(recipe, train_set.skeleton, self.say).to(world.device)
        if recipe.channels_last:
            self.model.to(memory_format=torch.channels_last)
        if recipe.sync_bn and world.size > 1:
            from posewright.training.sync_norm import convert

            convert(self.model)
        world.same_weights(self.model)
        self.frozen = freeze(self.model, recipe.freeze)
        self.stages = Stages(self.model, recipe)
        self.optimizer = make_optimizer(self.model, recipe)
        self.ema = Ema(self.model, recipe.ema) if recipe.ema else None
        self.stepper = Stepper(self.model, self.optimizer, recipe, world)
        self.feed = Feed(
            train_set, self.model.codec, self.model.skeleton, recipe.augment,
            batch=recipe.batch, seed=recipe.seed, workers=recipe.workers, cache=recipe.cache,
            rank=world.rank, world=world.size,
            boxes=None if recipe.boxes == "truth" else read_boxes(Path(recipe.boxes)),
        )  # fmt: skip
        self.place, self.meter = Place(), Meter()
        self.log: Log | None = None

    @classmethod
    def open(
        cls, recipe: Recipe, folder: Path, world: World, say: Callable[[str], None], resume: bool
    ) -> Run:
        """Start a run in `folder`, or go on with the one that it holds."""
        _check_batch(recipe, world)
        if world.first:
            _check_folder(folder, resume)
        run = cls(recipe, folder, world, say, *open_sets(recipe))
        if world.first:
            _make_folder(folder)
        if resume:
            run.restore()
        else:
            torch.manual_seed(recipe.seed + 1 + world.rank)  # processes differ in what they drop
            if world.first:
                run.describe()
        if world.first:
            run.log = Log(folder, run.place.step, recipe.tensorboard)
        run.say("\n".join([run.opening(), *map("note: {}".format, run.train_set.remarks)]))
        if not resume and (hint := run.stages.hint):
            run.say(hint)
        if run.feed.instances.unmatched:
            run.say(f"{run.feed.instances.unmatched} people left out: no box of the detector fits")
        return run

    # --- in the loop -----------------------------------------------------------------------------

    def training_mode(self) -> None:
        """Set the network to train; layers that are frozen keep their statistics."""
        self.model.train()
        for module in self.frozen:
            module.eval()

    def set_rate(self, step: int) -> float:
        """Give the optimizer the learning rate of a step; return it."""
        factor = learning_rate(self.recipe, step, len(self.feed))
        for group in self.optimizer.param_groups:
            group["lr"] = factor * group["base_lr"]
        return factor * self.recipe.lr

    def asked_to_stop(self, stop: Stop) -> bool:
        """Whether any process was asked to stop: all of them do so after the same step."""
        if self.world.size > 1:
            flag = torch.tensor([float(stop.number)], device=self.world.device)
            stop.number = int(self.world.highest(flag))
        return bool(stop.number)

    def log_row(self, rate: float) -> None:
        """Write what has happened since the row before."""
        meter, place, recipe = self.meter, self.place, self.recipe
        seconds = time.perf_counter() - meter.since
        steps = meter.count + meter.left_out
        loss = self.world.mean(meter.loss / max(meter.count, 1))
        row = {
            "step": place.step, "epoch": place.epoch, "loss": loss, "lr": rate, "seconds": seconds,
            "images_per_second": steps * recipe.batch / seconds, "data_wait": meter.waited,
        }  # fmt: skip
        if self.log is not None:
            self.log.step(row)
        done = place.step / len(self.feed)
        self.say(
            f"epoch {done:.2f}/{recipe.epochs}  step {place.step}  "
            f"loss {loss:.6g}  lr {rate:.3g}  {row['images_per_second']:.1f} views/s"
        )
        if meter.left_out:
            self.say(f"{meter.left_out} steps left out: their loss was not a finite number")
        for note in self.stepper.notes:
            self.say(note)
        self.stepper.notes.clear()
        self.meter = Meter()

    def end_of_epoch(self) -> None:
        """Begin the next one; where a validation is due, validate, keep the best and save."""
        place, recipe = self.place, self.recipe
        place.epoch, place.batch = place.epoch + 1, 0
        last = place.epoch == recipe.epochs
        if last and self.meter.count + self.meter.left_out:
            self.log_row(self.set_rate(place.step - 1))
        if not last and place.epoch % recipe.eval_every:
            return  # saving after each of many short epochs would take longer than they do
        paused = time.perf_counter()
        if self.world.first and self.held is not None:
            self.validate(self.held)
        self.world.wait()
        self.save()
        if self.world.first:
            self.write_weights("last")
        self.meter.since += time.perf_counter() - paused  # the rate is that of training

    def validate(self, held: Dataset) -> None:
        """Measure the network on what was held back."""
        from posewright.evaluate import evaluate, main_metric
        from posewright.runtimes.torch import TorchModel

        place = self.place
        model = TorchModel.of(self.final(), device=self.world.device)
        scoring = evaluate(model, held, batch=self.recipe.batch).scoring
        place.metric, value = main_metric(scoring)
        if self.log is not None:
            self.log.validation({"epoch": place.epoch, "step": place.step, **scoring.numbers})
        better = place.best is None or value > place.best
        if better:
            place.best, place.best_epoch = value, place.epoch
            self.write_weights("best")
        mark = " (best)" if better else ""
        self.say(f"epoch {place.epoch}/{self.recipe.epochs}  {place.metric} {value:.4g}{mark}")

    # --- what is kept ----------------------------------------------------------------------------

    def final(self) -> PoseModel:
        """Return a copy of the network as it would be used: with the averaged weights."""
        network = copy.deepcopy(self.model)
        if self.ema is not None:
            self.ema.copy_to(network)
        return network.eval()

    def write_weights(self, name: str) -> None:
        """Write the network so that predict, eval and export take it."""
        network = self.final()
        network.name, network.options = self.model.name, self.model.options
        info = describe(
            network, origin=f"posewright train, epoch {self.place.epoch}",
            training_data=self.train_set.name, licence="that of the training data",
        )  # fmt: skip
        save_model(network, self.folder / f"{name}.safetensors", info)

    def save(self) -> None:
        """Write all that the run goes on from."""
        parts = {
            "model": self.model.state_dict(),
            "ema": {} if self.ema is None else self.ema.state_dict(),
            "optimizer": optimizer_tensors(self.optimizer, self.model),
        }
        generators = {k: self.world.gather(v) for k, v in random_tensors().items()}
        if not self.world.first:
            return
        for rank in range(self.world.size):
            parts[f"random{rank}"] = {key: found[rank] for key, found in generators.items()}
        tensors = {f"{a}/{b}": value for a, part in parts.items() for b, value in part.items()}
        facts = {
            "place": asdict(self.place),
            "meter": self.meter.facts(),
            "parts": self.stepper.parts,
            "scaler": self.stepper.scaler.state_dict(),
            "world": self.world.size,
            "device": self.world.device,
            "torch": torch.__version__,
            "data": fingerprint(self.train_set)["sha256"],
        }
        write_state(self.folder / STATE, tensors, facts)

    def restore(self) -> None:
        """Go on from the folder's state; say so where it cannot be exact."""
        tensors, facts = read_state(self.folder / STATE)
        try:
            self.model.load_state_dict(part_of(tensors, "model"))
        except RuntimeError as error:
            raise ModelError(
                f"{self.folder}: its state is not of this recipe's network; resume without changes "
                f"({str(error).splitlines()[-1].strip()[:80]})"
            ) from error
        if self.ema is not None:
            self.ema.load_state_dict(part_of(tensors, "ema"))
        restore_optimizer(self.optimizer, self.model, part_of(tensors, "optimizer"))
        self.stepper.parts = int(facts["parts"])
        if facts["scaler"]:
            self.stepper.scaler.load_state_dict(facts["scaler"])
        self.place = Place(**facts["place"])
        self.meter = Meter.of(facts["meter"])
        here = self.world.rank % facts["world"]
        restore_random(part_of(tensors, f"random{here}"))
        for what, before, now in (
            ("processes", facts["world"], self.world.size),
            ("device", facts["device"].partition(":")[0], self.world.device.partition(":")[0]),
            ("torch", facts["torch"], torch.__version__),
            ("data", facts["data"][:12], fingerprint(self.train_set)["sha256"][:12]),
        ):
            if before != now:
                self.say(f"resumed with other {what} ({now}, not {before}): not exact to the bit")

    def describe(self) -> None:
        """Write what the run is made of, before its first step."""
        write_text(self.folder / "recipe.toml", self.recipe.to_toml())
        write_text(self.folder / "environment.json", _json(environment(self.world.device)))
        data = {
            "train": fingerprint(self.train_set), "validation": fingerprint(self.held),
            "held_back": names(self.held), "notes": list(self.train_set.notes),
        }  # fmt: skip
        write_text(self.folder / "data.json", _json(data))
        self._draw_targets()

    def _draw_targets(self) -> None:
        """Write targets.jpg: some views as the network gets them, with what it is asked for."""
        import cv2

        from posewright.reports import draw_targets

        batch = next(iter(self.feed.epoch(0)))
        targets = batch.targets(self.model.codec, "cpu")
        few = slice(0, 12)
        picture = draw_targets(
            batch.views[few].numpy(), list(batch.people[few]),
            {k: np.asarray(v[few]) for k, v in targets.items()},
            self.model.codec, self.model.skeleton,
        )  # fmt: skip
        done, coded = cv2.imencode(".jpg", picture[:, :, ::-1])
        if done:
            write_bytes(self.folder / "targets.jpg", coded.tobytes())

    def report(self) -> None:
        """Write report.html."""
        if self.world.first:
            from posewright.reports import training_report

            training_report(self.folder)

    def close(self) -> None:
        """Finish the log's files."""
        if self.log is not None:
            self.log.close()

    def opening(self) -> str:
        """Say what is about to happen."""
        held = f", {len(self.held)} held back" if self.held is not None else ""
        count = sum(p.numel() for p in self.stepper.parameters)
        start = f" from step {self.place.step}" if self.place.step else ""
        return (
            f"{self.recipe.model}: {count / 1e6:.2f} M parameters to train on {len(self.train_set)}"
            f" pictures{held}; {self.recipe.epochs} epochs of {len(self.feed)} steps of "
            f"{self.recipe.batch} views on {self.world.size} x {self.world.device}{start}"
        )


def _network(recipe: Recipe, skeleton: Skeleton, say: Callable[[str], None]) -> PoseModel:
    """Build the network for the data's joints, with the weights that it starts from."""
    options: dict[str, Any] = dict(recipe.options)
    options["skeleton"] = skeleton
    model = create(recipe.model, **{k: revived(k, v) for k, v in options.items()})
    if recipe.weights:
        from posewright.training.transfer import start_from

        say(str(start_from(model, Path(recipe.weights))))
    return model


def _check_folder(folder: Path, resume: bool) -> None:
    there = (folder / STATE).is_file()
    if resume and not there:
        raise UsageError(f"{folder} holds no state to go on from; leave out --resume")
    if there and not resume:
        raise UsageError(f"{folder} holds a run; --resume goes on with it, or choose another -o")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made ({error}); choose another -o") from error


def _check_batch(recipe: Recipe, world: World) -> None:
    if recipe.batch % world.size:
        raise UsageError(f"batch={recipe.batch} is not a multiple of {world.size} processes")


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
