"""TOML: tables of plain values to text and back.  The standard library reads it but does not write.

https://toml.io/en/v1.0.0
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from posewright.files.contents import contents

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

__all__ = ["dumps", "load", "loads"]

loads = tomllib.loads

_MOST_BYTES = 1 << 16  # of a file; a long recipe has 4 kB, and tomllib may need the square of it
_MOST_DOTS = 500  # of a line; of the parts of one key tomllib keeps every beginning
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SHORT = {"\\": "\\\\", '"': '\\"', "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r"}


def load(path: str | Path) -> dict[str, Any]:
    """Return the table in a file; an OSError where it cannot be read, a ValueError: no TOML."""
    text = contents(path, _MOST_BYTES).decode("utf-8-sig")
    if any(line.count(".") > _MOST_DOTS for line in text.splitlines()):
        raise ValueError(f"a line has more than {_MOST_DOTS} dots")
    return loads(text)


def dumps(table: Mapping[str, Any]) -> str:
    """Write a table: its plain values first, then a section for each table in it.

    Values are text, numbers, true and false, lists or tuples, and tables; deeper tables are written
    in one line.  TypeError: any other value, as TOML has none for nothing.
    """
    plain = {key: value for key, value in table.items() if not isinstance(value, Mapping)}
    lines = [f"{_key(key)} = {_value(value)}" for key, value in plain.items()]
    for name, section in table.items():
        if isinstance(section, Mapping):
            lines += ["", f"[{_key(name)}]"]
            lines += [f"{_key(key)} = {_value(value)}" for key, value in section.items()]
    return "\n".join(lines).lstrip("\n") + "\n"


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _text(text: str) -> str:
    return '"' + "".join(_SHORT.get(c, c) if _shown(c) else f"\\u{ord(c):04X}" for c in text) + '"'


def _shown(character: str) -> bool:
    """Whether a character may stand in a string as it is, or has a short form."""
    return character in _SHORT or (ord(character) > 31 and ord(character) != 127)


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return repr(value) if math.isfinite(value) else str(value)  # nan, inf and -inf are TOML's
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(_value(v) for v in value)}]"
    if isinstance(value, Mapping):
        pairs = [f"{_key(key)} = {_value(v)}" for key, v in value.items()]
        return f"{{ {', '.join(pairs)} }}" if pairs else "{}"
    raise TypeError(f"TOML has no form for {value!r}; text, numbers, true, false, lists and tables")
