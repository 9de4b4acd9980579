"""Which variants of a family a checkpoint's tensors fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from posewright.checkpoints.base import Foreign, State, convert, renamed
from posewright.codecs import SimCC
from posewright.errors import ModelError, UsageError
from posewright.models import PoseModel, create

__all__ = ["Options", "built", "fitting"]

Options = dict[str, Any]
_PREFIXES = 3  # parts of names that may be left out
_OF_THE_VIEW = ("codec", "input_size", "skeleton")  # options that leave convolutions as they are


def fitting(
    state: State, table: Foreign, names: list[str], own: Options
) -> tuple[State, list[str]]:
    """Return the tensors, and the variants that they fit, the most usual one first.

    Where all names begin with the same part, as Lightning's "model.", it may be left out.
    """
    errors: list[ModelError] = []
    networks = _Networks(table, own)
    for each in _unprefixed(state):
        shapes = {key: value.to("meta") for key, value in each.items()}
        near = _near(shapes, table, names, networks, errors)
        fits = []
        for name in near:
            miss = _misfit(shapes, table, networks.of(name))
            errors += [miss] if miss else []
            fits += [] if miss else [name]
        if fits:
            # of those that tensors cannot tell apart, the size and the codec that papers use most
            return each, sorted(fits, key=lambda name: ("256x192" not in name, len(name)))
    nearest_miss = min(map(str, errors), key=len)
    size = "; for another input size give --input-size WxH" if "shapes" in nearest_miss else ""
    raise ModelError(f"no network of {table.name} matches; the nearest: {nearest_miss}{size}")


def built(table: Foreign, name: str, own: Options) -> nn.Module:
    """Return the network of a variant, with the joints and the input size of one's own."""
    model = table.variants[name]()
    if not own:
        return model
    if not isinstance(model, PoseModel) or not model.name:
        raise UsageError(f"{table.name} holds layers, which have neither joints nor an input size")
    options = {**model.options, **own}
    if "input_size" in own and isinstance(options.get("codec"), SimCC):
        options["codec"] = replace(options["codec"], input_size=own["input_size"])
    return create(model.name, **options)


class _Networks:
    """The networks of variants without values, each made once it is asked for.

    A family may have hundreds of variants, of which many have the same tensors: a network takes up
    to 0.3 s to make.
    """

    def __init__(self, table: Foreign, own: Options) -> None:
        self._table = table
        self._own = own
        self._made: dict[Hashable, nn.Module] = {}

    def of(self, name: str) -> nn.Module:
        """Return the network of a variant, or one of the same tensors."""
        key = _tensors_of(self._table.variants[name])
        if key not in self._made:
            self._made[key] = _without_values(self._table, name, self._own)
        return self._made[key]


def _tensors_of(build: Callable[[], nn.Module], *besides: str) -> Hashable:
    """Return what the shapes of a variant follow from: its network and options, but `besides`."""
    if not isinstance(build, partial) or build.func is not create:
        return build
    options = {key: value for key, value in build.keywords.items() if key not in besides}
    codec = options.get("codec")
    if isinstance(codec, SimCC):  # its targets and scores leave no trace in the tensors
        options["codec"] = (codec.input_size, codec.bins)
    return build.args, repr(sorted(options.items()))


def _near(
    state: State, table: Foreign, names: list[str], networks: _Networks, errors: list[ModelError]
) -> list[str]:
    """Return the variants whose backbone has the convolutions of `state`.

    Those of one network that differ in the view have one backbone, so that one of them is asked for
    all; `errors` gets what it is found to miss.
    """
    try:
        named = renamed(state, table)
    except ModelError as error:
        errors.append(error)
        return []
    same: dict[Hashable, bool] = {}
    for name in names:
        key = _tensors_of(table.variants[name], *_OF_THE_VIEW)
        if key not in same:
            model = networks.of(name)
            same[key] = _same_backbone(named, model.state_dict())
            miss = None if same[key] else _misfit(state, table, model)
            errors += [miss] if miss else []
    return [name for name in names if same[_tensors_of(table.variants[name], *_OF_THE_VIEW)]]


def _same_backbone(named: State, ours: State) -> bool:
    """Tell whether two states have backbones of the same names, and nearly all convolutions alike.

    Positions and biases may follow from the size of the view, and a few convolutions from the
    joints (PoseFix takes them as channels); another width or depth changes most.
    """
    first, second = (
        {
            key: value.shape if value.ndim == 4 else None
            for key, value in state.items()
            if key.startswith("backbone.") and not key.endswith("num_batches_tracked")
        }
        for state in (named, ours)
    )
    unlike = sum(first[key] != shape for key, shape in second.items() if key in first)
    return first.keys() == second.keys() and unlike <= len(second) // 20


def _misfit(state: State, table: Foreign, model: nn.Module) -> ModelError | None:
    """Return the error that says how names and shapes differ from a network's; None: they fit."""
    try:
        convert(state, table, model)
    except ModelError as error:
        return error
    return None


def _unprefixed(state: State) -> Iterator[State]:
    """Yield the tensors under their names, then without the first part that all have in common."""
    yield state
    for _ in range(_PREFIXES):
        heads = {key.partition(".")[::2] for key in state}
        if len({head for head, _ in heads}) != 1 or not all(rest for _, rest in heads):
            return
        state = {key.partition(".")[2]: value for key, value in state.items()}
        yield state


def _without_values(table: Foreign, name: str, own: Options) -> nn.Module:
    with torch.device("meta"):
        return built(table, name, own)
