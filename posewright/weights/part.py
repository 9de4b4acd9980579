"""A partial download, and the version of the file that it belongs to."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from posewright.files.fields import parsed

__all__ = ["Part"]


@dataclass(frozen=True)
class Part:
    """The beginning of a file; beside it is the server's version of the file (ETag or date)."""

    path: Path

    @property
    def size(self) -> int:
        """Number of bytes received."""
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def _note(self) -> Path:
        return self.path.with_name(self.path.name + ".json")

    def drop(self) -> None:
        """Remove the partial download."""
        self.path.unlink(missing_ok=True)
        self._note.unlink(missing_ok=True)

    def validator(self, shown: str) -> tuple[str, ...]:
        """Return the name and value of the version header received from that address, or ()."""
        try:
            told = parsed(self._note.read_bytes()[:10_000])
            name, value = (told[key] for key in ("name", "value"))
        except (OSError, ValueError, KeyError):
            return ()
        good = told.get("url") == shown and isinstance(name, str) and isinstance(value, str)
        return (name, value) if good and value.isascii() and value.isprintable() else ()

    def remember(self, shown: str, validator: tuple[str, ...]) -> None:
        """Save the name and value of that header; () removes what was saved."""
        if not validator:
            self._note.unlink(missing_ok=True)
            return
        name, value = validator
        told = {"url": shown, "name": name, "value": value}
        self._note.write_text(json.dumps(told), encoding="utf-8")
