"""Learn the constants of p-Pose NMS, which removes duplicate people, from labelled pictures.

`posewright ppnms fit DATA --detections FILE -o FILE.json` searches for those of the highest average
precision; FILE is what eval or predict write with all duplicates kept (their option nms, none).
--into MODEL puts them into a model's file, which predict then uses (nms, ppose).  See docs/rmpe.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli.common import add_class, left_out

if TYPE_CHECKING:
    from posewright.datasets import Dataset
    from posewright.fit.ppose import Fit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    fit = verbs.add_parser("fit", help="learn from a labelled set and what a model found on it")
    fit.add_argument("data", type=Path, metavar="DATA", help="annotation file or folder")
    fit.add_argument(
        "--detections",
        type=Path,
        required=True,
        metavar="FILE",
        help="people found on the pictures of DATA, duplicates and all: COCO key point results",
    )
    fit.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="JSON file to write"
    )
    fit.add_argument(
        "--into",
        type=Path,
        metavar="MODEL",
        help="also write them into the metadata of this .safetensors or .onnx file",
    )
    fit.add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="N",
        help="also measure each N-th of the pictures with what the others teach (default: not)",
    )
    fit.add_argument(
        "--crowded",
        type=int,
        default=0,
        metavar="N",
        help="take only pictures with at least N labelled people (default: all)",
    )
    add_class(fit)
    fit.add_argument("--kind", default=None, metavar="KIND", help="of DATA (default: guessed)")
    fit.add_argument("--overwrite", action="store_true", help="replace the JSON file")
    fit.add_argument("--json", action="store_true", help="print one JSON object")
    fit.set_defaults(parser=fit)


def run(args: argparse.Namespace) -> int:
    """Fit and write; return the exit code."""
    from posewright.datasets.opening import open_part
    from posewright.evaluation.evaluate import data_of
    from posewright.files.part import reserve
    from posewright.fit.ppose import check_model, embed, fit, read_candidates

    reserve(args.out, args.overwrite)
    dataset = open_part(args.data, args.kind, None, "train", class_name=args.class_name)
    joints = len(dataset.skeleton)
    if args.into:  # what cannot be written is told before the work
        check_model(args.into, joints)
    crowdpose = data_of(dataset) == "crowdpose"
    candidates = read_candidates(dataset, args.detections, crowdpose)[_crowded(dataset, args)]
    learned = fit(
        candidates,
        dataset.skeleton,
        folds=args.folds,
        source=args.detections.name,
        say=None if args.json else lambda line: print(line, file=sys.stderr),
    )
    files = [str(learned.write(args.out, args.overwrite))]
    if args.into:
        files.append(str(embed(learned.settings, args.into, joints)))
    code = left_out(dataset.notes, dataset.remarks)
    _show(learned, files, args.json)
    return code


def _crowded(dataset: Dataset, args: argparse.Namespace) -> list[int]:
    """Return the numbers, by ascending id, of the pictures with enough labelled people."""
    from posewright.evaluation.arrays import in_order

    samples = [dataset.samples[i] for i in in_order(dataset.samples)]
    counts = [int(((sample.labelled > 0) & ~sample.crowd).sum()) for sample in samples]
    return [i for i, count in enumerate(counts) if count >= args.crowded]


def _show(fit: Fit, files: list[str], as_json: bool) -> None:
    """Print what was learned and what it is worth."""
    whole = fit.to_dict()
    if as_json:
        print(json.dumps({**whole, "files": files}, allow_nan=False))
        return
    settings = whole["settings"]
    print(f"{'AP':<8}  {'fitted':>7}  {'unseen':>7}" if fit.unseen else f"{'AP':<8}  {'fitted':>7}")
    for name, value in fit.numbers.items():
        unseen = f"  {fit.unseen[name]:>7.4f}" if fit.unseen else ""
        print(f"{name:<8}  {value:>7.4f}{unseen}")
    words = (f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in settings.items())
    print(", ".join(w for w in words if not w.startswith("parts")))
    print(f"{fit.pictures} pictures, {fit.people} people; {fit.count} settings tried")
    for file in files:
        print(f"  {file}")
