"""Evaluate a model or a result file with the metrics of a data set's own evaluator.

DATA: coco (keypoints, and result files of boxes), coco-wholebody, crowdpose, ochuman, halpe,
mpii, lsp, posetrack, mot (result files only), or pck: labels with any skeleton in any format that
posewright reads.  With -m the model runs on the images; with --predictions a file is scored.
See docs/evaluation.md.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli import bins
from posewright.cli.common import Once, add_class, left_out, refuse_ignored
from posewright.cli.named import add_mode, detectors, network
from posewright.cli.progress import create_bar
from posewright.cli.running import REFINING, RESCORE, RUNNING, add_running
from posewright.cli.tables import score_lines, summary

if TYPE_CHECKING:
    from posewright.datasets import Dataset
    from posewright.evaluation.evaluate import Evaluation
    from posewright.people import People
    from posewright.pipeline.estimate import Boxes, Detectors
    from posewright.pose import Pose
    from posewright.runtimes import Model


_BOTH = ("truth,detector", "detector,truth")
_SHORT = {"truth": "gt", "detector": "det"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    from posewright.evaluation.measures import MEASURES

    parser.add_argument("data", choices=[*MEASURES], metavar="DATA", help=", ".join(MEASURES))
    parser.add_argument(
        "--ann",
        action=Once,
        type=Path,
        required=True,
        metavar="FILE",
        help="annotation file as published with the data set (posetrack: a file or a folder)",
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--predictions",
        action=Once,
        type=Path,
        metavar="FILE",
        help="result file in the format of the data set's evaluator",
    )
    what.add_argument(
        "-m",
        "--model",
        action=Once,
        metavar="NAME|FILE",
        help="pose model: a name of posewright models list, which is downloaded once, an .onnx or "
        ".safetensors file, or, with --weights, a network of the zoo or of your own, FILE.py:NAME",
    )
    add_mode(what)
    add_class(parser)
    parser.add_argument(
        "--metrics",
        default="",
        metavar="LIST",
        help="posetrack: posetrack (keypoints, the default), mot (bounding boxes) or both, "
        "comma-separated",
    )
    add_running(parser.add_argument_group("with a model"))
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run(args: argparse.Namespace) -> int:
    """Score; return the exit code."""
    from posewright.evaluation.scoring import score_files

    if args.predictions is None:
        return _evaluate(args)
    where = "--predictions: it goes with a model (-m)"
    ignored = [name for name in RUNNING if args.refine is None or name not in REFINING]
    refuse_ignored((f"--{name}", getattr(args, name) is not None, where) for name in ignored)
    if args.refine is not None:
        return _score_refined(args)
    scoring = score_files(args.data, args.ann, args.predictions, _metrics(args), args.class_name)
    _print(args, scoring.to_dict(), score_lines(scoring))
    return left_out(scoring.notes, scoring.remarks)


def _score_refined(args: argparse.Namespace) -> int:
    """Score a result file before and after its poses are refined; return the exit code."""
    from posewright.evaluation.refining import score_refined
    from posewright.evaluation.scoring import main_metric
    from posewright.pipeline.loading import load_refiner

    threads = os.cpu_count() or 1
    refiner = load_refiner(
        args.refine,
        flip=bool(args.flip),
        batch=args.batch or 0,
        runtime="auto",
        device=args.device or "auto",
        precision="auto",
        threads=threads,
    )
    files = (args.data, args.ann, args.predictions)
    before, after, told = score_refined(
        *files, refiner, images=args.images, class_name=args.class_name, threads=threads
    )
    name, was = main_metric(before)
    lines = [*score_lines(after), f"{name} before refinement by {args.refine}: {was:.4f}"]
    _print(args, {**after.to_dict(), "unrefined": before.numbers}, lines)
    return left_out([*after.notes, *told], after.remarks)


def _evaluate(args: argparse.Namespace) -> int:
    """Run a model over the images, with each kind of boxes; return the exit code."""
    from posewright.evaluation.scoring import main_metric

    for name, value in RUNNING.items():
        if getattr(args, name) is None:
            setattr(args, name, value)
    ways = args.boxes.split(",") if args.boxes in _BOTH else [args.boxes]
    _check(args, ways)
    pose = _pose(args, ways)
    dataset, labelled = _dataset(args, pose)
    found, told = {}, [*dataset.notes]
    for args.boxes in ways:
        evaluation = _evaluated(args, pose, dataset)
        files = _write(args, evaluation, dataset)
        lines = summary(evaluation, labelled, files)
        found[args.boxes] = {**evaluation.to_dict(), "files": files}, lines
        told += [*evaluation.unreadable, *evaluation.failed]
        if len(ways) == 1:
            _print(args, *found[args.boxes])
        else:
            name, score = main_metric(evaluation.scoring)
            found[args.boxes] = found[args.boxes][0], [f"{_SHORT[args.boxes]} {name}: {score:.4f}"]
    if len(ways) > 1:
        line = " | ".join(text for _, lines in found.values() for text in lines)
        each = [text for whole, _ in found.values() for text in _told(whole)]
        _print(args, {way: whole for way, (whole, _) in found.items()}, [*each, line])
    return left_out(list(dict.fromkeys(told)), dataset.remarks)


def _told(whole: dict[str, object]) -> list[str]:
    """Return the numbers of one of several evaluations, in a line."""
    floats = {k: v for k, v in whole.items() if isinstance(v, float) and k != "seconds"}
    numbers = [f"{name} {value:.4f}" for name, value in floats.items()]
    settings = whole["settings"]
    assert isinstance(settings, dict)
    return [f"boxes {settings['boxes']}: {', '.join(numbers)}"]


def _evaluated(args: argparse.Namespace, pose: Pose, dataset: Dataset) -> Evaluation:
    """Run the model with the boxes of args.boxes."""
    from posewright.evaluation.evaluate import evaluate

    truth = args.boxes in (None, "truth")
    bar = create_bar("auto")
    evaluation = evaluate(
        bins.answering(args, pose),
        dataset,
        data=args.data,
        boxes=None if truth else _boxes(args, pose, dataset),
        flip=args.flip,
        nms=_duplicates(args, pose, truth),
        estimate=pose.pipeline.estimate,
        rescore=pose.pipeline.rescore or args.rescore,
        batch=args.batch,
        tracker=args.tracker,
        embed=pose.embed,
        refine=pose.pipeline.refine,
        metrics=_metrics(args),
        progress=bar,
    )
    if bar is not None:
        bar.close()
    return evaluation


def _metrics(args: argparse.Namespace) -> list[str]:
    return args.metrics.split(",") if args.metrics else []


def _check(args: argparse.Namespace, ways: list[str | None]) -> None:
    """Raise a UsageError or OutputError for what would fail only after hours."""
    from posewright.errors import UsageError
    from posewright.evaluation.measures import MEASURES
    from posewright.evaluation.result_files import check_results
    from posewright.files.part import reserve

    if not MEASURES[args.data].people:
        raise UsageError(
            f"{args.data} measures tracks; run posewright track, then give --predictions"
        )
    if args.heads and args.data != "mpii":
        raise UsageError("--heads works only with mpii, whose PCKh is normalised by head boxes")
    if args.reid and args.tracker != "appearance":
        raise UsageError(f"--reid {args.reid} is for --tracker appearance; add that")
    if len(ways) > 1:
        alone = ("out", "report", "from_bins", "tracker")
        where = f"--boxes {args.boxes}: it is for one kind of boxes"
        refuse_ignored(
            (f"--{name.replace('_', '-')}", getattr(args, name) is not None, where)
            for name in alone
        )
    if args.keep_boxes and ("detector" not in ways or args.tracker):
        raise UsageError("--keep-boxes is for --boxes detector without --tracker")
    if args.detector != "auto" and "detector" not in ways:
        raise UsageError(f"-d {args.detector} has no effect without --boxes detector; add that")
    if args.batch < 1 or args.limit < 0:
        raise UsageError(f"--batch {args.batch} --limit {args.limit}: give 1 and 0 or more")
    if args.from_bins is not None:
        bins.check(args)
    if args.out is not None:
        check_results(args.data, ways[0] in (None, "truth"))
        reserve(args.out, args.overwrite)
    if args.report is not None:
        reserve(args.report / "report.html", args.overwrite)


def _pose(args: argparse.Namespace, ways: list[str | None]) -> Pose:
    """Return the model, with a detector where one is asked for."""
    from posewright.errors import UsageError
    from posewright.pose import Pose

    if args.body and not args.mode:
        raise UsageError(f"--body {args.body} goes with --mode in place of -m")
    pose = Pose(
        *([network(args.model)] if args.model else []),
        mode=args.mode,
        body=args.body,
        weights=args.weights,
        # boxes of labels need none, nor does a network that finds people by itself
        detector=detectors(args.detector) if "detector" in ways or not args.mode else "whole-image",
        device=args.device,
        flip=args.flip,
        nms=args.nms,
        accurate=args.accurate,
        scales=args.scales,
        rescore=_rescoring(args.rescore),
        reid=args.reid,
        refine=args.refine,
    )
    if args.boxes and not pose.model.codec.top_down:
        raise UsageError(
            f"{pose.model.info.name} finds people by itself; leave out --boxes {args.boxes}"
        )
    return pose


def _rescoring(word: str) -> str | None:
    """Return the file of a re-scoring network; None for a way to combine scores."""
    return word if word not in RESCORE and Path(word).is_file() else None


def _duplicates(
    args: argparse.Namespace, pose: Pose, truth: bool
) -> Callable[[People], People] | None:
    """Return how duplicates go; by default not at all where each person has a labelled box."""
    alone = truth and pose.model.codec.top_down and args.nms is None
    return None if alone else pose.pipeline.nms


def _dataset(args: argparse.Namespace, pose: Pose) -> tuple[Dataset, bool]:
    """Return the images, and whether they are labelled."""
    from posewright.errors import UsageError
    from posewright.evaluation.label_sets import open_labelled, with_heads

    dataset, labelled = open_labelled(
        args.data, args.ann, args.images, pose.skeleton, args.class_name, args.split
    )
    if not labelled and pose.model.codec.top_down and args.boxes in (None, "truth"):
        raise UsageError(
            f"{args.ann} labels no person: give --boxes detector, or give a file of boxes"
        )
    part: Dataset = dataset[: args.limit] if args.limit else dataset
    return (with_heads(part, args.heads) if args.heads else part), labelled


def _boxes(
    args: argparse.Namespace, pose: Pose, dataset: Dataset
) -> Boxes | Model | Detectors | None:
    from posewright.evaluation.kept import kept_boxes
    from posewright.evaluation.running import FileBoxes, everybody
    from posewright.readers import read_boxes

    if args.keep_boxes:
        boxes, note = kept_boxes(args.keep_boxes, dataset.samples, pose.detector, dataset.category)  # type: ignore[arg-type]
        if note:
            print(f"note: {note}", file=sys.stderr)
        return boxes
    if args.boxes == "detector":  # trackers take whom predict finds
        return pose.detector if args.tracker else everybody(pose.detector)  # type: ignore[arg-type]
    return FileBoxes(dataset.samples, read_boxes(args.boxes, dataset.category))


def _write(args: argparse.Namespace, evaluation: Evaluation, dataset: Dataset) -> list[str]:
    """Write what is asked for; return the paths."""
    from posewright.evaluation.result_files import write_results

    files = []
    if args.out is not None:
        files.append(str(write_results(evaluation, args.out, args.overwrite)))
    if args.from_bins is not None:
        files.append(bins.write_log(args.from_bins, evaluation.scoring))
    if args.report is not None:
        from posewright.reports import evaluation_report

        files.append(str(evaluation_report(evaluation, dataset, args.report)))
    return files


def _print(args: argparse.Namespace, whole: dict[str, object], lines: list[str]) -> None:
    print(json.dumps(whole, allow_nan=False) if args.json else "\n".join(lines))
