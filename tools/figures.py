"""Measure the code of posewright against the limits that CONTRIBUTING.md states.

Usage: python -m tools.figures [PACKAGE]

- The length of a function is the number of its lines from `def` to its end, without its docstring
  and without blank lines.  Decorators are not counted.
- A private helper is a function or method whose name begins with one underscore.  It is used once
  where its name occurs exactly once more, in a call: in its own file or, for a method that its own
  file does not use, in the package.  A function that is passed on as a value (a callback, an entry
  of a table) cannot be inlined and is not counted.
- A place is a module or folder at the top of the package.  A chain of imports leads from place to
  place; imports inside of functions count, those for types alone do not.
- A broad except catches Exception or BaseException and does not raise again.
- A public name that only tests use is one in `__all__` that nothing in the package uses.  Each
  needs a reason in the table PUBLIC_FOR of this file.

Exit code 1: a limit is broken.
"""

from __future__ import annotations

import ast
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median

from tools import imports

__all__ = ["Figure", "Function", "functions", "main", "measure", "only_tests", "used_once"]

# public names that nothing in the package uses, and whom they are for
PUBLIC_FOR = {
    "checkpoints.tables.alphapose.ALPHAPOSE": "registers itself when it is made",
    "checkpoints.tables.alphapose.MINDSPORE_FASTPOSE": "registers itself when it is made",
    "checkpoints.tables.seresnet.MMPOSE_SERESNET": "registers itself when it is made",
    "checkpoints.tables.simple_pose.SIMPLE_POSE": "registers itself when it is made",
    "codecs.boxes.DistributionBoxes": "model files: found by the kind that they state",
    **{
        f"evaluation.{name}": "evaluation.measures, which names it as text"
        for name in (
            "by_oks.score_file",
            "by_oks.score_halpe_file",
            "by_pck.score_lsp_file",
            "by_pck.score_lsp_people",
            "by_pck.score_mpii_file",
            "by_pck.score_mpii_people",
            "by_pck.score_own_file",
            "by_pck.score_own_people",
            "by_tracks.score_mot_file",
            "by_tracks.score_posetrack_files",
            "by_tracks.score_posetrack_people",
        )
    },
    "evaluation.coco_files.read_detections": "users: reads COCO results; benchmarks",
    "fit.ppose.read_settings": "users: docs/rmpe.md shows it",
    "nms.box_nms": "users: NMS of People by their boxes, beside p-Pose and OKS NMS",
    "recipes.lookup.families": "tools/write_recipes_page.py",
    "recipes.recipe.describe_settings": "tools/write_recipes_page.py",
}

Trees = dict[Path, ast.Module]
Def = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function or method and where it is; `lines` as the module's docstring counts them."""

    file: Path
    name: str
    lines: int
    method: bool


@dataclass(frozen=True)
class Figure:
    """A line of the report; `broken` names what breaks its limit."""

    text: str
    broken: tuple[str, ...] = ()


@cache
def _nodes(tree: ast.AST) -> list[ast.AST]:
    return list(ast.walk(tree))


def _length(node: Def, text: list[str]) -> int:
    skipped: set[int] = set()
    if ast.get_docstring(node, clean=False) is not None:
        first = node.body[0]
        skipped = set(range(first.lineno, (first.end_lineno or first.lineno) + 1))
    lines = range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return sum(bool(text[i - 1].strip()) for i in lines if i not in skipped)


def functions(trees: Trees) -> list[Function]:
    """Return every function and method, also those inside of others."""
    found = []
    for file, tree in trees.items():
        text = file.read_text(encoding="utf-8").splitlines()
        inside = {n for c in _nodes(tree) if isinstance(c, ast.ClassDef) for n in c.body}
        for node in _nodes(tree):
            if isinstance(node, Def):
                found.append(Function(file, node.name, _length(node, text), node in inside))
    return found


def _names(tree: ast.AST) -> Iterator[str]:
    """Yield each use of a name: read, called, imported, or as an attribute."""
    for node in _nodes(tree):
        if isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.name for alias in node.names)


def _called(tree: ast.AST) -> Iterator[str]:
    """Yield the name of each function or method that is called."""
    for node in _nodes(tree):
        if isinstance(node, ast.Call):
            yield from _names_of(node.func)


def _names_of(function: ast.expr) -> list[str]:
    """Return the last name of `a`, `a.b` or `a.b.c`."""
    if isinstance(function, ast.Name):
        return [function.id]
    return [function.attr] if isinstance(function, ast.Attribute) else []


def used_once(trees: Trees) -> list[Function]:
    """Return the private helpers whose one use is a call."""
    uses = {file: Counter(_names(tree)) for file, tree in trees.items()}
    calls = {file: Counter(_called(tree)) for file, tree in trees.items()}
    all_uses, all_calls = (sum(c.values(), Counter[str]()) for c in (uses, calls))

    def is_once(helper: Function) -> bool:
        own = uses[helper.file][helper.name], calls[helper.file][helper.name]
        whole = all_uses[helper.name], all_calls[helper.name]
        return (whole if helper.method and not own[0] else own) == (1, 1)

    private = (f for f in functions(trees) if f.name[0] == "_" and not f.name.startswith("__"))
    return [helper for helper in private if is_once(helper)]


def _strings(tree: ast.AST) -> Iterator[str]:
    for node in _nodes(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _exported(tree: ast.Module) -> set[str]:
    """Return the names in `__all__`."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(_strings(node.value))
    return set()


def _defined(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield each name that a module defines without a decorator, and its uses in doing so."""
    for node in tree.body:
        if isinstance(node, ast.ClassDef | Def):
            plain = all("dataclass" in ast.unparse(d) for d in node.decorator_list)
            yield from [(node.name, 0)] * plain
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from ((t.id, 1) for t in targets if isinstance(t, ast.Name))


def _uses(file: Path, tree: ast.Module) -> Counter[str]:
    """Count names and the strings that name them; what `__init__` passes on is no use."""
    exported = _exported(tree)
    words = Counter(word for word in _strings(tree) if word not in exported)
    names = Counter(_names(tree))
    if file.name == "__init__.py":
        imported = (a.name for n in tree.body if isinstance(n, ast.ImportFrom) for a in n.names)
        names -= Counter(name for name in imported if name in exported)
    return names + words


def only_tests(trees: Trees, package: Path) -> list[str]:
    """Return "module.name" for the public names that nothing in the package uses.

    A name with a decorator is used by it (it registers), and those of the package itself are for
    the user.
    """
    whole = sum((_uses(file, tree) for file, tree in trees.items()), Counter[str]())
    own = _exported(trees[package / "__init__.py"])
    return [
        f"{'.'.join(file.relative_to(package).with_suffix('').parts)}.{name}"
        for file, tree in trees.items()
        for exported in [_exported(tree) - own]
        for name, here in _defined(tree)
        if name in exported and whole[name] <= here
    ]


def _broad(handler: ast.ExceptHandler) -> bool:
    kinds = ast.unparse(handler.type) if handler.type else "BaseException"
    broad = {"Exception", "BaseException"} & set(kinds.strip("()").split(", "))
    return bool(broad) and not any(isinstance(n, ast.Raise) for n in ast.walk(handler))


def _limit(text: str, value: float, most: float) -> Figure:
    return Figure(f"{text} (at most {most:g})", (f"{value:g} is over {most:g}",) * (value > most))


def _lengths(every: list[Function]) -> list[Figure]:
    lines = sorted(f.lines for f in every)
    p90 = lines[len(lines) * 9 // 10]
    longest = sorted(every, key=lambda f: -f.lines)
    over = sum(n > 45 for n in lines)
    return [
        _limit(f"function length, median: {median(lines):g} lines", median(lines), 8),
        _limit(f"function length, 9 in 10: {p90:g} lines", p90, 25),
        Figure(
            f"function length, longest: {longest[0].lines} lines (at most 60)",
            tuple(f"{f.file}: {f.name} has {f.lines} lines" for f in longest if f.lines > 60),
        ),
        Figure(f"functions over 45 lines: {over}, {over / len(lines):.1%} of {len(lines)}"),
    ]


def _files(texts: dict[Path, str], package: Path) -> list[Figure]:
    sizes = {file: len(text.splitlines()) for file, text in texts.items()}
    long = {f: n for f, n in sizes.items() if n > 350}
    models = package / "models"
    broken = [f"{f}: {n} lines" for f, n in long.items() if n > 400 or f.parent != models]
    skips = [str(f) for f, text in texts.items() if "fmt: skip" in text or "fmt: off" in text]
    todos = sum(text.count("TODO") + text.count("FIXME") for text in texts.values())
    return [
        Figure(f"{package.name}: {len(sizes)} files, {sum(sizes.values())} lines"),
        Figure(
            f"files over 350 lines: {len(long)} (in models alone, of at most 400)", tuple(broken)
        ),
        Figure(f"files with fmt: skip: {len(skips)} (none)", tuple(skips)),
        Figure(f"TODOs: {todos}"),
    ]


def _places(package: Path) -> list[Figure]:
    graph = imports.read(package)
    places = imports.places_of(graph)
    modules = [p.stem for p in package.glob("*.py") if not p.stem.startswith("__")]
    folders = [p for p in places if (package / p).is_dir()]
    chain = imports.longest_chain(places)
    found = [" -> ".join(circle) for circle in imports.circles(graph)]
    return [
        _limit(f"modules at the top: {len(modules)}", len(modules), 12),
        _limit(f"folders at the top: {len(folders)}", len(folders), 28),
        _limit(f"longest chain of imports: {len(chain)} places", len(chain), 17),
        Figure("  " + " -> ".join(chain)),
        Figure(f"longest chain of single modules: {len(imports.longest_chain(graph))}"),
        Figure(f"circles of modules: {len(found)} (none)", tuple(found)),
    ]


def _public(trees: Trees, package: Path) -> list[Figure]:
    names = only_tests(trees, package)
    missing = [f"{name}: no reason in PUBLIC_FOR" for name in names if name not in PUBLIC_FOR]
    stale = [f"{name}: used, or gone; take it out of PUBLIC_FOR" for name in PUBLIC_FOR]
    stale = [text for text in stale if text.partition(":")[0] not in names]
    head = f"public names that nothing in the package uses: {len(names)} (each with a reason)"
    listed = [Figure(f"  {name}: {PUBLIC_FOR.get(name, '?')}") for name in names]
    return [Figure(head, (*missing, *stale)), *listed]


def measure(package: Path) -> list[Figure]:
    """Return all figures of a package in the order of the report."""
    texts = {file: file.read_text(encoding="utf-8") for file in sorted(package.rglob("*.py"))}
    trees = {file: ast.parse(text) for file, text in texts.items()}
    every, once = functions(trees), used_once(trees)
    if not every:
        raise SystemExit(f"{package}: no functions found; name the folder of a Python package")
    share = 100 * len(once) / len(every)
    handlers = [n for t in trees.values() for n in _nodes(t) if isinstance(n, ast.ExceptHandler)]
    return [
        *_files(texts, package),
        *_lengths(every),
        Figure(f"broad excepts: {sum(map(_broad, handlers))} of {len(handlers)}"),
        _limit(f"private helpers used once: {len(once)}, {share:.1f} % of all", share, 20),
        *_places(package),
        *_public(trees, package),
    ]


def main(arguments: list[str]) -> int:
    """Print the figures; 1 where a limit is broken."""
    if "-h" in arguments or "--help" in arguments:
        print(__doc__)
        return 0
    package = Path(arguments[0]) if arguments else Path(__file__).parents[1] / "posewright"
    figures = measure(package)
    for figure in figures:
        print(figure.text)
        for text in figure.broken:
            print(f"  BROKEN: {text}")
    return int(any(figure.broken for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
