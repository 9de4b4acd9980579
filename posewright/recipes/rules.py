"""What a setting may be: a rule turns a given value into the kept one or says what is allowed."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from posewright.errors import UsageError, nearest

__all__ = [
    "Rule",
    "flag",
    "keep_checked",
    "literal",
    "number",
    "one_of",
    "plain",
    "setting",
    "table",
    "text",
    "texts",
]


@dataclass(frozen=True)
class Rule:
    """What a value may be.

    allowed: in words.  convert: returns the value as it is kept; ValueError for one that cannot
    be, with a hint or without.  raw: text stands for itself, whatever it looks like.
    """

    allowed: str
    convert: Callable[[Any], Any]
    raw: bool = False
    is_table: bool = False

    def checked(self, key: str, value: Any) -> Any:
        """Return the kept form; a UsageError names the key, the value and what is allowed."""
        try:
            return self.convert(value)
        except ValueError as error:
            raise UsageError(
                f"invalid {key}={value!r}; {key} must be {self.allowed}{error}"
            ) from error

    def read(self, text: str) -> Any:
        """Return what a text stands for; itself or what is between its quotes, if raw."""
        found = literal(text) if text[:1] == '"' or not self.raw else text
        return found if isinstance(found, str) or not self.raw else text

    def many(self) -> Rule:
        """Return the rule of a list of such values, of which one alone is a list too."""
        return Rule(f"a list, each {self.allowed}", self._list)

    def pair(self) -> Rule:
        """Return the rule of two such values."""

        def convert(value: Any) -> tuple[Any, ...]:
            found = self._list(value)
            if len(found) != 2:
                raise ValueError
            return found

        return Rule(f"two numbers, each {self.allowed}", convert)

    def _list(self, value: Any) -> tuple[Any, ...]:
        parts = value if isinstance(value, (list, tuple)) else [value]
        return tuple(self.convert(part) for part in parts)


def setting(default: Any, rule: Rule, says: str) -> Any:
    """Return a field of a frozen dataclass with what it may be and what it does."""
    facts = {"rule": rule, "says": says}
    if isinstance(default, dict):
        return field(default_factory=lambda: dict(default), metadata=facts)
    return field(default=default, metadata=facts)


def keep_checked(settings: Any, prefix: str = "") -> None:
    """Bring the settings of a frozen dataclass into their kept form.

    prefix: of their keys.  UsageError: an invalid value, with its key and what is allowed.
    """
    for part in fields(settings):
        if "rule" in part.metadata:
            value = getattr(settings, part.name)
            kept = part.metadata["rule"].checked(prefix + part.name, value)
            object.__setattr__(settings, part.name, kept)


def flag() -> Rule:
    """true or false."""

    def convert(value: Any) -> bool:
        if not isinstance(value, bool):
            raise ValueError
        return value

    return Rule("true or false", convert)


def number(low: float = -math.inf, high: float = math.inf, *, whole: bool = False) -> Rule:
    """A finite number from low to high."""
    kind = "a whole number" if whole else "a number"
    if high < math.inf:
        kind += f" from {low:g} to {high:g}"
    elif low > -math.inf:
        kind += f" of at least {low:g}"

    def convert(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError
        if isinstance(value, float) and not math.isfinite(value):
            raise ValueError
        if not low <= value <= high or (whole and value != int(value)):
            raise ValueError
        try:
            return int(value) if whole else float(value)
        except OverflowError:
            raise ValueError from None

    return Rule(kind, convert)


def one_of(*names: str) -> Rule:
    """One of a few words."""

    def convert(value: Any) -> str:
        if value not in names:
            raise ValueError(nearest(str(value), names))
        return str(value)

    return Rule(f"one of {', '.join(names)}", convert, raw=True)


def text() -> Rule:
    """Any text; a path is text too."""

    def convert(value: Any) -> str:
        if not isinstance(value, str) or "\0" in value:
            raise ValueError
        try:
            value.encode()
        except UnicodeEncodeError:  # half a character, as from a file name that is not UTF-8
            raise ValueError from None
        return value

    return Rule("text", convert, raw=True)


def texts() -> Rule:
    """A list of text, of which one alone is a list too."""
    return Rule("a list of text", text().many().convert)


def plain() -> Rule:
    """Text, a number, true, false, or lists and tables of them."""
    return Rule("text, a number, true, false, a list or a table", _plain)


def table(entry: Rule) -> Rule:
    """A table of name to entry."""

    def convert(value: Any) -> dict[str, Any]:
        if not isinstance(value, Mapping):
            raise ValueError
        return {text().convert(key): entry.convert(part) for key, part in value.items()}

    return Rule(f"a table whose entries are {entry.allowed}", convert, is_table=True)


def _plain(value: Any) -> Any:
    """Return a value with lists as tuples, as networks take them."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    if isinstance(value, str):
        return text().convert(value)
    if isinstance(value, (list, tuple)):
        return tuple(_plain(part) for part in value)
    if isinstance(value, Mapping):
        return {text().convert(key): _plain(part) for key, part in value.items()}
    raise ValueError


_WHOLE = re.compile(r"[+-]?\d+")
_FRACTION = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def literal(value: str) -> Any:
    """Return the plain value that a text stands for; text where it is nothing else."""
    if value in ("true", "false"):
        return value == "true"
    if _WHOLE.fullmatch(value):
        return int(value)
    if _FRACTION.fullmatch(value):
        return float(value)
    if value[:1] in ("[", "{", '"'):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            if value[0] != "[" or value[-1] != "]":
                return value
            # names in a list need no quotes: [backbone, neck]
            return [literal(part.strip()) for part in value[1:-1].split(",") if part.strip()]
    return value
