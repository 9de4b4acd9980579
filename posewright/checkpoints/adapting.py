"""Which numbers of joints and which input size make a family's network fit a checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from functools import partial

import torch

from posewright.checkpoints.base import COUNTER, Foreign, State, convert, renamed
from posewright.checkpoints.fitting import Options, built, fitting
from posewright.codecs import SimCC
from posewright.errors import ModelError, UsageError
from posewright.models import PoseModel
from posewright.skeletons import MOST_JOINTS, Skeleton, for_joints

__all__ = ["adapted", "skeleton_of"]

_OF_THE_VIEW = ("codec", "input_size", "skeleton")
_CHANGED, _FEW = 0.1, 8  # of a network's tensors, those that joints and the view may change
_GUESSES = 3  # numbers of joints that are tried for a network
# (width, height) of published networks, the most usual first
_SIZES = (
    *((192, 256), (288, 384), (256, 256), (256, 192), (384, 288), (384, 384), (96, 128)),
    *((128, 128), (224, 224), (160, 160), (320, 320), (512, 512), (640, 640), (64, 64)),
)


def skeleton_of(count: int) -> Skeleton:
    """Return the skeleton that networks with so many joints usually have, or numbered joints."""
    joints = tuple(f"joint_{i}" for i in range(count))
    return for_joints(count) or Skeleton(f"custom{count}", joints)


def adapted(
    state: State, table: Foreign, names: list[str], own: Options
) -> tuple[State, list[str], Options] | None:
    """Return what `fitting` does, and joints and input size with which it does so.

    None: neither makes a network fit.  Of several numbers of joints, one that published networks
    have is taken.
    """
    try:
        named = renamed({key: value.to("meta") for key, value in state.items()}, table)
    except ModelError:
        return None
    found: list[tuple[Options, list[str]]] = []
    for alike in _grouped(table, names, _network):
        for same in _grouped(table, alike, _head):
            with torch.device("meta"):
                model = built(table, same[0], {})
            if not isinstance(model, PoseModel) or not len(model.skeleton):
                break
            unlike = _unlike(named, model)
            if unlike is None:  # another width or depth, whatever the head
                break
            options = next(_fits(state, named, table, same[0], model, unlike, own), None)
            found += [(options, alike)] if options else []
    for options, alike in sorted(found, key=lambda each: not _usual(each[0])):
        try:
            return *fitting(state, table, alike, options), options
        except (ModelError, UsageError):
            continue
    return None


def _usual(options: Options) -> bool:
    return "skeleton" not in options or for_joints(len(options["skeleton"])) is not None


def _grouped(
    table: Foreign, names: list[str], key: Callable[[partial[object]], Hashable]
) -> list[list[str]]:
    """Return variants in groups of the same key, both in order."""
    groups: dict[Hashable, list[str]] = {}
    for name in names:
        build = table.variants[name]
        groups.setdefault(key(build) if isinstance(build, partial) else name, []).append(name)
    return list(groups.values())


def _network(build: partial[object]) -> Hashable:
    """Return what a variant's backbone follows from."""
    options = {key: value for key, value in build.keywords.items() if key not in _OF_THE_VIEW}
    return build.args, repr(sorted(options.items()))


def _head(build: partial[object]) -> Hashable:
    """Return what else its head follows from, but for joints and input size."""
    codec = build.keywords.get("codec")
    return (type(codec), codec.split) if isinstance(codec, SimCC) else repr(codec)


def _unlike(named: State, model: PoseModel) -> list[str] | None:
    """Return the tensors of another shape than a network's; None: it is another network."""
    ours = model.state_dict()
    if _names(named) != _names(ours):
        return None if _backbone(_names(named)) != _backbone(_names(ours)) else []
    unlike = [key for key, value in named.items() if value.shape != ours[key].shape]
    return None if len(unlike) > max(len(ours) * _CHANGED, _FEW) else unlike


def _backbone(names: set[str]) -> set[str]:
    return {name for name in names if name.startswith("backbone.")}


def _fits(
    state: State,
    named: State,
    table: Foreign,
    name: str,
    model: PoseModel,
    unlike: list[str],
    own: Options,
) -> Iterator[Options]:
    """Yield the options with which a variant has the tensors of `state`."""
    shapes = {key: value.to("meta") for key, value in state.items()}
    joints = [skeleton_of(count) for count in _counts(named, model, unlike)] if unlike else []
    sizes = list(_sizes(named, model)) if unlike else []
    guesses: list[Options] = [
        *({"skeleton": skeleton} for skeleton in joints),
        *({"input_size": size} for size in sizes),
        *({"skeleton": skeleton, "input_size": size} for skeleton in joints for size in sizes),
    ]
    for guess in guesses:
        try:
            with torch.device("meta"):
                other = built(table, name, {**guess, **own})
            convert(shapes, table, other)
        except (ModelError, UsageError):
            continue
        yield {**guess, **own}


def _names(state: State) -> set[str]:
    return {key for key in state if not key.endswith(COUNTER)}


def _counts(named: State, model: PoseModel, unlike: list[str]) -> list[int]:
    """Return the numbers of joints that explain a shape, those of most tensors first."""
    usual, ours = len(model.skeleton), model.state_dict()
    votes: dict[int, int] = {}
    for key in unlike:
        if named[key].ndim != ours[key].ndim:
            continue
        for each, theirs in zip(ours[key].shape, named[key].shape, strict=True):
            # K, or what has some channels for each joint, with or without one for the centre
            for more in (0, 1):
                count, rest = divmod(theirs * (usual + more), each) if each else (0, 1)
                whole = each % (usual + more) == 0 and not rest
                if each != theirs and whole and more < count <= MOST_JOINTS:
                    votes[count - more] = votes.get(count - more, 0) + 1
    return sorted(votes, key=lambda count: -votes[count])[:_GUESSES]


def _sizes(named: State, model: PoseModel) -> Iterator[tuple[int, int]]:
    """Yield input sizes: what the bins of both axes tell, or those of published networks."""
    codec, ours = model.codec, model.state_dict()
    if not isinstance(codec, SimCC):
        yield from (size for size in _SIZES if size != codec.input_size)
        return
    rows = [
        value.shape[0]
        for key, value in named.items()
        if key.endswith(("_x.weight", "_y.weight")) and ours[key].shape[0] in codec.bins
    ]
    if len(rows) == 2:
        yield round(rows[0] / codec.split), round(rows[1] / codec.split)
