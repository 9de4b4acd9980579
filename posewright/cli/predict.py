"""Estimate the poses of all people in images, videos, folders, cameras and streams.

SOURCE: an image, a folder, a glob, a numbered pattern such as img_%04d.jpg, a .txt list, a .zip of
images, a video, a camera (0 or camera:0), or an rtsp:// or http:// address.  A live source must be
the last one.  Results are written to the folder of -o under fixed names; one run at a time uses a
folder.  Ctrl-C, SIGTERM and SIGHUP stop the run and complete its files.
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
    add_out,
    add_smoothing_options,
    fraction,
    load_pose,
    show_summary,
)
from posewright.cli.progress import create_bar
from posewright.cli.ranges import add_range_options, chosen_frames
from posewright.cli.stopping import noting
from posewright.errors import one_line

if TYPE_CHECKING:
    from posewright.draw import Style
    from posewright.readers import BoxFile
    from posewright.smoothing import Smoothing
    from posewright.writers import WriterOptions


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument("source", nargs="+", metavar="SOURCE", help="input to read")
    _add_result_options(parser)
    _add_identity_options(parser)
    _add_source_options(parser)
    add_range_options(parser)
    add_drawing_options(parser)
    add_smoothing_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--progress",
        default="auto",
        choices=("auto", "json", "none"),
        help=(
            "progress display: a bar on a terminal and plain lines elsewhere (auto), or JSON lines"
        ),
    )
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def _add_result_options(parser: argparse.ArgumentParser) -> None:
    """Add where results go, in which formats and with what in them."""
    from posewright.writers import FORMATS

    add_out(parser)
    parser.add_argument(
        "--save",
        metavar="LIST",
        help=(
            f"output formats, comma-separated: {', '.join(FORMATS)} (default: jsonl, plus drawn "
            "images for images or a drawn video for any other source, unless the smoothing filter "
            "excludes them)"
        ),
    )
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help=(
            "replace the results of an earlier run and delete partial files of a killed "
            "one; input files are never replaced"
        ),
    )
    parser.add_argument(
        "--resume",
        action="store_true",
        help=(
            "go on with a run that was stopped or killed, after the last frame that it recorded; "
            "give the inputs and options of that run"
        ),
    )
    parser.add_argument(
        "--openpose-order",
        default="own",
        choices=("own", "coco18", "body25"),
        help="keypoint order of --save openpose (default: the model's own)",
    )
    parser.add_argument(
        "--sep-json",
        action="store_true",
        help="with alphapose-cmu or alphapose-open: also write one file per image",
    )
    parser.add_argument(
        "--fps",
        type=float,
        metavar="RATE",
        help=(
            "frame rate of image sequences (folders, lists, archives), used to compute "
            "timestamps; videos carry their own (default: no timestamps)"
        ),
    )


def _add_identity_options(parser: argparse.ArgumentParser) -> None:
    """Add how people are told apart and followed."""
    parser.add_argument("--track", action="store_true", help="track people: give each an identity")
    parser.add_argument(
        "--tracker",
        default=None,
        metavar="NAME",
        help=(
            "tracker, such as oks, bytetrack, ocsort, poseflow or appearance; implies --track "
            "(default with --track: oks)"
        ),
    )
    parser.add_argument(
        "--reid",
        default=None,
        metavar="FILE",
        help="re-identification network, for --tracker appearance",
    )
    parser.add_argument(
        "--det-every",
        type=int,
        default=1,
        metavar="N",
        help=(
            "run the detector on every N-th frame only and use the tracker's predicted "
            "boxes in between; requires --track"
        ),
    )


def _add_source_options(parser: argparse.ArgumentParser) -> None:
    """Add what is read beside the sources, and how sources are read."""
    parser.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help=(
            "read bounding boxes from a file instead of running a detector: COCO "
            "detection results or an AlphaPose detection file"
        ),
    )
    parser.add_argument(
        "--coco-images",
        type=Path,
        metavar="ANN.json",
        help=(
            "take the image_id of COCO results from this annotation file, matched by file "
            "name and folder"
        ),
    )
    parser.add_argument(
        "--max-pixels",
        type=int,
        default=100_000_000,
        metavar="N",
        help=("reject images with more than N pixels before decoding them (default 100 million)"),
    )
    parser.add_argument(
        "--latest",
        action="store_true",
        help=(
            "cameras and streams: always process the newest frame and drop frames that "
            "arrive too fast"
        ),
    )
    parser.add_argument(
        "--retry",
        type=float,
        default=30.0,
        metavar="S",
        help="streams: stop after S seconds without a frame (default 30)",
    )


def add_drawing_options(parser: argparse.ArgumentParser) -> None:
    """Add how annotated images and videos look."""
    group = parser.add_argument_group("drawing, for --save images,video")
    group.add_argument("--draw-boxes", action="store_true", help="draw bounding boxes")
    group.add_argument("--draw-scores", action="store_true", help="draw the score of each person")
    group.add_argument("--no-ids", action="store_true", help="do not draw identities")
    group.add_argument(
        "--draw-threshold",
        type=fraction,
        default=0.3,
        metavar="S",
        help="minimum score of a drawn keypoint (default %(default)s)",
    )
    group.add_argument(
        "--draw-colours",
        default="sides",
        choices=("sides", "people"),
        help="colour limbs by side, or each person by identity (default: sides; of view: people)",
    )


def drawing_style(args: argparse.Namespace) -> Style:
    """Return what the drawing options say."""
    from posewright.draw import Style

    return Style(
        ids=not args.no_ids,
        scores=args.draw_scores,
        boxes=args.draw_boxes,
        joint_threshold=args.draw_threshold,
        colours=args.draw_colours,
    )


def run(args: argparse.Namespace) -> int:
    """Predict; return the exit code."""
    from posewright.errors import UsageError
    from posewright.predict import predict_to

    chosen = chosen_frames(args)
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
    options: dict[str, Any] = {"max_pixels": args.max_pixels, **chosen}
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
            resume=args.resume,
            **options,
        )
    if bar is not None:
        bar.close()
    if boxes is not None:
        _report_boxes(boxes, summary)
    return show_summary(summary, args.json)


def writer_options(args: argparse.Namespace) -> WriterOptions:
    """Build the writers' options from the drawing options and --coco-images."""
    from posewright.writers import WriterOptions

    return WriterOptions(
        style=drawing_style(args),
        coco_images=args.coco_images,
        overwrite=args.overwrite,
        several=len(args.source) > 1,
        separate=args.sep_json,
        openpose_order=args.openpose_order,
        **({} if args.fps is None else {"fps": args.fps / args.stride}),
    )


def _smoothing(args: argparse.Namespace) -> Smoothing | None:
    if args.smooth is None:
        return None
    from posewright.smoothing import parse_smoothing

    return parse_smoothing(args.smooth)


def _formats(args: argparse.Namespace, smoothing: Smoothing | None) -> list[str]:
    from posewright.errors import UsageError
    from posewright.writers import WRITERS, formats

    if args.save is None and smoothing is not None and smoothing.whole:
        return ["jsonl"]  # drawing cannot wait for the whole sequence
    if args.save is None:
        drawn = {"images" if _is_pictures(source) else "video" for source in args.source}
        return ["jsonl", *sorted(drawn)]
    names = [name.strip() for name in args.save.split(",") if name.strip()]
    if not names:
        raise UsageError(f"--save names no format; choose from {', '.join(WRITERS)}")
    return list(formats(names))


def _check_formats(args: argparse.Namespace, save: list[str]) -> None:
    """Raise a UsageError for an option that means nothing to the formats that are written."""
    from posewright.errors import UsageError
    from posewright.writers import FORMATS

    for word in dict.fromkeys(word for form in FORMATS.values() for word in form.options):
        wanted = [name for name, form in FORMATS.items() if word in form.options]
        option = word[2:].replace("-", "_")
        given = getattr(args, option) != args.parser.get_default(option)
        if given and not set(wanted) & set(save):
            told = " or ".join(sorted(wanted))
            raise UsageError(
                f"{word} has an effect only with --save {told}; add that, or leave {word} out"
            )


def _is_pictures(source: str) -> bool:
    """Tell by the name alone whether a source is made of images."""
    from posewright.sources.order import PICTURES

    if "://" in source:
        return Path(re.split(r"[?#]", source)[0]).suffix.lower() in PICTURES
    return os.path.isdir(source) or Path(source).suffix.lower() in {*PICTURES, ".zip", ".txt"}


def _boxes(args: argparse.Namespace) -> BoxFile | None:
    if args.boxes is None:
        return None
    from posewright.errors import UsageError
    from posewright.readers import read_boxes

    if args.detector != "auto":
        raise UsageError(
            f"--boxes {args.boxes} takes the place of the detector; leave out one of both, "
            f"--boxes or -d {args.detector}"
        )
    return read_boxes(args.boxes)


def _report_boxes(boxes: BoxFile, summary: Any) -> None:
    """Say how boxes and images went together; no match or an unclear one is a bad input."""
    report = boxes.report()
    if boxes.unclear:
        advice = "give their folders in it as they are on disk"
        summary.add_bad(str(boxes.path), f"{report}; {advice}")
    elif boxes.asked and boxes.missing == boxes.asked:
        summary.add_bad(
            str(boxes.path),
            f"{report}; no box was used: check that its image_ids name these images",
        )
    elif report:
        summary.notes.append(report)
