"""Where downloads are kept on this machine, and whether the network may be used."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit

__all__ = ["cache_folder", "is_offline", "mirrored", "rtmlib_folders"]


def cache_folder() -> Path:
    """Return the folder of downloads: $POSEWRIGHT_HOME, or the user's cache folder."""
    home = os.environ.get("POSEWRIGHT_HOME")
    if home:
        return Path(home)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    return Path(base).expanduser() / "posewright"


def is_offline() -> bool:
    """Tell whether $POSEWRIGHT_OFFLINE forbids the network."""
    return os.environ.get("POSEWRIGHT_OFFLINE", "0") not in ("", "0")


def mirrored(url: str) -> list[str]:
    """Return MIRROR/HOST/PATH, the address of a file below $POSEWRIGHT_MIRROR; [] without one."""
    mirror = os.environ.get("POSEWRIGHT_MIRROR", "").rstrip("/")
    parts = urlsplit(url)
    return [f"{mirror}/{parts.hostname}{parts.path}"] if mirror and parts.hostname else []


def rtmlib_folders() -> list[Path]:
    """Return the folders in which rtmlib keeps its files, in the order in which it looks."""
    torch, base = os.environ.get("TORCH_HOME"), os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    homes = [Path(torch)] if torch else []
    homes.append(Path(base).expanduser() / "rtmlib")
    return [home / "hub" / "checkpoints" for home in homes]
