"""Published checkpoint in, file of ours out."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from posewright.checkpoints.base import Foreign, State, convert, foreign, renamed
from posewright.checkpoints.files import described, read_checkpoint
from posewright.errors import ModelError, UsageError, nearest
from posewright.files.address import without_secrets
from posewright.models import PoseModel, create
from posewright.models.saving import describe, save_model
from posewright.runtimes.info import ModelInfo
from posewright.skeletons import Skeleton
from posewright.weights.published import Published

__all__ = ["Converted", "convert_as", "convert_file"]

Options = dict[str, Any]
_PREFIXES = 3  # parts of names that may be left out
_MOST_JOINTS = 1000


@dataclass(frozen=True)
class Converted:
    """What a checkpoint was taken for; `alternatives` fit its tensors just as well."""

    network: str
    variant: str
    alternatives: tuple[str, ...]
    licence: str


def convert_file(
    source: Path,
    target: Path,
    family: str,
    variant: str | None = None,
    *,
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
) -> Converted:
    """Read `source` as a checkpoint of `family` and write it for posewright.

    variant: configuration of the original; without it the first that fits, which for networks of
    convolutions alone does not tell the input size.  skeleton, input_size: of a network that was
    trained with others than the variant's.  An .onnx of ours keeps its codec and origin.  Errors:
    UsageError, ModelError with the keys that are unknown or missing.
    """
    table, state = foreign(family), read_checkpoint(source)
    if variant is not None and variant not in table.variants:
        raise UsageError(
            f"{family} has no variant {variant!r}{nearest(variant, table.variants)}; "
            f"known: {', '.join(table.variants)}"
        )
    own: Options = {"skeleton": skeleton, "input_size": input_size}
    own = {key: value for key, value in own.items() if value is not None}
    state, names = _fitting(state, table, [variant] if variant else list(table.variants), own)
    model = _built(table, names[0], own)
    if not isinstance(model, PoseModel):
        raise UsageError(f"{family} holds layers, not a network that posewright could run")
    model.load_state_dict(convert(state, table, model))
    save_model(model, target, _info(model, table, names[0], source))
    return Converted(model.name, names[0], tuple(names[1:]), table.licence)


def _info(model: PoseModel, table: Foreign, variant: str, source: Path) -> ModelInfo:
    """Return the description of what was converted: the source's own, where it has one."""
    info = describe(
        model, licence=table.licence, origin=f"{table.origin} ({variant})",
        training_data=model.skeleton.name if len(model.skeleton) else "not stated",
    )  # fmt: skip
    told = described(source)
    if told is None or type(told.codec) is not type(info.codec):
        return info
    return replace(told, name=info.name, input=info.input)


def convert_as(entry: Published, target: Path) -> None:
    """Write the downloaded file of a registry entry for posewright."""
    table, state = foreign(entry.family), read_checkpoint(entry.path)
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.options.items()}
    model = create(entry.network, **options)
    model.load_state_dict(convert(state, table, model))
    info = describe(
        model, licence=entry.licence, origin=without_secrets(entry.url), training_data=entry.data,
    )  # fmt: skip
    save_model(model, target, info)


def _fitting(
    state: State, table: Foreign, names: list[str], own: Options
) -> tuple[State, list[str]]:
    """Return the tensors, and the variants that they fit, the most usual one first.

    Where all names begin with the same part, as Lightning's "model.", it may be left out.
    """
    errors: list[ModelError] = []
    empty = {name: _without_values(table, name, own) for name in names}
    for each in _unprefixed(state):
        fits: list[str] = []
        for name in names:
            try:
                _try(each, table, empty[name])
                fits.append(name)
            except ModelError as error:
                errors.append(error)
        if fits:
            # of those that tensors cannot tell apart, the size and the codec that papers use most
            return each, sorted(fits, key=lambda name: ("256x192" not in name, len(name)))
        if not own:
            _refuse_other_joints(each, table, empty)
    nearest_miss = min(map(str, errors), key=len)
    size = "; for another input size say --input-size WxH" if "shapes" in nearest_miss else ""
    raise ModelError(f"no network of {table.name} fits; the nearest: {nearest_miss}{size}")


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
        return _built(table, name, own)


def _try(state: State, table: Foreign, model: nn.Module) -> None:
    """Raise a ModelError where the tensors' names and shapes do not fit a network."""
    convert({k: v.to("meta") for k, v in state.items()}, table, model)


def _built(table: Foreign, name: str, own: Options) -> nn.Module:
    """Return the network of a variant, with the joints and the input size of one's own."""
    model = table.variants[name]()
    if not own:
        return model
    if not isinstance(model, PoseModel) or not model.name:
        raise UsageError(f"{table.name} holds layers, which have neither joints nor an input size")
    return create(model.name, **{**model.options, **own})


def _refuse_other_joints(state: State, table: Foreign, empty: dict[str, nn.Module]) -> None:
    """Raise a ModelError where the tensors fit a variant but for the number of joints."""
    for name, model in empty.items():
        if not isinstance(model, PoseModel) or not len(model.skeleton):
            continue
        for count in _joint_counts(state, table, model):
            joints = Skeleton(f"custom{count}", tuple(f"joint_{i}" for i in range(count)))
            try:
                _try(state, table, _without_values(table, name, {"skeleton": joints}))
            except (ModelError, UsageError):
                continue
            raise ModelError(
                f"a network of {count} joints, where {name} has {len(model.skeleton)}; say which "
                "they are: --skeleton NAME, or the labels that it was trained on, or the joints' "
                "names in order with commas between (skeleton=...)"
            )


def _joint_counts(state: State, table: Foreign, model: PoseModel) -> list[int]:
    """Return the numbers of joints that explain the first shape that differs from the network's."""
    usual, ours = len(model.skeleton), model.state_dict()
    try:
        named = renamed(state, table)
    except ModelError:
        return []
    for key, value in named.items():
        if key in ours and value.ndim == ours[key].ndim and value.shape != ours[key].shape:
            pairs = zip(ours[key].shape, value.shape, strict=True)
            each, found = next(pair for pair in pairs if pair[0] != pair[1])
            count, rest = divmod(found * usual, each)
            return [count] if each % usual == 0 and not rest and 0 < count <= _MOST_JOINTS else []
    return []
