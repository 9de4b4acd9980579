"""A folder that holds all results of a run that is complete: there is nothing to go on with."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from posewright.errors import UsageError
from posewright.files.contents import open_regular
from posewright.files.leftovers import find
from posewright.files.values import BROKEN
from posewright.sources.planning import sequences
from posewright.writers import VIDEOS, formats
from posewright.writers.sparing import films

__all__ = ["finished"]

_LINE = 1 << 20  # bytes that are read of poses.jsonl: its header and the first frame
_NETWORKS = ("model", "detector", "refine", "reid", "hands", "face")


def finished(
    out: Path, save: Sequence[str], sources: Sequence[Any], header: Mapping[str, Any]
) -> list[str]:
    """Return a note where `out` has every result that was asked for and no trace of a stopped run.

    header: what poses.jsonl of this run would state.  UsageError where the one that is there states
    other networks, settings or sources: it is of another run.
    """
    if not out.is_dir() or find(out):
        return []
    there = [os.path.lexists(out / name) for form in formats(save).values() for name in form.files]
    if "video" in save:
        there += [any((out / (n + end)).is_file() for end in VIDEOS) for n in films(sources)]
    if not there or not all(there):
        return []
    if "jsonl" in save:
        _check_run(out / "poses.jsonl", sources, header)
    return [
        f"{out} holds every result of a complete run and no journal of a stopped one: nothing is "
        "left to do; --overwrite starts again"
    ]


def _check_run(path: Path, sources: Sequence[Any], header: Mapping[str, Any]) -> None:
    """Raise a UsageError where a poses.jsonl states another run."""
    try:
        with open_regular(path) as file:
            was = json.loads(file.readline(_LINE))
            first = file.readline(_LINE)
        row = json.loads(first) if first else None
        stated = {name: _stated(side) for name, side in (("was", was), ("is", header))}
        read = None if row is None else row["sequence"]
    except (OSError, *BROKEN):
        return
    for name in stated["was"].keys() & stated["is"].keys():
        if stated["was"][name] != stated["is"][name]:
            raise UsageError(
                f"{path} is of another run: {name} was {stated['was'][name]} and is "
                f"{stated['is'][name]}; choose another folder with -o, or start again with "
                "--overwrite"
            )
    expected = [name for spec in sources for name, _ in sequences(spec)]
    if read is not None and expected and read not in expected:
        raise UsageError(
            f"{path} is of another run, which began with {read}; choose another folder with -o, or "
            "start again with --overwrite"
        )


def _stated(header: Mapping[str, Any]) -> dict[str, Any]:
    """Return the networks' names and the settings of a header; not a rate, which depends on it."""
    settings = header.get("settings")
    found = dict(settings) if isinstance(settings, Mapping) else {}
    found.pop("fps", None)
    for name in _NETWORKS:
        network = header.get(name)
        if isinstance(network, Mapping):
            found[name] = network.get("name")
    return found
