"""An extension of griffe: parameters that a docstring explains become a list on the site.

Docstrings of this package explain parameters in running text, with two spaces between sentences:
"path: annotation file.  kind: one of KINDS."
"""

from __future__ import annotations

import re
from typing import Any

import griffe

__all__ = ["ParameterLists", "listed"]

_ERRORS = re.compile(r"(?<=\.)\s+(?=(?:[A-Z]\w*Error|Errors|Raises)\b)")


def listed(text: str, names: set[str]) -> str:
    """Return a docstring with an item of a list for each explanation of `names`."""
    if not names:
        return text
    word = "|".join(sorted(names, key=len, reverse=True))
    start = re.compile(rf"(?:^|(?<=\n)|(?<=  ))((?:{word})(?:, (?:{word}))*):(?=\s)")
    head, *rest = start.split(text)
    if not rest:
        return text
    items = [_item(name, said) for name, said in zip(rest[::2], rest[1::2], strict=True)]
    return "\n\n".join([head.rstrip(), *items])


def _item(names: str, said: str) -> str:
    """Return an item; what follows an empty line, or tells of errors, stands below the list."""
    first, *below = re.split(r"\n\s*\n", said.strip())
    first, *errors = _ERRORS.split(first, maxsplit=1)
    words = ", ".join(f"`{name}`" for name in names.split(", "))
    return "\n\n".join([f"- {words}: {' '.join(first.split())}", *errors, *below])


class ParameterLists(griffe.Extension):
    """Turns explanations of parameters and fields into lists."""

    def on_function_instance(self, *, func: griffe.Function, **_: Any) -> None:
        """Change the docstring of a function."""
        if func.docstring:
            names = {p.name for p in func.parameters}
            if any(p.kind is griffe.ParameterKind.var_keyword for p in func.parameters):
                names = {r"[a-z_]+"}  # options that are handed on: any name may be explained
            func.docstring.value = listed(func.docstring.value, names)

    def on_class_members(self, *, cls: griffe.Class, **_: Any) -> None:
        """Change the docstring of a class, by its fields and the parameters of __init__."""
        if not cls.docstring:
            return
        init = cls.members.get("__init__")
        names = {p.name for p in init.parameters} if isinstance(init, griffe.Function) else set()
        names |= {name for name, member in cls.members.items() if member.is_attribute}
        cls.docstring.value = listed(cls.docstring.value, names)
