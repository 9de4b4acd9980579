"""Check, inspect, convert, split and generate labelled data sets."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli import bins
from posewright.cli.common import add_class, left_out
from posewright.cli.progress import Counter
from posewright.cli.tables import print_numbers
from posewright.errors import counted

if TYPE_CHECKING:
    from posewright.datasets import Dataset

_FORMS = ("coco", "labelme", "yolo", "cvat")
_RATIO = 0.2  # of a labelme folder that is kept for validation: 4 of 20 images


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    check = verbs.add_parser(
        "check",
        help=(
            "report faults of the labels that spoil training or evaluation; exit code 3 "
            "if there are any"
        ),
    )
    stats = verbs.add_parser("stats", help="count images, people, keypoints and box sizes")
    view = verbs.add_parser("view", help="draw labels on images")
    convert = verbs.add_parser("convert", help="convert to COCO, labelme, YOLO-pose or CVAT")
    split = verbs.add_parser(
        "split", help="split into training and validation sets, in COCO format"
    )
    synth = verbs.add_parser("synth", help="generate a small labelled set of stick figures")
    to_bin = verbs.add_parser(
        "to-bin", help="write a network's views as raw files, for devices such as Ascend 310"
    )
    bins.add_to_bin(to_bin)
    for sub in (check, stats, view, split, to_bin):
        sub.add_argument("data", type=Path, metavar="DATA", help="annotation file or folder")
    _add_convert(convert)
    for sub in (check, stats, view, convert, split, to_bin):
        _add_reading(sub)
        add_class(sub)
    for sub in (view, split, synth, to_bin):
        sub.add_argument(
            "-o", "--out", type=Path, required=True, metavar="DIR", help="folder to write"
        )
    for sub, what in ((view, "images, spread over the set"), (synth, "images to draw")):
        sub.add_argument(
            "--count", type=int, default=20, metavar="N", help=f"{what} (default %(default)s)"
        )
    _add_ratio(split, _RATIO, "share of validation (default %(default)s)")
    for sub in (convert, split, synth):
        sub.add_argument("--seed", type=int, default=0, metavar="N", help="random seed (default 0)")
    for sub in (view, convert, split, synth, to_bin):
        sub.add_argument(
            "--overwrite",
            action="store_true",
            help="allow a non-empty output folder and replace files in it",
        )
    for sub in (check, stats, view, convert, split, synth, to_bin):
        sub.add_argument("--json", action="store_true", help="print one JSON object")
        sub.set_defaults(parser=sub)


def _add_reading(parser: argparse.ArgumentParser) -> None:
    """Add how a set is read."""
    parser.add_argument(
        "--kind",
        default=None,
        metavar="KIND",
        help=(
            "format of the labels: coco, coco-wholebody, crowdpose, ochuman, halpe, "
            "humanart, humanart21, aic, mpii, lsp, posetrack, jhmdb, labelme, yolo, cvat, "
            "label-studio or visdrone (default: detected)"
        ),
    )
    parser.add_argument(
        "--images",
        type=Path,
        default=None,
        metavar="DIR",
        help="image folder (default: found near the labels)",
    )
    parser.add_argument(
        "--split",
        choices=("train", "val", "test"),
        default=None,
        metavar="PART",
        help="split of a YOLO or COCO folder: train, val or test (default: all)",
    )
    parser.add_argument(
        "--joint",
        action="append",
        default=[],
        metavar="NAME",
        help="name of a joint that is intended although it is almost that of another joint "
        "(repeatable; for labelme, CVAT and Label Studio)",
    )


def _add_ratio(parser: argparse.ArgumentParser, default: float | None, text: str) -> None:
    parser.add_argument("--ratio", type=float, default=default, metavar="SHARE", help=text)


def _add_convert(convert: argparse.ArgumentParser) -> None:
    """Add what to read and where to write, in both spellings."""
    convert.add_argument("source", nargs="?", type=Path, metavar="FROM", help="labels to convert")
    convert.add_argument("target", nargs="?", type=Path, metavar="TO", help="output folder")
    convert.add_argument("--input", type=Path, default=None, metavar="DIR", help="same as FROM")
    convert.add_argument(
        "--output",
        type=Path,
        default=None,
        metavar="DIR",
        help="instead of TO: write to DIR/coco, DIR/yolo, ...",
    )
    convert.add_argument(
        "--to", default="coco", choices=_FORMS, help="output format (default %(default)s)"
    )
    text = (
        "share of validation, 0 for one part (default 0.2 from labelme and CVAT folders to COCO "
        "and YOLO, else 0)"
    )
    _add_ratio(convert, None, text)


def run(args: argparse.Namespace) -> int:
    """Do what the action says; return the exit code."""
    actions = {
        "check": _check,
        "stats": _stats,
        "view": _view,
        "convert": _convert,
        "split": _split,
        "synth": _synth,
        "to-bin": bins.to_bin,
    }
    return actions[args.action](args)


def _check(args: argparse.Namespace) -> int:
    from posewright.datasets.check import check

    report = check(args.data, args.kind, args.images, args.class_name, args.split, args.joint)
    if args.json:
        print(json.dumps(report.to_dict()))
        return 3 if report.errors else 0
    print(
        f"{args.data}: {counted(report.pictures, 'image', 'images')}, "
        f"{counted(report.people, 'person', 'people')}, {report.skeleton}"
        + (f", class {report.class_name}" if report.class_name != "person" else "")
    )
    for finding in report.findings:
        print(f"{finding.level} {finding.count} x {finding.kind}: {finding.text}")
        print(f"    first: {finding.first}")
    if not report.findings:
        print("nothing found that spoils training or evaluation")
    return 3 if report.errors else 0


def _open(args: argparse.Namespace) -> Dataset:
    from posewright.datasets import open_dataset

    return open_dataset(args.data, args.kind, args.images, args.class_name, args.split, args.joint)


def _stats(args: argparse.Namespace) -> int:
    from posewright.datasets.statistics import statistics

    dataset = _open(args)
    numbers = statistics(dataset)
    if args.json:
        print(json.dumps({**numbers, "notes": dataset.notes, "remarks": dataset.remarks}))
        return left_out(dataset.notes, dataset.remarks)
    visibility = numbers.pop("visibility")
    print_numbers(numbers)
    print("labelled           not labelled, hidden, visible")
    for joint, counts in visibility.items():
        print(f"  {joint:16} {' '.join(f'{n:8d}' for n in counts)}")
    return left_out(dataset.notes, dataset.remarks)


def _view(args: argparse.Namespace) -> int:
    from posewright.datasets.viewing import view

    dataset = _open(args)
    written, notes = view(dataset, args.out, args.count, args.overwrite)
    if args.json:
        print(json.dumps({"folder": str(args.out), "files": written, "notes": notes}))
    else:
        print(f"{counted(len(written), 'image')} in {args.out}")
    return left_out([*dataset.notes, *notes], dataset.remarks)


def _convert(args: argparse.Namespace) -> int:
    from posewright.datasets import open_dataset
    from posewright.datasets.converting import named_parts
    from posewright.datasets.opening import guess_kind, parts_of
    from posewright.errors import UsageError

    source = args.input or args.source
    # With --input the first word, if any, is the target.
    named = args.target or (args.source if args.input else None)
    target = args.output / args.to if args.output else named
    if source is None or target is None:
        raise UsageError(
            "give what to convert and where to write it: FROM TO, or --input DIR --output DIR"
        )
    dataset = open_dataset(source, args.kind, args.images, args.class_name, args.split, args.joint)
    ratio = args.ratio
    names = () if args.split else parts_of(source, args.kind, args.images)
    if ratio is None and len(names) > 1:
        own = {n: open_dataset(source, args.kind, args.images, args.class_name, n) for n in names}
        return _write(args, dataset, target, args.to, 0, named_parts(own, args.to))
    if ratio is None:
        parts = args.to in ("coco", "yolo")
        hand = parts and (args.kind or guess_kind(source)) in ("labelme", "cvat")
        ratio = _RATIO if hand else 0.0
    return _write(args, dataset, target, args.to, ratio)


def _split(args: argparse.Namespace) -> int:
    return _write(args, _open(args), args.out, "coco", args.ratio)


def _write(
    args: argparse.Namespace,
    dataset: Dataset,
    target: Path,
    form: str,
    ratio: float,
    parts: dict[str, Dataset] | None = None,
) -> int:
    """Convert with progress on stderr and a summary on stdout; return the exit code."""
    from posewright.datasets.converting import convert, subsets
    from posewright.errors import UsageError

    if ratio and not 0 < ratio < 1:
        raise UsageError(f"--ratio must lie between 0 and 1, not {ratio}; 0.2 holds back a fifth")
    if ratio:
        counts = [len(part) for part in subsets(dataset, ratio, args.seed, form).values()]
        for count, use in zip(counts, ("training", "testing"), strict=False):
            print(f"{count} for {use}", file=sys.stderr)
    total = sum(map(len, parts.values())) if parts else len(dataset)
    counter = Counter(total)
    done = convert(dataset, target, form, ratio, args.seed, args.overwrite, counter, parts)
    if args.json:
        print(json.dumps(done.to_dict()))
    else:
        print_numbers({k: v for k, v in done.to_dict().items() if k not in ("notes", "remarks")})
    return left_out(done.notes, done.remarks)


def _synth(args: argparse.Namespace) -> int:
    from posewright.datasets.formats.coco_out import write_labels
    from posewright.datasets.synthetic import synth
    from posewright.errors import UsageError

    if args.count < 1:
        raise UsageError(f"--count must be at least 1, not {args.count}")
    dataset = synth(args.out, args.count, args.seed, overwrite=args.overwrite)
    file = args.out / "annotations.json"
    write_labels(dataset, file)
    numbers = {"file": str(file), "pictures": len(dataset), "people": dataset.people}
    print(json.dumps(numbers)) if args.json else print_numbers(numbers)
    return 0
