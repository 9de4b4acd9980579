"""Run on a clip that comes with the package: no input file, no download.

Writes drawn images, a video and result files, and prints where they are.  Replaces the results of
an earlier demo, and no other files.
"""

from __future__ import annotations

import argparse
import json
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
        help="output folder (default %(default)s)",
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
    from posewright.errors import OutputError
    from posewright.pose import Pose
    from posewright.predict import predict_to
    from posewright.writers import WriterOptions

    if not _is_free(args.out):
        raise OutputError(
            f"{args.out} holds results of another run; choose another folder for the demo with -o"
        )
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


def _is_free(out: Path) -> bool:
    """Tell whether all results in a folder are of the demo's clip; the rows say whose they are."""
    from posewright.files.leftovers import final_name
    from posewright.writers import formats

    there = list(out.iterdir()) if out.is_dir() else []
    names = [final_name(path.name) or path.name for path in there]
    rows = [path for path, name in zip(there, names, strict=True) if name == "poses.jsonl"]
    if not rows:
        made = {name for form in formats(FORMATS).values() for name in form.files}
        return not {CLIP.name, *made} & set(names)
    return all(_source(path) in (None, CLIP.name) for path in rows)


def _source(rows: Path) -> str | None:
    """Return the file name of the first row's source; None where there is no row."""
    with rows.open("rb") as file:
        lines = [file.readline(1 << 20) for _ in range(2)]
    try:
        return Path(json.loads(lines[1])["source"]).name
    except (ValueError, TypeError, KeyError):
        return None
