"""A training that is stopped or killed leaves a network, and nothing in the way of the next run."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from posewright.cli import main
from posewright.cli.stopping import raising
from posewright.errors import OutputError, SourceError
from posewright.files.lock import FolderLock
from posewright.files.scratch import scratch
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe
from posewright.runtimes.torch import TorchModel
from posewright.train import train
from posewright.training import validation
from posewright.training.logs import Place
from posewright.weights.published import published
from tests.helpers.runs import same_bytes

SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1"]


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "set"
    assert main(["data", "synth", "-o", str(folder), "--count", "4"]) == 0
    return folder


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def small(data: Path, *more: str) -> Recipe:
    recipe = replace(recipe_for("simcc_mobilenetv2"), data=(str(data),))
    return recipe.with_overrides(
        [
            "options.input_size=[64,64]",
            "batch=4",
            "epochs=2",
            "log_every=1",
            "warmup=0",
            "workers=0",
            "val_split=0",
            *more,
        ]
    )


def after_a_step(name: str) -> Callable[[str], None]:
    """Return what sends a signal to this process once, after the first step."""

    def say(line: str) -> None:
        if "  step 1  " in line:
            os.kill(os.getpid(), getattr(signal, name))

    return say


@pytest.mark.parametrize("name", SIGNALS)
def test_stopped_before_a_validation_there_is_a_network(
    name: str, data: Path, tmp_path: Path
) -> None:
    outcome = train(small(data, "epochs=9"), tmp_path / "run", progress=after_a_step(name))
    assert outcome.exit_code == 128 + getattr(signal, name) and outcome.place.step == 1
    model = TorchModel.load(tmp_path / "run/last.safetensors")
    assert model.codec.input_size == (64, 64)


def test_every_save_leaves_a_network(data: Path, tmp_path: Path) -> None:
    """As it does where a process is killed, which no signal announces."""

    def say(line: str) -> None:
        if "  step 2  " in line:
            raise RuntimeError("killed")

    with pytest.raises(RuntimeError, match="killed"):
        train(small(data, "save_every=1", "epochs=9"), tmp_path / "run", progress=say)
    assert TorchModel.load(tmp_path / "run/last.safetensors").codec.input_size == (64, 64)


def test_a_validation_that_is_interrupted_is_done_again(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = small(data, "val=last:2", "batch=2")
    whole = train(recipe, tmp_path / "whole")
    evaluate = validation.evaluate

    def asked(*args: Any, **more: Any) -> Any:
        os.kill(os.getpid(), signal.SIGTERM)
        return evaluate(*args, **more)

    monkeypatch.setattr(validation, "evaluate", asked)
    outcome = train(recipe, tmp_path / "cut")
    assert outcome.exit_code == 143 and outcome.place.epoch == 0
    assert not (tmp_path / "cut/validation.csv").exists()
    monkeypatch.undo()
    torch.set_num_threads(1)
    assert train(recipe, tmp_path / "cut", resume=True).place == whole.place
    for name in ("last.safetensors", "best.safetensors", "validation.csv"):
        assert same_bytes(tmp_path / "cut" / name, tmp_path / "whole" / name)


KILLED = """
import os, signal, sys
import safetensors.torch
from posewright.cli import main

save, calls = safetensors.torch.save_file, []

def killed(tensors, path, *rest):
    save(tensors, path, *rest)
    calls.append(path)
    if len(calls) == int(sys.argv[1]):
        path.with_name(".tmpAbC123").write_bytes(path.read_bytes()[:1000])
        os.kill(os.getpid(), signal.SIGKILL)

safetensors.torch.save_file = killed
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize("call", [3, 4])  # the second state, the second network
def test_killed_while_it_saves_the_next_start_cleans_and_goes_on(
    call: int, data: Path, tmp_path: Path
) -> None:
    recipe, run = small(data, "save_every=1", "epochs=3"), tmp_path / "run"
    (tmp_path / "recipe.toml").write_text(recipe.to_toml())
    command = [sys.executable, "-c", KILLED, str(call), "train", str(tmp_path / "recipe.toml")]
    done = subprocess.run(
        [*command, "-o", str(run), "--device", "cpu", "--quiet"],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == -signal.SIGKILL
    hidden = [path for path in run.glob(".*") if path.is_dir()]
    assert len(hidden) == 1 and (hidden[0] / ".tmpAbC123").is_file()
    outcome = train(recipe, run, resume=True)
    assert outcome.exit_code == 0 and outcome.place.epoch == 3
    assert not list(run.glob(".*"))


def test_leftovers_of_earlier_versions_go_and_all_else_stays(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(small(data, "epochs=1"), run)
    for name in (".tmpAbC123", ".state.safetensors.part", ".tmpnotes", "notes.part", ".tmp12345"):
        (run / name).write_bytes(b"x")
    with scratch(run / "export.onnx") as living:
        train(small(data, "epochs=1"), run, resume=True)
        assert living.is_dir()
    left = {path.name for path in run.iterdir() if "tmp" in path.name or "part" in path.name}
    assert left == {".tmpnotes", "notes.part", ".tmp12345"}


def test_a_run_that_lives_is_not_entered(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(small(data, "epochs=1"), run)
    lock = FolderLock(run)
    with pytest.raises(OutputError, match="another training run is writing there") as caught:
        train(small(data), run, resume=True)
    assert "\n" not in str(caught.value)
    lock.release()
    assert train(small(data), run, resume=True).place.epoch == 2


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP", "SIGUSR1"])
def test_a_command_ends_with_the_code_of_its_signal(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    removed = []

    def work(*args: Any, **more: Any) -> None:
        try:
            os.kill(os.getpid(), getattr(signal, name))
        finally:
            removed.append(True)

    monkeypatch.setattr("posewright.export.export.export", work)
    monkeypatch.setattr("posewright.checkpoints.conversion.convert_file", work)
    monkeypatch.setattr("posewright.weights.download.download", work)
    entry = next(n for n, p in published().items() if "drive.google" not in p.url)
    before = signal.getsignal(getattr(signal, name))
    for command in (
        ["export", "simcc_mobilenetv2", "--random-weights", "-o", str(tmp_path / "net.onnx")],
        ["models", "convert", str(tmp_path / "net.pth"), "--as", "hrnet"],
        ["models", "pull", entry, "--unverified"],
    ):
        assert main(command) == 128 + getattr(signal, name)
    assert len(removed) == 3 and f"stopped by {name}" in capsys.readouterr().err
    assert signal.getsignal(getattr(signal, name)) is before


def test_under_nohup_a_hang_up_stops_nothing(data: Path, tmp_path: Path) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        outcome = train(small(data, "epochs=1"), tmp_path / "run", progress=after_a_step("SIGHUP"))
        with raising():
            os.kill(os.getpid(), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert outcome.exit_code == 0 and outcome.place.epoch == 1


# --- a validation that measures nothing ----------------------------------------------------------


def labels(data: Path, file: Path, change: Callable[[dict[str, Any]], None]) -> str:
    """Write the labels of a set again, with a change to each person."""
    told = json.loads((data / "annotations.json").read_text())
    for person in told["annotations"]:
        change(person)
    file.write_text(json.dumps(told))
    return str(file)


def nobody_labelled(person: dict[str, Any]) -> None:
    person["keypoints"], person["num_keypoints"] = [0] * len(person["keypoints"]), 0


def a_crowd(person: dict[str, Any]) -> None:
    person["iscrowd"] = 1


def no_change(person: dict[str, Any]) -> None:
    pass


@pytest.mark.parametrize(
    ("change", "images", "words"),
    [
        (nobody_labelled, True, "AP would measure nothing"),
        (a_crowd, True, "AP would measure nothing"),
        (no_change, False, "can be read"),
    ],
)
def test_a_validation_of_nothing_is_an_error_before_the_first_step(
    change: Callable[[dict[str, Any]], None], images: bool, words: str, data: Path, tmp_path: Path
) -> None:
    val = labels(data, tmp_path / "val.json", change)
    pictures = data / "images" if images else tmp_path
    recipe = small(data, f"val={val}", f"val_images={pictures}")
    lines: list[str] = []
    with pytest.raises(SourceError, match=words) as caught:
        train(recipe, tmp_path / "run", progress=lines.append)
    assert "\n" not in str(caught.value) and not lines
    assert not (tmp_path / "run").exists()


def test_labels_of_other_joints_measure_nothing(data: Path, tmp_path: Path) -> None:
    told = json.loads((data / "annotations.json").read_text())
    told["categories"][0]["keypoints"] = [f"leaf_{i}" for i in range(17)]
    (tmp_path / "val.json").write_text(json.dumps(told))
    recipe = small(data, f"val={tmp_path / 'val.json'}", f"val_images={data / 'images'}")
    with pytest.raises(SourceError, match="would measure nothing"):
        train(recipe, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("nothing", [-1.0, float("nan")])
def test_a_validation_of_nothing_is_never_the_best(nothing: float) -> None:
    assert not Place().is_better("AP", nothing)
    assert Place(best=nothing, metric="AP").is_better("AP", 0.0)  # as earlier versions kept it
    assert not Place(best=0.0, metric="AP").is_better("AP", 0.0)
    assert Place(best=0.9, metric="AP").is_better("PCK@0.2", 0.1)  # which cannot be compared
