"""`posewright models pull`, `verify` and `path`: weights that their authors publish."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from posewright.errors import one_line

__all__ = ["path", "pull", "show", "verify"]


def pull(args: argparse.Namespace) -> int:
    from posewright.checkpoints.conversion import convert_as
    from posewright.errors import UsageError
    from posewright.files.address import without_secrets
    from posewright.weights.download import download
    from posewright.weights.published import find_published
    from posewright.weights.receipt import compare, record

    entry = find_published(args.name)
    if "drive.google.com" in entry.url and not entry.path.is_file():
        page = entry.url.removeprefix("https://")  # its id, which looks like a token, is shown
        raise UsageError(
            f"{page} can only be opened in a browser; download it there, then run: "
            f"posewright models convert FILE --as {entry.family}"
        )
    if not entry.sha and not args.unverified:
        raise UsageError(f"no checksum of {entry.name} is published; add --unverified to trust it")
    download(
        entry.url,
        entry.path,
        entry.sha,
        mirrors=entry.mirrors,
        offline=args.offline,
        allow_http=args.allow_http,
        progress=_progress,
    )
    if entry.converted.is_file():
        compare(entry.converted)
    else:
        print(f"licence: {entry.licence}; from {without_secrets(entry.url)}", file=sys.stderr)
        convert_as(entry, entry.converted)
        record(entry.converted, entry.url)
    told = {"file": str(entry.converted), "network": entry.network, "licence": entry.licence}
    return show(told, args.json)


def _progress(done: int, total: int) -> None:
    if sys.stderr.isatty():
        of = f" of {total / 1e6:.0f}" if total else ""
        print(f"\r{done / 1e6:.0f}{of} MB", end="\n" if done == total else "", file=sys.stderr)


def verify(args: argparse.Namespace) -> int:
    from posewright.errors import ModelError
    from posewright.weights.published import find_published
    from posewright.weights.receipt import compare, read_receipt

    entry = find_published(args.name)
    if not entry.path.is_file():
        raise ModelError(f"{entry.path} is not there; run: posewright models pull {entry.name}")
    found = compare(entry.path, entry.sha)
    receipt = read_receipt(entry.path)
    if entry.converted.is_file():
        compare(entry.converted)
    if not entry.sha:
        print("no checksum is published for this file", file=sys.stderr)
    if receipt is None:
        print("no receipt of the download is there; `models pull` writes one", file=sys.stderr)
    told = {"file": str(entry.path), "sha256": found, "published": entry.sha}
    return show({**told, "receipt": receipt.date if receipt else ""}, args.json)


def path(args: argparse.Namespace) -> int:
    from posewright.errors import ModelError
    from posewright.weights.published import find_published

    entry = find_published(args.name)
    if not entry.converted.is_file():
        raise ModelError(
            f"{entry.converted} is not there; run: posewright models pull {entry.name}"
        )
    if args.json:
        return show({"file": str(entry.converted)}, True)
    print(entry.converted)
    return 0


def show(data: dict[str, Any], as_json: bool) -> int:
    """Print one object, or a line per entry."""
    if as_json:
        print(json.dumps(data))
        return 0
    for key, value in data.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k}={v}" for k, v in value.items())
        print(f"{key.replace('_', ' '):18} {one_line(str(value))}")
    return 0
