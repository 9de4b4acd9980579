"""YAML files from other tools: read by PyYAML's safe loader, with limits on their content."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.errors import SourceError, near

if TYPE_CHECKING:
    from yaml import Node

__all__ = ["load_yaml"]

MOST_BYTES = 1 << 18  # PyYAML needs seconds for so many; published files have up to 50 kB
MOST_NODES = 100_000  # with everything that aliases repeat
DEEPEST = 100  # brackets in brackets: PyYAML's time grows with the square of them
LONGEST = 1 << 14  # characters of one value: numbers to base 60 take time with the square of it


def load_yaml(path: Path) -> dict[str, Any]:
    """Return the mapping in a file; an empty one for an empty file.

    Nothing in it can construct an object.  SourceError, in one line, for a file that is not YAML,
    not a mapping, larger than 256 KiB, or more than 100,000 values with those that aliases repeat.
    """
    import yaml

    try:
        text = _text(path)
        # The same in C where PyYAML was built with it: ten times as fast.
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
        try:
            node = loader.get_single_node()
            if node is None:
                return {}
            _weight(node, {})
            found = loader.construct_document(node)
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        place = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        why = ", ".join(filter(None, [error.context, error.problem])) or "it is not valid YAML"
        raise SourceError(f"{path} cannot be read: {why}{place}; correct it") from error
    except (yaml.YAMLError, ValueError, TypeError, OverflowError) as error:
        why = " ".join(str(error).split())[:200]
        raise SourceError(f"{path} cannot be read: {why}; write it again") from error
    except RecursionError as error:
        raise SourceError(f"{path} is nested too deep; write it again") from error
    if not isinstance(found, dict):
        raise SourceError(f"{path} is not a mapping of keys to values; write it again")
    return found


def _text(path: Path) -> str:
    try:
        if not path.is_file():
            raise SourceError(f"{path} is not a file{near(path)}")
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    if len(data) > MOST_BYTES:
        raise SourceError(
            f"{path} is larger than {MOST_BYTES} bytes; list images in a .txt file that it names"
        )
    text = data.decode("utf-8-sig")
    depth = 0
    for bracket in re.findall(r"[\[\]{}]", text):
        depth = max(0, depth + (1 if bracket in "[{" else -1))
        if depth > DEEPEST:
            raise SourceError(f"{path} is nested more than {DEEPEST} levels deep; write it again")
    return text


def _weight(node: Node, known: dict[int, int]) -> int:
    """Return how many values a node stands for, aliases counted each time; ValueError if too many.

    known: id of each node that was weighed -> its weight, 0 while it is being weighed.
    """
    if id(node) in known:
        if not known[id(node)]:
            raise ValueError("an alias refers to the list or mapping that contains it")
        return known[id(node)]
    known[id(node)] = 0
    if isinstance(node.value, str):
        if len(node.value) > LONGEST:
            raise ValueError(f"a value has more than {LONGEST} characters")
        weight = 1
    else:
        parts = [p for v in node.value for p in (v if isinstance(v, tuple) else (v,))]
        weight = 1 + sum(_weight(part, known) for part in parts)
    if weight > MOST_NODES:
        raise ValueError(
            f"it has more than {MOST_NODES} values, counting those that aliases repeat"
        )
    known[id(node)] = weight
    return weight
