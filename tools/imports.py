"""What imports what in the package, read from its source without running it.

A *place* is what lies at the top of the package: a module or a folder.  Imports inside of functions
count; those for types alone (`if TYPE_CHECKING`) do not.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

__all__ = ["Graph", "circles", "imports_of", "longest_chain", "modules_of", "places_of", "read"]

Graph = Mapping[str, set[str]]  # each node with those that it imports


def modules_of(package: Path) -> dict[str, Path]:
    """Return the file of each module of `package`, by its full name."""
    return {
        ".".join(file.relative_to(package.parent).with_suffix("").parts).removesuffix(
            ".__init__"
        ): file
        for file in sorted(package.rglob("*.py"))
    }


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """Yield every node below `node`, blocks for types alone left out."""
    for inside in ast.iter_child_nodes(node):
        if not (isinstance(inside, ast.If) and "TYPE_CHECKING" in ast.dump(inside.test)):
            yield inside
            yield from _statements(inside)


def imports_of(tree: ast.Module, modules: Iterable[str]) -> set[str]:
    """Return the `modules` that `tree` imports anywhere, but for types alone."""
    known, found = set(modules), set[str]()
    for node in _statements(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found.update(names & known or {node.module})
    return found & known


def read(package: Path) -> dict[str, set[str]]:
    """Return the graph of the modules of `package`."""
    modules = modules_of(package)
    return {
        name: imports_of(ast.parse(file.read_text(encoding="utf-8")), modules) - {name}
        for name, file in modules.items()
    }


def places_of(graph: Graph) -> dict[str, set[str]]:
    """Return the graph of the places; `__init__` is the module of the package itself."""

    def place(module: str) -> str:
        return [*module.split("."), "__init__"][1]

    found: dict[str, set[str]] = {place(module): set() for module in graph}
    for module, others in graph.items():
        found[place(module)] |= {place(other) for other in others} - {place(module)}
    return found


def circles(graph: Graph) -> list[list[str]]:
    """Return a way round each circle that a walk through all nodes meets."""
    done: set[str] = set()
    found: list[list[str]] = []

    def walk(node: str, way: list[str]) -> None:
        if node in way:
            found.append([*way[way.index(node) :], node])
        elif node not in done:
            for other in sorted(graph[node]):
                walk(other, [*way, node])
            done.add(node)

    for node in sorted(graph):
        walk(node, [])
    return found


def _reached(graph: Graph, start: str) -> set[str]:
    """Return what `start` imports at once and through others, and itself."""
    found, waiting = {start}, [start]
    while waiting:
        new = graph[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def longest_chain(graph: Graph) -> list[str]:
    """Return the longest chain of imports.

    Nodes that import each other are one link of it, joined by "+".
    """
    reached = {node: _reached(graph, node) for node in graph}
    group = {
        node: "+".join(sorted(other for other in reached[node] if node in reached[other]))
        for node in graph
    }
    chains: dict[str, list[str]] = {}
    # whatever a node imports reaches fewer nodes than it does, unless they are one group
    for node in sorted(graph, key=lambda node: len(reached[node])):
        below = [chains[group[n]] for n in sorted(reached[node]) if group[n] != group[node]]
        chains[group[node]] = [group[node], *max(below, key=len, default=[])]
    return max(chains.values(), key=len, default=[])
