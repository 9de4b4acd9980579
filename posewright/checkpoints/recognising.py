"""Whose checkpoint a file is, by the names and shapes of its tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass

from posewright.checkpoints.adapting import adapted
from posewright.checkpoints.base import Foreign, State, foreigns
from posewright.checkpoints.fitting import Options, fitting
from posewright.errors import ModelError, UsageError

__all__ = ["Match", "readings", "recognise"]

# what trainers call the network that they hold
_WRAPS = frozenset(
    "average_model averaged ema ema_model ema_net model model_ema module net network pose "
    "pose_model pose_net student teacher".split()
)
_AVERAGE = "ema_"  # how mmcv's names of averages begin, of which each has its tensor beside it
_PARTS = 4  # of names, that trainers put before a network's own
_FEWEST = 4  # tensors of a network
_SHOWN = 3  # families that are named where none fits
# families that have other families' names of tensors, for networks of other preprocessing
_BORROWED = ("alphapose", "hrnet_lite", "mmpose_litehrnet", "simple_pose")


@dataclass(frozen=True)
class Match:
    """A family whose network has the tensors of a file.

    state: the network's tensors, under the family's names.  variants: those that fit, the most
    usual one first.  options: joints and input size, where they are not the variants'.
    """

    family: Foreign
    state: State
    variants: list[str]
    options: Options


def recognise(
    state: State, tables: Sequence[Foreign], variant: str | None, own: Options
) -> list[Match]:
    """Return the families that fit, in the order of preference.

    tables: those to try; () tries all whose marks the names have.  own: joints and input size, if
    they are stated.  ModelError: none fits; names the nearest, with what is missing.
    """
    known = tables or [table for table in foreigns().values() if table.variants]
    if variant is not None:
        known = [table for table in known if variant in table.variants]
        if not known:
            raise UsageError(f"no family has a variant {variant!r}; name the family with --as")
    failed: dict[str, ModelError | UsageError] = {}
    for number, reading in enumerate(readings(state)):
        marked = [table for table in known if not table.lacking(reading)]
        found = []
        for table in tables if tables and not number else marked:
            try:
                fits = fitting(reading, table, _names(table, variant), own)
                found.append(Match(table, *fits, own))
            except (ModelError, UsageError) as error:
                if tables and isinstance(error, UsageError):
                    raise
                failed.setdefault(table.name, error)  # it may have no such joints or size
        if not found:  # as they are; with other joints or another input size
            for table in marked:
                with nullcontext() if tables else suppress(UsageError):
                    changed = adapted(reading, table, _names(table, variant), own)
                    found += [] if changed is None else [Match(table, *changed)]
        if found:
            return sorted(found, key=lambda match: match.family.name in _BORROWED)
    if tables:
        raise failed[tables[0].name]
    raise _unknown(state, failed)


def _names(table: Foreign, variant: str | None) -> list[str]:
    return [variant] if variant else list(table.variants)


def readings(state: State) -> Iterator[State]:
    """Yield the tensors as they are, then those under each name that trainers give to a network.

    Names may have several such parts, and others (a loss, a second network) may lie beside them.
    """
    kept = {k: v for k, v in state.items() if not (k.startswith(_AVERAGE) and "." not in k)}
    yield kept if len(kept) < len(state) and kept else state
    todo = [(kept, _PARTS)]
    while todo:
        whole, depth = todo.pop(0)
        groups: dict[str, State] = {}
        for key, value in whole.items():
            head, _, rest = key.partition(".")
            if rest:
                groups.setdefault(head, {})[rest] = value
        alone = len(groups) == 1 and sum(map(len, groups.values())) == len(whole)
        inner = [
            part
            for head, part in sorted(groups.items(), key=lambda item: -len(item[1]))
            if len(part) >= _FEWEST and (alone or head in _WRAPS)
        ]
        yield from inner
        todo += [(part, depth - 1) for part in inner if depth > 1]


def _unknown(state: State, failed: dict[str, ModelError | UsageError]) -> ModelError:
    """Return the error that names the nearest families, and what each lacks."""
    backbones = [table for table in foreigns().values() if not table.variants]
    for table in backbones:
        if not table.lacking(state):
            return ModelError(
                f"has the names of {table.name}: a classifier trained on ImageNet, whose backbone "
                "lacks the head of a pose network; convert the checkpoint of a pose network"
            )
    if failed:
        nearest = sorted(map(str, failed.values()), key=len)[:_SHOWN]
        return ModelError(f"no family of checkpoints fits: {'; '.join(nearest)}")
    lacking = []
    for table in foreigns().values():
        wanted = [mark for mark in table.marks if not mark.startswith("!")]
        least = min((table.lacking(reading) for reading in readings(state)), key=len)
        least = [mark for mark in least if mark in wanted]
        if 0 < len(least) < len(wanted):
            lacks = " and ".join(mark.replace("|", " or ") for mark in least)
            lacking.append((len(least) / len(wanted), f"{table.name} lacks {lacks}"))
    nearest = [text for _, text in sorted(lacking)[:_SHOWN]]
    told = f"the nearest: {'; '.join(nearest)}; " if nearest else ""
    known = ", ".join(table.name for table in foreigns().values() if table.variants)
    return ModelError(
        f"no family of checkpoints has names such as {', '.join(list(state)[:_SHOWN])}; {told}"
        f"the families are {known}"
    )
