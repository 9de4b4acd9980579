"""Damage to files: random, but the same for the same seed."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

__all__ = ["damaged", "damaged_bytes", "damaged_json"]

_ODD: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, -(2**63), 10**30, 0.5, -0.0, 1e308, 5e-324,
    float("nan"), float("inf"), "", "0", "x", "../../x", "/etc/passwd", "\ud800", "\x1b]0;x\x07",
    "=1+1", "9" * 400, [], {}, [[]], [0, 0], [[[1]]], {"x": {}}, ["a", "a"],
)  # fmt: skip
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


def damaged(rng: random.Random, data: bytes, form: str) -> bytes:
    """Return a damaged copy; form: "json", "lines" (of JSON) or "bytes"."""
    if form == "json" and rng.random() < 0.8:
        return damaged_json(rng, data)
    if form == "lines" and rng.random() < 0.8:
        lines = data.splitlines(keepends=True)
        at = rng.randrange(len(lines))
        lines[at] = damaged_json(rng, lines[at]) + b"\n"
        return b"".join(lines)
    return damaged_bytes(rng, data)


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
