"""Refine saved results with a PoseFix network, and write them as the same kind of file.

RESULTS: whatever posewright reads as results: poses.jsonl, poses.parquet, coco-results.json,
alphapose-results.json of any flavour (also of other tools) or a folder of OpenPose files.  The
file keeps its name, and everything in it but the places of the joints: scores, boxes, ids.
Images are found as by view.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from posewright.cli.common import add_out, add_runtime, show_summary
from posewright.cli.named import add_fetching, network
from posewright.cli.stopping import noting
from posewright.cli.view import add_pictured


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    add_pictured(parser)
    parser.add_argument(
        "-m",
        "--model",
        required=True,
        metavar="FILE",
        help="PoseFix network (.onnx or .safetensors), or with --weights one of the zoo",
    )
    parser.add_argument(
        "-w", "--weights", type=Path, metavar="FILE", help="weights of a network of the zoo"
    )
    add_out(parser)
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the results of an earlier run"
    )
    add_fetching(parser)
    add_runtime(parser)
    parser.add_argument("--json", action="store_true", help="print the summary as one JSON object")


def run(args: argparse.Namespace) -> int:
    """Refine; return the exit code."""
    from posewright.pipeline.loading import load_refiner
    from posewright.pipeline.refining import refine_to

    threads = args.threads or os.cpu_count() or 1
    refiner = load_refiner(
        network(args.model),
        args.weights,
        flip=args.flip,
        runtime=args.runtime,
        device=args.device,
        precision=args.precision,
        threads=threads,
    )
    with noting() as stopped:
        summary = refine_to(
            args.results,
            args.images or args.video,
            args.out,
            refiner,
            name=args.weights or args.model,
            threads=threads,
            overwrite=args.overwrite,
            stopped=stopped,
        )
    return show_summary(summary, args.json)
