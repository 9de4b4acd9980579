"""Networks by file or name, with weights or without, and how large they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.errors import UsageError
from posewright.extras import installed, naming_extras
from posewright.runtimes import load_model
from posewright.weights import find_model
from posewright.weights.registry import lookup

if TYPE_CHECKING:
    from posewright.runtimes import Model
    from posewright.runtimes.counts import Counts
    from posewright.runtimes.info import ModelInfo

__all__ = ["count", "count_file", "is_unweighted", "open_network"]


def open_network(name: str, runtime: str = "auto", device: str = "auto", threads: int = 1) -> Model:
    """Open a model by its file or name; a network of the zoo without weights has random ones."""
    options: Any = {"runtime": runtime, "device": device, "threads": threads}
    if not is_unweighted(name):
        path, layout = find_model(name)
        return load_model(path, layout=layout, **options)
    if runtime not in ("auto", "torch"):
        raise UsageError(f"{runtime} runs .onnx files; export {name} first: posewright export")
    import torch

    from posewright.models import create
    from posewright.runtimes.torch import TorchModel

    torch.manual_seed(0)
    return TorchModel.of(create(name), device=device)


def is_unweighted(name: str) -> bool:
    """Whether a name is that of a network of the zoo, and of nothing that has weights."""
    if os.path.exists(name) or lookup(name) is not None or not installed("torch"):
        return False
    from posewright.models import variants

    return name in variants(None)


def count(name: str, model: Model) -> Counts | None:
    """Return the size of an opened model: of the network in torch, else of the graph in its file.

    None where the graph does not tell.
    """
    network = getattr(model, "network", None)
    if network is None:
        return count_file(find_model(name)[0], model.info)
    from posewright.models.counting import count as count_network

    return count_network(network)


def count_file(path: Path, info: ModelInfo) -> Counts | None:
    """Return the size of the network in an .onnx or .xml file; None where its graph does not tell.

    MissingError: an .xml file, without OpenVINO.
    """
    if path.suffix == ".xml":
        with naming_extras(str(path)):
            from posewright.runtimes.openvino_counts import openvino_counts
        return openvino_counts(path, info)
    from posewright.runtimes.onnx_counts import onnx_counts

    return onnx_counts(path, info)
