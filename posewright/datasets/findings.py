"""Faults of a data set, counted by kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

__all__ = ["Finding", "Findings"]


@dataclass(frozen=True)
class Finding:
    """One kind of fault: how often, and where first.  An error spoils results, a warning may."""

    kind: str
    level: Literal["error", "warning"]
    text: str
    count: int
    first: str


class Findings:
    """Collects faults; each kind keeps its first place and its count."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(self, kind: str, level: Literal["error", "warning"], text: str, first: object) -> None:
        """Count a fault."""
        old = self._found.get(kind)
        new = Finding(kind, level, text, 1, str(first)) if old is None else None
        self._found[kind] = new or replace(self._found[kind], count=self._found[kind].count + 1)

    @property
    def errors(self) -> int:
        """Number of kinds of errors so far."""
        return sum(f.level == "error" for f in self._found.values())

    def lines(self) -> tuple[Finding, ...]:
        """Return all kinds, errors first."""
        return tuple(sorted(self._found.values(), key=lambda f: f.level))
