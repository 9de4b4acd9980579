"""Verbs and options under their earlier names, which are answered until a stated version."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from posewright.errors import deprecated, one_line

__all__ = ["RENAMED", "EarlierOption", "current"]

# What was renamed, what it is called now, and the version that no longer answers the earlier name.
# docs/compatibility.md says how long that takes at least.
RENAMED = {
    "pgpg fit": ("fit boxes", "0.3.0"),
    "ppnms fit": ("fit nms", "0.3.0"),
    "train --output": ("train --out", "0.3.0"),
}


def _note(old: str) -> None:
    def say(text: str) -> None:
        print(f"note: {one_line(text)}", file=sys.stderr)

    new, removed = RENAMED[old]
    deprecated(f"posewright {old}", f"posewright {new}", removed, say)


def current(words: Sequence[str]) -> list[str]:
    """Return the words of a command line with the verb's present name; a note tells of it."""
    for old, (new, _) in RENAMED.items():
        verb, action = old.split()
        if not action.startswith("-") and words[:1] == [verb]:
            _note(old)
            return [*new.split(), *words[1 + (words[1:2] == [action]) :]]
    return list(words)


class EarlierOption(argparse.Action):
    """An option under its earlier name: it stores the value and tells the present name."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the value."""
        _note(f"{parser.prog.partition(' ')[2]} {option_string}")
        setattr(namespace, self.dest, values)
