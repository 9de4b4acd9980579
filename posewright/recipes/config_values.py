"""Values of a configuration file, and which of them were carried over."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = ["Config", "joined", "optimizer", "size_of", "start_of"]

_OPTIMIZERS = ("adam", "adamw", "sgd", "rmsprop")


@dataclass
class Config:
    """Values by their path, and which of them were asked for."""

    data: Mapping[str, Any]
    notes: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)
    python: bool = False

    def __post_init__(self) -> None:
        self.notes = list(self.notes)

    def get(self, path: str, kind: type | tuple[type, ...] = (int, float)) -> Any:
        """Return the value at "A.B", None where there is none of this type."""
        value: Any = self.data
        for part in path.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        wrong = isinstance(value, bool) and kind == (int, float)
        if value is None or wrong or not isinstance(value, kind):
            return None
        if isinstance(value, float) and not math.isfinite(value):
            return None
        self.used.add(path)
        return value

    def number(self, path: str) -> float | None:
        """Return a number, also one that YAML takes for text, such as 1e-3."""
        text = self.get(path, str)
        if text is None:
            found: float | None = self.get(path)
            return found
        try:
            return float(text)
        except ValueError:
            self.used.discard(path)
            return None

    def numbers(self, path: str) -> list[float] | None:
        """Return a list of finite numbers."""
        found = self.get(path, list)
        good = found and all(isinstance(x, (int, float)) and math.isfinite(x) for x in found)
        if not good:
            self.used.discard(path)
        return found if good else None

    def left(self) -> Iterator[str]:
        """Yield the paths of values that were not used, but variables."""
        for path in _leaves(self.data, ""):
            if "." not in path and self.python and not isinstance(self.data[path], list):
                continue
            if not any(path == used or path.startswith(used + ".") for used in self.used):
                yield path


def _leaves(value: Mapping[str, Any], prefix: str) -> Iterator[str]:
    for key, inner in value.items():
        path = f"{prefix}{key}"
        if isinstance(inner, Mapping) and inner:
            yield from _leaves(inner, path + ".")
        elif inner not in (None, "", [], {}):
            yield path


def size_of(values: list[float] | None, height_first: bool) -> list[int] | None:
    """Return (width, height)."""
    if values is None or len(values) != 2:
        return None
    width, height = reversed(values) if height_first else values
    return [int(width), int(height)]


def joined(root: str | None, *parts: str | None) -> str | None:
    """Return a path below the root of the data; None where a part of it is not stated."""
    return None if None in parts else str(Path(root or "", *filter(None, parts)))


def optimizer(config: Config, path: str) -> str | None:
    name = str(config.get(path, str) or "").lower()
    if name in _OPTIMIZERS:
        return name
    config.used.discard(path)
    return None


def start_of(config: Config, *paths: str) -> str | None:
    """Return the weights to start from, if they are safetensors."""
    for path in paths:
        name = config.get(path, str)
        if name and name.endswith(".safetensors"):
            return str(name)
        config.used.discard(path)
        if name:
            config.notes.append(
                f"{path} names {name}: give backbone=FILE, or weights=FILE with a network that "
                "posewright models convert has written"
            )
    return None
