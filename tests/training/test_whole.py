"""Processes and parts divide by what is in the whole batch: their gradient is that of one."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from posewright import losses
from posewright.losses import _LOSSES
from posewright.losses.counted import CountedLoss, root_share
from posewright.models import PoseModel, create
from posewright.models.saving import save_model
from posewright.recipes.groups import STNSettings
from posewright.training.processes import World
from posewright.training.whole import WholeBatch, untouched
from tests.helpers.loss_cases import CASES, CROWDED, DoubleBatch, batch_for, network, step
from tests.helpers.worlds import ThreadWorld, together

ROOT = Path(__file__).parents[2]
COUNTED = [name for name in CASES if isinstance(network(name).loss, CountedLoss)]


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def of_two(
    model: PoseModel, batch: DoubleBatch, at: int, parts: int = 1, **settings: Any
) -> tuple[float, Tensor]:
    """The loss and the gradient of two processes, of which the first has the first `at` views."""

    def work(world: ThreadWorld) -> tuple[float, Tensor]:
        rows = (slice(at), slice(at, None))[world.rank]
        return step(model, batch.rows(rows), world, parts, **settings)

    (one, first), (two, second) = together(2, work)
    assert torch.equal(first, second)
    return (one + two) / 2, first


def off(found: tuple[float, Tensor], wanted: tuple[float, Tensor]) -> float:
    """How far a loss and its gradient are from others, as a share of these."""
    gap = (found[1] - wanted[1]).norm() / wanted[1].norm()
    return max(float(gap), abs(found[0] - wanted[0]) / abs(wanted[0]))


def test_every_loss_is_tried() -> None:
    tried = {type(network(name).loss).__name__ for name in CASES}
    modules = {n for n in losses.__all__ if isinstance(getattr(losses, n), type)}
    assert tried == modules - {"OKSLoss", "ScheduledLoss"}
    assert {type(case.codec) for case in CASES.values()} >= set(_LOSSES)
    assert len(COUNTED) >= 8


@pytest.mark.parametrize("name", CASES)
def test_two_processes_and_parts_have_the_gradient_of_one(name: str) -> None:
    model, batch = network(name), batch_for(name)
    whole = step(model, batch, World())
    assert whole[1].isfinite().all() and whole[1].norm() > 0
    for at in (CROWDED, 1):  # nobody in the second process, or other numbers of people in each
        assert off(of_two(model, batch, at), whole) < 1e-6, at
    assert off(of_two(model, batch, at=2, parts=2), whole) < 1e-6
    assert off(step(model, batch, World(), parts=3), whole) < 1e-6


class Alone(nn.Module):
    """A loss that divides by its own counts."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, outputs: Any, targets: Any) -> Tensor:
        return self.loss(outputs, targets)


@pytest.mark.parametrize("name", COUNTED)
def test_own_counts_would_give_another_gradient(name: str) -> None:
    model, batch = network(name), batch_for(name)
    whole = step(model, batch, World())
    model.loss = Alone(model.loss)
    assert off(step(model, batch, World()), whole) < 1e-12
    assert off(of_two(model, batch, CROWDED), whole) > 1e-4


@pytest.mark.parametrize("name", COUNTED)
def test_a_process_that_runs_out_of_memory_begins_again_by_itself(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, batch = network(name), batch_for(name)
    whole, forward, backward = step(model, batch, World()), PoseModel.forward, Tensor.backward
    failed: list[int] = []  # the threads in which memory ran out

    def small(self: PoseModel, views: Tensor, *rest: Tensor) -> Any:
        if len(views) > 3 and not failed:
            failed.append(threading.get_ident())
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, views, *rest)

    def late(self: Tensor, *rest: Any) -> Any:
        if failed == [threading.get_ident()]:  # counts are exchanged by now
            failed.append(threading.get_ident())
            raise torch.OutOfMemoryError("CUDA out of memory")
        return backward(self, *rest)

    monkeypatch.setattr(PoseModel, "forward", small)
    monkeypatch.setattr(Tensor, "backward", late)
    assert off(of_two(model, batch, at=4), whole) < 1e-6
    assert len(failed) == 2


def test_real_processes_have_the_gradient_of_one(tmp_path: Path) -> None:
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.loss_cases", str(rank), str(tmp_path)],
            env=env,
            cwd=ROOT,
        )
        for rank in range(2)
    ]
    assert [run.wait(300) for run in runs] == [0, 0]
    found = [torch.load(tmp_path / f"{rank}.pt", weights_only=True) for rank in range(2)]
    for name in CASES:
        gradients = [f[f"{name}/gradient"] for f in found]
        assert torch.equal(*gradients), name
        loss = sum(float(f[f"{name}/loss"]) for f in found) / 2
        whole = step(network(name), batch_for(name), World())
        assert off((loss, gradients[0]), whole) < 1e-6, name


def test_counts_are_exchanged_once_a_step() -> None:
    def work(world: ThreadWorld) -> tuple[Any, Any, list[int]]:
        whole = WholeBatch(world)
        own = {"people": torch.tensor(2 - world.rank), "links": torch.tensor([0.5, 1.5])}
        first = whole.settle([own, {"views": torch.tensor(world.rank + 1.0)}])
        again = whole.settle([{"people": torch.tensor(7)}])
        return first, again, list(world.exchanges)

    for first, again, exchanges in together(2, work):
        assert first is again
        assert float(first[0]["people"]) == 3 and first[0]["links"].tolist() == [1, 3]
        assert float(first[1]["views"]) == 3
        assert exchanges == [1 + 2 + 1]


def test_the_teacher_of_a_transformer_is_shared_out_too(tmp_path: Path) -> None:
    """MoveNet's loss judges twice: what is found, and what its frozen copy finds."""
    torch.manual_seed(1)
    plain = create("movenet_fire717", input_size=(64, 64))
    save_model(plain, tmp_path / "trained.safetensors")
    model = create("movenet_fire717", input_size=(64, 64), stn="light").double().train()
    for module in model.modules():
        module.training = not isinstance(module, nn.modules.batchnorm._BatchNorm)
    batch = batch_for("MoveNetLoss")
    stn = STNSettings(loss_weight=10, labels="centred")
    settings = {"stn": stn, "weights": str(tmp_path / "trained.safetensors")}
    whole = step(model, batch, World(), **settings)
    without = step(model, batch, World())
    assert off(without, whole) > 1e-3
    for at, parts in ((CROWDED, 1), (2, 2)):
        assert off(of_two(model, batch, at, parts, **settings), whole) < 1e-6


def test_a_first_look_leaves_no_trace() -> None:
    norm = nn.BatchNorm1d(3).train()
    before = {key: value.clone() for key, value in norm.state_dict().items()}
    torch.manual_seed(3)
    with torch.no_grad(), untouched(norm, "cpu"):
        norm(torch.rand(4, 3))
    assert all(torch.equal(before[key], value) for key, value in norm.state_dict().items())
    seen = torch.rand(2)
    torch.manual_seed(3)
    assert torch.equal(seen, torch.rand(2))


def test_shares_of_a_root_add_up_to_it_with_its_gradient() -> None:
    x = torch.tensor([3.0, 4.0, 12.0], dtype=torch.float64, requires_grad=True)
    squares = x.square()
    everybody = squares.sum().detach()
    shares = [root_share(part.sum(), everybody) for part in (squares[:1], squares[1:])]
    sum(shares).backward()
    assert float(sum(shares).detach()) == pytest.approx(13)
    assert torch.allclose(x.grad, x.detach() / 13)
    nothing = torch.zeros(2, requires_grad=True)
    root_share(nothing.square().sum(), torch.tensor(0.0)).backward()
    assert nothing.grad.tolist() == [0, 0]
