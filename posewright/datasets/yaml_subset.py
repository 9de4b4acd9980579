"""The part of YAML that data.yaml of a YOLO set uses: keys, scalars, lists, one level of nesting.

No YAML package is needed for it, and nothing in such a file can construct an object.
"""

from __future__ import annotations

import re
from typing import Any

__all__ = ["parse_yaml"]


def parse_yaml(text: str) -> dict[str, Any]:
    """Return top-level keys; values are numbers, texts, lists and mappings by indentation."""
    lines = [
        (len(raw) - len(raw.lstrip()), stripped)
        for raw in text.splitlines()
        if (stripped := _bare(raw))
    ]
    value, _ = _block(lines, 0, 0, 0)
    return value if isinstance(value, dict) else {}


def _bare(line: str) -> str:
    """Return a line without its comment and outer blanks."""
    return re.sub(r"(^|\s)#.*$", "", line).strip()


def _block(lines: list[tuple[int, str]], at: int, indent: int, depth: int) -> tuple[Any, int]:
    """Parse the block that begins at line `at`; return it and the line after it."""
    if depth > 8:
        raise ValueError("nested more than 8 levels deep")
    found: dict[str, Any] = {}
    items: list[Any] = []
    while at < len(lines) and lines[at][0] >= indent:
        own, text = lines[at]
        if text == "-" or text.startswith("- "):
            items.append(_scalar(text[1:].strip()))
            at += 1
            continue
        key, colon, rest = text.partition(":")
        at += 1
        if not colon:
            continue
        name = str(_scalar(key.strip()))
        if rest.strip():
            found[name] = _scalar(rest.strip())
        elif at < len(lines) and (lines[at][0] > own or lines[at][1].startswith("- ")):
            found[name], at = _block(lines, at, lines[at][0], depth + 1)
        else:
            found[name] = None
    return (items if items and not found else found), at


def _scalar(text: str) -> Any:
    """Return a number, a text without its quotes, or the list or mapping in brackets."""
    if text[:1] == "[" and text[-1:] == "]":
        return [_scalar(part.strip()) for part in text[1:-1].split(",") if part.strip()]
    if text[:1] == "{" and text[-1:] == "}":
        pairs = (part.partition(":") for part in text[1:-1].split(",") if part.strip())
        return {str(_scalar(k.strip())): _scalar(v.strip()) for k, _, v in pairs}
    if len(text) > 1 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text
