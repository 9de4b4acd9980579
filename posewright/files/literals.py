"""The values that a configuration file in Python assigns, read without running it."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from pathlib import Path
from typing import Any

from posewright.errors import SourceError, near

__all__ = ["UNREAD", "load_assignments"]

MOST_BYTES = 1 << 18
DEEPEST = 50  # brackets in brackets
LARGEST = 1e12  # of a computed number
UNREAD = object()  # stands for a value that is no literal
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


def load_assignments(path: Path) -> dict[str, Any]:
    """Return the names of a file and their values: literals, dict(...), names and arithmetic.

    Nothing is executed: the text is parsed, and every other expression becomes UNREAD.
    SourceError: no such file, larger than 256 KiB, or not Python.
    """
    try:
        if not path.is_file():
            raise SourceError(f"{path} is not a file{near(path)}")
        if path.stat().st_size > MOST_BYTES:
            raise SourceError(f"{path} has more than {MOST_BYTES} bytes; give a configuration file")
        tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise SourceError(f"{path} cannot be read as Python: {error}; correct it") from error
    except OSError as error:
        raise SourceError(f"{path} cannot be read ({error.strerror})") from error
    found: dict[str, Any] = {}
    for statement in tree.body:
        if isinstance(statement, ast.Assign):
            value = _value(statement.value, found, DEEPEST)
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    found[target.id] = value
    return found


def _value(node: ast.expr, names: dict[str, Any], depth: int) -> Any:
    """Return what an expression stands for; UNREAD where it would have to be run."""
    if depth == 0:
        return UNREAD
    if isinstance(node, ast.Constant):
        return node.value
    if isinstance(node, ast.Name):
        return names.get(node.id, UNREAD)
    if isinstance(node, (ast.List, ast.Tuple)):
        return [_value(each, names, depth - 1) for each in node.elts]
    if isinstance(node, ast.Dict):
        return {
            str(_value(key, names, depth - 1)): _value(value, names, depth - 1)
            for key, value in zip(node.keys, node.values, strict=True)
            if key is not None
        }
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "dict":
        return {
            word.arg: _value(word.value, names, depth - 1) for word in node.keywords if word.arg
        }
    return _computed(node, names, depth)


def _computed(node: ast.expr, names: dict[str, Any], depth: int) -> Any:
    """Return the number of an arithmetic expression; UNREAD for any other."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = _value(node.operand, names, depth - 1)
        return -value if _is_number(value) else UNREAD
    if not isinstance(node, ast.BinOp) or type(node.op) not in _OPERATORS:
        return UNREAD
    left, right = (_value(each, names, depth - 1) for each in (node.left, node.right))
    if not _is_number(left) or not _is_number(right):
        return UNREAD
    try:
        made = _OPERATORS[type(node.op)](left, right)
    except ArithmeticError:
        return UNREAD
    return made if abs(made) <= LARGEST else UNREAD


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= LARGEST
