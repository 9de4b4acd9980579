"""The run folder: which process holds it, and what it records about the run."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from posewright.datasets.base import Dataset
from posewright.errors import ModelError, OutputError, UsageError
from posewright.files.lock import FolderLock, Held
from posewright.files.part import check_local
from posewright.files.scratch import remove_abandoned
from posewright.machine import environment
from posewright.models import PoseModel
from posewright.recipes.recipe import Recipe
from posewright.training.data import fingerprint, left_out, names
from posewright.training.feed.feed import Feed
from posewright.training.logs import write_bytes, write_text

__all__ = ["STATE", "check_folder", "describe_run", "draw_targets", "take_folder"]

STATE = "state.safetensors"
_RECIPE = "recipe.toml"
# what killed runs of earlier versions left: safetensors' own temporary files, and ours
_EARLIER = re.compile(r"\.tmp[A-Za-z0-9]{6}|\..+\.(safetensors|toml|json|jsonl|csv|jpg)\.part")
_REPORT = re.compile(r"report\.part-[0-9a-f]{8}\.html")


def check_folder(folder: Path, resume: bool) -> None:
    """Raise a UsageError if the folder holds a run that is not to be resumed.

    ModelError: it holds none that can be.
    """
    there = (folder / STATE).is_file()
    if resume and not there:
        raise ModelError(f"{folder} contains no training state to resume; leave out --resume")
    if there and not resume:
        raise UsageError(f"{folder} contains a run; resume it with --resume, or choose another -o")


def take_folder(folder: Path) -> FolderLock:
    """Make and lock the folder of a run; remove what a killed run has left there.

    OutputError: it cannot be created, or its run is still active.
    """
    check_local(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FolderLock(folder)
    except OSError as error:
        raise OutputError(
            f"{folder}: cannot be made ({error.strerror}); choose another folder"
        ) from error
    except Held as error:
        raise OutputError(
            f"{folder}: another training run is writing there ({error}); wait for it, or choose "
            f"another folder"
        ) from error
    remove_abandoned(folder)
    if (folder / _RECIPE).is_file():  # else nothing in it is known to be of a run
        for path in folder.iterdir():
            if _EARLIER.fullmatch(path.name) or _REPORT.fullmatch(path.name):
                path.unlink(missing_ok=True)
    return lock


def describe_run(
    folder: Path, recipe: Recipe, device: str, train: Dataset, held: Dataset | None
) -> None:
    """Write what a run is made of: recipe.toml, environment.json and data.json."""
    write_text(folder / _RECIPE, recipe.to_toml())
    write_text(folder / "environment.json", _json(environment(device)))
    data = {
        "train": fingerprint(train),
        "validation": fingerprint(held),
        "held_back": names(held),
        "notes": left_out(train).splitlines(),
    }
    write_text(folder / "data.json", _json(data))


def draw_targets(folder: Path, feed: Feed, model: PoseModel) -> None:
    """Write targets.jpg: some views as the network gets them, with their training targets."""
    import cv2

    from posewright.reports import draw_targets as drawn

    batch = next(iter(feed.epoch(0)))
    targets = batch.targets(model.codec, "cpu")
    few = slice(0, 12)
    picture = drawn(
        batch.views[few].numpy(),
        list(batch.people[few]),
        {k: np.asarray(v[few]) for k, v in targets.items()},
        model.codec,
        model.skeleton,
    )
    done, coded = cv2.imencode(".jpg", picture[:, :, ::-1])
    if done:
        write_bytes(folder / "targets.jpg", coded.tobytes())


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False) + "\n"
