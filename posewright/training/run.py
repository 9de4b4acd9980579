"""A run: data, network, optimizer and folder put together, saved and restored."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import torch

from posewright.datasets.base import Dataset
from posewright.errors import ModelError, UsageError, counted
from posewright.files.lock import FolderLock
from posewright.models import PoseModel
from posewright.models.saving import describe, save_model
from posewright.recipes.recipe import Recipe
from posewright.training.data import check_validation, fingerprint, left_out, open_sets
from posewright.training.ema import Ema
from posewright.training.feed.opening import open_feed
from posewright.training.folder import STATE, check_folder, describe_run, draw_targets, take_folder
from posewright.training.logs import Log, Meter, Place
from posewright.training.loss_schedule import Stages
from posewright.training.optim import freeze, make_optimizer
from posewright.training.processes import World
from posewright.training.resuming import Pace, Taken, differences
from posewright.training.signals import Interrupted, Stop
from posewright.training.state import (
    optimizer_tensors,
    part_of,
    random_tensors,
    read_state,
    restore_optimizer,
    restore_random,
    write_state,
)
from posewright.training.stepper import Stepper
from posewright.training.transfer import build_network
from posewright.training.validation import check_boxes, validated

__all__ = ["Run"]


class Run:
    """Everything of one run.  `Run.open` builds it; posewright.train holds the loop."""

    def __init__(
        self,
        recipe: Recipe,
        folder: Path,
        world: World,
        say: Callable[[str], None],
        train_set: Dataset,
        held: Dataset | None,
        resume: bool = False,
    ) -> None:
        self.recipe, self.folder, self.world = recipe, folder, world
        self.say: Callable[[str], None] = say if world.first else (lambda line: None)
        self.train_set, self.held = train_set, held
        torch.manual_seed(recipe.seed)
        self.model = build_network(recipe, train_set.skeleton, self.say, resume).to(world.device)
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
        self.feed = open_feed(recipe, train_set, self.model, world.rank, world.size)
        self.pace = Pace.of(recipe, len(self.feed), len(self.feed.instances))
        self.place, self.meter = Place(), Meter()
        self.around = {
            "world": world.size,
            "device": world.device,
            "torch": torch.__version__,
            "data": fingerprint(train_set)["sha256"],
            "validation": fingerprint(held)["sha256"],
            "poses": self.feed.poses.sha256 if self.feed.poses else "",
        }
        self.undescribed = False  # the folder's recipe.toml and data.json are of before a change
        self.log: Log | None = None
        self.lock: FolderLock | None = None

    @classmethod
    def open(
        cls, recipe: Recipe, folder: Path, world: World, say: Callable[[str], None], resume: bool
    ) -> Run:
        """Start a run in `folder`, or resume the one that it holds."""
        if recipe.batch % world.size:
            raise UsageError(f"batch={recipe.batch} is not a multiple of {world.size} processes")
        if world.first:
            check_folder(folder, resume)
        train_set, held = open_sets(recipe)
        if held is not None:
            check_validation(held)
        run = cls(recipe, folder, world, say, train_set, held, resume)
        check_boxes(recipe, run.model)
        try:
            run._begin(resume)
        except BaseException:
            run.close()
            raise
        return run

    def _begin(self, resume: bool) -> None:
        """Take the folder and the place that the run starts from."""
        if self.world.first:
            self.lock = take_folder(self.folder)
            check_folder(self.folder, resume)  # another run may have ended there meanwhile
        if resume:
            self.restore()
        else:
            # processes differ in what they drop
            torch.manual_seed(self.recipe.seed + 1 + self.world.rank)
            if self.world.first:
                self.describe()
                draw_targets(self.folder, self.feed, self.model)
        if self.world.first:
            self.log = Log(self.folder, self.place.step, self.recipe.tensorboard)
        self.say(self.opening())
        if not resume and (hint := self.stages.hint):
            self.say(hint)
        if self.feed.poses is not None:
            self.say(self.feed.poses.told)
        if count := self.feed.instances.unmatched:
            self.say(f"{counted(count, 'person', 'people')} skipped: no detected box matches")

    # --- in the loop -----------------------------------------------------------------------------

    def training_mode(self) -> None:
        """Set the network to train; layers that are frozen keep their statistics."""
        self.model.train()
        for module in self.frozen:
            module.eval()

    @property
    def at(self) -> int:
        """How many steps lead here at the present pace: all that were done, unless it changed."""
        return self.pace.at(self.place)

    @property
    def epochs(self) -> float:
        """How many epochs lead here."""
        return self.at / self.pace.steps

    def set_rate(self, at: int) -> float:
        """Give the optimizer the learning rate of a place, as of `at`; return it."""
        factor = self.pace.rate(self.recipe, at)
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
        loss = self.world.mean(meter.mean)
        row = meter.row(place, loss, rate, recipe.batch, self.world.mean(meter.accuracy))
        told = f"acc {row['accuracy']:.4f}  " if "accuracy" in row else ""
        if self.log is not None:
            self.log.step(row)
        self.say(
            f"epoch {self.epochs:.2f}/{recipe.epochs}  step {place.step}  "
            f"loss {loss:.6g}  {told}lr {rate:.3g}  {row['images_per_second']:.1f} views/s"
        )
        if meter.left_out:
            self.say(f"{counted(meter.left_out, 'step')} skipped: the loss was not finite")
        for note in self.stepper.notes:
            self.say(note)
        self.stepper.notes.clear()
        self.meter = Meter()

    def end_of_epoch(self, stop: Stop) -> bool:
        """Begin the next one; where a validation is due, validate, keep the best and save.

        Returns False where the run is to stop here.
        """
        place, recipe = self.place, self.recipe
        place.epoch, place.batch = place.epoch + 1, 0
        last = place.epoch == recipe.epochs
        if last and self.meter.count + self.meter.left_out:
            self.log_row(self.set_rate(self.at - 1))
        if not last and place.epoch % recipe.eval_every:
            return True  # saving after each of many short epochs would take longer than they do
        paused = time.perf_counter()
        if self.world.first and self.held is not None and not self.validate(self.held, stop):
            place.epoch, place.batch = place.epoch - 1, len(self.feed)  # to validate again
        self.world.wait()
        if self.asked_to_stop(stop):
            self.stop()
            return False
        self.save()
        self.meter.since += time.perf_counter() - paused  # the rate is that of training
        return True

    def validate(self, held: Dataset, stop: Stop) -> bool:
        """Validate the network on the held-back images; False where that was interrupted."""
        from posewright.runtimes.torch import TorchModel

        place, recipe = self.place, self.recipe
        model = TorchModel.of(self.final(), device=self.world.device)
        try:
            name, value, told, row = validated(model, held, recipe, self.folder, stop.interrupt)
        except Interrupted:
            return False
        if self.log is not None:
            self.log.validation({"epoch": place.epoch, "step": place.step, **row})
        better = place.is_better(name, value)
        if better:
            place.metric, place.best, place.best_epoch = name, value, place.epoch
            self.write_weights("best")
        mark = " (best)" if better else ""
        self.say(f"epoch {place.epoch}/{self.recipe.epochs}  {told}{mark}")
        return True

    def stop(self) -> None:
        """Save, as the run was asked to stop."""
        self.save()
        self.say(f"stopped on request: saved at step {self.place.step}; resume with --resume")

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
            network,
            origin=f"posewright train, epoch {self.place.epoch}",
            training_data=self.train_set.name,
            licence="that of the training data",
        )
        save_model(network, self.folder / f"{name}.safetensors", info)

    def save(self) -> None:
        """Write everything that the run needs to resume, and the current network."""
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
            "recipe": self.recipe.to_dict(),
            "pace": asdict(self.pace),
            **self.around,
        }
        write_state(self.folder / STATE, tensors, facts)
        self.write_weights("last")
        if self.undescribed:
            self.describe()

    def restore(self) -> None:
        """Resume from the folder's state; report where this cannot be bit-exact."""
        tensors, facts = read_state(self.folder / STATE)
        try:
            self.model.load_state_dict(part_of(tensors, "model"))
        except RuntimeError as error:
            raise ModelError(
                f"{self.folder}: its state does not match the network of this recipe; resume "
                f"without changes "
                f"({str(error).splitlines()[-1].strip()[:80]})"
            ) from error
        if self.ema is not None:
            self.ema.load_state_dict(part_of(tensors, "ema"))
        anew = restore_optimizer(self.optimizer, self.model, part_of(tensors, "optimizer"))
        self.stepper.parts = int(facts["parts"])
        if facts["scaler"]:
            self.stepper.scaler.load_state_dict(facts["scaler"])
        taken = Taken.of(facts, self.folder, self.recipe, self.pace)
        self.place, self.pace = taken.place, taken.pace
        self.meter = Meter.of(facts["meter"])
        here = self.world.rank % facts["world"]
        restore_random(part_of(tensors, f"random{here}"))
        changes = (*taken.changes, *anew, *differences(facts, self.around))
        for line in changes:
            self.say(line)
        self.undescribed = bool(changes)

    def describe(self) -> None:
        """Write what the run is made of: before its first step, and where that has changed."""
        describe_run(self.folder, self.recipe, self.world.device, self.train_set, self.held)
        self.undescribed = False

    def report(self) -> None:
        """Write report.html."""
        if self.world.first:
            from posewright.reports import training_report

            training_report(self.folder)

    def close(self) -> None:
        """Finish the log's files and give the folder back."""
        if self.log is not None:
            self.log.close()
        if self.lock is not None:
            self.lock.release()

    def opening(self) -> str:
        """Report which data is skipped, and what is about to be trained."""
        held = f", {len(self.held)} held back" if self.held is not None else ""
        count = sum(p.numel() for p in self.stepper.parameters)
        start = f" from step {self.place.step}" if self.place.step else ""
        return left_out(self.train_set, self.held) + (
            f"{self.recipe.model}: {count / 1e6:.2f} M parameters to train on "
            f"{counted(len(self.train_set), 'image')}{held}; "
            f"{counted(self.recipe.epochs, 'epoch')} of {counted(len(self.feed), 'step')} of "
            f"{counted(self.recipe.batch, 'view')} on {self.world.size} x {self.world.device}"
            f"{start}"
        )
