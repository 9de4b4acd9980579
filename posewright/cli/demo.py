"""Run on a clip that comes with the package: no file of yours, no download.

Writes pictures, a video and result files and says where they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from posewright.cli.common import show_summary
from posewright.cli.progress import create_bar
from posewright.cli.stopping import noting

CLIP = Path(__file__).parent.parent / "assets" / "three-people.mp4"
FORMATS = ("video", "images", "jsonl", "csv", "coco", "alphapose", "openpose")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("posewright-demo"),
        metavar="DIR",
        help="folder of the results (default %(default)s)",
    )
    parser.add_argument(
        "--progress",
        default="auto",
        choices=("auto", "json", "none"),
        help="bar on a terminal, plain lines elsewhere, or JSON lines",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Run the demo; return the exit code."""
    from posewright.pose import Pose
    from posewright.predict import predict_to
    from posewright.writers import WriterOptions

    bar = create_bar(args.progress)
    with noting() as stopped:
        summary = predict_to(
            Pose(),
            [CLIP],
            args.out,
            save=FORMATS,
            writing=WriterOptions(overwrite=True),  # an earlier demo's files
            tracker="oks",
            progress=bar,
            stopped=stopped,
        )
    if bar is not None:
        bar.close()
    return show_summary(summary, args.json)
