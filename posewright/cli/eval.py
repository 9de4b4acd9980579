"""Score a result file by the measure that its data set publishes.

DATA: coco (key points or boxes), coco-wholebody, crowdpose, ochuman, mpii, lsp, posetrack or mot.
Files are those of each data set's own evaluator; see docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from posewright.scoring import Scoring

DATA = ("coco", "coco-wholebody", "crowdpose", "ochuman", "mpii", "lsp", "posetrack", "mot")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("data", choices=DATA, metavar="DATA", help=", ".join(DATA))
    parser.add_argument(
        "--ann",
        type=Path,
        required=True,
        metavar="FILE",
        help="labels, as the data set publishes them (posetrack: a file or a folder)",
    )
    parser.add_argument(
        "--predictions",
        type=Path,
        required=True,
        metavar="FILE",
        help="results, as the data set's evaluator reads them",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Score; return the exit code."""
    from posewright.scoring import score_files

    scoring = score_files(args.data, args.ann, args.predictions)
    if args.json:
        print(json.dumps(scoring.to_dict()))
    else:
        print("\n".join(_lines(scoring)))
    return 0


def _lines(scoring: Scoring) -> list[str]:
    """Return the numbers, the parts of the body, then the joints."""
    width = max(map(len, scoring.numbers))
    lines = [f"{name:<{width}}  {_number(value)}" for name, value in scoring.numbers.items()]
    for rows in (scoring.more.get("parts"), scoring.joints):
        if rows:
            lines += ["", *_table(rows)]
    counts = [f"{k} {v}" for k, v in scoring.more.items() if isinstance(v, int)]
    return [*lines, "", f"{scoring.data}: {', '.join(counts)}"]


def _table(rows: dict[str, dict[str, float]]) -> list[str]:
    first = max(map(len, rows))
    columns = list(next(iter(rows.values())))
    widths = [max(len(c), 7) for c in columns]
    head = " " * first + "".join(f"  {c:>{w}}" for c, w in zip(columns, widths, strict=True))
    return [
        head,
        *(
            f"{name:<{first}}"
            + "".join(f"  {_number(row[c]):>{w}}" for c, w in zip(columns, widths, strict=True))
            for name, row in rows.items()
        ),
    ]


def _number(value: float) -> str:
    """Write counts as they are, shares with four digits, percentages and pixels with two."""
    if isinstance(value, int) or value == -1:
        return f"{value:g}"
    return f"{value:.4f}" if abs(value) <= 1 else f"{value:.2f}"
