"""What a run must keep to resume exactly: one safetensors file, replaced in one step.

Weights, averaged weights, the optimizer's moments and every random generator are its tensors;
where the run stands is JSON in its metadata.  Nothing in it executes when it is read.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from posewright.errors import ModelError, OutputError
from posewright.files.scratch import replacing

__all__ = ["State", "optimizer_tensors", "read_state", "restore_optimizer", "write_state"]

State = tuple[dict[str, Tensor], dict[str, Any]]
_KEY = "posewright.training"


def write_state(path: Path, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write to a temporary folder, to the disk's end, then rename: never half a state.

    OutputError: the disk is full or the folder read-only; the state before stays as it was.
    """
    kept = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
    # two names of one tensor would be refused; weights that are shared are written twice
    seen: set[int] = set()
    for key, value in kept.items():
        if value.data_ptr() in seen and value.numel():
            kept[key] = value.clone()
        seen.add(value.data_ptr())
    try:
        with replacing(path) as part:
            safetensors.torch.save_file(kept, part, {_KEY: json.dumps(facts)})
    except (OSError, safetensors.SafetensorError) as error:
        raise OutputError(f"{path}: the state cannot be saved ({error}); free space") from error


def read_state(path: Path) -> State:
    """Return the tensors and facts of `write_state`; ModelError for anything else."""
    try:
        with safetensors.safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}
            facts: dict[str, Any] = json.loads(metadata[_KEY])
    except (OSError, safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ModelError(f"{path}: not the state of a training run ({error!r})") from error
    return tensors, facts


def part_of(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Return the entries below `prefix`/, without it."""
    start = len(prefix) + 1
    return {key[start:]: value for key, value in tensors.items() if key.startswith(f"{prefix}/")}


def optimizer_tensors(optimizer: torch.optim.Optimizer, model: nn.Module) -> dict[str, Tensor]:
    """Return the optimizer's moments as {parameter's name "/" entry: tensor}."""
    names = {id(p): name for name, p in model.named_parameters()}
    return {
        f"{names[id(parameter)]}/{entry}": torch.as_tensor(value)
        for parameter, entries in optimizer.state.items()
        for entry, value in entries.items()
        if value is not None
    }


def restore_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, tensors: Mapping[str, Tensor]
) -> list[str]:
    """Fill the moments from `optimizer_tensors`; return a line where they are another optimizer's.

    Those are left out, as if the run began.  ModelError for parameters that are not there.
    """
    parameters = dict(model.named_parameters())
    of = {key: key.rpartition("/") for key in tensors}
    if other := [name for name, _, _ in of.values() if name not in parameters]:
        raise ModelError(
            f"the state has optimizer moments of {other[0]}, which this network does not have"
        )
    there, here = {entry for _, _, entry in of.values()}, _moments(optimizer)
    if there and there != here:
        was, now = (", ".join(sorted(names)) or "none" for names in (there, here))
        return [f"the state has another optimizer's moments ({was}; here: {now}): they are reset"]
    for key, value in tensors.items():
        name, _, entry = of[key]
        parameter = parameters[name]
        # a step counter stays where torch made it: on the processor unless fused
        where = parameter.device if value.ndim else torch.device("cpu")
        if entry == "step" and optimizer.defaults.get("fused"):
            where = parameter.device
        kept = value.to(where)
        if value.shape == parameter.shape:  # also its memory layout, or sums would differ in order
            kept = torch.empty_like(parameter, dtype=value.dtype).copy_(kept)
        optimizer.state[parameter][entry] = kept
    return []


def _moments(optimizer: torch.optim.Optimizer) -> set[str]:
    """Return what the optimizer keeps of each parameter."""
    has = optimizer.defaults
    if isinstance(optimizer, torch.optim.SGD):
        return {"momentum_buffer"} if has["momentum"] else set()
    if isinstance(optimizer, torch.optim.RMSprop):
        more = {"momentum_buffer": has["momentum"] > 0, "grad_avg": has["centered"]}
        return {"step", "square_avg", *(name for name, kept in more.items() if kept)}
    more = {"max_exp_avg_sq": has["amsgrad"]}
    return {"step", "exp_avg", "exp_avg_sq", *(name for name, kept in more.items() if kept)}


def random_tensors() -> dict[str, Tensor]:
    """Return the state of torch's, numpy's and Python's own generators as tensors."""
    version, python, gauss = random.getstate()
    _, keys, at, has_gauss, cached = np.random.get_state(legacy=True)
    found = {
        "torch": torch.get_rng_state(),
        "numpy": torch.from_numpy(np.asarray(keys, np.int64).copy()),
        "numpy_more": torch.tensor([at, has_gauss, cached], dtype=torch.float64),
        "python": torch.tensor(python, dtype=torch.int64),
        "python_more": torch.tensor(
            [version, gauss is not None, gauss or 0.0], dtype=torch.float64
        ),
    }
    if torch.cuda.is_available():
        found["cuda"] = torch.cuda.get_rng_state()
    return found


def restore_random(tensors: Mapping[str, Tensor]) -> None:
    """Set every generator to what `random_tensors` returned."""
    version, has_gauss, gauss = tensors["python_more"].tolist()
    random.setstate((int(version), tuple(tensors["python"].tolist()), gauss if has_gauss else None))
    at, has_gauss, cached = tensors["numpy_more"].tolist()
    keys = tensors["numpy"].numpy().astype(np.uint32)
    np.random.set_state(("MT19937", keys, int(at), int(has_gauss), cached))
    torch.set_rng_state(tensors["torch"])
    if "cuda" in tensors and torch.cuda.is_available():
        torch.cuda.set_rng_state(tensors["cuda"])
