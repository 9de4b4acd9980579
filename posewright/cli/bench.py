"""Benchmark this machine: milliseconds per stage, frames and people per second.

SOURCE: input to read (default: the clip of the demo).  Nothing is written.
"""

from __future__ import annotations

import argparse
import json

from posewright.cli.common import add_model_options, load_pose
from posewright.cli.demo import CLIP
from posewright.cli.ranges import add_range_options, chosen_frames


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("source", nargs="?", default=str(CLIP), metavar="SOURCE")
    parser.add_argument(
        "--count",
        type=int,
        default=60,
        metavar="N",
        help="frames to measure, after 5 warm-up frames (default %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_range_options(parser, timed=False)
    add_model_options(parser)


def run(args: argparse.Namespace) -> int:
    """Measure and print; return the exit code."""
    from posewright.compare.cost import measure
    from posewright.errors import UsageError
    from posewright.machine import cpu_name

    if args.frames is not None and args.frames.isdecimal():  # as in earlier versions
        raise UsageError(
            f"--frames {args.frames} is now --count {args.frames} (frames to measure); "
            "--frames A:B chooses frames of the source"
        )
    chosen = chosen_frames(args)
    measured = measure(load_pose(args), args.source, args.count, **chosen)
    report = {"processor": cpu_name(), **measured}
    if args.json:
        print(json.dumps(report))
    else:
        for key, value in report.items():
            print(f"{key:28} {value:.2f}" if isinstance(value, float) else f"{key:28} {value}")
    return 0
