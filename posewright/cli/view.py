"""Draw saved results over their images or their video, without running a network again.

RESULTS: whatever posewright reads as results: poses.jsonl, poses.parquet, coco-results.json,
alphapose-results.json of any flavour (also of other tools, such as a tracked one) or a folder of
OpenPose files.  Images are matched by name, or else by the number in their names; the frames of a
video by their numbers, from 0.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from posewright.cli.common import add_out, show_summary
from posewright.cli.predict import add_drawing_options
from posewright.cli.ranges import add_range_options, chosen_frames
from posewright.cli.stopping import noting


def add_pictured(parser: argparse.ArgumentParser) -> None:
    """Add saved results, and the images or the video that they are of."""
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results file or folder")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--images",
        metavar="DIR",
        help="images that the results are of: a folder, a pattern, a list or an archive",
    )
    what.add_argument("--video", metavar="CLIP", help="video that the results are of")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    add_pictured(parser)
    add_out(parser)
    parser.add_argument(
        "--save",
        metavar="LIST",
        help="images, video or both, comma-separated (default: images for --images, else video)",
    )
    parser.add_argument(
        "--skeleton",
        metavar="NAME",
        help="skeleton of results that do not name their joints (default: by their number)",
    )
    parser.add_argument(
        "--fps",
        type=float,
        metavar="RATE",
        help="frame rate of a video made of images (default 25)",
    )
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the images or the video of an earlier run"
    )
    add_range_options(parser)
    add_drawing_options(parser)
    parser.set_defaults(draw_colours="people")
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Draw; return the exit code."""
    from posewright.cli.predict import drawing_style
    from posewright.errors import UsageError
    from posewright.pipeline.overlay import view_to
    from posewright.skeletons import get_skeleton
    from posewright.writers import WriterOptions

    if args.fps is not None and args.video:
        raise UsageError("--fps is for --images: a video has its own frame rate; leave it out")
    default = "images" if args.images else "video"
    rate = {} if args.fps is None else {"fps": args.fps / args.stride}
    with noting() as stopped:
        summary = view_to(
            args.results,
            args.images or args.video,
            args.out,
            save=[name.strip() for name in (args.save or default).split(",")],
            writing=WriterOptions(style=drawing_style(args), overwrite=args.overwrite, **rate),
            skeleton=get_skeleton(args.skeleton) if args.skeleton else None,
            stopped=stopped,
            fps=args.fps,
            **chosen_frames(args),
        )
    return show_summary(summary, args.json)
