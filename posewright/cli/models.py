"""List the networks that can be used by name, or describe one."""

from __future__ import annotations

import argparse
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this verb's options."""
    verbs = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = verbs.add_parser("list", help="names, tasks and what they are")
    info = verbs.add_parser("info", help="input, codec, joints, licence and origin of one")
    info.add_argument("name", metavar="NAME|FILE", help="an embedded name or an .onnx file")
    for sub in (listing, info):
        sub.add_argument("--json", action="store_true", help="print JSON")
        sub.set_defaults(parser=sub)


def run(args: argparse.Namespace) -> int:
    """List or describe; return the exit code."""
    return _list(args.json) if args.action == "list" else _info(args.name, args.json)


def _list(as_json: bool) -> int:
    from posewright.weights import EMBEDDED

    rows = [{"name": e.name, "task": e.task, "summary": e.summary} for e in EMBEDDED.values()]
    if as_json:
        print(json.dumps(rows))
    else:
        for row in rows:
            print(f"{row['name']:18} {row['task']:6} {row['summary']}")
    return 0


def _info(name: str, as_json: bool) -> int:
    from posewright.runtimes.onnx import open_unoptimised, read_info
    from posewright.weights import find_model

    path, layout = find_model(name)
    info = read_info(path, open_unoptimised(path), layout)
    data = {**json.loads(info.to_json()), "bytes": path.stat().st_size}
    if as_json:
        print(json.dumps(data))
        return 0
    data["skeleton"] = f"{info.skeleton.name}, {len(info.skeleton)} joints"
    for key in (
        "name",
        "skeleton",
        "codec",
        "input",
        "bytes",
        "licence",
        "training_data",
        "origin",
        "attribution",
    ):
        value = data[key]
        if isinstance(value, dict):
            value = ", ".join(f"{k}={v}" for k, v in value.items())
        print(f"{key.replace('_', ' '):14} {value}")
    return 0
