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
    if at < len(lines) and _is_item(lines[at][1]):
        return _items(lines, at, indent)
    found: dict[str, Any] = {}
    while at < len(lines) and lines[at][0] >= indent:
        own, text = lines[at]
        key, colon, rest = text.partition(":")
        at += 1
        if not colon:
            continue
        name = str(_scalar(key.strip()))
        if rest.strip():
            found[name] = _scalar(rest.strip())
        elif at < len(lines) and (lines[at][0] > own or _is_item(lines[at][1])):
            found[name], at = _block(lines, at, lines[at][0], depth + 1)
        else:
            found[name] = None
    return found, at


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith("- ")


def _items(lines: list[tuple[int, str]], at: int, indent: int) -> tuple[list[Any], int]:
    """Parse the list that begins at line `at`; return it and the line after it."""
    items = []
    while at < len(lines) and lines[at][0] == indent and _is_item(lines[at][1]):
        items.append(_scalar(lines[at][1][1:].strip()))
        at += 1
    return items, at


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
