"""List and describe networks; download and convert their weights."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from posewright.cli.described import info
from posewright.cli.listing import add_filters, list_networks
from posewright.cli.named import add_fetching
from posewright.cli.published import path, prune, pull, remove, show, verify
from posewright.errors import counted

if TYPE_CHECKING:
    from posewright.checkpoints.conversion import Converted
    from posewright.skeletons import Skeleton


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = verbs.add_parser("list", help="list the networks that can be named, and the zoo")
    add_filters(listing)
    info = verbs.add_parser(
        "info", help="show size, input, codec, keypoints, licence and published AP of a network"
    )
    info.add_argument(
        "name",
        metavar="NAME|FILE",
        help="name from the list, network file, or network of your own file, FILE.py:NAME",
    )
    info.add_argument(
        "--measure",
        action="store_true",
        help="also run it on blank views in a process of its own: time and peak memory",
    )
    convert = verbs.add_parser(
        "convert", help="convert a published checkpoint to a posewright model file"
    )
    _add_conversion(convert)
    pull = verbs.add_parser(
        "pull", help="download a network; a checkpoint is converted, which needs torch"
    )
    pull.add_argument(
        "--unverified", action="store_true", help="accept weights without a published checksum"
    )
    pull.add_argument("--allow-http", action="store_true", help="allow unencrypted downloads")
    pull.add_argument(
        "--to",
        dest="carried",
        metavar="DIR",
        help="keep the file in DIR, to be carried to another machine and given there with --home",
    )
    pull.add_argument(
        "--accept",
        default="",
        metavar="SHA256",
        help="take the ONNX file with this sum (64 digits), though another one is published",
    )
    verify = verbs.add_parser(
        "verify", help="check a downloaded file against the published checksum and the receipt"
    )
    path = verbs.add_parser("path", help="print the path of a downloaded network")
    remove = verbs.add_parser("remove", help="delete a downloaded network")
    for sub in (pull, verify, path, remove):
        sub.add_argument("name", metavar="NAME", help="a name of models list")
    prune = verbs.add_parser(
        "prune", help="delete incomplete downloads, and files that no list names any more"
    )
    add_fetching(pull)
    for sub in (listing, info, verify, path, remove, prune):
        add_fetching(sub, offline=False)
    for sub in (listing, info, convert, pull, verify, path, remove, prune):
        sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(parser=sub)


def _add_conversion(convert: argparse.ArgumentParser) -> None:
    """Add which checkpoint is converted, to which network and file."""
    convert.add_argument(
        "file",
        metavar="FILE",
        help="checkpoint as published: .pth, .pt, .ckpt, .safetensors, .weights, TF.js model.json",
    )
    convert.add_argument(
        "--as",
        dest="family",
        default=None,
        metavar="FAMILY",
        help=(
            "family of the checkpoint, e.g. hrnet, mmpose_hrnet, alphapose (default: recognised "
            "by the names and shapes of its tensors)"
        ),
    )
    convert.add_argument(
        "--variant",
        default=None,
        metavar="NAME",
        help="configuration of the original network (default: the first that fits)",
    )
    convert.add_argument(
        "--skeleton",
        default=None,
        metavar="NAME|LABELS|JOINTS",
        help=(
            "keypoints, if they differ from the variant's: the name of a skeleton, the "
            "labels that the network was trained on, or keypoint names in order, "
            "comma-separated (default: assumed by their number)"
        ),
    )
    convert.add_argument(
        "--input-size",
        default=None,
        metavar="WxH",
        help=(
            "input width and height of the network, if they differ from the variant's (default: "
            "what the shapes of the tensors tell)"
        ),
    )
    convert.add_argument(
        "-o",
        "--out",
        default=None,
        metavar="FILE",
        help="output file (default: FILE with the suffix .safetensors)",
    )
    convert.add_argument("--overwrite", action="store_true", help="replace an existing file")


def run(args: argparse.Namespace) -> int:
    """Do what the action says; return the exit code."""
    actions = {
        "list": list_networks,
        "info": info,
        "convert": _convert,
        "pull": pull,
        "verify": verify,
        "path": path,
        "remove": remove,
        "prune": prune,
    }
    return actions[args.action](args)


def _skeleton(text: str | None) -> Skeleton | None:
    """Return what --skeleton says: a known name, that of a labelled set, or joints' names."""
    from posewright.errors import UsageError
    from posewright.skeletons import Skeleton, get_skeleton

    if text is None:
        return None
    if Path(text).exists() or Path(text).name != text or text.endswith(".json"):  # or should be
        from posewright.datasets import open_dataset

        skeleton = open_dataset(text).skeleton
        if not len(skeleton):
            raise UsageError(f"--skeleton {text}: these labels name no joints; write their names")
        return skeleton
    names = tuple(name.strip() for name in text.split(",") if name.strip())
    if len(set(names)) < len(names):
        raise UsageError(f"--skeleton {text}: it names a joint twice")
    return Skeleton(f"custom{len(names)}", names) if len(names) > 1 else get_skeleton(text)


def _size(text: str | None) -> tuple[int, int] | None:
    """Return the (width, height) of --input-size."""
    from posewright.errors import UsageError

    if text is None:
        return None
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text)
    if match is None:
        raise UsageError(f"--input-size {text}: give WIDTHxHEIGHT, such as 192x256")
    return int(match[1]), int(match[2])


def _convert(args: argparse.Namespace) -> int:
    from posewright.checkpoints.conversion import convert_file
    from posewright.errors import UsageError
    from posewright.files.part import spare_source

    source = Path(args.file)
    target = Path(args.out) if args.out else source.with_suffix(".safetensors")
    spare_source(target, source)
    if target.suffix != ".safetensors":
        raise UsageError(
            f"{target}: a converted file is a .safetensors file; name it so, and export it to "
            "another format with posewright export"
        )
    if target.exists() and not args.overwrite:
        raise UsageError(f"{target} exists; give -o another FILE or --overwrite")
    done = convert_file(
        source,
        target,
        args.family,
        args.variant,
        skeleton=_skeleton(args.skeleton),
        input_size=_size(args.input_size),
    )
    if not args.json:
        for line in _told(done, args.family is None):
            print(f"note: {line}", file=sys.stderr)
    return show(
        {
            "file": str(target),
            "network": done.network,
            "family": done.family,
            "variant": done.variant,
            "fits_as_well": list(done.alternatives),
            "other_families": done.others if args.json else ", ".join(done.others),
            "licence": done.licence,
        },
        args.json,
    )


def _told(done: Converted, recognised: bool) -> Iterator[str]:
    """Yield what was assumed of a checkpoint, and how to say otherwise."""
    if recognised:
        yield f"recognised as {done.family}, {done.variant}"
    if done.others:
        others = ", ".join(f"{family} ({variant})" for family, variant in done.others.items())
        yield (
            f"{others} has the same tensors, but may have another preprocessing and licence: "
            "choose with --as"
        )
    if done.alternatives:
        yield (
            f"assumed to be {done.variant}; {', '.join(done.alternatives)} match as well: "
            f"choose with --variant"
        )
    if (skeleton := done.assumed.get("skeleton")) is not None:
        yield (
            f"the network has {counted(len(skeleton), 'joint')}, which the file does not name: "
            f"assumed to be {skeleton.name} ({skeleton.joints[0]}, ...); name others with "
            "--skeleton"
        )
    if (size := done.assumed.get("input_size")) is not None:
        yield (
            f"input size {size[0]}x{size[1]}, as the shapes of the tensors tell; for another "
            "give --input-size"
        )
