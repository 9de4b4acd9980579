"""Learn how a detector's boxes differ from the true ones, for training (pose-guided proposals).

`posewright pgpg fit DATA --boxes FILE -o FILE.json` clusters the poses of a labelled set and fits a
mixture of box offsets to each; train with augment.pgpg=FILE.json.  See docs/augmentation.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli.common import add_class, left_out

if TYPE_CHECKING:
    from posewright.augment.offsets import BoxOffsets


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    fit = verbs.add_parser("fit", help="learn from a labelled set and a detector's boxes")
    fit.add_argument("data", type=Path, metavar="DATA", help="annotation file or folder")
    boxes = fit.add_mutually_exclusive_group(required=True)
    boxes.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help="boxes on the pictures of DATA: COCO detection results or an AlphaPose detfile",
    )
    boxes.add_argument(
        "--jitter",
        type=_share,
        metavar="SHARE",
        help="without a detector: true boxes whose edges are off by normal noise of this deviation "
        "in widths and heights",
    )
    fit.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="JSON file to write"
    )
    fit.add_argument(
        "--poses", type=_count, default=16, metavar="N", help="most kinds of poses (default 16)"
    )
    fit.add_argument(
        "--components",
        type=_count,
        default=3,
        metavar="N",
        help="most Gaussians of a kind of pose (default 3)",
    )
    fit.add_argument(
        "--iou",
        type=_share,
        default=0.5,
        metavar="S",
        help="least overlap of one of --boxes with the true one (default 0.5)",
    )
    fit.add_argument(
        "--score",
        type=_share,
        default=0.0,
        metavar="S",
        help="least score of one of --boxes (default 0)",
    )
    add_class(fit)
    fit.add_argument("--kind", default=None, metavar="KIND", help="of DATA (default: guessed)")
    fit.add_argument(
        "--seed", type=int, default=0, metavar="N", help="decides the result (default 0)"
    )
    fit.add_argument("--overwrite", action="store_true", help="replace the file")
    fit.add_argument("--json", action="store_true", help="print one JSON object")
    fit.set_defaults(parser=fit)


def run(args: argparse.Namespace) -> int:
    """Fit and write; return the exit code."""
    import numpy as np

    from posewright.datasets.opening import open_part
    from posewright.files.part import reserve
    from posewright.fit.boxes import detected, fit_offsets, jittered
    from posewright.readers.boxes import read_boxes

    reserve(args.out, args.overwrite)
    dataset = open_part(args.data, args.kind, None, "train", class_name=args.class_name)
    if args.boxes:
        file = read_boxes(args.boxes, dataset.category)
        people, offsets, count = detected(dataset, file, args.iou, args.score)
        source = args.boxes.name
        notes = [f"{args.boxes}: {b}" for b in file.bad[:5]]
    else:
        people, offsets, count = jittered(dataset, args.jitter, np.random.default_rng(args.seed))
        source, notes = f"jitter {args.jitter:g}", []
    fit = fit_offsets(
        people,
        offsets,
        dataset.skeleton,
        poses=args.poses,
        components=args.components,
        seed=args.seed,
        source=source,
    )
    fit.write(args.out, args.overwrite)
    code = left_out([*dataset.notes, *notes], dataset.remarks)
    _show(fit, len(people), count, args.out, args.json)
    return code


def _show(fit: BoxOffsets, found: int, count: int, out: Path, as_json: bool) -> None:
    """Print what was learned of everybody together."""
    mean, covariance = fit.mixtures[-1].moments
    deviation = [float(covariance[i, i]) ** 0.5 for i in range(4)]
    if as_json:
        summary = {"file": str(out), "people": count, "matched": found, "poses": len(fit.poses)}
        print(json.dumps({**summary, "mean": mean.tolist(), "deviation": deviation}))
        return
    print(f"{found} of {count} people have a box; {len(fit.poses)} kinds of poses")
    for name, m, s in zip(("left", "top", "right", "bottom"), mean, deviation, strict=True):
        print(f"  {name:<6} {m:+.4f} of the side, deviation {s:.4f}")
    print(f"  {out}")


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value


def _count(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is below 1")
    return value
