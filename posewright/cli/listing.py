"""`posewright models list`: the networks that can be named, as a table or as JSON."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from posewright.weights.registry import Entry

__all__ = ["add_filters", "list_networks", "row"]

KINDS = ("pose", "one-stage", "detector", "hand-detector", "re-id", "refiner")
SORTED = ("name", "kind", "joints", "score", "size")


def add_filters(parser: argparse.ArgumentParser) -> None:
    """Add which networks are listed, and in which order."""
    parser.add_argument(
        "--published",
        action="store_true",
        help="list the checkpoints that authors publish and that need torch, with licence and AP",
    )
    parser.add_argument("--kind", choices=KINDS, help="list only networks of this kind")
    parser.add_argument(
        "--joints", type=int, metavar="N", help="list only networks that find N joints"
    )
    parser.add_argument(
        "--licence",
        choices=("permissive",),
        help="list only weights under Apache-2.0, MIT or BSD whose authors raise no doubt about it",
    )
    parser.add_argument(
        "--sort",
        choices=SORTED,
        help="order of the rows; the highest score and the smallest size come first",
    )


def list_networks(args: argparse.Namespace) -> int:
    """Print the list; return the exit code."""
    from posewright.weights.registry import checkpoints, entries

    known = checkpoints() if args.published else entries()
    chosen = [entry for entry in known.values() if _is_chosen(entry, args)]
    if args.sort:
        chosen.sort(key=lambda entry: _order(entry, args.sort))
    rows = [(_checkpoint if args.published else row)(entry) for entry in chosen]
    filtered = args.published or args.kind or args.joints is not None or args.licence or args.sort
    zoo = [] if filtered else _zoo()
    if args.json:
        print(json.dumps([*rows, *zoo]))
        return 0
    _print([_cells(each) for each in rows], head=not args.published)
    if zoo:
        print("\nnetworks of the zoo, for --weights FILE and for training:")
        _print(zoo, head=False)
    return 0


def row(entry: Entry) -> dict[str, Any]:
    """Return what the list says of a network."""
    return {
        "name": entry.name,
        "kind": entry.kind,
        "joints": entry.joints,
        "score": entry.score,
        "measured": entry.measured,
        "bytes": entry.size or (entry.path.stat().st_size if entry.path.is_file() else 0),
        "input": list(entry.input),
        "licence": entry.licence,
        "terms": entry.terms,
        "here": entry.path.is_file(),
    }


def _is_chosen(entry: Entry, args: argparse.Namespace) -> bool:
    return (
        args.kind in (None, entry.kind)
        and args.joints in (None, entry.joints)
        and (args.licence is None or entry.permissive)
    )


def _order(entry: Entry, by: str) -> tuple[Any, ...]:
    """Return what a row is sorted by; scores of one measure stand together."""
    if by == "score":
        measure, _, value = entry.score.partition(" ")
        better = 1 if measure == "NME" else -1  # an error, of which less is better
        return not value, measure, entry.measured, better * float(value or 0)
    if by == "size":
        return not entry.size, entry.size
    return getattr(entry, by), entry.name


def _checkpoint(entry: Entry) -> dict[str, Any]:
    from posewright.weights.published import published

    known = published()[entry.name]
    words = {"name": entry.name, "family": known.family}
    return {**words, "licence": entry.licence, "score": entry.score}


def _zoo() -> list[dict[str, Any]]:
    from posewright.extras import installed, missing

    if not installed("torch"):
        print(f"note: {missing('torch', 'the zoo')}", file=sys.stderr)
        return []
    from posewright.models import variants

    known = variants(None).values()
    return [{"name": v.name, "kind": v.family, "summary": v.summary} for v in known]


def _cells(each: dict[str, Any]) -> dict[str, str]:
    """Return a row as text."""
    if "here" not in each:
        return each
    doubt = " *" if each["terms"] else ""
    return {
        "name": each["name"],
        "kind": each["kind"],
        "joints": str(each["joints"] or "-"),
        "score": " on ".join(filter(None, (each["score"], each["measured"]))) or "-",
        "size": f"{each['bytes'] / 1e6:.1f} MB" if each["bytes"] else "-",
        "input": "x".join(map(str, each["input"])),
        "licence": (each["licence"] or "not stated") + doubt,
        "here": "yes" if each["here"] else "no",
    }


def _print(rows: list[dict[str, str]], head: bool) -> None:
    if not rows:
        print("no network fits; leave out an option", file=sys.stderr)
        return
    lines = [list(rows[0])] * head + [list(each.values()) for each in rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)][:-1]
    for *cells, last in lines:
        padded = [cell.ljust(width) for cell, width in zip(cells, widths, strict=True)]
        print("  ".join([*padded, last]).rstrip())
    if any(each.get("licence", "").endswith("*") for each in rows):
        print("* see the training data: posewright models info NAME")
