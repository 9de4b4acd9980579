"""Averaged weights, and batch normalisation over several processes."""

from __future__ import annotations

import copy
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from posewright.errors import ModelError
from posewright.models import create
from posewright.training.ema import Ema
from posewright.training.sync_norm import SyncBatchNorm, convert


def small() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def moved(model: nn.Module, by: float) -> None:
    with torch.no_grad():
        for tensor in model.parameters():
            tensor += by
        for tensor in model.buffers():
            tensor += int(by)


def test_the_average_follows_its_rule_and_buffers_are_copied() -> None:
    model = small()
    ema = Ema(model, 0.9)
    expected = model[0].weight.detach().clone()
    for update in range(1, 6):
        moved(model, 2)
        ema.update(model)
        decay = 0.9 * (1 - math.exp(-update / 2000))
        expected = decay * expected + (1 - decay) * model[0].weight.detach()
        torch.testing.assert_close(ema.tensors["0.weight"], expected)
        assert torch.equal(ema.tensors["1.running_mean"], model[1].running_mean)
        assert ema.tensors["1.num_batches_tracked"] == 2 * update
    assert not torch.equal(ema.tensors["0.weight"], model[0].weight)


def test_a_higher_decay_remembers_longer() -> None:
    model = small()
    start = model[0].weight.detach().clone()
    averages = {decay: Ema(model, decay) for decay in (0.0, 0.5, 0.999)}
    for ema in averages.values():
        ema.updates = 10**6
    moved(model, 1)
    for ema in averages.values():
        ema.update(model)
    gone = [float((e.tensors["0.weight"] - start).mean()) for e in averages.values()]
    assert gone == pytest.approx([1, 0.5, 0.001], rel=1e-3)


def test_its_state_goes_on_exactly() -> None:
    model = small()
    ema = Ema(model, 0.99)
    moved(model, 1)
    ema.update(model)
    kept = {k: v.clone() for k, v in ema.state_dict().items()}
    other = Ema(small(), 0.99)
    other.load_state_dict(kept)
    moved(model, 1)
    ema.update(model)
    other.update(model)
    assert ema.updates == other.updates == 2
    assert all(torch.equal(v, other.state_dict()[k]) for k, v in ema.state_dict().items())


def test_its_state_must_be_of_this_network() -> None:
    ema = Ema(small(), 0.99)
    with pytest.raises(ModelError, match="do not belong to this network"):
        ema.load_state_dict(Ema(nn.Conv2d(3, 4, 3), 0.9).state_dict())
    wrong = {**ema.state_dict(), "0.weight": torch.zeros(1)}
    with pytest.raises(ModelError, match=r"0\.weight differs"):
        ema.load_state_dict(wrong)


def test_a_network_gets_the_average() -> None:
    model = create("movenet_fire717")
    ema = Ema(model, 0.5)
    moved(model, 1)
    ema.update(model)
    final = copy.deepcopy(model)
    ema.copy_to(final)
    assert all(torch.equal(v, ema.tensors[k]) for k, v in final.state_dict().items())


# --- batch normalisation over processes ---------------------------------------------------------


def test_converting_keeps_names_numbers_and_parameters() -> None:
    model = create("movenet_fire717").train()
    plain = copy.deepcopy(model)
    parameters = {n: id(p) for n, p in model.named_parameters()}
    assert convert(model) is model
    assert {n: id(p) for n, p in model.named_parameters()} == parameters
    assert list(model.state_dict()) == list(plain.state_dict())
    assert any(isinstance(m, SyncBatchNorm) for m in model.modules())
    assert not any(type(m) is nn.BatchNorm2d for m in model.modules())
    views = torch.randint(0, 256, (2, 192, 192, 3), dtype=torch.uint8)
    ours, theirs = model(views), plain(views)  # a single process: torch's own
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)


SCRIPT = """
import sys, torch, torch.distributed as dist
from torch import nn
from posewright.training.sync_norm import convert
rank, folder = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
given = torch.load(f"{folder}/given.pt", weights_only=True)
results = {}
for name, (kind, options) in {
    "plain": (nn.BatchNorm2d, {}),
    "bare": (nn.BatchNorm2d, {"affine": False}),
    "cumulative": (nn.BatchNorm2d, {"momentum": None}),
    "untracked": (nn.BatchNorm2d, {"track_running_stats": False}),
}.items():
    torch.manual_seed(1)
    layers = nn.Conv2d(3, 4, 3), kind(4, **options), nn.ReLU(), kind(4, **options)
    model = convert(nn.Sequential(*layers))
    x = given["x"][:5] if rank == 0 else given["x"][5:]  # parts may differ in size
    x = x.clone().requires_grad_()
    model.train()
    for _ in range(2):
        y = model(x)
    weights = given["w"][:5] if rank == 0 else given["w"][5:]
    (y * weights).sum().backward()
    results[f"{name}.y"], results[f"{name}.x"] = y.detach(), x.grad
    for key, p in model.named_parameters():
        dist.all_reduce(p.grad)
        results[f"{name}.{key}"] = p.grad
    for key, b in model.named_buffers():
        results[f"{name}.{key}"] = b.clone()
    model.eval()
    results[f"{name}.eval"] = model(x).detach() if name == "plain" else torch.zeros(1)
    with torch.autocast("cpu", torch.bfloat16):
        assert model.train()(x).dtype == torch.bfloat16
torch.save(results, f"{folder}/{rank}.pt")
dist.destroy_process_group()
"""


def test_two_processes_are_one_with_the_whole_batch(tmp_path: Path) -> None:
    torch.manual_seed(0)
    x, w = torch.randn(8, 3, 7, 6) * 3 + 100, torch.randn(8, 4, 5, 4)
    torch.save({"x": x, "w": w}, tmp_path / "given.pt")
    env = {**os.environ, "OMP_NUM_THREADS": "1"}
    runs = [
        subprocess.Popen([sys.executable, "-c", SCRIPT, str(rank), str(tmp_path)], env=env)
        for rank in range(2)
    ]
    assert [run.wait(120) for run in runs] == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for name, options in {
        "plain": {},
        "bare": {"affine": False},
        "cumulative": {"momentum": None},
        "untracked": {"track_running_stats": False},
    }.items():
        torch.manual_seed(1)
        model = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4, **options),
            nn.ReLU(),
            nn.BatchNorm2d(4, **options),
        )
        whole = x.clone().requires_grad_()
        model.train()
        for _ in range(2):
            y = model(whole)
        (y * w).sum().backward()
        # values a few times as large as 1; parts by themselves would be wrong by tenths
        close = {"rtol": 1e-4, "atol": 2e-4}
        for key, value in (("y", y.detach()), ("x", whole.grad)):
            torch.testing.assert_close(
                torch.cat([f[f"{name}.{key}"] for f in found]), value, **close
            )
        for key, parameter in model.named_parameters():
            for f in found:
                torch.testing.assert_close(f[f"{name}.{key}"], parameter.grad, rtol=1e-4, atol=1e-3)
        for key, buffer in model.named_buffers():
            for f in found:
                torch.testing.assert_close(f[f"{name}.{key}"], buffer, **close)
        if name == "plain":
            model.eval()
            torch.testing.assert_close(
                torch.cat([f["plain.eval"] for f in found]), model(whole).detach(), **close
            )
