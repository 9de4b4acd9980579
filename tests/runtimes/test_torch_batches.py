"""torch: how many views go into one call, with devices and shortages that tests make."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from posewright.codecs import Heatmap
from posewright.errors import ModelError
from posewright.runtimes.info import ModelInfo
from posewright.runtimes.memory import most_views
from posewright.runtimes.torch import TorchModel, _batches
from posewright.skeletons import COCO17


class Network(torch.nn.Module):
    """Answers with the first value of each view; refuses more views than fit."""

    def __init__(self, fits: int, error: Exception) -> None:
        super().__init__()
        self.fits, self.error = fits, error
        self.calls: list[int] = []

    def forward(self, views: Any) -> dict[str, Any]:
        self.calls.append(len(views))
        if len(views) > self.fits:
            raise self.error
        return {"heatmap": views[:, :1, :1, 0, None].float()}


def model(network: Network) -> TorchModel:
    info = ModelInfo("tiny", Heatmap(input_size=(48, 64)), COCO17)
    return TorchModel.of(network, info, device="cpu")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
    ],
)
def test_a_batch_that_does_not_fit_is_halved(error: Exception) -> None:
    network = Network(3, error)
    views = np.arange(8, dtype=np.uint8)[:, None, None, None] * np.ones((1, 64, 48, 3), np.uint8)
    made = model(network)
    for calls in ([8, 4, 2, 2, 2, 2], [2, 2, 2, 2]):
        network.calls.clear()
        assert made(views)["heatmap"].ravel().tolist() == list(range(8))
        assert network.calls == calls


def test_another_fault_is_told_at_once() -> None:
    network = Network(0, RuntimeError("size mismatch"))
    with pytest.raises(ModelError, match=r"failed on an input of shape \(8, 64, 48, 3\): size mis"):
        model(network)(np.zeros((8, 64, 48, 3), np.uint8))
    assert network.calls == [8]


def test_the_memory_of_torch_s_devices_bounds_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    told = SimpleNamespace(total_memory=1 << 30)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: told)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 1 << 31)
    assert _batches("cpu", (192, 256)).most == 0
    assert _batches("cuda:1", (192, 256)).most == most_views(1 << 30, (192, 256)) == 2
    assert _batches("mps", (192, 256)).most == most_views(1 << 31, (192, 256)) == 4
