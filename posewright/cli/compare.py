"""Compare models on one data set: size, speed, memory, accuracy, and what bad images cost.

MODELS: .safetensors files, exported .onnx or .xml files, or names of posewright models list.
--degrade repeats the evaluation on degraded images; see docs/compare.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli.common import Once, add_class, left_out
from posewright.cli.named import add_device, add_fetching, network

if TYPE_CHECKING:
    from posewright.datasets import Dataset


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    parser.add_argument(
        "models", nargs="+", metavar="MODELS", help="model files or names of posewright models list"
    )
    parser.add_argument(
        "-m",
        "--model",
        action="append",
        default=[],
        metavar="FILE.py:NAME",
        help="network of your own file, whose weights are among MODELS; may be repeated",
    )
    parser.add_argument(
        "--data",
        action=Once,
        required=True,
        metavar="[KIND:]FILE",
        help="annotation file or folder; KIND as in `posewright data` (default: guessed)",
    )
    parser.add_argument(
        "--images",
        action=Once,
        type=Path,
        default=None,
        metavar="DIR",
        help="image folder (default: found near the labels)",
    )
    add_class(parser)
    add_fetching(parser)
    parser.add_argument(
        "--degrade",
        default="",
        metavar="LIST",
        help="grey, lowres:N (N px of a person's crop), blur, noise, jpeg (each :1 to :5, default "
        ":3), comma-separated",
    )
    parser.add_argument(
        "--limit", type=int, default=0, metavar="N", help="use only the first N images"
    )
    parser.add_argument(
        "--flip", action="store_true", help="flip test: average with the mirror image"
    )
    parser.add_argument(
        "--runtime",
        default="auto",
        choices=("auto", "onnxruntime", "openvino", "torch"),
        help="inference runtime (default: openvino where installed, torch for .safetensors)",
    )
    add_device(parser)
    parser.add_argument(
        "-o",
        "--out",
        type=Path,
        default=None,
        metavar="DIR",
        help="write compare.md, compare.json, compare.csv and compare.html",
    )
    parser.add_argument("--overwrite", action="store_true", help="allow a non-empty output folder")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _dataset(args: argparse.Namespace) -> Dataset:
    """Return the labelled images; what stands before a colon is their kind if there is such."""
    from posewright.datasets.layouts import layouts
    from posewright.datasets.opening import open_part

    kind, colon, path = args.data.partition(":")
    named = bool(colon) and kind in layouts()
    file, kind = (path, kind) if named else (args.data, "")
    dataset = open_part(file, kind or None, args.images, "val", "test", class_name=args.class_name)
    part: Dataset = dataset[: args.limit] if args.limit else dataset
    return part


def run(args: argparse.Namespace) -> int:
    """Compare; return the exit code."""
    from posewright.compare.degrade import parse
    from posewright.compare.report import markdown, write_study
    from posewright.compare.study import compare
    from posewright.errors import UsageError
    from posewright.files.part import reserve
    from posewright.machine import cpu_name

    if args.limit < 0:
        raise UsageError(f"--limit must not be below 0, not {args.limit}; 0 takes all images")
    degradations = parse(args.degrade)
    for text in args.model:
        if network(text) == text:
            raise UsageError(f"-m {text}: name a file of your own, FILE.py:NAME; others need no -m")
    if args.out is not None:
        reserve(args.out, args.overwrite, folder=True)  # before hours pass
    dataset = _dataset(args)
    study = compare(
        args.models,
        dataset,
        degradations=degradations,
        flip=args.flip,
        runtime=args.runtime,
        device=args.device,
        machine=cpu_name(),
        own=args.model,
        progress=lambda line: print(line, file=sys.stderr),
    )
    files = write_study(study, args.out) if args.out is not None else []
    print(json.dumps(study.to_dict(), allow_nan=False) if args.json else markdown(study))
    for path in files:
        print(f"  {path}", file=sys.stderr)
    return left_out([*dataset.notes, *study.unreadable], dataset.remarks)
