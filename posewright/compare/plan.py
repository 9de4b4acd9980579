"""The file of `posewright study`: variants of a network, trained and evaluated by one recipe."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from posewright.errors import SourceError, UsageError, nearest
from posewright.recipes import toml
from posewright.recipes.lookup import recipe_for
from posewright.recipes.recipe import Recipe

__all__ = ["Plan", "Variant", "read_plan"]

# Keys of [data], and the settings of a recipe that they are; "" for what is of the study alone.
_DATA = {
    "train": "data",
    "val": "val",
    "kind": "kind",
    "class_name": "class_name",
    "images": "images",
    "val_images": "val_images",
    "boxes": "boxes",
    "limit": "limit",
    "test": "",
    "test_images": "",
}
_TABLES = ("data", "recipe", "variant", "repeat", "flip")
_OF_ALL = {*_DATA.values(), "data", "val_split"}  # settings that no table but [data] may have
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+-]{0,63}")  # a folder's name on every system
_MOST = 20  # repetitions


@dataclass(frozen=True)
class Variant:
    """A name, and the recipe that trains its network."""

    name: str
    recipe: Recipe

    def seeded(self, number: int) -> Recipe:
        """Return the recipe of a repetition: the same with the seed that follows."""
        return replace(self.recipe, seed=self.recipe.seed + number)


@dataclass(frozen=True)
class Plan:
    """What a study trains and how it evaluates.

    test, test_images: labels to evaluate on, "" for those of validation.  flip: average with
    mirrored views.  repeat: trainings of each variant, whose seeds follow each other.
    """

    path: Path
    variants: tuple[Variant, ...]
    test: str = ""
    test_images: str = ""
    flip: bool = False
    repeat: int = 1


def read_plan(path: Path) -> Plan:
    """Read a study's file.

    Every variant starts from the recipe of the first one's network, then [recipe] and its own
    settings count.  SourceError: no such file, or no TOML.  UsageError: an unknown key, an invalid
    value or nothing to compare, with the table that it stands in.
    """
    try:
        table = toml.load(path)
    except OSError as error:
        raise SourceError(f"{path}: the study cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise SourceError(f"{path}: not a study in TOML ({error})") from error
    try:
        return _plan(path, table)
    except UsageError as error:
        raise UsageError(f"{path}: {error}") from error


def _plan(path: Path, table: Mapping[str, Any]) -> Plan:
    _check_keys("", table, _TABLES)
    data, common = (_table(table, name) for name in ("data", "recipe"))
    _check_keys("[data] ", data, _DATA)
    _check_shared("[recipe]", common)
    if not data.get("train") or not data.get("val"):
        raise UsageError(
            "[data] needs train and val, so that all variants and seeds see the same images; "
            'val = "last:400" holds the last 400 back'
        )
    flip, repeat = table.get("flip", False), table.get("repeat", 1)
    if not isinstance(flip, bool):
        raise UsageError(f"flip = {flip!r}; give true or false")
    if not isinstance(repeat, int) or isinstance(repeat, bool) or not 1 <= repeat <= _MOST:
        raise UsageError(f"repeat = {repeat!r}; give a whole number from 1 to {_MOST}")
    shared = {**_of_data(data), **dict(_flat(common))}
    tests = [_text_of(data, name) for name in ("test", "test_images")]
    test, test_images = tests
    variants = _variants(table.get("variant"), shared)
    return Plan(path, variants, test, test_images, flip, repeat)


def _variants(tables: Any, shared: Mapping[str, Any]) -> tuple[Variant, ...]:
    """Return the variants of the file; a UsageError where there are none, or two of one name."""
    if not isinstance(tables, list) or not tables:
        raise UsageError("no variants; add tables [[variant]] with name, network and settings")
    found: dict[str, Variant] = {}
    base = ""
    for number, table in enumerate(tables, 1):
        name, network = _named(number, table)
        base = base or network
        if name.casefold() in found:
            raise UsageError(f"two variants are called {name!r}; give each a name of its own")
        try:
            found[name.casefold()] = Variant(name, _recipe(base, network, table, shared))
        except UsageError as error:
            raise UsageError(f"variant {name!r}: {error}") from error
    return tuple(found.values())


def _named(number: int, table: Any) -> tuple[str, str]:
    """Return the name and the network of a variant."""
    if not isinstance(table, Mapping):
        raise UsageError("variant is not a list of tables; write [[variant]]")
    name, network = (table.get(key) for key in ("name", "network"))
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise UsageError(
            f"variant {number}: name = {name!r}; give one of letters, digits and _ . + -, which "
            "names a folder"
        )
    if not isinstance(network, str) or not network:
        raise UsageError(f"variant {name!r}: name its network, as in network = 'hrnet_w32'")
    return name, network


def _recipe(base: str, network: str, table: Mapping[str, Any], shared: Mapping[str, Any]) -> Recipe:
    """Return what trains a network: the recipe of `base`, the study's settings, its own."""
    own = {key: value for key, value in table.items() if key not in ("name", "network")}
    _check_shared("it", own)
    settings = {**shared, **dict(_flat(own))}
    recipe = replace(recipe_for(base), model=network, options=recipe_for(network).options)
    return recipe.with_overrides([f"{key}={_text(key, v)}" for key, v in settings.items()])


def _check_shared(where: str, settings: Mapping[str, Any]) -> None:
    """Raise a UsageError for what would make variants see other images, or be other networks."""
    for key in settings:
        if key == "model":
            raise UsageError(f"{where} sets model; a variant names it as network")
        if key in _OF_ALL:
            raise UsageError(f"{where} sets {key}; it goes into [data], which all variants share")


def _check_keys(
    where: str, table: Mapping[str, Any], known: Sequence[str] | Mapping[str, Any]
) -> None:
    for key in table:
        if key not in known:
            hint = nearest(key, known)
            raise UsageError(f"{where}{key!r} is unknown{hint}; known: {', '.join(known)}")


def _table(table: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = table.get(name, {})
    if not isinstance(found, Mapping):
        raise UsageError(f"{name} is not a table; write [{name}]")
    return found


def _of_data(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a recipe that [data] states; one set may stand without a list."""
    train = data["train"]
    values = {**data, "train": [train] if isinstance(train, str) else train}
    return {_DATA[key]: value for key, value in values.items() if _DATA[key]}


def _text_of(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name, "")
    if not isinstance(value, str):
        raise UsageError(f"[data] {name} = {value!r}; give a text")
    return value


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the settings of tables within tables by the keys of a recipe: "augment.rotate"."""
    for key, value in table.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(key: str, value: Any) -> str:
    """Return a value as with_overrides reads it."""
    if isinstance(value, str) and not key.startswith("options."):
        return value
    try:
        return json.dumps(value, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"{key} = {value}: a recipe has no such values; give numbers or texts"
        ) from error
