"""The registry of published weights: their addresses, networks, scores and licences.

`published.tsv` is written by tools/list_published.py from the lists of the projects' model zoos.
"""

from __future__ import annotations

import csv
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from posewright.errors import UsageError, nearest
from posewright.weights.folders import cache_folder, mirrored

__all__ = ["Published", "find_published", "published"]


@dataclass(frozen=True)
class Published:
    """One published file.

    name: ours, network and data set.  sha: first digits of its SHA-256, "" if none is published.
    family: the key table that reads it.  network, options: what `create` takes.  score: as stated
    by its authors.
    """

    name: str
    url: str
    sha: str
    family: str
    network: str
    options: dict[str, Any]
    licence: str
    data: str
    score: str

    @property
    def path(self) -> Path:
        """Where the file is, or will be, on this machine.

        A file with a published checksum has a unique name; several others are called "last.pt".
        """
        name = self.url.rpartition("/")[2].partition("?")[0]
        return cache_folder() / "published" / (name if self.sha else self.name + Path(name).suffix)

    @property
    def converted(self) -> Path:
        """Where the network is, or will be, once it is converted."""
        return cache_folder() / "published" / f"{self.name}.safetensors"

    @property
    def mirrors(self) -> tuple[str, ...]:
        """Addresses to try first, below $POSEWRIGHT_MIRROR, if a checksum is known.

        They are MIRROR/FILE, as in earlier versions, and MIRROR/HOST/PATH.
        """
        folder = os.environ.get("POSEWRIGHT_MIRROR", "").rstrip("/")
        if not (folder and self.sha):
            return ()
        return (f"{folder}/{self.path.name}", *mirrored(self.url))


@cache
def published() -> dict[str, Published]:
    """Return all entries by name."""
    table = Path(__file__).with_name("published.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines(), delimiter="\t")
    entries = [Published(**{**row, "options": json.loads(row["options"])}) for row in rows]
    return {entry.name: entry for entry in entries}


def find_published(name: str) -> Published:
    """Return an entry by name; a UsageError suggests the nearest."""
    known = published()
    if name not in known:
        raise UsageError(
            f"no published weights {name!r}{nearest(name, known)}; "
            "`posewright models list --published` shows them"
        )
    return known[name]
