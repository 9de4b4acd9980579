"""Download a published file once: verified, resumed if interrupted, in place only when complete."""

from __future__ import annotations

import os
import shutil
import time
import urllib.error
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from http.client import HTTPException, HTTPResponse
from pathlib import Path

from posewright.errors import ModelError, OutputError, PosewrightError, UsageError
from posewright.files.scratch import move
from posewright.weights.archive import Member
from posewright.weights.folders import cache_folder, is_offline, requires_checksum
from posewright.weights.headers import Answer, read_answer
from posewright.weights.hub import hub_file
from posewright.weights.job import Job, Progress, refusal, settled, trouble
from posewright.weights.part import alone
from posewright.weights.receipt import (
    check_stated,
    compare,
    read_receipt,
    receipt_path,
    sha256,
    write_receipt,
)
from posewright.weights.transport import (
    DownloadError,
    Pace,
    TooSlow,
    objection,
    open_address,
    read_block,
)

__all__ = ["DownloadError", "cache_folder", "download", "sha256"]

_CHUNK = 1 << 20


class _AnotherPlace(Exception):
    """The server sends other bytes than those it was asked for."""


def download(
    url: str,
    path: Path,
    sha: str,
    *,
    mirrors: Sequence[str] = (),
    member: Member | None = None,
    offline: bool = False,
    require_checksum: bool = False,
    allow_http: bool = False,
    limit: int = 8 << 30,
    attempts: int = 4,
    timeout: float = 30.0,
    least: int = 16 << 10,
    period: float = 60.0,
    pause: float = 1.0,
    progress: Progress | None = None,
) -> Path:
    """Return `path`, fetched from one of `mirrors` or `url` unless it is there.

    sha: the first digits of the file's SHA-256 as published.  mirrors: addresses of the same file
    that are tried first.  member: the file in what an address that ends in .zip sends.  offline:
    never use the network (also $POSEWRIGHT_OFFLINE).  require_checksum: refuse a file whose sum
    nobody states (also $POSEWRIGHT_REQUIRE_CHECKSUM).  allow_http: permit plain http from other
    machines; $POSEWRIGHT_MIRROR is permitted as it is.  limit: largest size of a file in bytes.
    attempts: consecutive connections with fewer than `least` bytes before giving up.  timeout:
    seconds for an answer and for the next bytes.  period: seconds in which `least` bytes must
    arrive.  pause: seconds before the second attempt, doubled from then on.

    Where `sha` is "", the addresses of hubs come first, which are asked for sum, size and commit of
    the file before it is fetched from that commit (`weights.hub`).

    An interrupted download resumes where it stopped, also in a later run and after a killed
    process.  Concurrent processes do not disturb each other.  The full SHA-256 is kept beside the
    file (`weights.receipt`), and an existing file is compared with it.  Errors: UsageError
    (offline, an address that is not permitted), DownloadError, ModelError (the file has another
    sum; a fetched one is not kept), OutputError (disk).
    """
    pace = Pace(timeout, least, period)
    job = Job(url, path, sha.lower(), limit, pace, attempts, pause, allow_http, progress, member)
    require = require_checksum or requires_checksum()
    if os.path.isfile(path):
        return _kept(job, require)
    own = os.environ.get("POSEWRIGHT_MIRROR", "").rstrip("/") + "/"
    mine = {each for each in mirrors if len(own) > 1 and each.startswith(own)}
    jobs = [
        replace(job, url=each, allow_http=allow_http or each in mine) for each in (*mirrors, url)
    ]
    # hubs first, which state the sum, unless it is known; not before the user's own mirror
    jobs.sort(key=lambda each: each.unstated and each.url not in mine and not hub_file(each.url))
    for each in jobs:
        if why := objection(each.url, each.allow_http):
            raise UsageError(f"{each.shown}: {why}")
    if offline or is_offline():
        raise UsageError(
            f"offline, and {path} does not exist; save the file of {job.shown} there yourself"
        )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path):
            if path.is_file():  # another process brought it meanwhile
                return _kept(job, require)
            source, file, found = _bring(jobs, require)
            # the receipt comes first, so that no file is ever without
            write_receipt(path, source.url, file.stat().st_size, found, hub=source.hub)
            move(file, path)
            source.part.drop()
    except PosewrightError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _kept(job: Job, require: bool) -> Path:
    """Return the file that is there, compared; one without a receipt gets one from now on."""
    found = compare(job.path, job.sha)
    receipt = read_receipt(job.path)
    if require and job.unstated:
        check_stated(job.path, receipt)
    if receipt is None:
        with suppress(OSError):  # a folder that is read-only
            write_receipt(job.path, job.url, job.path.stat().st_size, found)
    return job.path


def _bring(jobs: Sequence[Job], require: bool) -> tuple[Job, Path, str]:
    """Bring the file from the first address that has the right one -> that address, it, its sum.

    Where all fail, the error has what each of them said.
    """
    said: list[str] = []
    for job in jobs:
        try:
            job = settled(job, require)
            return job, *_verified(job)
        except (DownloadError, ModelError) as error:
            said.append(str(error))
            kind = type(error)
    raise kind("; ".join(said))


def _verified(job: Job) -> tuple[Path, str]:
    """Bring the whole file; return it and its sum. ModelError: another one than it must be.

    One that was continued may be a mixture of two files, and is fetched whole once more.
    """
    continued = job.part.size > 0
    while True:
        _fetch(job)
        try:
            _compare_size(job)
            file = job.unpacked()
            found = sha256(file)
            _compare(job, found)
            return file, found
        except ModelError:
            job.part.drop()
            job.member_path.unlink(missing_ok=True)
            if not continued:
                raise
        continued = False


def _compare_size(job: Job) -> None:
    """Raise a ModelError where the bytes that came are not as many as the hub states."""
    if job.hub and job.hub.size not in (0, job.part.size):
        raise ModelError(
            f"{job.shown}: {job.part.size} bytes came, but the hub states {job.hub.size}; not kept"
        )


def _compare(job: Job, found: str) -> None:
    """Raise a ModelError where a sum is not the published one, or not that of the receipt."""
    if not found.startswith(job.sha):
        digits = max(8, len(job.sha))
        raise ModelError(
            f"{job.shown}: SHA-256 is {found[:digits]}, but the published one is {job.sha}"
            f"{' (by the hub)' if job.hub else ''}; not kept"
        )
    known = read_receipt(job.path)
    if known is not None and known.sha256 != found:
        raise ModelError(
            f"{job.shown}: SHA-256 is {found}, but was {known.sha256} on {known.date}; not kept. "
            f"Remove {receipt_path(job.path)} to accept another file"
        )


def _fetch(job: Job) -> None:
    """Bring the part to its full length, over as many connections as it takes."""
    failures, ranges = 0, True
    while True:
        before = job.part.size
        slow = False
        try:
            if _continue(job, ranges):
                return
            reason = "the connection was interrupted"
        except _AnotherPlace:
            job.part.drop()
            ranges, reason = False, "the server does not send the requested bytes"
        except urllib.error.HTTPError as error:
            reason = refusal(job, error)
        except (OSError, HTTPException, UnicodeError) as error:
            reason, slow = trouble(job, error), isinstance(error, TooSlow)
        enough = job.part.size - before >= job.pace.least
        failures = 0 if enough and not slow else failures + 1
        if failures >= job.attempts:
            size = job.part.size
            kept = f"{size} bytes are kept, and the next run resumes there" if size else "try again"
            raise DownloadError(f"{job.shown}: {reason}; {kept}")
        time.sleep(job.pause * 2**failures if failures else 0)


def _continue(job: Job, ranges: bool) -> bool:
    """Append what one connection brings; True when the file is whole."""
    known = job.part.validator(job.shown)
    start = job.part.size if ranges and (known or job.sha) else 0
    headers = {"User-Agent": "posewright"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if known and not known[1].startswith("W/"):
            headers["If-Range"] = known[1]
    with open_address(job.url, headers, job.pace, job.allow_http) as response:
        answer = read_answer(response, job.shown, start)
        if response.status == 206 and (
            not start or answer.start != start or (known and answer.validator != known)
        ):
            raise _AnotherPlace
        _acceptable(job, answer)
        if not answer.start:
            job.part.remember(job.shown, answer.validator)
        return _append(job, response, answer)


def _acceptable(job: Job, answer: Answer) -> None:
    """Raise a DownloadError or OutputError where the file must not, or cannot, be taken."""
    if answer.total > job.most:
        raise DownloadError(
            f"{job.shown}: the server states {answer.total} bytes, more than the limit of "
            f"{job.most}"
        )
    if not job.sha and not answer.marked:
        raise DownloadError(
            f"{job.shown}: the server does not say how long the file is, and no checksum is "
            "published, so an incomplete file could not be detected"
        )
    free = shutil.disk_usage(job.path.parent).free
    if answer.total - answer.start > free:
        raise OutputError(
            f"{job.path}: the file needs {answer.total - answer.start} bytes, {free} are free; "
            "free some space or choose another folder with POSEWRIGHT_HOME"
        )


def _append(job: Job, response: HTTPResponse, answer: Answer) -> bool:
    at, end = answer.start, answer.total or job.most + 1
    with job.part.path.open("ab" if at else "wb") as file:
        while at < end and (block := read_block(response, min(_CHUNK, end - at))):
            file.write(block)
            file.flush()
            at += len(block)
            if job.progress:
                job.progress(at, answer.total)
    if at > job.most:
        job.part.drop()
        raise DownloadError(f"{job.shown}: the download exceeds the limit of {job.most}; not kept")
    return at >= answer.total
