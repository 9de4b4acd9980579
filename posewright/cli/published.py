"""`posewright models pull`, `verify`, `path`, `remove` and `prune`: what authors publish."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from posewright.errors import one_line

if TYPE_CHECKING:
    from posewright.weights.registry import Entry

__all__ = ["facts", "path", "prune", "pull", "remove", "require_here", "show", "verify"]


def pull(args: argparse.Namespace) -> int:
    from posewright.weights.networks import ready
    from posewright.weights.registry import find

    entry = find(args.name)
    if entry.origin == "checkpoint":
        return _pull_checkpoint(args)
    file = ready(entry, offline=args.offline, accept=args.accept.lower())
    return show({"file": str(file), "network": entry.name, "licence": entry.licence}, args.json)


def _pull_checkpoint(args: argparse.Namespace) -> int:
    from posewright.checkpoints.conversion import convert_as
    from posewright.errors import UsageError
    from posewright.files.address import without_secrets
    from posewright.weights.download import download
    from posewright.weights.hub import hub_file
    from posewright.weights.networks import progress, say_first_use
    from posewright.weights.published import find_published
    from posewright.weights.receipt import compare, read_receipt, record

    if args.accept:
        raise UsageError("--accept is for ONNX files; leave it out")
    entry = find_published(args.name)
    if "drive.google.com" in entry.url and not entry.path.is_file():
        page = entry.url.removeprefix("https://")  # its id, which looks like a token, is shown
        raise UsageError(
            f"{page} can only be opened in a browser; download it there, then run: "
            f"posewright models convert FILE --as {entry.family}"
        )
    if args.unverified and args.require_checksum:
        raise UsageError("--unverified and --require-checksum contradict each other; remove one")
    if not entry.sha and not args.unverified and hub_file(entry.url) is None:
        raise UsageError(f"no checksum of {entry.name} is published; add --unverified to trust it")
    new = not entry.path.is_file()
    download(
        entry.url,
        entry.path,
        entry.sha,
        mirrors=entry.mirrors,
        offline=args.offline,
        require_checksum=not (entry.sha or args.unverified),
        allow_http=args.allow_http,
        progress=progress,
    )
    receipt = read_receipt(entry.path)
    if new and receipt is not None and not (entry.sha or receipt.hub):
        say_first_use(entry.name, receipt)
    if entry.converted.is_file():
        compare(entry.converted)
    else:
        print(f"licence: {entry.licence}; from {without_secrets(entry.url)}", file=sys.stderr)
        convert_as(entry, entry.converted)
        record(entry.converted, entry.url)
    told = {"file": str(entry.converted), "network": entry.network, "licence": entry.licence}
    return show(told, args.json)


def verify(args: argparse.Namespace) -> int:
    from posewright.weights.published import find_published
    from posewright.weights.receipt import compare, read_receipt
    from posewright.weights.registry import find

    entry = find(args.name)
    file, sha = entry.path, entry.sha256
    if entry.origin == "checkpoint":
        published = find_published(entry.name)
        file, sha = published.path, published.sha
        if published.converted.is_file():
            compare(published.converted)
    require_here(file, entry.name)
    receipt = read_receipt(file)
    found = compare(file, "" if receipt is not None and receipt.accepted else sha)
    hub = receipt.hub if receipt is not None else None
    if not sha and hub is None:
        print("no checksum is published for this file", file=sys.stderr)
    if receipt is None and entry.origin != "embedded":
        print("no receipt of the download is there; `models pull` writes one", file=sys.stderr)
    told: dict[str, Any] = {"file": str(file), "sha256": found, "published": sha}
    told["receipt"] = receipt.date if receipt else ""
    return show({**told, **({"hub": asdict(hub)} if hub else {})}, args.json)


def path(args: argparse.Namespace) -> int:
    from posewright.weights.registry import find

    entry = find(args.name)
    require_here(entry.path, entry.name)
    if args.json:
        return show({"file": str(entry.path)}, True)
    print(entry.path)
    return 0


def require_here(file: Path, name: str) -> None:
    """Raise a ModelError where a file is not there."""
    from posewright.errors import ModelError

    if not file.is_file():
        raise ModelError(f"{file} is not there; run: posewright models pull {name}")


def remove(args: argparse.Namespace) -> int:
    """Delete the files of a network that was downloaded; return the exit code."""
    from posewright.errors import UsageError
    from posewright.weights.leftovers import delete, files_of
    from posewright.weights.registry import find

    entry = find(args.name)
    if entry.origin == "embedded":
        raise UsageError(f"{entry.name} is a part of posewright and cannot be removed")
    files = files_of(entry)
    if not files:
        require_here(entry.path, entry.name)
    return show({"removed": [str(f) for f in files], "bytes": delete(files)}, args.json)


def prune(args: argparse.Namespace) -> int:
    """Delete what no network needs; return the exit code."""
    from posewright.weights.leftovers import delete, leftovers

    files = leftovers()
    return show({"removed": [str(f) for f in files], "bytes": delete(files)}, args.json)


def facts(entry: Entry) -> dict[str, Any]:
    """Return what the registry states of a network, and where its file is."""
    from posewright.weights.hub import hub_file
    from posewright.weights.published import published

    told = {key: value for key, value in asdict(entry).items() if value not in ("", 0, ())}
    stated = "pinned" if entry.pinned else "one source" if entry.sha256 else "kept at first use"
    if entry.origin == "checkpoint" and published()[entry.name].sha:
        stated = "by its authors"
    elif not entry.sha256 and any(map(hub_file, entry.addresses)):
        stated = "by its hub, asked before the download"
    return {**told, "checksum": stated, "here": entry.path.is_file(), "file": str(entry.path)}


def show(data: dict[str, Any], as_json: bool) -> int:
    """Print one object, or a line for each entry that is not empty."""
    if as_json:
        print(json.dumps(data))
        return 0
    for key, value in data.items():
        if value in ("", None):
            continue
        if isinstance(value, dict):
            value = ", ".join(f"{k}={v}" for k, v in value.items())
        if isinstance(value, (list, tuple)):
            value = ", ".join(map(str, value)) or "nothing"
        print(f"{key.replace('_', ' '):18} {one_line(str(value))}")
    return 0
