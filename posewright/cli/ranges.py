"""Options that choose frames, as posewright.sources.ranges understands them."""

from __future__ import annotations

import argparse
from typing import Any

__all__ = ["add_range_options", "chosen_frames"]


def add_range_options(parser: argparse.ArgumentParser, timed: bool = True) -> None:
    """Add which frames of each sequence are read.  timed: also by their times."""
    group = parser.add_argument_group("frames to read, of each sequence")
    group.add_argument(
        "--frames",
        metavar="A:B",
        help="frames A to B-1, numbered from 0; A: and :B leave one end open (default: all)",
    )
    if timed:
        group.add_argument(
            "--time-range",
            metavar="A:B",
            help=(
                "frames from A until before B, in seconds, or in clock times as in "
                "00:01:30..00:02:00"
            ),
        )
    group.add_argument(
        "--stride",
        type=int,
        default=1,
        metavar="N",
        help="every N-th frame only (default %(default)s)",
    )


def chosen_frames(args: argparse.Namespace) -> dict[str, Any]:
    """Return these options as `open_source` takes them; UsageError for one that is wrong."""
    from posewright.sources.ranges import Range

    names = ("frames", "time_range", "stride")
    options = {name: getattr(args, name) for name in names if name in args}
    Range.of(**options)
    return options
