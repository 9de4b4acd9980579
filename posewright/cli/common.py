"""Options that several verbs share, and how a summary is shown."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.cli import debugging
from posewright.cli.by_themselves import add_rescore, add_scales
from posewright.cli.named import add_body, add_device, add_fetching, add_mode, detectors, network
from posewright.errors import UsageError, counted, one_line

if TYPE_CHECKING:
    from posewright.pose import Pose
    from posewright.writers.outputs import Summary

__all__ = [
    "Once",
    "add_class",
    "add_model_options",
    "add_out",
    "add_runtime",
    "add_smoothing_options",
    "fraction",
    "left_out",
    "load_pose",
    "refuse_ignored",
    "show_summary",
]


def add_class(parser: argparse._ActionsContainer) -> None:
    """Add which class of the labels is read."""
    parser.add_argument(
        "--class",
        dest="class_name",
        default=None,
        metavar="NAME",
        help=(
            "class of the labels to read, or several, comma-separated (default: person "
            "where that class exists, otherwise the only class with keypoints)"
        ),
    )


def add_out(parser: argparse.ArgumentParser) -> None:
    """Add the folder that results are written to."""
    folder, told = Path("posewright-out"), "output folder (default %(default)s)"
    parser.add_argument("-o", "--out", type=Path, default=folder, metavar="DIR", help=told)


def left_out(notes: Sequence[str], remarks: Sequence[str] = ()) -> int:
    """Print on stderr what was left out; return the exit code, 3 where something is broken.

    notes: of what is broken.  remarks: of what was left out on purpose, as another class.
    """
    for remark in remarks:
        print(f"note: {one_line(remark)}", file=sys.stderr)
    for note in notes:
        print(f"warning: {one_line(note)}", file=sys.stderr)
    return 3 if notes else 0


def refuse_ignored(options: Iterable[tuple[str, object, str]]) -> None:
    """Raise a UsageError for the first option that is given where it has no effect.

    options: its name, whether it is given there, and where that is.
    """
    for name, given, where in options:
        if given:
            raise UsageError(f"{name} has no effect with {where}; leave it out")


def add_model_options(parser: argparse.ArgumentParser) -> None:
    """Add what chooses the networks, how they run and which people they leave."""
    group = parser.add_argument_group("networks")
    _add_networks(group)
    add_runtime(group)
    _add_people(group)


def _add_networks(group: argparse._ArgumentGroup) -> None:
    from posewright.weights import LAYOUTS

    group.add_argument(
        "-m",
        "--model",
        default="movenet-thunder",
        metavar="NAME|FILE",
        help=(
            "pose model: a name of posewright models list, which is downloaded once, an .onnx or "
            ".safetensors file, or, together with --weights, a network of the zoo or of your own "
            "file, FILE.py:NAME (default %(default)s)"
        ),
    )
    add_mode(group)
    add_body(group)
    add_fetching(group)
    group.add_argument(
        "-w",
        "--weights",
        default=None,
        metavar="FILE",
        help=("weights of a network of the zoo (.safetensors; see posewright models convert)"),
    )
    group.add_argument(
        "-d",
        "--detector",
        default="auto",
        metavar="NAME|FILE",
        help=(
            "person detector: a name of posewright models list, which is downloaded once, an "
            ".onnx file (rtmdet:FILE or yolox:FILE), or whole-image for one person per image "
            "(default: that of --mode, else the embedded detector); several, comma-separated, "
            "are all run"
        ),
    )
    group.add_argument(
        "--layout",
        default="",
        metavar="NAME",
        help=(
            "layout of an .onnx file without metadata, of -m or, for a detector's layout, of -d, "
            f"where the file does not tell: {', '.join(LAYOUTS)}"
        ),
    )
    group.add_argument(
        "--skeleton",
        default="",
        metavar="NAME",
        help=(
            "skeleton of the .onnx file of -m, if it has no metadata and its number of joints "
            "means another one: ap10k17, halpe26, coco133 ..."
        ),
    )


def add_runtime(group: argparse._ActionsContainer) -> None:
    """Add where and how networks run."""
    group.add_argument(
        "--runtime",
        default="auto",
        choices=("auto", "onnxruntime", "openvino", "torch"),
        help=("inference runtime (default: openvino where it is installed, otherwise onnxruntime)"),
    )
    add_device(group)
    group.add_argument(
        "--precision",
        default="auto",
        choices=("auto", "fp32", "bf16", "fp16"),
        help=(
            "inference precision (default: bf16 with openvino on processors that support "
            "it, otherwise fp32; fp16 is for --device tensorrt)"
        ),
    )
    group.add_argument(
        "--threads",
        type=_count,
        default=0,
        metavar="N",
        help="number of CPU cores to use (default: all)",
    )
    group.add_argument(
        "--flip",
        action="store_true",
        help="flip test: average the predictions of each crop and its mirror image; slightly more "
        "accurate, half as fast",
    )


def _add_people(group: argparse._ArgumentGroup) -> None:
    add_scales(group)
    group.add_argument(
        "--accurate",
        action="store_true",
        help="average three crops of each person and, instead of removing them, duplicate poses; "
        "more accurate, a third as fast",
    )
    group.add_argument(
        "--min-score",
        type=fraction,
        default=0.2,
        metavar="S",
        help="minimum pose score (mean keypoint score) of a person (default %(default)s)",
    )
    group.add_argument(
        "--det-score",
        type=fraction,
        default=None,
        metavar="S",
        help="minimum score of a detected box (default: the detector's own)",
    )
    group.add_argument(
        "--max-people",
        type=_count,
        default=0,
        metavar="N",
        help=("keep only the N highest-scoring detections of each frame; 0 keeps all (default 0)"),
    )
    group.add_argument(
        "--refine",
        default=None,
        metavar="FILE",
        help="PoseFix network (.onnx or .safetensors) that refines the estimated poses",
    )
    add_rescore(group)
    group.add_argument(
        "--hands",
        default=None,
        metavar="NAME|FILE",
        help=(
            "network of the 21 joints of a hand, run on a crop of each hand whose wrist and elbow "
            "are seen; its joints are added to each person's"
        ),
    )
    group.add_argument(
        "--face",
        default=None,
        metavar="NAME|FILE",
        help="network of the 68 or 106 joints of a face, likewise on a crop round eyes and ears",
    )
    group.add_argument(
        "--nms",
        default=None,
        choices=("oks", "average", "ppose", "crowd", "none"),
        help="method that removes or averages duplicate poses (default oks, with --accurate "
        "average)",
    )


class Once(argparse.Action):
    """An option that may be given once: of two values, the last would count silently."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """Store the value; exit with 2 where there is one already."""
        if getattr(namespace, self.dest, self.default) is not self.default:
            parser.error(f"{option_string} is given twice; run the command once for each")
        setattr(namespace, self.dest, values)


def add_smoothing_options(parser: argparse.ArgumentParser) -> None:
    """Add how joints are smoothed and gaps are filled, once people have identities."""
    group = parser.add_argument_group("smoothing, for people with identities")
    group.add_argument(
        "--smooth",
        default=None,
        metavar="METHOD",
        help=(
            "smoothing filter: one-euro[:min_cutoff=1,beta=0.01], "
            "kalman[:cutoff=6,lag=0.1], butterworth[:cutoff=6,order=4] or "
            "savgol[:window=9,order=2]; the last two need the whole sequence, so they "
            "exclude live sources and drawn images or video"
        ),
    )
    group.add_argument(
        "--gap",
        type=float,
        default=None,
        metavar="S",
        help=(
            "interpolate missing people and keypoints over gaps of up to S seconds; 0 "
            "disables it (default: 0.2 with --smooth, except for live sources)"
        ),
    )


def load_pose(args: argparse.Namespace, reid: str | None = None) -> Pose:
    """Build the Pose that the options ask for; reid: the file of a network for its tracker."""
    from posewright.pose import Pose

    return Pose(
        network(args.model),
        mode=args.mode,
        body=args.body,
        weights=args.weights,
        detector=detectors(args.detector),
        runtime=args.runtime,
        device=args.device,
        precision=args.precision,
        threads=args.threads,
        flip=args.flip,
        min_score=args.min_score,
        det_score=args.det_score,
        nms=args.nms,
        accurate=args.accurate,
        scales=args.scales,
        rescore=args.rescore,
        refine=args.refine,
        reid=reid,
        hands=args.hands,
        face=args.face,
        max_people=args.max_people,
        layout=args.layout,
        skeleton=args.skeleton,
    )


def show_summary(summary: Summary, as_json: bool) -> int:
    """Print what a run did: one JSON object, or a few lines with the problems on stderr."""
    debugging.remember(summary.causes)
    if as_json:
        print(json.dumps(summary.to_dict(), allow_nan=False))
        return summary.exit_code
    for name, message in summary.bad:
        where = "" if name in message else f"{name}: "
        print(f"posewright: {one_line(where + message)}", file=sys.stderr)
    if summary.bad_frames > len(summary.bad):
        print(f"posewright: ... and {summary.bad_frames - len(summary.bad)} more", file=sys.stderr)
    for error in summary.errors:
        print(f"posewright: {error}", file=sys.stderr)
    for note in summary.notes:
        print(f"note: {one_line(note)}", file=sys.stderr)
    if not (summary.frames or summary.files or summary.interrupted):
        return summary.exit_code  # the lines above say all that there is
    rate = summary.frames / summary.seconds if summary.seconds else 0.0
    frames = counted(summary.frames, "frame", "frames")
    people = counted(summary.people, "person", "people")
    ids = f", {counted(summary.ids, 'identity', 'identities')}" if summary.ids else ""
    bad = f", {summary.bad_frames} failed" if summary.bad_frames else ""
    state = "interrupted after" if summary.interrupted else "done:"
    print(f"{state} {frames}, {people}{ids}{bad} in {summary.seconds:.1f} s ({rate:.1f} frames/s)")
    for path in summary.files:
        print(f"  {path}")
    return summary.exit_code


def _count(text: str) -> int:
    if not text.strip().isdecimal():  # int() would be told of by this function's name
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 0")
    return int(text)


def fraction(text: str) -> float:
    """Return a number from 0 to 1, as the type of an option."""
    value = float(text)
    if not 0 <= value <= 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return value
