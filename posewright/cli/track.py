"""Track and smooth the people of saved results, without running a network again.

RESULTS: poses.jsonl, poses.parquet, coco-results.json, alphapose-results.json or the folder
openpose, as `posewright predict` wrote them.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from posewright.cli.common import add_out, add_smoothing_options, show_summary
from posewright.cli.ranges import add_range_options, chosen_frames
from posewright.cli.stopping import noting


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results file or folder")
    add_out(parser)
    parser.add_argument(
        "--save",
        default="jsonl",
        metavar="LIST",
        help=(
            "output formats, comma-separated, as for predict, except images and video "
            "(default %(default)s)"
        ),
    )
    parser.add_argument(
        "--fps",
        type=float,
        default=30.0,
        metavar="RATE",
        help="frame rate of results without timestamps (default %(default)s)",
    )
    parser.add_argument(
        "--tracker",
        default="oks",
        metavar="NAME",
        help=(
            "tracker, such as oks, bytetrack, ocsort or poseflow; none keeps the identities of "
            "the file (default %(default)s)"
        ),
    )
    parser.add_argument(
        "--person",
        default=None,
        metavar="WHO",
        help="keep one person per sequence: longest, largest, central, or an identity",
    )
    add_range_options(parser)
    add_smoothing_options(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Track; return the exit code."""
    from posewright.predict import track_to

    with noting() as stopped:
        summary = track_to(
            args.results,
            args.out,
            save=args.save.split(","),
            fps=args.fps,
            tracker=args.tracker,
            smooth=args.smooth,
            gap=args.gap,
            person=args.person,
            **chosen_frames(args),
            stopped=stopped,
        )
    return show_summary(summary, args.json)
