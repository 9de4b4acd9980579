"""Converts a published checkpoint into a posewright file."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from posewright.checkpoints.apart import read_apart
from posewright.checkpoints.base import Foreign, convert, foreign
from posewright.checkpoints.fitting import Options, built
from posewright.checkpoints.ours import described, is_ours
from posewright.checkpoints.recognising import recognise
from posewright.errors import ModelError, UsageError, nearest
from posewright.files.address import without_secrets
from posewright.models import PoseModel, create
from posewright.models.dekr import RescoreNet
from posewright.models.saving import describe, save_model
from posewright.runtimes.expected_oks import ExpectedOKS
from posewright.runtimes.info import ModelInfo
from posewright.skeletons import Skeleton
from posewright.weights.published import Published

__all__ = ["Converted", "convert_as", "convert_file"]


@dataclass(frozen=True)
class Converted:
    """The network a checkpoint was converted as.

    alternatives: variants of the family that match its tensors equally well.  others: families
    that do, with a variant.  assumed: joints and input size, where they were read off the shapes.
    """

    network: str
    family: str
    variant: str
    alternatives: tuple[str, ...]
    others: dict[str, str]
    assumed: Options
    licence: str


def convert_file(
    source: Path,
    target: Path,
    family: str | None = None,
    variant: str | None = None,
    *,
    skeleton: Skeleton | None = None,
    input_size: tuple[int, int] | None = None,
) -> Converted:
    """Read `source` as a checkpoint of `family` and write it for posewright.

    family: without it, that whose names and shapes the tensors have.  variant: configuration of the
    original; without it the first that fits, which for networks of convolutions alone does not tell
    the input size.  skeleton, input_size: of a network that was trained with others than the
    variant's; without them, what the shapes tell.  A file of ours keeps its codec and origin.
    Errors: UsageError, ModelError with the keys that are unknown or missing.
    """
    tables = [foreign(family)] if family else []
    for table in tables:
        if not table.variants:
            raise _only_layers(table.name)
        if variant is not None and variant not in table.variants:
            raise UsageError(
                f"{family} has no variant {variant!r}{nearest(variant, table.variants)}; "
                f"known: {', '.join(table.variants)}"
            )
    state = read_apart(source, target)
    own: Options = {"skeleton": skeleton, "input_size": input_size}
    own = {key: value for key, value in own.items() if value is not None}
    try:
        match, *others = recognise(state, tables, variant, own)
    except ModelError as error:
        if is_ours(source):
            raise _as_it_is(source) from error
        raise ModelError(f"{source}: {error}") from error
    table, names = match.family, match.variants
    model = built(table, names[0], match.options)
    if isinstance(model, RescoreNet) and is_ours(source):
        raise _as_it_is(source)
    if isinstance(model, RescoreNet):
        arrays = {key: value.float().numpy() for key, value in match.state.items()}
        told = {"licence": table.licence, "origin": f"{table.origin} ({names[0]})"}
        ExpectedOKS.of(arrays, model.skeleton, **told).save(target, overwrite=True)
    elif isinstance(model, PoseModel):
        model.load_state_dict(convert(match.state, table, model))
        save_model(model, target, _info(model, table, names[0], source))
    else:
        raise _only_layers(table.name)
    return Converted(
        getattr(model, "name", table.name),
        table.name,
        names[0],
        tuple(names[1:]),
        {other.family.name: other.variants[0] for other in others},
        {key: value for key, value in match.options.items() if key not in own},
        table.licence,
    )


def _as_it_is(source: Path) -> UsageError:
    return UsageError(
        f"{source} is a file of posewright already; use it as it is: a network with -m, a "
        "re-scoring network with --rescore, and the state of a training by train --resume"
    )


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
    if told is None:
        return info
    if type(told.codec) is not type(info.codec):
        known = {k: getattr(told, k) for k in ("licence", "origin", "training_data")}
        return replace(info, **known)
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
