"""Find people and their joints in pictures, videos, folders, cameras and streams.

SOURCE: a picture, a folder, a glob, a pattern such as img_%04d.jpg, a .txt list, a .zip of
pictures, a video, a camera (0 or camera:0), or an rtsp:// or http:// address; a live source must be
the last one.  Results go into the folder given with -o under fixed names; one run at a time writes
into a folder.  Ctrl-C, SIGTERM and SIGHUP finish the files and stop.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.cli.common import (
    add_model_options,
    add_smoothing_options,
    fraction,
    load_pose,
    show_summary,
)
from posewright.cli.progress import create_bar
from posewright.cli.stopping import noting
from posewright.errors import one_line

if TYPE_CHECKING:
    from posewright.readers import BoxFile
    from posewright.smoothing import Smoothing
    from posewright.writers import WriterOptions

_DRAWN = {"images", "video"}
# options that mean nothing without one of these formats
_ONLY_FOR = {
    "coco_images": {"coco"},
    "openpose_order": {"openpose"},
    "sep_json": {"alphapose-cmu", "alphapose-open"},
    "draw_boxes": _DRAWN,
    "draw_scores": _DRAWN,
    "no_ids": _DRAWN,
    "draw_threshold": _DRAWN,
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("source", nargs="+", metavar="SOURCE", help="what to read")
    _add_result_options(parser)
    _add_identity_options(parser)
    _add_source_options(parser)
    add_drawing_options(parser)
    add_smoothing_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--progress",
        default="auto",
        choices=("auto", "json", "none"),
        help="bar on a terminal, plain lines elsewhere, or JSON lines",
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def _add_result_options(parser: argparse.ArgumentParser) -> None:
    """Add where results go, in which formats and with what in them."""
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=Path("posewright-out"),
        metavar="DIR",
        help="folder of the results (default %(default)s)",
    )
    parser.add_argument(
        "--save",
        metavar="LIST",
        help="formats, with commas: coco, alphapose, alphapose-cmu, alphapose-open, openpose, csv, "
        "parquet, jsonl, images, video (default: jsonl, and images of pictures or a video of "
        "anything else where smoothing allows)",
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the result files of an earlier run, and remove the parts of one that was "
        "killed; files that this run reads are never replaced",
    )
    parser.add_argument(
        "--openpose-order",
        default="own",
        choices=("own", "coco18", "body25"),
        help="joint order of --save openpose (default: the model's own)",
    )
    parser.add_argument(
        "--sep-json",
        action="store_true",
        help="alphapose-cmu and alphapose-open: a file for each picture too",
    )
    parser.add_argument(
        "--fps",
        type=float,
        metavar="RATE",
        help="frame rate of picture sequences (folders, lists, archives), from which their frames "
        "get times; videos have their own (default: no times)",
    )


def _add_identity_options(parser: argparse.ArgumentParser) -> None:
    """Add how people are told apart and followed."""
    parser.add_argument("--track", action="store_true", help="give people identities")
    parser.add_argument(
        "--tracker",
        default=None,
        metavar="NAME",
        help="who finds the identities; implies --track (default with --track: oks)",
    )
    parser.add_argument(
        "--reid",
        default=None,
        metavar="FILE",
        help="a network that tells people apart, for --tracker appearance",
    )
    parser.add_argument(
        "--det-every",
        type=int,
        default=1,
        metavar="N",
        help="detect on every N-th frame, follow tracked boxes between; with --track",
    )


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add what is read beside the sources, and how sources are read."""
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="boxes from a file instead of a detector: COCO detection results or "
        "an AlphaPose detfile",
    )
    parser.add_argument(
        "--coco-images",
        type=Path,
        metavar="ANN.json",
        help="take the image_id of COCO results from this file, by the pictures' names and folders",
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=100_000_000,
        metavar="N",
        help="refuse larger pictures before decoding them (default 100 million)",
    )
    parser.add_argument(
        "--latest",
        action="store_true",
        help="cameras and streams: always the newest frame, drop what is late",
    )
    parser.add_argument(
        "--retry",
        type=float,
        default=30.0,
        metavar="S",
        help="streams: give up after S seconds without a picture (default 30)",
    )


def add_drawing_options(parser: argparse.ArgumentParser) -> None:
    """Add how annotated pictures and videos look."""
    group = parser.add_argument_group("drawing (for --save images,video)")
    group.add_argument("--draw-boxes", action="store_true", help="draw the boxes too")
    group.add_argument("--draw-scores", action="store_true", help="write the person scores")
    group.add_argument("--no-ids", action="store_true", help="do not write the identities")
    group.add_argument(
        "--draw-threshold",
        type=fraction,
        default=0.3,
        metavar="S",
        help="draw joints with at least this score (default %(default)s)",
    )


def run(args: argparse.Namespace) -> int:
    """Predict; return the exit code."""
    from posewright.errors import UsageError
    from posewright.predict import predict_to

    smoothing = _smoothing(args)
    save = _formats(args, smoothing)
    _check_formats(args, save)
    boxes = _boxes(args)
    if args.reid is not None and args.tracker != "appearance":
        raise UsageError(f"--reid {args.reid} is for --tracker appearance; add that")
    pose = load_pose(args, args.reid)
    if pose.detector_note and boxes is None:
        print(f"note: {one_line(pose.detector_note)}", file=sys.stderr)
    bar = create_bar(args.progress)
    options: dict[str, Any] = {"max_pixels": args.max_pixels}
    options |= {"latest": args.latest, "retry_s": args.retry, "det_every": args.det_every}
    options["fps"] = args.fps
    with noting() as stopped:
        summary = predict_to(
            pose,
            args.source,
            args.out,
            save=save,
            writing=writer_options(args),
            tracker=args.tracker or ("oks" if args.track else None),
            smooth=smoothing,
            gap=args.gap,
            boxes=boxes,
            progress=bar,
            stopped=stopped,
            **options,
        )
    if bar is not None:
        bar.close()
    if boxes is not None:
        _report_boxes(boxes, summary)
    return show_summary(summary, args.json)


def writer_options(args: argparse.Namespace) -> WriterOptions:
    """Build the writers' options from the drawing options and --coco-images."""
    from posewright.draw import Style
    from posewright.writers import WriterOptions

    style = Style(
        ids=not args.no_ids,
        scores=args.draw_scores,
        boxes=args.draw_boxes,
        joint_threshold=args.draw_threshold,
    )
    return WriterOptions(
        style=style,
        coco_images=args.coco_images,
        overwrite=args.overwrite,
        several=len(args.source) > 1,
        separate=args.sep_json,
        openpose_order=args.openpose_order,
        **({} if args.fps is None else {"fps": args.fps}),
    )


def _smoothing(args: argparse.Namespace) -> Smoothing | None:
    if args.smooth is None:
        return None
    from posewright.smoothing import parse_smoothing

    return parse_smoothing(args.smooth)


def _formats(args: argparse.Namespace, smoothing: Smoothing | None) -> list[str]:
    from posewright.errors import UsageError, nearest
    from posewright.writers import WRITERS

    if args.save is None and smoothing is not None and smoothing.whole:
        return ["jsonl"]  # drawing cannot wait for the whole sequence
    if args.save is None:
        drawn = {"images" if _is_pictures(source) else "video" for source in args.source}
        return ["jsonl", *sorted(drawn)]
    names = [name.strip() for name in args.save.split(",") if name.strip()]
    for name in names:
        if name not in WRITERS:
            raise UsageError(f"--save {name!r} is not a format{nearest(name, WRITERS)}")
    if not names:
        raise UsageError(f"--save names no format; choose from {', '.join(WRITERS)}")
    return list(dict.fromkeys(names))


def _check_formats(args: argparse.Namespace, save: list[str]) -> None:
    """Raise a UsageError for an option that means nothing to the formats that are written."""
    from posewright.errors import UsageError

    for option, formats in _ONLY_FOR.items():
        if getattr(args, option) != args.parser.get_default(option) and not formats & set(save):
            word = "--" + option.replace("_", "-")
            wanted = " or ".join(sorted(formats))
            raise UsageError(f"{word} is for --save {wanted}; add that, or leave {word} out")


def _is_pictures(source: str) -> bool:
    """Tell by the name alone whether a source is made of pictures."""
    from posewright.sources.order import PICTURES

    if "://" in source:
        return Path(re.split(r"[?#]", source)[0]).suffix.lower() in PICTURES
    return os.path.isdir(source) or Path(source).suffix.lower() in {*PICTURES, ".zip", ".txt"}


def _boxes(args: argparse.Namespace) -> BoxFile | None:
    if args.boxes is None:
        return None
    from posewright.readers import read_boxes

    return read_boxes(args.boxes)


def _report_boxes(boxes: BoxFile, summary: Any) -> None:
    """Say how boxes and pictures went together; no match or an unclear one is a bad input."""
    report = boxes.report()
    if boxes.unclear:
        advice = "name their folders in it as they are"
        summary.add_bad(str(boxes.path), f"{report}; {advice}")
    elif boxes.asked and boxes.missing == boxes.asked:
        summary.add_bad(str(boxes.path), f"{report}; no box was used: do its image_ids name these?")
    elif report:
        summary.notes.append(report)
