"""Export a network to ONNX or OpenVINO, verified against torch on real crops."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.cli.common import refuse_ignored
from posewright.cli.named import network
from posewright.errors import UsageError, counted

if TYPE_CHECKING:
    from posewright.export.export import Check
    from posewright.models import PoseModel
    from posewright.runtimes.info import ModelInfo


AIPP = "aipp.cfg"  # what the printed command calls it
_HUAWEI = {".mindir": "MINDIR", ".air": "AIR", ".om": "an .om file"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    _add_network(parser)
    _add_graph(parser)
    _add_checks(parser)


def _add_network(parser: argparse.ArgumentParser) -> None:
    """Add which network is exported."""
    parser.add_argument(
        "model",
        metavar="NAME|FILE",
        help="network of the zoo, .safetensors file, or network of your own file, FILE.py:NAME",
    )
    parser.add_argument(
        "-w",
        "--weights",
        default=None,
        metavar="FILE",
        help="weights of a network given by name (.safetensors)",
    )
    parser.add_argument(
        "--random-weights",
        action="store_true",
        help="export a network given by name without training, e.g. to benchmark it",
    )
    parser.add_argument(
        "--stn",
        action="store_true",
        help=("the network given by name has a spatial transformer (for a file this is known)"),
    )


def _add_graph(parser: argparse.ArgumentParser) -> None:
    """Add which file is written, and what its graph takes."""
    parser.add_argument(
        "--format",
        default="onnx",
        choices=("onnx", "openvino", "torch"),
        help="output format (default %(default)s)",
    )
    parser.add_argument(
        "-o",
        "--out",
        default=None,
        metavar="FILE",
        help="output file (default: named after the model, in the current folder)",
    )
    parser.add_argument(
        "--fixed-batch",
        type=int,
        default=0,
        metavar="N",
        help="fixed batch size (default: dynamic)",
    )
    parser.add_argument(
        "--input",
        default=None,
        choices=("views", "normalised"),
        help=(
            "graph input: views, uint8 RGB crops (B, h, w, 3), the default; or normalised, float32 "
            "(B, 3, h, w), for other tools (the default with --ascend)"
        ),
    )
    parser.add_argument(
        "--int8",
        action="store_true",
        help="quantise weights and activations to int8 (openvino; requires --calibrate)",
    )
    parser.add_argument(
        "--calibrate", default=None, metavar="DIR", help="folder of images with people, for --int8"
    )


def _add_checks(parser: argparse.ArgumentParser) -> None:
    """Add how the file is checked, and what is printed."""
    parser.add_argument(
        "--check",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare the exported file with torch on real crops (default)",
    )
    parser.add_argument(
        "--tolerance",
        type=float,
        default=None,
        metavar="PX",
        help="maximum mean distance of the keypoints (default 0.1; 2 with --int8)",
    )
    parser.add_argument(
        "--ascend",
        action="store_true",
        help="write aipp.cfg beside the file and print the atc command for Ascend; the input is "
        "normalised and the batch fixed, to 1 unless --fixed-batch says otherwise",
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing file")
    parser.add_argument("--json", action="store_true", help="print JSON")


def run(args: argparse.Namespace) -> int:
    """Export; return the exit code."""
    from posewright.datasets.folders import write_text

    args.model = network(args.model)
    suffix = {"onnx": ".onnx", "openvino": ".xml", "torch": ".safetensors"}[args.format]
    target = Path(args.out or Path(args.model).with_suffix("").name + suffix)
    if target.suffix in _HUAWEI:
        raise UsageError(
            f"{target}: {_HUAWEI[target.suffix]} is not provided; export .onnx with --ascend, "
            "which prints the atc command that compiles it for Ascend"
        )
    if target.suffix != suffix:
        raise UsageError(f"{target}: files of --format {args.format} end in {suffix}")
    if target.exists() and not args.overwrite:
        raise UsageError(f"{target} exists; give -o another FILE or --overwrite")
    if args.int8 and (args.format != "openvino" or not args.calibrate):
        raise UsageError("--int8 needs --format openvino and --calibrate DIR")
    if args.calibrate and not args.int8:
        raise UsageError("--calibrate is for --int8")
    _refuse_ignored(args)
    _for_ascend(args, target)
    from posewright.export.ascend import aipp_settings, atc_command
    from posewright.export.export import export, parts

    model, info = _network(args)
    result = export(
        model,
        target,
        format=args.format,
        info=info,
        fixed_batch=args.fixed_batch,
        seed_input=args.input == "normalised",
        check=args.check,
        calibrate=Path(args.calibrate) if args.int8 else None,
        tolerance=args.tolerance if args.tolerance is not None else (2.0 if args.int8 else 0.1),
    )
    size = sum(part.stat().st_size for part in parts(target) if part.exists())
    told: dict[str, Any] = {"file": str(target), "bytes": size}
    if result is not None:
        told |= {
            "pixels": result.pixels,
            "worst_pixels": result.worst,
            "error": result.error,
            "crops": result.people,
            "people": result.found,
        }
    if args.ascend:
        told |= {
            "aipp": str(target.with_name(AIPP)),
            "atc": atc_command(target, model, args.fixed_batch),
        }
        write_text(target.with_name(AIPP), aipp_settings(model))
    if args.json:
        print(json.dumps(told))
    else:
        print(f"{target}: {told['bytes'] / 1e6:.1f} MB")
        if result is not None:
            print(_told(result, len(model.skeleton)))
        if args.ascend:
            print(f"{told['aipp']}: written, for --insert_op_conf")
            print(told["atc"])
    return 0


def _for_ascend(args: argparse.Namespace, target: Path) -> None:
    """Set what --ascend implies; UsageError for what contradicts it."""
    if args.ascend and args.input == "views":
        raise UsageError(
            "--ascend needs --input normalised, as AIPP normalises there; leave --input out"
        )
    args.input = args.input or ("normalised" if args.ascend else "views")
    if not args.ascend:
        return
    args.fixed_batch = args.fixed_batch or 1
    beside = target.with_name(AIPP)
    if beside.exists() and not args.overwrite:
        raise UsageError(f"{beside} exists; export into another folder, or give --overwrite")


def _refuse_ignored(args: argparse.Namespace) -> None:
    """Raise a UsageError for an option that would have no effect."""
    torch = args.format == "torch" and "--format torch, which writes the network as it is"
    file = Path(args.model).suffix == ".safetensors" and "a file, which holds network and weights"
    rows = (
        ("--fixed-batch", args.fixed_batch, torch),
        ("--input normalised", args.input == "normalised", torch),
        ("--tolerance", args.tolerance is not None, torch or (not args.check and "--no-check")),
        ("--weights", args.weights, file),
        ("--stn", args.stn, file),
        ("--random-weights", args.random_weights, file or (args.weights and "--weights")),
        ("--ascend", args.ascend, args.format != "onnx" and "files that are not .onnx"),
    )
    refuse_ignored((name, given and where, str(where)) for name, given, where in rows)


def _told(result: Check, joints: int) -> str:
    """Return what the comparison with torch showed, and what it could not show."""
    outputs = f"outputs {result.error:.1e}"
    checked = f"checked on {counted(result.people, 'crop')}"
    if not joints:  # a network that tells people apart
        return f"{checked}: {outputs}"
    if not result.found:
        return f"{checked}: no person found, so no joints compared; {outputs}"
    return (
        f"{checked}: joints {result.pixels:.4f} px from torch on average, "
        f"{result.worst:.2f} at most; {outputs}"
    )


def _network(args: argparse.Namespace) -> tuple[PoseModel, ModelInfo]:
    """Return the network with its weights, and what is known of them."""
    from posewright.models import create
    from posewright.models.saving import describe, load_model

    if Path(args.model).suffix == ".safetensors":
        return load_model(Path(args.model))
    options = {"stn": True} if args.stn else {}
    if args.weights:
        return load_model(Path(args.weights), args.model, options)
    model = create(args.model, **options)
    if not args.random_weights:
        raise UsageError(
            f"{args.model} has no weights of its own; add --weights FILE or --random-weights"
        )
    return model, describe(model, origin="random weights")
