"""The state of a run: whole or not there, and nothing in it forgotten."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from posewright.errors import ModelError, OutputError
from posewright.training.logs import Log
from posewright.training.signals import listening
from posewright.training.state import (
    optimizer_tensors,
    random_tensors,
    read_state,
    restore_optimizer,
    restore_random,
    write_state,
)


def test_generators_go_on_where_they_were() -> None:
    random.gauss(0, 1)  # leaves a second number behind
    np.random.standard_normal()
    kept = random_tensors()

    def draw() -> list[float]:
        numpy = [float(np.random.standard_normal()), float(np.random.random())]
        return [random.gauss(0, 1), random.random(), *numpy, float(torch.rand(()))]

    first = draw()
    restore_random(kept)
    assert draw() == first


def test_what_is_written_is_read(tmp_path: Path) -> None:
    tensors = {"a/b": torch.arange(6).reshape(2, 3), "c": torch.tensor(2.5, dtype=torch.float64)}
    write_state(tmp_path / "s.safetensors", tensors, {"step": 7, "best": None})
    found, facts = read_state(tmp_path / "s.safetensors")
    assert facts == {"step": 7, "best": None}
    assert found.keys() == tensors.keys()
    assert all(torch.equal(found[k], v) and found[k].dtype == v.dtype for k, v in tensors.items())
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]


def test_shared_tensors_are_written_for_each_name(tmp_path: Path) -> None:
    one = torch.ones(3)
    write_state(tmp_path / "s.safetensors", {"a": one, "b": one}, {})
    assert read_state(tmp_path / "s.safetensors")[0].keys() == {"a", "b"}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"\x08\0\0\0\0\0\0\0{}      "])
def test_anything_else_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "s.safetensors"
    path.write_bytes(content)
    with pytest.raises(ModelError, match="not the state of a training run") as caught:
        read_state(path)
    assert "\n" not in str(caught.value)


def test_a_failed_save_leaves_the_one_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s.safetensors"
    write_state(path, {"a": torch.zeros(2)}, {"step": 1})

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("posewright.files.scratch.os.fsync", full)
    with pytest.raises(OutputError, match="No space left"):
        write_state(path, {"a": torch.ones(2)}, {"step": 2})
    assert read_state(path)[1] == {"step": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]


def test_a_log_whose_folder_is_gone_says_so(tmp_path: Path) -> None:
    log = Log(tmp_path / "run")
    with pytest.raises(OutputError, match=r"cannot write .*log.csv: No such file or directory"):
        log.step({"step": 1, "loss": 0.5})


@pytest.mark.parametrize("kind", ["adamw", "sgd", "rmsprop"])
def test_an_optimizer_goes_on_to_the_last_bit(kind: str, tmp_path: Path) -> None:
    def build() -> tuple[nn.Module, torch.optim.Optimizer]:
        torch.manual_seed(0)
        model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Conv2d(8, 2, 3))
        model.to(memory_format=torch.channels_last)
        made = {
            "adamw": lambda p: torch.optim.AdamW(p, 1e-2, amsgrad=True),
            "sgd": lambda p: torch.optim.SGD(p, 1e-2, momentum=0.9),
            "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-2, centered=True, momentum=0.5),
        }
        return model, made[kind](model.parameters())

    def steps(model: nn.Module, optimizer: torch.optim.Optimizer, seeds: range) -> None:
        for seed in seeds:
            x = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
            optimizer.zero_grad()
            model(x).square().mean().backward()
            optimizer.step()

    whole, whole_optimizer = build()
    steps(whole, whole_optimizer, range(6))
    first, first_optimizer = build()
    steps(first, first_optimizer, range(3))
    tensors = {f"o/{k}": v for k, v in optimizer_tensors(first_optimizer, first).items()}
    write_state(tmp_path / "s", tensors | first.state_dict(), {})
    second, second_optimizer = build()
    read, _ = read_state(tmp_path / "s")
    second.load_state_dict({k: v for k, v in read.items() if not k.startswith("o/")})
    moments = {k[2:]: v for k, v in read.items() if k.startswith("o/")}
    restore_optimizer(second_optimizer, second, moments)
    steps(second, second_optimizer, range(3, 6))
    for a, b in zip(whole.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)


def test_moments_of_another_network_are_refused() -> None:
    model = nn.Linear(2, 2)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    with pytest.raises(ModelError, match=r"other\.weight"):
        restore_optimizer(optimizer, model, {"other.weight/momentum_buffer": torch.zeros(2, 2)})


OPTIMIZERS = {
    "adam": lambda p: torch.optim.Adam(p, 1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, 1e-2),
    "amsgrad": lambda p: torch.optim.AdamW(p, 1e-2, amsgrad=True),
    "sgd": lambda p: torch.optim.SGD(p, 1e-2, momentum=0.9),
    "plain sgd": lambda p: torch.optim.SGD(p, 1e-2),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 1e-2),
    "rmsprop with momentum": lambda p: torch.optim.RMSprop(p, 1e-2, momentum=0.9),
    "centred": lambda p: torch.optim.RMSprop(p, 1e-2, centered=True),
}
ALIKE = {frozenset({"adam", "adamw"})}


@pytest.mark.parametrize("now", OPTIMIZERS)
@pytest.mark.parametrize("before", OPTIMIZERS)
def test_moments_of_another_optimizer_are_left_out(before: str, now: str) -> None:
    model = nn.Linear(2, 2)
    first, second = OPTIMIZERS[before](model.parameters()), OPTIMIZERS[now](model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    first.step()
    moments = optimizer_tensors(first, model)
    said = restore_optimizer(second, model, moments)
    same = before == now or frozenset({before, now}) in ALIKE or before == "plain sgd"
    assert len(said) == (not same) and all("another optimizer's moments" in x for x in said)
    assert optimizer_tensors(second, model).keys() == (moments.keys() if same else set())
    second.step()


def test_rows_after_the_resumed_step_are_taken_back(tmp_path: Path) -> None:
    log = Log(tmp_path)
    for step in (10, 20, 30):
        log.step({"step": step, "loss": step / 7})
    log.validation({"epoch": 1, "step": 25, "AP": 0.5})
    log.close()
    with open(tmp_path / "log.csv", "a") as file:
        file.write("40,0.")  # what a kill leaves
    Log(tmp_path, resumed_from=20)
    rows = (tmp_path / "log.csv").read_text().splitlines()
    assert [row.partition(",")[0] for row in rows] == ["step", "10", "20"]
    assert (tmp_path / "validation.csv").read_text() == "epoch,step,AP\n"
    assert len((tmp_path / "log.jsonl").read_text().splitlines()) == 2


def test_signals_are_noted_and_handed_back() -> None:
    import os
    import signal

    before = signal.getsignal(signal.SIGTERM)
    with listening() as stop:
        assert (stop.number, stop.exit_code) == (0, 0)
        os.kill(os.getpid(), signal.SIGTERM)
        assert (stop.number, stop.exit_code) == (15, 143)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)
    assert signal.getsignal(signal.SIGTERM) is before
