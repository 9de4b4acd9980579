"""What training survives: a full disk, memory that runs out, an interruption at any step.

    python benchmarks/training_faults.py [PART ...] [--seed N]

disk: a run goes on in a file system that is full after a random number of bytes (needs root, for
tmpfs).  The state and the weights of before must load, and no half file may have a final name.

memory: `torch.OutOfMemoryError` at a random step, forwards or backwards.  The run must go on in
smaller parts and end at the weights of an undisturbed run, within rounding: a thousandth of what
an epoch changes.

resume: a run is interrupted at a random step and resumed.  Weights, losses and validations must be
those of an undisturbed run, to the last bit.

Each part prints a line and the command ends with 1 where one fell short.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

import torch
from safetensors.torch import load_file

from posewright.cli import main as posewright
from posewright.errors import OutputError
from posewright.machine import cpu_name
from posewright.models.base import PoseModel
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.train import train
from posewright.training.state import read_state

SETTINGS = [
    "batch=4",
    "epochs=3",
    "log_every=1",
    "warmup=0",
    "workers=0",
    "val_split=0.2",
]
MODELS = ("simcc_mobilenetv2", "rle_mobilenetv2", "tokenpose_t")
ROUNDING = 1e-3  # of what is learned; sums of parts are rounded otherwise than those of batches


def main() -> int:
    """Run the parts; return 1 where one fell short."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    args = parser.parse_args()
    unknown = set(args.parts) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))}; known: {', '.join(PARTS)}")
    torch.set_num_threads(1)
    print(cpu_name())
    with tempfile.TemporaryDirectory() as name:
        posewright(["data", "synth", "-o", f"{name}/set", "--count", "10"])
        good = [
            PARTS[part](Path(name), random.Random(args.seed)) for part in args.parts or list(PARTS)
        ]
    return 0 if all(good) else 1


def _recipe(model: str, folder: Path, *more: str) -> Recipe:
    recipe = replace(recipe_for(model), data=(str(folder / "set"),))
    size = "[48,64]" if model.startswith("tokenpose") else "[64,64]"  # of whole patches
    return recipe.with_overrides([*SETTINGS, f"options.input_size={size}", *more])


def disk(folder: Path, chance: random.Random, count: int = 100) -> bool:
    """Fill the disk of a run after a random number of bytes."""
    place = folder / "disk"
    with _mounted(place, "200m") as mounted:
        if not mounted:
            print("disk: left out; a small file system can be mounted by root alone")
            return True
        recipe = _recipe("simcc_mobilenetv2", folder, "save_every=1", "epochs=100")
        train(recipe, place / "run", progress=_interrupting(2))
        written = sum(file.stat().st_size for file in (place / "run").iterdir())
        told = kept = 0
        for _ in range(count):
            before = read_state(place / "run" / "state.safetensors")[1]["place"]["step"]
            _fill(place, chance.randrange(written))
            try:
                train(recipe, place / "run", resume=True, progress=_interrupting(before + 3))
            except OutputError:
                told += 1
            (place / "filler").unlink()
            kept += _whole(place / "run", before)
    print(
        f"disk: {kept} of {count} full disks left the state, the weights and no half file; "
        f"{told} ended the run, the others came after its last save"
    )
    return kept == count and told > count // 2


@contextmanager
def _mounted(place: Path, size: str) -> Iterator[bool]:
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place)]
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    mounted = root and subprocess.run(command, capture_output=True, check=False).returncode == 0
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", str(place)], check=True)


def _fill(place: Path, left: int) -> None:
    """Leave so many bytes in a file system."""
    free = os.statvfs(place)
    with open(place / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(free.f_bavail * free.f_frsize - left, 1))


def _whole(run: Path, step: int) -> bool:
    """Whether everything under a final name can be read, and the state is no older than a step."""
    for file in run.glob("[!.]*.safetensors"):
        load_file(file)
    with open(run / "log.csv", encoding="utf-8") as file:
        list(csv.DictReader(file))
    return read_state(run / "state.safetensors")[1]["place"]["step"] >= step


def memory(folder: Path, chance: random.Random, count: int = 200) -> bool:
    """Let memory run out once in each of `count` runs."""
    # TokenPose-T has no batch normalisation, whose sums differ between a batch and its parts; and
    # Adam divides by gradients that are all but zero, which makes much of rounding
    more = ["optimizer=sgd", "lr=0.1", "epochs=2", "val_split=0"]
    recipe = _recipe("tokenpose_t", folder, *more)
    steps = train(recipe, folder / "memory").place.step
    shorter = train(recipe.with_overrides(["epochs=1"]), folder / "shorter").folder
    expected = load_file(folder / "memory" / "last.safetensors")
    learned = _apart(load_file(shorter / "last.safetensors"), expected)
    most, told = 0.0, 0
    for turn in range(count):
        lines: list[str] = []
        with _out_of_memory(chance.randrange(steps), backwards=chance.random() < 0.5):
            train(recipe, folder / f"memory{turn}", progress=lines.append)
        told += any("out of memory" in line for line in lines)
        most = max(most, _apart(load_file(folder / f"memory{turn}" / "last.safetensors"), expected))
        shutil.rmtree(folder / f"memory{turn}")
    print(
        f"memory: {told} of {count} runs went on; a weight differs by at most {most:.1g}, where an "
        f"epoch changes one by {learned:.1g}"
    )
    return told == count and most <= ROUNDING * learned


def _apart(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> float:
    """Return the largest difference of a weight."""
    return max(float((other[key] - value).abs().max()) for key, value in one.items())


@contextmanager
def _out_of_memory(at: int, backwards: bool) -> Iterator[None]:
    """Raise what torch raises, once, in step `at` (from 0)."""
    forward, calls = PoseModel.forward, iter(range(1 << 30))

    def give_up(*_: object) -> None:
        raise torch.OutOfMemoryError("out of memory")

    def instead(self: PoseModel, *inputs: torch.Tensor) -> object:
        now = next(calls) == at
        if now and not backwards:
            give_up()
        outputs = forward(self, *inputs)
        if now:
            next(iter(outputs.values())).register_hook(give_up)
        return outputs

    with mock.patch.object(PoseModel, "forward", instead):
        yield


def resume(folder: Path, chance: random.Random, count: int = 20) -> bool:
    """Interrupt each network's run at `count` random steps."""
    same = 0
    for model in MODELS:
        recipe = _recipe(model, folder)
        steps = train(recipe, folder / model).place.step
        for turn in range(count):
            run = folder / f"{model}{turn}"
            train(recipe, run, progress=_interrupting(chance.randint(1, steps - 1)))
            train(recipe, run, resume=True)
            same += _equal(folder / model, run)
            shutil.rmtree(run)
    total = count * len(MODELS)
    print(f"resume: {same} of {total} interrupted runs of {', '.join(MODELS)} end in the same bits")
    return same == total


def _interrupting(step: int) -> Callable[[str], None]:
    """Return what sends Ctrl-C to this process after a step."""

    def say(line: str) -> None:
        if f"  step {step}  " in line:
            os.kill(os.getpid(), signal.SIGINT)

    return say


def _equal(one: Path, other: Path) -> bool:
    """Whether two runs have the same weights, losses and validations."""
    files = ("last.safetensors", "best.safetensors", "validation.csv")
    return all((one / f).read_bytes() == (other / f).read_bytes() for f in files) and _losses(
        one
    ) == _losses(other)


def _losses(run: Path) -> list[tuple[str, str]]:
    with open(run / "log.csv", encoding="utf-8", newline="") as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file)]


PARTS = {f.__name__: f for f in (disk, memory, resume)}


if __name__ == "__main__":
    sys.exit(main())
