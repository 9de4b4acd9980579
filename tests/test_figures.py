"""`make figures`: what it counts, and that the package keeps its limits."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tools import figures

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "posewright"


def made(folder: Path, **files: str) -> figures.Trees:
    """Write a package and return its trees."""
    for name, text in {"__init__": "", **files}.items():
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
    return {f: ast.parse(f.read_text(encoding="utf-8")) for f in sorted(folder.glob("*.py"))}


def test_the_package_keeps_every_limit() -> None:
    broken = [text for figure in figures.measure(PACKAGE) for text in figure.broken]
    assert broken == []


def test_lines_without_docstring_and_blank_lines(tmp_path: Path) -> None:
    text = '@d\ndef f(a):\n    """One.\n\n    Two.\n    """\n    b = a\n\n    # why\n    return b\n'
    (found,) = figures.functions(made(tmp_path, a=text))
    assert (found.name, found.lines, found.method) == ("f", 4, False)


@pytest.mark.parametrize(
    ("use", "counted"),
    [
        ("_helper()", ["_helper"]),
        ("_helper() + _helper()", []),
        ("map(_helper, [])", []),
        ("0", []),
    ],
)
def test_helpers_are_counted_that_are_called_once(
    tmp_path: Path, use: str, counted: list[str]
) -> None:
    trees = made(tmp_path, a=f"def _helper(): ...\nx = {use}\n", b="def _helper(): ...\n")
    assert [helper.name for helper in figures.used_once(trees)] == counted


def test_public_names_that_only_tests_use(tmp_path: Path) -> None:
    trees = made(
        tmp_path,
        __init__='from p.a import user, passed\n__all__ = ["user"]\n',
        a='__all__ = ["user", "passed", "unused", "named", "kind"]\n'
        "def user(): ...\ndef passed(): ...\ndef unused(): ...\ndef named(): ...\n"
        "@register\ndef kind(): ...\n",
        b='from p.a import passed\nTABLE = {"x": "named"}\n',
    )
    assert figures.only_tests(trees, tmp_path) == ["a.unused"]


def test_a_broken_limit_is_named_and_ends_with_1(tmp_path: Path) -> None:
    made(tmp_path, a="def f():\n" + "    x = 1\n" * 60)
    done = subprocess.run(
        [sys.executable, "-m", "tools.figures", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert f"BROKEN: {tmp_path / 'a.py'}: f has 61 lines" in done.stdout
