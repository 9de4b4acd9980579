"""Converts a published checkpoint into a posewright file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from posewright.checkpoints.apart import read_apart
from posewright.checkpoints.base import Foreign, convert, foreign
from posewright.checkpoints.files import described
from posewright.checkpoints.fitting import Options, built, fitting
from posewright.errors import UsageError, nearest
from posewright.files.address import without_secrets
from posewright.models import PoseModel, create
from posewright.models.saving import describe, save_model
from posewright.runtimes.info import ModelInfo
from posewright.skeletons import Skeleton
from posewright.weights.published import Published

__all__ = ["Converted", "convert_as", "convert_file"]


@dataclass(frozen=True)
class Converted:
    """The network a checkpoint was converted as; `alternatives` match its tensors equally well."""

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
    table = foreign(family)
    if not table.variants:
        raise _only_layers(family)
    if variant is not None and variant not in table.variants:
        raise UsageError(
            f"{family} has no variant {variant!r}{nearest(variant, table.variants)}; "
            f"known: {', '.join(table.variants)}"
        )
    state = read_apart(source, target)
    own: Options = {"skeleton": skeleton, "input_size": input_size}
    own = {key: value for key, value in own.items() if value is not None}
    state, names = fitting(state, table, [variant] if variant else list(table.variants), own)
    model = built(table, names[0], own)
    if not isinstance(model, PoseModel):
        raise _only_layers(family)
    model.load_state_dict(convert(state, table, model))
    save_model(model, target, _info(model, table, names[0], source))
    return Converted(model.name, names[0], tuple(names[1:]), table.licence)


def _only_layers(family: str) -> UsageError:
    start = "; a training can start from it: posewright train DATA -m MODEL backbone=FILE"
    hint = start if family.startswith("imagenet_") else ""
    return UsageError(f"{family} holds layers, not a network that posewright could run{hint}")


def _info(model: PoseModel, table: Foreign, variant: str, source: Path) -> ModelInfo:
    """Return the description of what was converted: the source's own, where it has one."""
    info = describe(
        model,
        licence=table.licence,
        origin=f"{table.origin} ({variant})",
        training_data=model.skeleton.name if len(model.skeleton) else "not stated",
    )
    told = described(source)
    if told is None or type(told.codec) is not type(info.codec):
        return info
    return replace(told, name=info.name, input=info.input)


def convert_as(entry: Published, target: Path) -> None:
    """Write the downloaded file of a registry entry for posewright."""
    table, state = foreign(entry.family), read_apart(entry.path, target)
    options = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.options.items()}
    model = create(entry.network, **options)
    model.load_state_dict(convert(state, table, model))
    info = describe(
        model,
        licence=entry.licence,
        origin=without_secrets(entry.url),
        training_data=entry.data,
    )
    save_model(model, target, info)
