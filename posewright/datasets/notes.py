"""What could not be read: counted by kind, told in one line each."""

from __future__ import annotations

from posewright.errors import one_line

__all__ = ["Notes"]


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
