"""Key tables: how the tensors of a published state dict become those of our network."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

from torch import Tensor, nn

from posewright.errors import ModelError, UsageError, nearest
from posewright.files.modules import modules_in

__all__ = [
    "COUNTER",
    "Foreign",
    "Named",
    "Rule",
    "State",
    "convert",
    "foreign",
    "foreigns",
    "misfit",
    "pairs",
    "rename",
    "renamed",
]

COUNTER = "num_batches_tracked"  # how a tensor's name ends that old files lack
State = dict[str, Tensor]
Named = list[tuple[str, str, Tensor]]
Rule = tuple[str, str | None]


@dataclass(frozen=True)
class Foreign:
    """A family of published state dicts.

    rules: (pattern, replacement) in order; the first pattern that matches the whole key decides,
    None drops the key on purpose.  prepare: reshapes, splits or merges tensors, still under their
    own names, before the rules.  variants: configurations of the original by name -> what builds
    our network for them.  licence: of the published weights.  marks: beginnings of names that tell
    the family from others, of each entry ("|" separates the choices, "*" is any text) one at least,
    or none of an entry that begins with "!"; without marks every file is tried.
    """

    name: str
    origin: str
    licence: str
    rules: Sequence[Rule]
    variants: Mapping[str, Callable[[], nn.Module]] = field(default_factory=dict)
    prepare: Callable[[State], State] | None = None
    marks: Sequence[str] = ()

    def lacking(self, state: State) -> list[str]:
        """Return the marks that the names of `state` do not meet."""
        names = "\n".join(state)
        found = {mark: bool(_pattern(mark.lstrip("!")).search(names)) for mark in self.marks}
        return [mark for mark, there in found.items() if there == mark.startswith("!")]


@cache
def _pattern(mark: str) -> re.Pattern[str]:
    choices = "|".join(re.escape(choice).replace(r"\*", ".*") for choice in mark.split("|"))
    return re.compile(f"^(?:{choices})", re.MULTILINE)


@cache
def foreigns() -> dict[str, Foreign]:
    """Return every family by name: all `Foreign` objects in the files of checkpoints/tables."""
    found: dict[str, Foreign] = {}
    for module in modules_in(f"{__package__}.tables"):
        for value in vars(module).values():
            if isinstance(value, Foreign):
                if found.setdefault(value.name, value) is not value:
                    raise ValueError(f"two families are called {value.name!r}")
    return dict(sorted(found.items()))


def foreign(name: str) -> Foreign:
    """Return a family by name; a UsageError suggests the nearest."""
    known = foreigns()
    if name not in known:
        raise UsageError(f"no family {name!r}{nearest(name, known)}; known: {', '.join(known)}")
    return known[name]


def convert(state: State, family: Foreign, model: nn.Module) -> State:
    """Return `state` under the names of `model`, which it then fits exactly.

    ModelError: a key that no rule knows, a tensor of ours that none fills or that has another
    shape; all of them are named.  Counters of batch norm may be absent, as in old files.
    """
    named, ours = pairs(state, family), model.state_dict()
    if miss := misfit(named, ours, family):
        raise miss
    made = {new: value for _, new, value in named}
    return {k: made.get(k, v) for k, v in ours.items()}


def pairs(state: State, family: Foreign) -> Named:
    """Return (foreign name, our name, tensor) of each of `state` but those that are dropped.

    ModelError where the family's tensors cannot be prepared.
    """
    state = family.prepare(dict(state)) if family.prepare else state
    named = ((key, rename(key, family.rules), value) for key, value in state.items())
    return [(key, new, value) for key, new, value in named if new is not None]


def renamed(state: State, family: Foreign) -> State:
    """Return `state` under our names, whether or not a network has them; dropped keys left out."""
    return {new: value for _, new, value in pairs(state, family)}


def misfit(named: Named, ours: State, family: Foreign) -> ModelError | None:
    """Return the error that says how names and shapes differ from a network's; None: they fit."""
    made: State = {}
    unknown = []
    for key, new, value in named:
        if new not in ours or new in made:
            unknown.append(key)
        else:
            made[new] = value
    missing = [k for k in ours if k not in made and not k.endswith(COUNTER)]
    shapes = [
        f"{k} {tuple(v.shape)} for {tuple(ours[k].shape)}"
        for k, v in made.items()
        if v.shape != ours[k].shape
    ]
    parts = [
        f"{what}: {', '.join(keys[:8])}{f' and {len(keys) - 8} more' if len(keys) > 8 else ''}"
        for what, keys in (
            ("unknown keys", unknown),
            ("missing keys", missing),
            ("different shapes", shapes),
        )
        if keys
    ]
    if not parts:
        return None
    return ModelError(f"this is not a {family.name} checkpoint of this network; {'; '.join(parts)}")


def rename(key: str, rules: Sequence[Rule]) -> str | None:
    """Return our name of one tensor; None where it is dropped on purpose."""
    for pattern, replacement in rules:
        match = re.fullmatch(pattern, key)
        if match:
            return None if replacement is None else match.expand(replacement)
    return key
