"""Damage to files: random, but the same for the same seed.

Text, JSON and bytes are damaged here, images in `headers`, files with others in them in `parts`.
"""

from __future__ import annotations

import copy
import json
import random
import re
from collections.abc import Iterator
from typing import Any

__all__ = [
    "ODD_NUMBERS",
    "damaged_bytes",
    "damaged_json",
    "damaged_lines",
    "damaged_text",
    "damaged_words",
]

_ODD: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**31,
    2**63,
    -(2**63),
    10**30,
    0.5,
    -0.0,
    1e308,
    5e-324,
    float("nan"),
    float("inf"),
    "",
    "0",
    "x",
    "../../x",
    "/etc/passwd",
    "\ud800",
    "\x1b]0;x\x07",
    "=1+1",
    "9" * 400,
    [],
    {},
    [[]],
    [0, 0],
    [[[1]]],
    {"x": {}},
    ["a", "a"],
)
_BYTES = (
    b"",
    b"\0",
    b"\xff",
    b"\0" * 64,
    b"\xff" * 64,
    b"\x7f\xff\xff\xff",
    b"9" * 30,
    b"[" * 3000,
)
_WORDS = (
    b"",
    b"0",
    b"-1",
    b"nan",
    b"1e308",
    b"1e-320",
    b"-inf",
    b"9" * 400,
    b"0x10",
    b"1_000",
    b"true",
    b"x" * 3000,
    b"'",
    b'"',
    b"[",
    b"]" * 40,
    b"{",
    b"&a",
    b"*a",
    b"<<",
    b"#",
    b"\t",
    b"\r",
    b"\0",
    b"../../x",
    b"/etc/passwd",
    b"\xff\xfe",
    b"\xef\xbb\xbf",
    "\u017f\u202e".encode(),
    b"\x1b[2J",
)
ODD_NUMBERS = (
    0,
    1,
    2,
    3,
    7,
    0x7F,
    0x80,
    0xFF,
    0x7FFF,
    0x8000,
    0xFFFF,
    1 << 20,
    2**31 - 1,
    2**31,
    2**32 - 2,
    2**32 - 1,
    2**63,
    2**64 - 1,
)


def damaged_lines(rng: random.Random, data: bytes) -> bytes:
    """Return lines of JSON, one of them damaged."""
    lines = data.splitlines(keepends=True)
    at = rng.randrange(len(lines))
    lines[at] = damaged_json(rng, lines[at]) + b"\n"
    return b"".join(lines)


def damaged_json(rng: random.Random, data: bytes) -> bytes:
    """Return JSON with one to three values exchanged, left out, repeated or put somewhere else."""
    value = json.loads(data)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(value))
        if not places:
            break
        holder, key = rng.choice(places)
        act = rng.randrange(5)
        if act == 0:
            del holder[key]
        elif act == 1:
            other, there = rng.choice(places)
            try:
                holder[key] = copy.deepcopy(other[there])
            except (KeyError, IndexError):  # gone with what held it
                continue
        elif act == 2 and isinstance(holder, list):
            holder.insert(key, copy.deepcopy(holder[key]))
        else:
            holder[key] = copy.deepcopy(rng.choice(_ODD))
    return json.dumps(value).encode()


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield the container and the key of everything inside of a value."""
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, inside in list(pairs if isinstance(value, (dict, list)) else ()):
        yield value, key
        if isinstance(inside, (dict, list)):
            yield from _places(inside)


def damaged_text(rng: random.Random, data: bytes) -> bytes:
    """Return text with one to three words or lines exchanged, left out, repeated or joined."""
    for _ in range(rng.randint(1, 3)):
        parts = re.split(rb"(\n)" if rng.random() < 0.3 else rb"([\w.+-]+)", data)
        at = rng.randrange(len(parts))
        act = rng.randrange(4)
        if act == 0:
            parts[at] = rng.choice(parts)
        elif act == 1:
            parts[at] *= rng.choice((0, 2, 50))
        else:
            parts[at] = rng.choice(_WORDS)
        data = b"".join(parts)
    return data


def damaged_words(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with one to three numbers of a binary file exchanged, most near its beginning.

    Lengths, counts and offsets are among them, which no single bit makes as wrong as this.
    """
    made = bytearray(data)
    for _ in range(rng.randint(1, 3)):
        size = rng.choice((1, 2, 4, 4, 8))
        at = rng.randrange(max(min(len(made), rng.choice((64, 512, 1 << 30))), 1)) // 2 * 2
        number = rng.choice((*ODD_NUMBERS, len(made), rng.randrange(1 << 16)))
        made[at : at + size] = (number % (1 << 8 * size)).to_bytes(
            size, rng.choice(("little", "big"))
        )
    return bytes(made)


def damaged_bytes(rng: random.Random, data: bytes) -> bytes:
    """Return bytes with one to eight places changed, cut out, repeated or filled."""
    made = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 3, 8))):
        at = rng.randrange(max(min(len(made), rng.choice((16, 64, 512, 1 << 30))), 1))
        length = rng.choice((1, 2, 4, 8, 32, len(made) // 4))
        act = rng.randrange(6)
        if act == 0 and made:
            made[at % len(made)] ^= 1 << rng.randrange(8)
        elif act == 1:
            made[at : at + length] = rng.randbytes(length)
        elif act == 2:
            del made[at : at + length]
        elif act == 3:
            made[at:at] = made[at : at + length]
        elif act == 4:
            made[at : at + length] = rng.choice(_BYTES)
        else:
            del made[at + length :]
    return bytes(made)
