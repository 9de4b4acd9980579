"""Published checkpoint in, file of ours out."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from posewright.checkpoints.base import Foreign, State, convert, foreign
from posewright.checkpoints.files import read_checkpoint
from posewright.errors import ModelError, UsageError, nearest
from posewright.models import PoseModel, create
from posewright.models.saving import describe, save_model
from posewright.weights.published import Published

__all__ = ["Converted", "convert_as", "convert_file"]


@dataclass(frozen=True)
class Converted:
    """What a checkpoint was taken for; `alternatives` fit its tensors just as well."""

    network: str
    variant: str
    alternatives: tuple[str, ...]
    licence: str


def convert_file(source: Path, target: Path, family: str, variant: str | None = None) -> Converted:
    """Read `source` as a checkpoint of `family` and write it for posewright.

    variant: configuration of the original; without it the first that fits, which for networks of
    convolutions alone does not tell the input size.  Errors: UsageError, ModelError with the keys
    that are unknown or missing.
    """
    table, state = foreign(family), read_checkpoint(source)
    if variant is not None and variant not in table.variants:
        raise UsageError(
            f"{family} has no variant {variant!r}{nearest(variant, table.variants)}; "
            f"known: {', '.join(table.variants)}"
        )
    names = [variant] if variant else _fitting(state, table)
    model = table.variants[names[0]]()
    if not isinstance(model, PoseModel):
        raise UsageError(f"{family} holds layers, not a network that posewright could run")
    model.load_state_dict(convert(state, table, model))
    info = describe(
        model, licence=table.licence, origin=f"{table.origin} ({names[0]})",
        training_data=model.skeleton.name if len(model.skeleton) else "not stated",
    )  # fmt: skip
    save_model(model, target, info)
    return Converted(model.name, names[0], tuple(names[1:]), table.licence)


def convert_as(entry: Published, target: Path) -> None:
    """Write the downloaded file of a registry entry for posewright."""
    table, state = foreign(entry.family), read_checkpoint(entry.path)
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.options.items()}
    model = create(entry.network, **options)
    model.load_state_dict(convert(state, table, model))
    info = describe(
        model, licence=entry.licence, origin=entry.url, training_data=entry.data,
    )  # fmt: skip
    save_model(model, target, info)


def _fitting(state: State, table: Foreign) -> list[str]:
    """Return the variants that the tensors fit, the most usual one first."""
    fits, nearest_miss = [], ""
    for name, build in table.variants.items():
        try:
            with torch.device("meta"):
                model = build()
            convert({k: v.to("meta") for k, v in state.items()}, table, model)
            fits.append(name)
        except ModelError as error:
            if not nearest_miss or len(str(error)) < len(nearest_miss):
                nearest_miss = str(error)
    if not fits:
        raise ModelError(f"no network of {table.name} fits; the nearest: {nearest_miss}")
    # of those that tensors cannot tell apart, the size and the codec that papers use most
    return sorted(fits, key=lambda name: ("256x192" not in name, len(name)))
