"""The registry of weights that trainings start from: backbones, most of them trained on ImageNet.

Nothing is downloaded unless it is named.  Needs no torch.
"""

from __future__ import annotations

import csv
import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from posewright.errors import ModelError, near, nearest, one_line
from posewright.files.address import without_secrets
from posewright.weights.folders import cache_folder, mirrored

__all__ = ["Start", "find_start", "published_start", "start_file", "starts"]


@dataclass(frozen=True)
class Start:
    """Weights to start from.

    sha: first digits of the file's SHA-256, "" if none is published.  data: what it was trained on.
    fits: `networks`, as the table has them.
    """

    name: str
    url: str
    sha: str
    licence: str
    data: str
    fits: str

    @property
    def networks(self) -> tuple[str, ...]:
        """Networks of the zoo that their authors trained from it, or from the same weights."""
        return tuple(self.fits.split())

    @property
    def file(self) -> str:
        """The name of the file, as published."""
        return self.url.rpartition("/")[2]

    @property
    def path(self) -> Path:
        """Where the file is, or will be, on this machine."""
        return cache_folder() / "starts" / self.file


@cache
def starts() -> dict[str, Start]:
    """Return all entries by name."""
    table = Path(__file__).with_name("starts.tsv").read_text(encoding="utf-8")
    rows = csv.DictReader(table.splitlines(), delimiter="\t")
    entries = [Start(**row) for row in rows]
    return {entry.name: entry for entry in entries}


def find_start(name: str) -> Start | None:
    """Return an entry by its name, or by the name of its file with or without the ending."""
    for entry in starts().values():
        if name in (entry.name, entry.file, Path(entry.file).stem):
            return entry
    return None


def published_start(network: str) -> str:
    """Return the name of the start that a network was published with; "" where none is known."""
    return next((s.name for s in starts().values() if network in s.networks), "")


def start_file(given: str) -> Path:
    """Return the file of a path or of a named start, which is fetched unless it is there.

    stderr tells what is fetched.  Errors: ModelError (neither a file nor a name, or another sum),
    UsageError (offline), DownloadError, OutputError (disk).
    """
    path = Path(given)
    if os.path.lexists(path):
        return path
    entry = find_start(given)
    if entry is None:
        hint = near(path) if path.name != given else nearest(given, starts())
        raise ModelError(
            f"{given}: neither a file nor a named start{hint}; named: {', '.join(starts())}"
        )
    return _fetched(entry)


def _fetched(entry: Start) -> Path:
    from posewright.weights.download import download
    from posewright.weights.networks import progress, say_first_use
    from posewright.weights.receipt import read_receipt

    new = not entry.path.is_file()
    if new:
        told = f"licence {entry.licence}, trained on {entry.data}; kept as {entry.path}"
        print(
            one_line(f"fetching {entry.name} from {without_secrets(entry.url)}, {told}"),
            file=sys.stderr,
        )
    mirrors = mirrored(entry.url) if entry.sha else []
    download(entry.url, entry.path, entry.sha, mirrors=mirrors, progress=progress)
    receipt = read_receipt(entry.path)
    if new and receipt is not None and not (entry.sha or receipt.hub):
        say_first_use(entry.name, receipt)
    return entry.path
