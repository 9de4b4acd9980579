"""Train variants of a network by one recipe, evaluate them alike, and report on all of them.

FILE is a table of variants in TOML; see docs/compare.md.  Each is trained and evaluated in its own
folder below -o DIR, one after the other, with as many seeds as the file asks for.  --resume keeps
what is finished there and continues what was interrupted.  One that fails is a row with its
reason.  Ctrl-C saves and reports what is there.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from posewright.cli.common import left_out
from posewright.cli.named import network


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("file", type=Path, metavar="FILE", help="variants and recipe, in TOML")
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        required=True,
        metavar="DIR",
        help="folder of the study: runs/, study.md, study.csv, study.json and study.html",
    )
    parser.add_argument(
        "--resume", action="store_true", help="continue the study in DIR; without, DIR is empty"
    )
    parser.add_argument(
        "-m",
        "--model",
        action="append",
        default=[],
        metavar="FILE.py:NAME",
        help="network of your own file, which variants name as NAME; may be repeated",
    )
    parser.add_argument(
        "--device",
        default="auto",
        metavar="DEVICE",
        help="cpu, cuda or cuda:1 (default: a GPU where there is one)",
    )
    parser.add_argument("--quiet", action="store_true", help="print only the tables")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run a study, or what is left of it; return the exit code."""
    from posewright.compare.plan import read_plan
    from posewright.compare.trial_report import table_of, write_report
    from posewright.compare.trials import run_plan
    from posewright.errors import OutputError, UsageError
    from posewright.files.part import reserve

    for text in args.model:
        if network(text) == text:
            raise UsageError(f"-m {text}: name a file of your own, FILE.py:NAME; others need no -m")
    plan = read_plan(args.file)
    if args.resume and not (args.out / "runs").is_dir():
        raise UsageError(f"{args.out} holds no study to resume; leave out --resume")
    if not args.resume and (args.out / "runs").is_dir():
        raise OutputError(f"{args.out} holds a study; continue it with --resume or give another -o")
    reserve(args.out, args.resume, folder=True)

    def say(line: str) -> None:
        if not args.quiet:
            print(line, file=sys.stderr, flush=True)

    study = run_plan(plan, args.out, device=args.device, own=args.model, progress=say)
    files = write_report(study, args.out)
    print(json.dumps(study.to_dict(), allow_nan=False) if args.json else table_of(study))
    for path in files:
        print(f"  {path}", file=sys.stderr)
    skipped = left_out(study.unreadable)
    return study.exit_code or skipped
