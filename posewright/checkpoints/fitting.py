"""Which variants of a family a checkpoint's tensors fit."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import nn

from posewright.checkpoints.base import COUNTER, Foreign, Named, State, misfit, pairs
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
        try:
            named = pairs({key: value.to("meta") for key, value in each.items()}, table)
        except ModelError as error:
            errors.append(error)
            continue
        near = _near(named, names, networks, errors)
        fits = []
        for name in near:
            miss = misfit(named, networks.state(name), table)
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
        self.table = table
        self.own = own
        self._made: dict[Hashable, nn.Module] = {}

    def of(self, name: str) -> nn.Module:
        """Return the network of a variant, or one of the same tensors."""
        key = self.kind(name)
        if key not in self._made:
            self._made[key] = self.made(name, self.own)
        return self._made[key]

    def made(self, name: str, own: Options) -> nn.Module:
        """Return a network of a variant with options of one's own."""
        with torch.device("meta"):
            return built(self.table, name, own)

    def state(self, name: str) -> State:
        """Return the tensors of the network of a variant."""
        return self.of(name).state_dict()

    def kind(self, name: str, *besides: str) -> Hashable:
        """Return what the shapes of a variant follow from: network and options, but `besides`."""
        build = self.table.variants[name]
        if not isinstance(build, partial) or build.func is not create:
            return build
        options = {key: value for key, value in build.keywords.items() if key not in besides}
        codec = options.get("codec")
        if isinstance(codec, SimCC):  # its targets and scores leave no trace in the tensors
            options["codec"] = (codec.input_size, codec.bins)
        return build.args, repr(sorted(options.items()))

    def names_of(self, name: str) -> Hashable:
        """Return what the names of a variant's tensors follow from, within one network."""
        build = self.table.variants[name]
        codec = build.keywords.get("codec") if isinstance(build, partial) else None
        skeleton = build.keywords.get("skeleton") if isinstance(build, partial) else None
        return codec if isinstance(codec, str) else type(codec), skeleton

    def bins(self, name: str) -> set[int]:
        """Return the numbers of bins of a variant whose codec is stated; empty for others."""
        build = self.table.variants[name]
        codec = build.keywords.get("codec") if isinstance(build, partial) else None
        return set(codec.bins) if isinstance(codec, SimCC) and not self.own else set()


def _near(
    named: Named, names: list[str], networks: _Networks, errors: list[ModelError]
) -> list[str]:
    """Return the variants that the tensors may fit; few networks are made for it.

    Those of one network that differ in the view have one backbone, so that one of them is asked for
    all; `errors` gets what it is found to miss.  Those whose tensors have the same names are asked
    for by one of them, too: where names differ, it stands for all.
    """
    state = {new: value for _, new, value in named}
    near: list[str] = []
    for alike in _grouped(names, lambda name: networks.kind(name, *_OF_THE_VIEW)):
        ours = networks.state(alike[0])
        if not _same_backbone(state, ours):
            miss = misfit(named, ours, networks.table)
            errors += [miss] if miss else []
            continue
        for same in _grouped(alike, networks.names_of):
            ours = networks.state(same[0])
            kept = []
            if _names(state) == _names(ours):
                rows = _rows(state, ours, networks.bins(same[0]))
                kept = [name for name in same if networks.bins(name) <= rows]
            near += kept or same[:1]
    return [name for name in names if name in near]


def _grouped(names: list[str], key: Callable[[str], Hashable]) -> Iterable[list[str]]:
    """Return the names in groups of the same key, both in order."""
    groups: dict[Hashable, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return groups.values()


def _names(state: State) -> set[str]:
    return {key for key in state if not key.endswith(COUNTER)}


def _rows(state: State, ours: State, bins: set[int]) -> set[int]:
    """Return how many rows a file's tensors have where those of a network have one for each bin."""
    return {
        value.shape[0]
        for key, value in state.items()
        if value.ndim and key in ours and ours[key].ndim and ours[key].shape[0] in bins
    }


def _same_backbone(named: State, ours: State) -> bool:
    """Tell whether two states have backbones of the same names, and nearly all convolutions alike.

    Positions and biases may follow from the size of the view, and a few convolutions from the
    joints (PoseFix takes them as channels); another width or depth changes most.
    """
    first, second = (
        {
            key: value.shape if value.ndim == 4 else None
            for key, value in state.items()
            if key.startswith("backbone.") and not key.endswith(COUNTER)
        }
        for state in (named, ours)
    )
    unlike = sum(first[key] != shape for key, shape in second.items() if key in first)
    return first.keys() == second.keys() and unlike <= len(second) // 20


def _unprefixed(state: State) -> Iterator[State]:
    """Yield the tensors under their names, then without the first part that all have in common."""
    yield state
    for _ in range(_PREFIXES):
        heads = {key.partition(".")[::2] for key in state}
        if len({head for head, _ in heads}) != 1 or not all(rest for _, rest in heads):
            return
        state = {key.partition(".")[2]: value for key, value in state.items()}
        yield state
