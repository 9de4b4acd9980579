"""What `posewright models info` prints: facts of the registry, of a file, or of a network."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.cli.named import network
from posewright.cli.published import facts, require_here, show
from posewright.errors import ModelError, counted

if TYPE_CHECKING:
    from posewright.runtimes.counts import Counts
    from posewright.runtimes.info import ModelInfo
    from posewright.weights.registry import Entry

__all__ = ["info"]


def info(args: argparse.Namespace) -> int:
    """Print what is known of a network; return the exit code."""
    from posewright.weights import EMBEDDED
    from posewright.weights.registry import lookup

    args.typed, args.name = args.name, network(args.name)
    path = Path(args.name)
    known = None if path.is_file() else lookup(args.name)
    if known is not None and known.origin != "embedded":
        return show({**facts(known), **_counted_here(known), **_measured(args, known)}, args.json)
    if args.name in EMBEDDED or path.suffix in (".onnx", ".xml") or ":" in args.name:
        return show({**_file_info(args.name, args.json), **_measured(args)}, args.json)
    if path.suffix == ".safetensors":
        from posewright.models.saving import load_model

        model, stated = load_model(path)
        told = {**json.loads(stated.to_json()), "bytes": path.stat().st_size}
        shown = _shown(told, args.json)
        parts = {
            **shown,
            **_network_info(model),
            **shown,
        }  # what the file states is first, and counts
        return show({**parts, **_measured(args)}, args.json)
    from posewright.extras import installed, missing
    from posewright.weights import find_model

    if not installed("torch"):
        raise missing("torch", f"{args.name} is not an embedded network, and the zoo")
    from posewright.models import variants

    if args.name not in variants(None):
        find_model(args.name)
    return show({**_zoo_info(args.name), **_measured(args)}, args.json)


def _counted_here(entry: Entry) -> dict[str, Any]:
    """Return the size of a published network whose file is here; {} of one that is damaged."""
    if not entry.path.is_file():
        return {}
    try:
        if entry.path.suffix == ".onnx":
            told = _file_info(entry.name, True)
            return {key: told[key] for key in ("parameters", "macs", "gmacs", "gflops")}
        from posewright.models.saving import load_model

        return _counted_network(load_model(entry.path)[0])
    except ModelError:  # `models verify` says what is wrong with it; the facts stay true
        return {}


def _measured(args: argparse.Namespace, entry: Entry | None = None) -> dict[str, Any]:
    """Return what --measure asks for: one view's time on one core, and the peak of the memory.

    entry: a published network, which is not downloaded for it.
    """
    if not args.measure:
        return {}
    if entry is not None:
        require_here(entry.path, entry.name)
    from posewright.compare.cost import measure_view

    cost = measure_view(args.name, own=[args.typed] if args.typed != args.name else [])
    memory = None if cost.memory_mb is None else round(cost.memory_mb, 1)
    return {"view_ms": round(cost.person_ms, 2), "memory_mb": memory, "on": cost.runtime}


def _file_info(name: str, as_json: bool) -> dict[str, Any]:
    """Return what a graph's file states, and what counting it tells."""
    from posewright.compare.networks import count_file
    from posewright.weights import find_model

    path, layout = find_model(name)
    info = _graph_info(path, layout)
    counts = count_file(path, info)
    told = {**json.loads(info.to_json()), "bytes": path.stat().st_size}
    return {**_shown(told, as_json), **_counted(counts)}


def _graph_info(path: Path, layout: str) -> ModelInfo:
    """Return the description that an .onnx or .xml file carries."""
    if path.suffix == ".xml":
        from posewright.extras import naming_extras

        with naming_extras(str(path)):
            from posewright.runtimes.openvino import ir_info, the_core
        return ir_info(the_core(), path)
    from posewright.runtimes.onnx import open_unoptimised, read_info

    return read_info(path, open_unoptimised(path), layout)


def _counted(counts: Counts | None) -> dict[str, Any]:
    """Return the size of a network; None for each number where its graph does not tell."""
    return {
        "parameters": counts and counts.parameters,
        "macs": counts and counts.macs,
        "gmacs": counts and round(counts.gmacs, 3),
        "gflops": counts and round(counts.gflops, 3),
    }


def _shown(data: dict[str, Any], as_json: bool) -> dict[str, Any]:
    if as_json:
        return data
    skeleton = data["skeleton"] or {"name": "none", "joints": []}
    data["skeleton"] = f"{skeleton['name']}, {counted(len(skeleton['joints']), 'joint')}"
    keys = "name skeleton codec input bytes licence training_data origin attribution"
    return {key: data[key] for key in keys.split()}


def _zoo_info(name: str) -> dict[str, Any]:
    import torch

    from posewright.models import create, variants
    from posewright.weights.published import published

    with torch.device("meta"):
        model = create(name)
    variant = variants(None)[name]
    sources = [p.name for p in published().values() if p.network == name]
    return {
        "name": name,
        "summary": variant.summary,
        "paper": variant.paper,
        "published": variant.published,
        **_network_info(model),
        "weights": ", ".join(sources) or "none listed",
    }


def _counted_network(model: Any) -> dict[str, Any]:
    from posewright.models.counting import count

    return _counted(count(model))


def _network_info(model: Any) -> dict[str, Any]:
    """Return what counting a network tells."""
    from posewright.codecs import codec_to_dict

    width, height = model.codec.input_size
    return {
        **_counted_network(model),
        "view": f"{width} x {height} (width x height)",
        "skeleton": f"{model.skeleton.name}, {len(model.skeleton)} joints",
        "codec": codec_to_dict(model.codec),
    }
