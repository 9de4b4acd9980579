"""Where downloads are kept on this machine, and whether the network may be used."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

__all__ = [
    "AS_USUAL",
    "Fetching",
    "cache_folder",
    "fetching_variables",
    "is_offline",
    "mirrored",
    "requires_checksum",
    "rtmlib_folders",
]


@dataclass(frozen=True)
class Fetching:
    """Where networks are kept and how they are fetched, beside what the environment says.

    home: folder, None for $POSEWRIGHT_HOME or the user's cache.  offline: never use the network.
    require_checksum: refuse files whose SHA-256 nobody states.
    """

    home: str | Path | None = None
    offline: bool = False
    require_checksum: bool = False

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Let it count, beside what counts already, for what runs inside, in this thread."""
        outer = _NOW.get()
        require = self.require_checksum or outer.require_checksum
        token = _NOW.set(Fetching(self.home or outer.home, self.offline or outer.offline, require))
        try:
            yield
        finally:
            _NOW.reset(token)


AS_USUAL = Fetching()
_NOW: ContextVar[Fetching] = ContextVar("posewright_fetching", default=AS_USUAL)


def fetching_variables() -> dict[str, str]:
    """Return the variables that tell another process what counts here."""
    told = {"POSEWRIGHT_HOME": str(cache_folder())}
    asked = {"OFFLINE": is_offline(), "REQUIRE_CHECKSUM": requires_checksum()}
    return told | {f"POSEWRIGHT_{name}": "1" for name, on in asked.items() if on}


def cache_folder() -> Path:
    """Return the folder of downloads: $POSEWRIGHT_HOME, or the user's cache folder."""
    home = _NOW.get().home or os.environ.get("POSEWRIGHT_HOME")
    if home:
        return Path(home)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    return Path(base).expanduser() / "posewright"


def is_offline() -> bool:
    """Tell whether $POSEWRIGHT_OFFLINE forbids the network."""
    return _NOW.get().offline or _is_set("POSEWRIGHT_OFFLINE")


def requires_checksum() -> bool:
    """Tell whether files whose sum nobody states are refused: $POSEWRIGHT_REQUIRE_CHECKSUM."""
    return _NOW.get().require_checksum or _is_set("POSEWRIGHT_REQUIRE_CHECKSUM")


def _is_set(name: str) -> bool:
    return os.environ.get(name, "0") not in ("", "0")


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
