"""Options of `data to-bin` and `eval --from-bins`: views and outputs as raw files."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli.common import Once, left_out
from posewright.cli.named import add_fetching, network
from posewright.cli.progress import Counter
from posewright.cli.tables import print_numbers

if TYPE_CHECKING:
    from posewright.evaluation.scoring import Scoring
    from posewright.pose import Pose
    from posewright.runtimes import Model

__all__ = ["add_from_bins", "add_to_bin", "answering", "check", "to_bin", "write_log"]

LOG = "acc.log"


def add_to_bin(parser: argparse.ArgumentParser) -> None:
    """Add what the views are cut for."""
    parser.add_argument(
        "-m", "--model", required=True, metavar="NAME|FILE", help="pose model, as for eval"
    )
    parser.add_argument("-w", "--weights", metavar="FILE", help="weights of a network of the zoo")
    add_fetching(parser)
    parser.add_argument(
        "--boxes",
        metavar="truth|FILE",
        default="truth",
        help="boxes for top-down models: truth (labelled boxes, the default), or a file of COCO "
        "detection results",
    )
    parser.add_argument("--flip", action="store_true", help="write the mirrored views, too")
    parser.add_argument(
        "--input",
        default="views",
        choices=("views", "normalised"),
        help="content of the files: views, uint8 RGB (h, w, 3), as AIPP takes them (the default); "
        "or normalised, what the model's file takes",
    )


def to_bin(args: argparse.Namespace) -> int:
    """Write the views; return the exit code."""
    from posewright.datasets.opening import open_part
    from posewright.errors import UsageError
    from posewright.evaluation.bins import write_bins
    from posewright.evaluation.running import FileBoxes
    from posewright.pose import Pose
    from posewright.readers import read_boxes

    if args.joint:
        raise UsageError("--joint has no effect with to-bin; convert the labels first")
    pose = Pose(network(args.model), weights=args.weights, detector="whole-image")
    given = pose.model.info.input if args.input == "normalised" else None
    if given is not None and given.raw:
        raise UsageError(
            f"{args.model} takes uint8 views as they are; leave --input normalised out"
        )
    wanted = (args.split,) if args.split else ("val", "test")
    dataset = open_part(args.data, args.kind, args.images, *wanted, class_name=args.class_name)
    file = None if args.boxes == "truth" else read_boxes(args.boxes, dataset.category)
    count, notes = write_bins(
        pose.model,
        dataset,
        args.out,
        boxes=None if file is None else FileBoxes(dataset.samples, file),
        given=given,
        flip=args.flip,
        overwrite=args.overwrite,
        progress=Counter(len(dataset)),
    )
    told = {"folder": str(args.out), "views": count, "images": len(dataset)}
    print(json.dumps(told)) if args.json else print_numbers(told)
    return left_out([*dataset.notes, *notes], dataset.remarks)


def add_from_bins(group: argparse._ArgumentGroup) -> None:
    """Add outputs of a device in place of a run."""
    group.add_argument(
        "--from-bins",
        action=Once,
        type=Path,
        metavar="DIR",
        help="score what a device wrote for the views of `posewright data to-bin` in DIR, and "
        "write DIR/acc.log; -m tells how outputs are decoded",
    )


def check(args: argparse.Namespace) -> None:
    """Raise a UsageError or OutputError for what would fail only after the evaluation."""
    from posewright.errors import UsageError
    from posewright.files.part import reserve

    if args.boxes == "detector":
        raise UsageError("--from-bins has no views of a detector's boxes; give --boxes FILE")
    reserve(args.from_bins / LOG, args.overwrite)


def answering(args: argparse.Namespace, pose: Pose) -> Model:
    """Return the network, or the outputs that a device has written for its views."""
    from posewright.evaluation.bins import BinModel

    return pose.model if args.from_bins is None else BinModel.open(pose.model, args.from_bins)


def write_log(folder: Path, scoring: Scoring) -> str:
    """Write each number on a line of its own; return the path."""
    from posewright.datasets.folders import write_text

    lines = [f"{name}: {value:.6f}\n" for name, value in scoring.numbers.items()]
    write_text(folder / LOG, "".join(lines))
    return str(folder / LOG)
