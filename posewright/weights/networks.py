"""A named network as a file on this machine: kept, taken over from rtmlib, or fetched once.

A file runs where its SHA-256 is the published one; where none is published, the one that a hub
stated, or that its receipt recorded at first use; or one that the user has accepted by name.
Nothing switches that off.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from posewright.errors import ModelError, OutputError, UsageError, one_line
from posewright.weights.folders import (
    cache_folder,
    is_offline,
    mirrored,
    requires_checksum,
    rtmlib_folders,
)
from posewright.weights.registry import Entry

if TYPE_CHECKING:
    from posewright.weights.receipt import Receipt

__all__ = ["describe", "kept", "progress", "ready", "say_first_use"]


def ready(entry: Entry, *, offline: bool = False, accept: str = "") -> Path:
    """Return the file of a network, fetched unless it is there; stderr tells what is fetched.

    accept: the SHA-256 that the file may have instead of the published one.  Errors: ModelError
    (offline, a checkpoint that is not converted yet, or another file), DownloadError, OutputError
    (disk).
    """
    if entry.origin != "onnx":
        if entry.path.is_file():
            _check_checkpoint(entry)
            return entry.path
        raise ModelError(
            f"{entry.name} is a checkpoint that needs torch, and is not here yet; run: posewright "
            f"models pull {entry.name}"
        )
    if accept and not re.fullmatch(r"[0-9a-f]{64}", accept):
        raise UsageError(f"--accept {accept}: give all 64 digits of the SHA-256")
    found = kept(entry, accept) or _taken_over(entry)
    if found is not None:
        return found
    if offline or is_offline():
        raise ModelError(f"offline, and {entry.name} is not in {cache_folder()}; {_carry(entry)}")
    print(one_line(f"fetching {describe(entry)}; kept as {entry.path}"), file=sys.stderr)
    return _fetch(entry, accept)


def kept(entry: Entry, accept: str = "") -> Path | None:
    """Return the file that is there, once it is known to be the right one; None without a file.

    One that has not changed since its receipt was written is not summed again.  ModelError: it is
    another file, or has changed.
    """
    from posewright.weights.receipt import (
        check_stated,
        compare,
        read_receipt,
        receipt_path,
        write_receipt,
    )

    path = entry.path
    if not path.is_file():
        return None
    receipt = read_receipt(path)
    state = path.stat()
    known = receipt is not None and state.st_size == receipt.size
    if known and receipt and state.st_mtime_ns <= receipt_path(path).stat().st_mtime_ns:
        found = receipt.sha256
    else:
        found, known = compare(path), False
    accepted = found == accept or (receipt is not None and receipt.accepted)
    if entry.sha256 and found != entry.sha256 and not accepted:
        raise ModelError(
            f"{path}: SHA-256 is {found}, but the published one is {entry.sha256}, so it is not "
            f"run; remove it (posewright models remove {entry.name}), or {_accept(entry)}"
        )
    if requires_checksum() and not (accepted or _is_stated(entry, receipt)):
        check_stated(path, receipt)
    if not known or found == accept:
        with suppress(OSError):  # a folder that others share
            url, hub = (receipt.url, receipt.hub) if receipt else ("", None)
            accepted = accepted and found != entry.sha256
            write_receipt(path, url, state.st_size, found, accepted, hub)
    return path


def describe(entry: Entry) -> str:
    """Return what a network is, its size, origin, licence and training data, in one line."""
    size = f"{entry.size / 1e6:.1f} MB" if entry.size else "size not stated"
    what = f"{entry.kind}, {entry.joints} joints" if entry.joints else entry.kind
    data = f", trained on {entry.data}" if entry.data else ""
    terms = f" ({entry.terms})" if entry.terms else ""
    host = urlsplit((mirrored(entry.addresses[0]) + list(entry.addresses))[0]).hostname
    licence = entry.licence or "not stated"
    return f"{entry.name} ({what}): {size} from {host}, licence {licence}{data}{terms}"


def progress(done: int, total: int) -> None:
    """Show on a terminal how much of a file has come."""
    if sys.stderr.isatty():
        filled = 20 * done // total if total else 0
        gauge = f"[{'#' * filled}{'.' * (20 - filled)}] " if total else ""
        of = f" of {total / 1e6:.0f}" if total else ""
        end = "\n" if done == total else ""
        print(f"\r{gauge}{done / 1e6:.0f}{of} MB", end=end, file=sys.stderr, flush=True)


def _fetch(entry: Entry, accept: str) -> Path:
    from posewright.weights.archive import Member
    from posewright.weights.download import DownloadError, download
    from posewright.weights.receipt import read_receipt, receipt_path, write_receipt

    path, sha = entry.path, accept or entry.sha256
    if accept:
        receipt_path(path).unlink(missing_ok=True)
    addresses = [*(a for url in entry.addresses for a in mirrored(url)), *entry.addresses]
    member = Member(entry.member, "" if sha else entry.archive_sha256) if entry.member else None
    try:
        download(
            addresses[-1],
            path,
            sha,
            mirrors=addresses[:-1],
            member=member,
            attempts=2 if len(addresses) > 1 else 4,
            progress=progress,
        )
    except DownloadError as error:
        raise DownloadError(f"{error}; {_carry(entry)}") from error
    except ModelError as error:
        advice = f"; {_accept(entry)}" if "SHA-256 is" in str(error) else ""
        raise ModelError(f"{error}{advice}") from error
    receipt = read_receipt(path)
    if receipt is not None and accept and accept != entry.sha256:
        write_receipt(path, receipt.url, receipt.size, accept, True)
    elif receipt is not None and not _is_stated(entry, receipt):
        say_first_use(entry.name, receipt)
    return path


def _is_stated(entry: Entry, receipt: Receipt | None) -> bool:
    """Tell whether somebody stated the sum of a file that is there, or of the archive it was in."""
    of_archive = entry.archive_sha256 and receipt is not None and receipt.url.endswith(".zip")
    return bool(entry.sha256 or of_archive or (receipt is not None and receipt.hub))


def say_first_use(name: str, receipt: Receipt) -> None:
    """Print the sum of a file that was fetched, which nobody had stated before."""
    told = f"{name}: nobody states its SHA-256; it is {receipt.sha256}, and must stay so"
    print(told, file=sys.stderr)


def _check_checkpoint(entry: Entry) -> None:
    """Raise a ModelError where sums are required, and that of a checkpoint was stated by nobody."""
    from posewright.weights.published import published
    from posewright.weights.receipt import check_stated, read_receipt

    source = published().get(entry.name)
    if requires_checksum() and source is not None and not source.sha:
        check_stated(source.path, read_receipt(source.path))


def _taken_over(entry: Entry) -> Path | None:
    """Link or copy the file from rtmlib's folder if its sum is the published one."""
    from posewright.files.scratch import replacing
    from posewright.weights.receipt import sha256, write_receipt

    stem = entry.addresses[0].rpartition("/")[2].rpartition(".")[0]
    for folder in rtmlib_folders() if entry.sha256 else ():
        theirs = folder / f"{stem}.onnx"
        if not theirs.is_file() or sha256(theirs) != entry.sha256:
            continue
        try:
            entry.path.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(theirs, entry.path)
            except FileExistsError:  # another process was first
                return kept(entry)
            except OSError:  # another disk, or one without links
                with replacing(entry.path) as part:
                    shutil.copyfile(theirs, part)
            write_receipt(entry.path, str(theirs), theirs.stat().st_size, entry.sha256)
        except OSError as error:
            why = error.strerror or error
            raise OutputError(f"{entry.path}: cannot be written ({why})") from error
        print(f"{entry.name}: taken from {theirs}", file=sys.stderr)
        return entry.path
    return None


def _accept(entry: Entry) -> str:
    return (
        "accept the file by its sum, if you trust it: posewright models pull "
        f"{entry.name} --accept SHA256"
    )


def _carry(entry: Entry) -> str:
    return (
        f"on a machine that is connected, run: posewright models pull {entry.name} --to DIR, carry "
        "the folder here and give --home DIR (or set POSEWRIGHT_HOME=DIR)"
    )
