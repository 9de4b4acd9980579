"""Options of `eval` for running a model: what is run on, by which boxes, and what is written."""

from __future__ import annotations

import argparse
from pathlib import Path

from posewright.cli import bins
from posewright.cli.by_themselves import add_scales
from posewright.cli.common import Once
from posewright.cli.named import add_body, add_device, add_fetching

__all__ = ["REFINING", "RESCORE", "RUNNING", "add_running"]

RESCORE = ("box", "mean", "box*mean", "hrnet", "alphapose")
# Options that mean nothing with --predictions, and what they are where they are not given.
RUNNING = {
    "body": None,
    "weights": None,
    "images": None,
    "boxes": None,
    "keep_boxes": None,
    "split": None,
    "flip": False,
    "accurate": False,
    "scales": (1.0,),
    "detector": "auto",
    "nms": None,
    "rescore": "box*mean",
    "refine": None,
    "tracker": None,
    "reid": None,
    "heads": None,
    "from_bins": None,
    "batch": 32,
    "device": "auto",
    "limit": 0,
    "out": None,
    "report": None,
    "overwrite": False,
}
# Those that mean something with --predictions and --refine.
REFINING = ("refine", "images", "flip", "batch", "device")


def add_running(group: argparse._ArgumentGroup) -> None:
    """Add how a model is run and what is written."""
    add_body(group)
    add_fetching(group)
    group.add_argument("-w", "--weights", metavar="FILE", help="weights of a network of the zoo")
    group.add_argument(
        "--images",
        action=Once,
        type=Path,
        metavar="DIR",
        help="image folder (default: found near the labels)",
    )
    _add_boxes(group)
    group.add_argument(
        "--split",
        choices=("train", "val", "test"),
        metavar="PART",
        help="split of a YOLO or COCO folder: train, val or test (default: val, otherwise test)",
    )
    group.add_argument(
        "--flip", action="store_true", default=None, help="flip test: average with the mirror image"
    )
    add_scales(group, None)
    group.add_argument(
        "--accurate",
        action="store_true",
        default=None,
        help="average three crops of each person and duplicate poses",
    )
    group.add_argument(
        "--nms",
        choices=("oks", "average", "ppose", "none"),
        help="method for duplicate poses (default: none with labelled boxes, else as in predict)",
    )
    group.add_argument(
        "--rescore",
        metavar="WAY|FILE",
        help=f"score that ranks people: {', '.join(RESCORE)} (default box*mean; hrnet: mean of the "
        "keypoint scores above 0.2), or the file of a re-scoring network, as in predict",
    )
    group.add_argument(
        "--batch", type=int, metavar="N", help="batch size, in crops per forward pass (default 32)"
    )
    add_device(group, None)
    group.add_argument(
        "--refine",
        action=Once,
        metavar="FILE",
        help="PoseFix network (.onnx or .safetensors) that refines the poses, of the model or of "
        "--predictions",
    )
    _add_tracking(group)
    bins.add_from_bins(group)
    _add_written(group)


def _add_boxes(group: argparse._ArgumentGroup) -> None:
    """Add where the boxes of top-down models come from."""
    group.add_argument(
        "--boxes",
        action=Once,
        metavar="truth|detector|FILE",
        help="boxes for top-down models: truth (labelled boxes, the default), detector (that "
        "of --mode, else the embedded one), truth,detector (both, in turn), or a file of "
        "COCO detection results",
    )
    group.add_argument(
        "--keep-boxes",
        action=Once,
        type=Path,
        metavar="FILE",
        help="with --boxes detector: keep the detector's boxes in FILE; if FILE is there, use its "
        "boxes instead of running the detector",
    )
    group.add_argument(
        "-d",
        "--detector",
        metavar="NAME|FILE",
        help="detector of --boxes detector, as in predict (default: of --mode, or embedded)",
    )


def _add_tracking(group: argparse._ArgumentGroup) -> None:
    """Add what single data sets need: identities, and head boxes."""
    group.add_argument(
        "--tracker",
        metavar="NAME",
        help="posetrack: tracker, as in predict (default: none, which measures mAP only)",
    )
    group.add_argument(
        "--reid",
        metavar="FILE",
        help="re-identification network, for --tracker appearance",
    )
    group.add_argument(
        "--heads",
        type=Path,
        metavar="FILE",
        help="mpii: detections_our_format.mat, which has the head boxes that the JSON labels lack",
    )


def _add_written(group: argparse._ArgumentGroup) -> None:
    """Add how many images are taken, and which files are written."""
    group.add_argument(
        "--limit", type=int, metavar="N", help="evaluate only the first N images (default: all)"
    )
    group.add_argument(
        "-o",
        "--out",
        type=Path,
        metavar="FILE",
        help="also write a result file in the format of the data set, e.g. for COCO test-dev",
    )
    group.add_argument(
        "--report", type=Path, metavar="DIR", help="write an HTML report, report.html, into DIR"
    )
    group.add_argument(
        "--overwrite", action="store_true", default=None, help="replace FILE and DIR/report.html"
    )
