"""Faults of a data set, counted by kind."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from posewright.errors import one_line

__all__ = ["Finding", "Findings", "Notes"]


@dataclass(frozen=True)
class Finding:
    """One kind of fault: how often, and where first.  An error spoils results, a warning may."""

    kind: str
    level: Literal["error", "warning"]
    text: str
    count: int
    first: str


class Findings:
    """Collects faults; each kind, and part of one, keeps its first place and its count."""

    def __init__(self) -> None:
        self._found: dict[str, Finding] = {}

    def add(
        self,
        kind: str,
        level: Literal["error", "warning"],
        text: str,
        first: object,
        part: str = "",
    ) -> None:
        """Count a fault; an error replaces a warning of its kind.

        part: what else distinguishes it from others of its kind, so that each is reported.
        """
        key = f"{kind} {part}" if part else kind
        old = self._found.get(key)
        if old is None or (level == "error" and old.level == "warning"):
            count = 1 if old is None else old.count + 1
            self._found[key] = Finding(kind, level, one_line(text), count, one_line(str(first)))
        else:
            self._found[key] = replace(old, count=old.count + 1)

    def promote(self, kind: str, above: float) -> None:
        """Make a warning that came more than `above` times an error."""
        found = self._found.get(kind)
        if found is not None and found.count > above:
            self._found[kind] = replace(found, level="error")

    @property
    def errors(self) -> int:
        """Number of kinds of errors so far."""
        return sum(f.level == "error" for f in self._found.values())

    def lines(self) -> tuple[Finding, ...]:
        """Return all kinds, errors first."""
        return tuple(sorted(self._found.values(), key=lambda f: f.level))


class Notes:
    """Collects faults; a million of one kind become one line with a count and the first place."""

    def __init__(self, where: object) -> None:
        self._where = where
        self._found: dict[str, tuple[int, str]] = {}

    def add(self, what: str, place: object) -> None:
        """Note that `what` (with its consequence) is the case at `place`."""
        count, first = self._found.get(what, (0, str(place)))
        self._found[what] = (count + 1, first)

    def lines(self) -> tuple[str, ...]:
        """Return one line for each kind, in order of their first coming."""
        return tuple(
            one_line(f"{self._where}: {count} x {what} (first: {first})")
            for what, (count, first) in self._found.items()
        )
