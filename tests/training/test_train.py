"""Training: the loop, its faults, and runs that go on to the last bit."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from posewright import Pose
from posewright.augment import Augmentation
from posewright.cli import main
from posewright.errors import ModelError, OutputError, UsageError
from posewright.models import create
from posewright.models.saving import save_model
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.runtimes.torch import TorchModel
from posewright.train import train
from tests.helpers.runs import same_bytes

SMALL = [
    "options.input_size=[64,64]",
    "batch=4",
    "epochs=2",
    "log_every=1",
    "warmup=0",
    "val_split=0",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw(tmp_path_factory.mktemp("synth"), 10)


def draw(folder: Path, count: int) -> Path:
    """Fill a folder with images of stick people and their labels."""
    assert main(["data", "synth", "-o", str(folder / "set"), "--count", str(count)]) == 0
    return folder / "set"


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(model: str, data: Path, *more: str) -> Recipe:
    return replace(recipe_for(model), data=(str(data),)).with_overrides([*SMALL, *more])


def rows(path: Path) -> list[dict[str, str]]:
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


def test_a_run_learns_and_leaves_what_is_promised(data: Path, tmp_path: Path) -> None:
    recipe = replace(
        small("rle_mobilenetv2", data, "epochs=12", "lr=2e-3", "val_split=0.2", "eval_every=4"),
        augment=Augmentation.none(),
    )
    outcome = train(recipe, tmp_path / "run")
    losses = [float(row["loss"]) for row in rows(tmp_path / "run/log.csv")]
    assert len(losses) == outcome.place.step
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 20  # a log-likelihood, from about 0
    assert [row["epoch"] for row in rows(tmp_path / "run/validation.csv")] == ["4", "8", "12"]
    found = {path.name for path in (tmp_path / "run").iterdir()}
    assert found == {
        "recipe.toml",
        "environment.json",
        "data.json",
        "targets.jpg",
        "log.csv",
        "log.jsonl",
        "validation.csv",
        "last.safetensors",
        "best.safetensors",
        "state.safetensors",
        "report.html",
    }
    described = json.loads((tmp_path / "run/data.json").read_text())
    assert described["train"]["pictures"] + described["validation"]["pictures"] == 10
    assert len(described["held_back"]) == 2
    model = TorchModel.load(tmp_path / "run/best.safetensors")
    assert model.codec.input_size == (64, 64)
    assert outcome.metric == "AP" and outcome.best is not None
    again = train(recipe, tmp_path / "run", resume=True)  # which has nothing left to do
    assert (again.metric, again.best) == (outcome.metric, outcome.best) and again.metric


def test_a_recipe_file_does_the_run_again(data: Path, tmp_path: Path) -> None:
    recipe = small("simcc_mobilenetv2", data, "epochs=1")
    train(recipe, tmp_path / "a")
    assert (
        main(
            [
                "train",
                str(tmp_path / "a/recipe.toml"),
                "-o",
                str(tmp_path / "b"),
                "--device",
                "cpu",
                "--quiet",
            ]
        )
        == 0
    )
    assert same_bytes(tmp_path / "a/last.safetensors", tmp_path / "b/last.safetensors")


@pytest.mark.parametrize(
    "model, more",
    [
        ("simcc_mobilenetv2", ("ema=0.99", "clip=1")),
        ("rle_mobilenetv2", ("optimizer=sgd", "momentum=0.9", "workers=1")),
        (
            "tokenpose_t",
            (
                "optimizer=rmsprop",
                "precision=bf16",
                "accumulate=2",
                "options.input_size=[48,64]",
                "limit=12",
            ),
        ),
        ("yoloxpose_tiny", ("oks_loss.width=4",)),
    ],
)
def test_an_interrupted_run_ends_with_the_same_bytes(
    model: str, more: tuple[str, ...], data: Path, tmp_path: Path
) -> None:
    same_after_stops(small(model, data, "epochs=2", *more), tmp_path)


@pytest.mark.parametrize("labels", ["cropped", "boxes"])
def test_a_spatial_transformer_resumes_with_its_teacher(
    labels: str, data: Path, tmp_path: Path
) -> None:
    """The frozen copy is that of the weights the run began with, not of those it stopped at."""
    save_model(create("movenet_fire717", input_size=(64, 64)), tmp_path / "trained.safetensors")
    recipe = small(
        "movenet_fire717",
        data,
        "epochs=2",
        "options.stn=light",
        "stn.loss_weight=10",
        f"stn.labels={labels}",
        f"weights={tmp_path / 'trained.safetensors'}",
    )
    same_after_stops(recipe, tmp_path)


def same_after_stops(recipe: Recipe, tmp_path: Path) -> None:
    """Assert that a run which is stopped twice ends like one that is not."""
    whole = train(recipe, tmp_path / "whole")
    at = sorted(random.Random(recipe.model).sample(range(1, whole.place.step), 2))
    for step in at:
        words = f"  step {step}  "

        def stop_at(line: str, words: str = words) -> None:
            if words in line:
                os.kill(os.getpid(), signal.SIGTERM)

        resume = (tmp_path / "cut/state.safetensors").exists()
        outcome = train(recipe, tmp_path / "cut", resume=resume, progress=stop_at)
        assert outcome.exit_code == 143
    last = train(recipe, tmp_path / "cut", resume=True)
    assert last.exit_code == 0 and last.place.step == whole.place.step
    name = "last.safetensors"
    assert same_bytes(tmp_path / "whole" / name, tmp_path / "cut" / name)
    kept = [
        [(row["step"], row["loss"]) for row in rows(tmp_path / run / "log.csv")]
        for run in ("whole", "cut")
    ]
    assert kept[0] == kept[1]


def test_killed_at_any_moment_a_run_goes_on(data: Path, tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "posewright",
        "train",
        str(data),
        "-m",
        "simcc_mobilenetv2",
        *SMALL,
        "epochs=40",
        "save_every=1",
        "workers=1",
        "--quiet",
        "--device",
        "cpu",
    ]
    run = tmp_path / "run"
    chance, reached = random.Random(3), 0
    for number in range(3):
        how = ["-o", str(run)] if number == 0 else ["--resume", str(run)]
        here = command if number == 0 else [*command[:4], "--quiet", "--device", "cpu"]
        child = subprocess.Popen([*here, *how], env={**os.environ, "OMP_NUM_THREADS": "1"})
        state, deadline = run / "state.safetensors", time.monotonic() + 180
        before = state.stat().st_mtime_ns if state.exists() else 0
        while not (state.exists() and state.stat().st_mtime_ns > before):
            assert child.poll() is None and time.monotonic() < deadline
            time.sleep(0.01)
        time.sleep(chance.uniform(0, 0.3))
        child.kill()
        child.wait()
        from posewright.training.state import read_state

        step = read_state(state)[1]["place"]["step"]
        assert step > reached
        reached = step


def test_memory_that_runs_out_halves_the_parts(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posewright.models.base import PoseModel

    forward, sizes = PoseModel.forward, []

    def small_memory(self: PoseModel, views: torch.Tensor, *rest: torch.Tensor) -> object:
        sizes.append(len(views))
        if self.training and len(views) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, views, *rest)

    monkeypatch.setattr(PoseModel, "forward", small_memory)
    lines: list[str] = []
    outcome = train(
        small("simcc_mobilenetv2", data, "epochs=1"), tmp_path / "r", progress=lines.append
    )
    assert outcome.place.step > 0
    assert sizes[0] == 4 and set(sizes[1:]) == {2}
    assert any("computed in 2 parts" in line for line in lines)

    def no_memory(self: PoseModel, views: torch.Tensor, *rest: torch.Tensor) -> object:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(PoseModel, "forward", no_memory)
    with pytest.raises(ModelError, match="out of memory with a single view of 64x64"):
        train(small("simcc_mobilenetv2", data), tmp_path / "s")


def test_a_loss_that_is_not_finite_is_left_out_then_diagnosed(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posewright.models.base import PoseModel

    forward = PoseModel.forward
    calls = {"n": 0, "bad": {1}}

    def sometimes(self: PoseModel, views: torch.Tensor, *rest: torch.Tensor) -> object:
        outputs = forward(self, views, *rest)
        calls["n"] += 1
        if calls["n"] in calls["bad"]:
            outputs = {key: value * float("nan") for key, value in outputs.items()}
        return outputs

    monkeypatch.setattr(PoseModel, "forward", sometimes)
    lines: list[str] = []
    train(small("simcc_mobilenetv2", data, "epochs=1"), tmp_path / "a", progress=lines.append)
    assert any("1 step skipped" in line for line in lines)
    weights = TorchModel.load(tmp_path / "a/last.safetensors").network.state_dict()
    assert all(bool(torch.isfinite(value).all()) for value in weights.values())
    calls["n"], calls["bad"] = 0, set(range(2, 50))
    with pytest.raises(ModelError, match=r"3 steps in a row .*try a lower lr") as caught:
        train(small("simcc_mobilenetv2", data, "epochs=9"), tmp_path / "b")
    assert "\n" not in str(caught.value)


def test_a_full_disk_keeps_the_state_before(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from posewright.training import run, state

    write, calls = state.write_state, []

    def fills(path: Path, *rest: object) -> None:
        calls.append(path)
        if len(calls) == 2:

            def full(*_: object) -> None:
                raise OSError(28, "No space left on device")

            monkeypatch.setattr("posewright.files.scratch.os.fsync", full)
        write(path, *rest)

    monkeypatch.setattr(run, "write_state", fills)
    recipe = small("simcc_mobilenetv2", data, "epochs=1", "save_every=1")
    with pytest.raises(OutputError, match="No space left"):
        train(recipe, tmp_path / "run")
    monkeypatch.undo()
    torch.set_num_threads(1)
    assert state.read_state(tmp_path / "run/state.safetensors")[1]["place"]["step"] == 1
    assert train(recipe, tmp_path / "run", resume=True).exit_code == 0


def test_processes_together_learn_what_one_does(data: Path, tmp_path: Path) -> None:
    settings = ["epochs=1", "limit=16", "sync_bn=true", "optimizer=sgd", "lr=0.01"]
    train(small("simcc_mobilenetv2", data, *settings), tmp_path / "one", device="cpu")
    command = [
        sys.executable,
        "-m",
        "posewright",
        "train",
        str(data),
        "-m",
        "simcc_mobilenetv2",
        *SMALL,
        *settings,
        "--device",
        "cpu",
        "--quiet",
        "--devices",
        "2",
        "-o",
        str(tmp_path / "two"),
    ]
    subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    losses = [
        [float(row["loss"]) for row in rows(tmp_path / folder / "log.csv")]
        for folder in ("one", "two")
    ]
    assert len(losses[0]) == len(losses[1]) == 4
    np.testing.assert_allclose(losses[1][0], losses[0][0], rtol=1e-6)
    np.testing.assert_allclose(losses[1], losses[0], rtol=1e-3)  # as roundings have grown by then


def test_frozen_parts_and_transfer(data: Path, tmp_path: Path) -> None:
    first = small("simcc_mobilenetv2", data, "epochs=1")
    train(first, tmp_path / "a")
    lines: list[str] = []
    weights = f"weights={tmp_path / 'a/last.safetensors'}"
    train(
        small("simcc_mobilenetv2", data, "epochs=1", weights, "freeze=[backbone]"),
        tmp_path / "b",
        progress=lines.append,
    )
    a, b = (TorchModel.load(tmp_path / r / "last.safetensors").network.state_dict() for r in "ab")
    changed = {key.partition(".")[0] for key in a if not torch.equal(a[key], b[key])}
    assert changed and "backbone" not in changed


@pytest.mark.parametrize(
    "arguments, code, words",
    [
        (["-m", "simcc_mobilenetv2"], 2, "no data to train on"),
        (["DATA"], 2, "no network given"),
        (["rtmpose_t", "DATA"], 2, "no network given; add -m NAME (did you mean -m rtmpose_t?)"),
        (["DATA", "-m", "simcc_mobilnetv2"], 2, "did you mean 'simcc_mobilenetv2'"),
        (["DATA", "-m", "simcc_mobilenetv2", "epoch=3"], 2, "did you mean 'epochs'"),
        (["DATA", "-m", "simcc_mobilenetv2", "epochs=many"], 2, "epochs"),
        (["nowhere", "-m", "simcc_mobilenetv2"], 3, "nowhere"),
        (["--resume", "nowhere"], 4, "no such folder; give the folder of a run"),
        (["DATA", "-m", "simcc_mobilenetv2", "val=last:99"], 2, "last:N"),
        (["DATA", "-m", "simcc_mobilenetv2", "oks_loss.width=4"], 2, "leave it out"),
    ],
)
def test_bad_arguments_are_one_line(
    arguments: list[str],
    code: int,
    words: str,
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [str(data) if a == "DATA" else a for a in arguments]
    output = [] if "--resume" in given else ["-o", str(tmp_path / "r")]
    assert main(["train", *given, *output, "--quiet"]) == code
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error
    assert not (tmp_path / "r").exists()


def test_a_folder_with_a_run_is_not_overwritten(data: Path, tmp_path: Path) -> None:
    recipe = small("simcc_mobilenetv2", data, "epochs=1")
    train(recipe, tmp_path / "r")
    before = shutil.copy(tmp_path / "r/last.safetensors", tmp_path / "before")
    with pytest.raises(UsageError, match="contains a run; resume it"):
        train(recipe, tmp_path / "r")
    with pytest.raises(ModelError, match="contains no training state"):
        train(recipe, tmp_path / "s", resume=True)
    assert same_bytes(tmp_path / "r/last.safetensors", before)


def test_a_corrupt_picture_is_named_and_passed_over(tmp_path: Path) -> None:
    folder = draw(tmp_path, 6)
    bad = sorted(folder.rglob("*.png"))[0]
    bad.write_bytes(b"not a picture")
    outcome = train(small("simcc_mobilenetv2", folder, "epochs=1"), tmp_path / "r")
    assert outcome.exit_code == 3
    assert len(outcome.skipped) == 1 and bad.name in outcome.skipped[0]


def test_from_python_a_trained_pose_comes_back(data: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    pose = Pose.train(
        data,
        "simcc_mobilenetv2",
        tmp_path / "r",
        epochs=1,
        batch=4,
        log_every=1,
        val_split=0,
        options={"input_size": (64, 64)},
        augment={"rotate": 0},
        progress=lines.append,
    )
    assert pose.model.codec.input_size == (64, 64)
    recipe = Recipe.read(tmp_path / "r/recipe.toml")
    assert (recipe.epochs, recipe.augment.rotate) == (1, 0)
    assert recipe.augment.scale == recipe_for("simcc_mobilenetv2").augment.scale
    assert any("loss" in line for line in lines)
    picture = sorted((data / "images").rglob("*"))[0]
    assert pose(picture).skeleton.joints == pose.skeleton.joints
    with pytest.raises(UsageError, match="did you mean 'epochs'"):
        Pose.train(data, "simcc_mobilenetv2", tmp_path / "s", epoch=1)


def test_tensorboard_files_are_written_where_asked(data: Path, tmp_path: Path) -> None:
    train(small("simcc_mobilenetv2", data, "epochs=1", "tensorboard=true"), tmp_path / "r")
    (events,) = (tmp_path / "r/tensorboard").iterdir()
    assert b"log/loss" in events.read_bytes()
