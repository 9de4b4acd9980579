"""The modules of a package: an added file is found without being listed anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

__all__ = ["declared", "modules_in"]


def modules_in(package: str) -> list[ModuleType]:
    """Import every file of a package of posewright, in the alphabetical order of their names."""
    names = [module.name for module in iter_modules(import_module(package).__path__)]
    return [import_module(f"{package}.{name}") for name in names if name != "__main__"]


def declared(package: str, table: str) -> Iterator[tuple[str, Any]]:
    """Yield the entries of the table that each file of a package may have under this name.

    ValueError: two entries have one name.
    """
    seen: set[str] = set()
    for module in modules_in(package):
        for name, entry in getattr(module, table, {}).items():
            if name in seen:
                raise ValueError(f"two {table} are called {name!r}")
            seen.add(name)
            yield name, entry
