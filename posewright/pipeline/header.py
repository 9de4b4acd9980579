"""What a run used, as the header of its results states it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from posewright.errors import UsageError
from posewright.machine import cpu_name, package_version
from posewright.runtimes import Model
from posewright.weights import find_model
from posewright.weights.folders import cache_folder
from posewright.weights.receipt import sha256

__all__ = ["used", "with_settings"]

_COMPUTING = ("numpy", "opencv-python-headless", "av")  # beside the runtime, which says its own


def used(networks: Mapping[str, tuple[Any, Any]], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the header's entries: networks by their purpose, settings, versions, processor.

    networks: each with the file or name that it was loaded by; None instead of a network is told as
    null.  Nothing in the entries differs between two runs of one command on one machine.
    """
    from posewright import __version__

    return {
        "posewright": __version__,
        **{purpose: _network(*loaded) for purpose, loaded in networks.items()},
        "settings": dict(settings),
        "libraries": {name: package_version(name) for name in _COMPUTING},
        "processor": cpu_name(),
    }


def _network(model: Any, name: Any) -> dict[str, Any] | None:
    """Return what the header says of a network, or of another source of boxes."""
    if not isinstance(getattr(model, "runtime", None), str):
        return None if model is None else {"name": type(model).__name__}
    found: Model = model
    return {
        "name": found.info.name,
        "sha256": _digest(name, cache_folder()) if isinstance(name, (str, Path)) else None,
        "runtime": found.runtime,
        "precision": found.runtime.split()[-1],
    }


@lru_cache(maxsize=16)
def _digest(name: str | Path, folder: Path) -> str | None:
    """Return the sum of a network's file; None where the file is gone.

    folder: of downloads, in another of which a name may mean another file.
    """
    try:
        return sha256(find_model(name)[0])
    except (OSError, UsageError):
        return None


def with_settings(run: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the entries of a header with further settings."""
    known = run.get("settings")
    return {**run, "settings": {**(known if isinstance(known, dict) else {}), **settings}}
