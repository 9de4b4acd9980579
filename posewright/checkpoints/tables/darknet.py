"""YOLOv3 as Darknet stores it: numbers in the order of the layers, without names.

Ports give layers the number of their section in the configuration file; their names are read, too.
"""

from __future__ import annotations

import re
from functools import cache, partial

import torch
from torch import Tensor, nn

from posewright.checkpoints.base import Foreign, State
from posewright.checkpoints.darknet import NUMBERS
from posewright.errors import ModelError
from posewright.models import create
from posewright.models.darknet import Conv

_PORT = re.compile(r"module_list\.(\d+)\.(conv|batch_norm)_\d+\.(.*)")
_NAMES = ("yolov3", "yolov3_spp")


@cache
def _layers(network: str) -> list[tuple[str, nn.Module]]:
    """Return names and modules of a network's convolutions, with norm or alone, in order."""
    with torch.device("meta"):
        every = dict(create(network).named_modules())
    return [
        (name, module)
        for name, module in every.items()
        if isinstance(module, Conv)
        or (isinstance(module, nn.Conv2d) and not isinstance(every[name.rpartition(".")[0]], Conv))
    ]


def numbered(state: State, network: str) -> State:
    """Return tensors with the names of ports under the names of `network`, others as they are."""
    found = {key: _PORT.fullmatch(key) for key in state}
    places = sorted({int(match[1]) for match in found.values() if match})
    ours = dict(zip(places, _layers(network), strict=False))
    made = {}
    for key, value in state.items():
        match = found[key]
        if match is None or int(match[1]) not in ours:
            made[key] = value
            continue
        name, module = ours[int(match[1])]
        part = {"conv": "conv.", "batch_norm": "bn."}[match[2]] if isinstance(module, Conv) else ""
        made[f"{name}.{part}{match[3]}"] = value
    return made


def _prepared(state: State) -> State:
    if NUMBERS in state:
        return _split(state[NUMBERS])
    convolutions = sum(value.ndim == 4 for value in state.values())
    known = {len(_layers(name)): name for name in _NAMES}
    return numbered(state, known[convolutions]) if convolutions in known else state


def _split(numbers: Tensor) -> State:
    """Return the numbers of a .weights file under our names; ModelError: another network's."""
    known = {sum(t.numel() for _, t in _tensors(name)): name for name in _NAMES}
    if len(numbers) not in known:
        counts = ", ".join(f"{name} has {count:,}" for count, name in known.items())
        raise ModelError(
            f"this .weights file has {len(numbers):,} numbers, where {counts}; it is of another "
            "network, or of its first layers alone"
        )
    names = _tensors(known[len(numbers)])
    parts = numbers.split([tensor.numel() for _, tensor in names])
    return {
        name: part.view(tensor.shape) for (name, tensor), part in zip(names, parts, strict=True)
    }


def _tensors(network: str) -> list[tuple[str, Tensor]]:
    """Return names and shapes in the order of a .weights file.

    Of each layer its norm, shift before scale, or its bias; then its kernel.
    """
    order = ("bn.bias", "bn.weight", "bn.running_mean", "bn.running_var", "conv.weight")
    found = []
    for name, module in _layers(network):
        own = module.state_dict()
        keys = order if isinstance(module, Conv) else ("bias", "weight")
        found += [(f"{name}.{key}", own[key]) for key in keys]
    return found


DARKNET = Foreign(
    "darknet",
    origin="https://github.com/AlexeyAB/darknet",
    licence="not stated; the code is in the public domain",
    marks=("module_list.|darknet", "!classifier."),
    rules=(),
    variants={name: partial(create, name) for name in _NAMES},
    prepare=_prepared,
)
