"""Fit settings from labelled images: duplicate removal and detected bounding boxes.

`posewright fit nms DATA --detections FILE -o FILE.json` searches for the constants of p-Pose NMS
with the highest average precision.  FILE is what eval or predict write with all duplicates kept
(their option --nms none).  --into MODEL also stores them in the file of a model, which predict
uses with --nms ppose.  See docs/rmpe.md.

`posewright fit boxes DATA --boxes FILE -o FILE.json` learns how the boxes of a detector differ from
the labelled ones: it clusters the labelled poses and fits a mixture of box offsets to each cluster,
for training with pose-guided proposals (augment.pgpg=FILE.json).  See docs/augmentation.md.

`posewright fit rescore DATA --detections FILE -o FILE.safetensors` learns which poses are good from
the poses that a model found on labelled images: a network that expects the OKS of a pose, for
predict and eval --rescore FILE.safetensors, as DEKR has it.  See docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli.common import add_class, left_out
from posewright.errors import counted

if TYPE_CHECKING:
    from posewright.augment.offsets import BoxOffsets
    from posewright.datasets import Dataset
    from posewright.fit.ppose import Fit


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    _add_nms(
        verbs.add_parser(
            "nms", help="learn the constants of p-Pose NMS from the poses that a model found"
        )
    )
    _add_rescore(
        verbs.add_parser(
            "rescore", help="learn the OKS to expect of a pose, by which people are ranked (DEKR)"
        )
    )
    _add_boxes(
        verbs.add_parser(
            "boxes", help="learn how detected boxes differ from labelled ones, for PGPG"
        )
    )


def _add_nms(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("data", type=Path, metavar="DATA", help="annotation file or folder")
    verb.add_argument(
        "--detections",
        type=Path,
        required=True,
        metavar="FILE",
        help=("poses found on the images of DATA, with all duplicates kept: COCO keypoint results"),
    )
    verb.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="JSON file to write"
    )
    verb.add_argument(
        "--into",
        type=Path,
        metavar="MODEL",
        help="also store the constants in the metadata of this .safetensors or .onnx file",
    )
    verb.add_argument(
        "--folds",
        type=int,
        default=0,
        metavar="N",
        help="also cross-validate with N folds (default: no cross-validation)",
    )
    verb.add_argument(
        "--crowded",
        type=int,
        default=0,
        metavar="N",
        help="use only images with at least N labelled people (default: all)",
    )
    add_class(verb)
    verb.add_argument(
        "--kind", default=None, metavar="KIND", help="format of DATA (default: detected)"
    )
    verb.add_argument("--overwrite", action="store_true", help="replace the JSON file")
    verb.add_argument("--json", action="store_true", help="print one JSON object")
    verb.set_defaults(parser=verb, fit=_fit_nms)


def _add_boxes(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("data", type=Path, metavar="DATA", help="annotation file or folder")
    boxes = verb.add_mutually_exclusive_group(required=True)
    boxes.add_argument(
        "--boxes",
        type=Path,
        metavar="FILE",
        help=(
            "bounding boxes on the images of DATA: COCO detection results or an AlphaPose "
            "detection file"
        ),
    )
    boxes.add_argument(
        "--jitter",
        type=_share,
        metavar="SHARE",
        help=(
            "without a detector: labelled boxes with normal noise on their edges, of "
            "standard deviation SHARE relative to width and height"
        ),
    )
    verb.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help="JSON file to write"
    )
    verb.add_argument(
        "--poses",
        type=_count,
        default=16,
        metavar="N",
        help="maximum number of pose clusters (default 16)",
    )
    verb.add_argument(
        "--components",
        type=_count,
        default=3,
        metavar="N",
        help="maximum number of Gaussians per cluster (default 3)",
    )
    verb.add_argument(
        "--iou",
        type=_share,
        default=0.5,
        metavar="S",
        help="minimum IoU of a detected box with the labelled one (default 0.5)",
    )
    verb.add_argument(
        "--score",
        type=_share,
        default=0.0,
        metavar="S",
        help="minimum score of a detected box (default 0)",
    )
    _add_common(verb)
    verb.set_defaults(parser=verb, fit=_fit_boxes)


def _add_rescore(verb: argparse.ArgumentParser) -> None:
    verb.add_argument("data", type=Path, metavar="DATA", help="annotation file or folder")
    verb.add_argument(
        "--detections",
        type=Path,
        required=True,
        metavar="FILE",
        help="poses found on the images of DATA: COCO keypoint results of eval or predict",
    )
    verb.add_argument(
        "-o", "--out", type=Path, required=True, metavar="FILE", help=".safetensors file to write"
    )
    verb.add_argument(
        "--epochs",
        type=_count,
        default=60,
        metavar="N",
        help="times each pose is seen (default 60)",
    )
    _add_common(verb)
    verb.set_defaults(parser=verb, fit=_fit_rescore)


def _add_common(verb: argparse.ArgumentParser) -> None:
    """Add how DATA is read, and how the file is written."""
    add_class(verb)
    verb.add_argument(
        "--kind", default=None, metavar="KIND", help="format of DATA (default: detected)"
    )
    verb.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default 0)")
    verb.add_argument("--overwrite", action="store_true", help="replace the file")
    verb.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Fit and write; return the exit code."""
    code: int = args.fit(args)
    return code


def _fit_nms(args: argparse.Namespace) -> int:
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
        progress=None if args.json else lambda line: print(line, file=sys.stderr),
    )
    files = [str(learned.write(args.out, args.overwrite))]
    if args.into:
        files.append(str(embed(learned.settings, args.into, joints)))
    code = left_out(dataset.notes, dataset.remarks)
    _show_nms(learned, files, args.json)
    return code


def _crowded(dataset: Dataset, args: argparse.Namespace) -> list[int]:
    """Return the numbers, by ascending id, of the images with enough labelled people."""
    from posewright.evaluation.arrays import in_order

    samples = [dataset.samples[i] for i in in_order(dataset.samples)]
    counts = [int(sample.counting.sum()) for sample in samples]
    return [i for i, count in enumerate(counts) if count >= args.crowded]


def _show_nms(fit: Fit, files: list[str], as_json: bool) -> None:
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
    images, people = counted(fit.pictures, "image"), counted(fit.people, "person", "people")
    print(f"{images}, {people}; {counted(fit.count, 'setting')} tried")
    for file in files:
        print(f"  {file}")


def _fit_rescore(args: argparse.Namespace) -> int:
    from posewright.datasets.opening import open_part
    from posewright.evaluation.evaluate import data_of
    from posewright.files.part import reserve
    from posewright.fit.rescore import fit_rescoring, read_poses

    reserve(args.out, args.overwrite)
    dataset = open_part(args.data, args.kind, None, "train", class_name=args.class_name)
    poses = read_poses(dataset, args.detections, data_of(dataset) == "crowdpose")
    done = fit_rescoring(
        poses,
        epochs=args.epochs,
        seed=args.seed,
        source=args.detections.name,
        progress=None if args.json else lambda line: print(line, file=sys.stderr),
    )
    path = done.network.save(args.out, args.overwrite)
    numbers = {"poses": len(poses.oks), "squared_error": done.losses[-1]}
    numbers |= {"AP_before": done.before, "AP_after": done.after}
    if args.json:
        print(json.dumps({"file": str(path), **numbers}))
    else:
        words = [f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in numbers.items()]
        print(f"{', '.join(words)} (on the images of the fit)\n  {path}")
    return left_out(dataset.notes, dataset.remarks)


def _fit_boxes(args: argparse.Namespace) -> int:
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
    _show_boxes(fit, len(people), count, args.out, args.json)
    return code


def _show_boxes(fit: BoxOffsets, found: int, count: int, out: Path, as_json: bool) -> None:
    """Print what was learned of everybody together."""
    mean, covariance = fit.mixtures[-1].moments
    deviation = [float(covariance[i, i]) ** 0.5 for i in range(4)]
    if as_json:
        summary = {"file": str(out), "people": count, "matched": found, "poses": len(fit.poses)}
        print(json.dumps({**summary, "mean": mean.tolist(), "deviation": deviation}))
        return
    people = counted(count, "person", "people")
    print(f"boxes found for {found} of {people}; {counted(len(fit.poses), 'kind')} of poses")
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
