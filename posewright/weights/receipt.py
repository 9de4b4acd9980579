"""Receipts of downloads: the full SHA-256 of a file, written beside it and compared from then on.

Many authors publish only the first eight digits. The receipt keeps all 64 of the first download,
so that another file with the same beginning is noticed.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from posewright.errors import ModelError, OutputError, near
from posewright.files.address import without_secrets
from posewright.files.fields import parsed, text_of
from posewright.files.scratch import replacing

__all__ = [
    "HubFile",
    "Receipt",
    "check_stated",
    "compare",
    "read_receipt",
    "receipt_path",
    "record",
    "sha256",
    "write_receipt",
]

_CHUNK = 1 << 20
_LONGEST = 10_000  # bytes; ours have some 300


@dataclass(frozen=True)
class HubFile:
    """A file as a hub states it; of an archive, sum and size are those of the archive.

    repository: OWNER/NAME.  commit: 40 digits.  size: bytes, 0 where it is not stated.
    """

    repository: str
    commit: str
    file: str
    sha256: str = ""
    size: int = 0


@dataclass(frozen=True)
class Receipt:
    """url: without its secrets.  size: bytes.  sha256: 64 digits.  date: UTC, ISO 8601.

    accepted: the user has asked for this sum, though another one is published.  hub: what a hub
    stated before the file was fetched, and the file was compared with.
    """

    url: str
    size: int
    sha256: str
    date: str
    accepted: bool = False
    hub: HubFile | None = None


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_CHUNK), b""):
            digest.update(block)
    return digest.hexdigest()


def receipt_path(path: Path) -> Path:
    """Return the path of a file's receipt."""
    return path.with_name(path.name + ".receipt.json")


def write_receipt(
    path: Path,
    url: str,
    size: int,
    sha: str,
    accepted: bool = False,
    hub: HubFile | None = None,
) -> None:
    """Write the receipt of the file that is, or will be, at `path`; OSError if that fails."""
    now = datetime.now(timezone.utc).isoformat(timespec="seconds")
    told = asdict(Receipt(without_secrets(url), size, sha, now, accepted, hub))
    if hub is None:
        del told["hub"]
    with replacing(receipt_path(path)) as part:
        part.write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


def record(path: Path, url: str) -> None:
    """Write the receipt of a file that was derived from `url`; OutputError if that fails."""
    try:
        write_receipt(path, url, path.stat().st_size, sha256(path))
    except OSError as error:
        why = error.strerror or error
        raise OutputError(f"{receipt_path(path)}: cannot be written ({why})") from error


def read_receipt(path: Path) -> Receipt | None:
    """Return the receipt of the file at `path`; None where there is none, or it is damaged."""
    try:
        with receipt_path(path).open("rb") as file:
            told = parsed(file.read(_LONGEST))
        url, sha, date = (text_of(told.get(key)) for key in ("url", "sha256", "date"))
    except (OSError, ValueError):
        return None
    size = told.get("size")
    if type(size) is not int or not re.fullmatch(r"[0-9a-f]{64}", sha):
        return None
    return Receipt(url, size, sha, date, told.get("accepted") is True, _hub(told.get("hub")))


def _hub(told: Any) -> HubFile | None:
    """Return what a receipt says of a hub; None where that is nothing, or damaged."""
    if not isinstance(told, dict):
        return None
    names = ("repository", "commit", "file", "sha256")
    size = told.get("size")
    if not all(isinstance(told.get(name), str) for name in names):
        return None
    if type(size) is not int or size < 0:
        return None
    found = HubFile(**{name: told[name] for name in names}, size=size)
    sums = re.fullmatch("[0-9a-f]{64}", found.sha256), re.fullmatch("[0-9a-f]{40}", found.commit)
    return found if all(sums) else None


def check_stated(path: Path, receipt: Receipt | None) -> None:
    """Raise a ModelError for a file without a published sum whose receipt says that nobody does."""
    if receipt is None or not (receipt.hub or receipt.accepted):
        raise ModelError(
            f"{path}: nobody has stated the SHA-256 of this file, so it is not used; remove it, so "
            "that it is fetched again, or leave out --require-checksum (require_checksum)"
        )


def compare(path: Path, published: str = "") -> str:
    """Return the SHA-256 of a file, after comparing it with the published and the downloaded one.

    published: the first digits of the checksum, "" if there is none.  ModelError: the file is
    another one, has changed since its receipt was written, or cannot be read.
    """
    try:
        found = sha256(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise ModelError(f"{path} cannot be read ({why}){near(path)}") from error
    receipt = read_receipt(path)
    if receipt is not None and receipt.sha256 != found:
        raise ModelError(
            f"{path} has changed since {receipt.date}: its SHA-256 is {found}, but was "
            f"{receipt.sha256}; remove the file and pull it again"
        )
    if not found.startswith(published.lower()):
        raise ModelError(
            f"{path}: SHA-256 is {found}, but the published one begins with {published}; remove "
            "the file and "
            "pull it again"
        )
    return found
