"""Download a published file once: verified, resumed if interrupted, in place only when complete."""

from __future__ import annotations

import os
import shutil
import ssl
import time
import urllib.error
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPException, HTTPResponse, IncompleteRead, InvalidURL
from pathlib import Path

from posewright.errors import ModelError, OutputError, PosewrightError, UsageError
from posewright.files.address import without_secrets
from posewright.files.scratch import move
from posewright.weights.archive import Member
from posewright.weights.folders import cache_folder, is_offline
from posewright.weights.headers import Answer, read_answer
from posewright.weights.part import Part, alone
from posewright.weights.receipt import (
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
Progress = Callable[[int, int], None]  # bytes so far, bytes in all or 0


@dataclass(frozen=True)
class _Job:
    """What `download` was asked for; `path` is the final name, `part` is what has come."""

    url: str
    path: Path
    sha: str
    limit: int
    pace: Pace
    attempts: int
    pause: float
    allow_http: bool
    progress: Progress | None
    member: Member | None = None

    @property
    def shown(self) -> str:
        return without_secrets(self.url)

    @property
    def packed(self) -> bool:
        return self.member is not None and self.url.endswith(".zip")

    @property
    def part(self) -> Part:
        return Part(self.path.with_name(self.path.name + (".zip" if self.packed else "") + ".part"))

    @property
    def member_path(self) -> Path:
        return self.path.with_name(self.path.name + ".member")

    def unpacked(self) -> Path:
        """Return the file itself; ModelError: the archive does not hold it."""
        if not self.packed or self.member is None:
            return self.part.path
        return self.member.unpack(self.part.path, self.member_path, self.limit, self.shown)


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
    never use the network (also $POSEWRIGHT_OFFLINE).  allow_http: permit plain http from other
    machines; $POSEWRIGHT_MIRROR is permitted as it is.  limit: largest size of a file in bytes.
    attempts: consecutive connections with fewer than `least` bytes before giving up.  timeout:
    seconds for an answer and for the next bytes.  period: seconds in which `least` bytes must
    arrive.  pause: seconds before the second attempt, doubled from then on.

    An interrupted download resumes where it stopped, also in a later run and after a killed
    process.  Concurrent processes do not disturb each other.  The full SHA-256 is kept beside the
    file (`weights.receipt`), and an existing file is compared with it.  Errors: UsageError
    (offline, an address that is not permitted), DownloadError, ModelError (the file has another
    sum; a fetched one is not kept), OutputError (disk).
    """
    pace = Pace(timeout, least, period)
    job = _Job(url, path, sha.lower(), limit, pace, attempts, pause, allow_http, progress, member)
    if os.path.isfile(path):
        return _kept(job)
    own = os.environ.get("POSEWRIGHT_MIRROR", "").rstrip("/")
    jobs = [
        replace(job, url=each, allow_http=allow_http or (bool(own) and each.startswith(own + "/")))
        for each in (*mirrors, url)
    ]
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
                return _kept(job)
            source, file, found = _bring(jobs)
            # the receipt comes first, so that no file is ever without
            write_receipt(path, source.url, file.stat().st_size, found)
            move(file, path)
            source.part.drop()
    except PosewrightError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _kept(job: _Job) -> Path:
    """Return the file that is there, compared; one without a receipt gets one from now on."""
    found = compare(job.path, job.sha)
    if read_receipt(job.path) is None:
        with suppress(OSError):  # a folder that is read-only
            write_receipt(job.path, job.url, job.path.stat().st_size, found)
    return job.path


def _bring(jobs: Sequence[_Job]) -> tuple[_Job, Path, str]:
    """Bring the file from the first address that has the right one -> that address, it, its sum.

    Where all fail, the error has what each of them said.
    """
    said: list[str] = []
    for job in jobs:
        try:
            return job, *_verified(job)
        except (DownloadError, ModelError) as error:
            said.append(str(error))
            kind = type(error)
    raise kind("; ".join(said))


def _verified(job: _Job) -> tuple[Path, str]:
    """Bring the whole file; return it and its sum. ModelError: another one than it must be.

    One that was continued may be a mixture of two files, and is fetched whole once more.
    """
    continued = job.part.size > 0
    while True:
        _fetch(job)
        try:
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


def _compare(job: _Job, found: str) -> None:
    """Raise a ModelError where a sum is not the published one, or not that of the receipt."""
    if not found.startswith(job.sha):
        digits = max(8, len(job.sha))
        raise ModelError(
            f"{job.shown}: SHA-256 is {found[:digits]}, but the published one is {job.sha}; not "
            "kept"
        )
    known = read_receipt(job.path)
    if known is not None and known.sha256 != found:
        raise ModelError(
            f"{job.shown}: SHA-256 is {found}, but was {known.sha256} on {known.date}; not kept. "
            f"Remove {receipt_path(job.path)} to accept another file"
        )


def _fetch(job: _Job) -> None:
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
            reason = _refusal(job, error)
        except (OSError, HTTPException, UnicodeError) as error:
            reason, slow = _trouble(job, error), isinstance(error, TooSlow)
        enough = job.part.size - before >= job.pace.least
        failures = 0 if enough and not slow else failures + 1
        if failures >= job.attempts:
            size = job.part.size
            kept = f"{size} bytes are kept, and the next run resumes there" if size else "try again"
            raise DownloadError(f"{job.shown}: {reason}; {kept}")
        time.sleep(job.pause * 2**failures if failures else 0)


def _refusal(job: _Job, error: urllib.error.HTTPError) -> str:
    """Return what an error of the server says; DownloadError where asking again is no use."""
    error.close()
    if error.code == 416:  # nothing after what has come: it is no beginning of the file
        job.part.drop()
    elif error.code < 500 and error.code not in (408, 429):
        with suppress(ValueError):
            said = HTTPStatus(error.code).phrase
            raise DownloadError(f"{job.shown}: the server answers {error.code} {said}") from error
        raise DownloadError(f"{job.shown}: the server answers {error.code}") from error
    return f"the server answers {error.code}"


def _trouble(job: _Job, error: Exception) -> str:
    """Return what went wrong with a connection; DownloadError where asking again is no use.

    What is no trouble of the connection is raised again.
    """
    if isinstance(error, (InvalidURL, UnicodeError)):  # their texts quote the address
        raise DownloadError(f"{job.shown}: it is not a valid address") from None
    if isinstance(error, IncompleteRead):
        return "the connection was interrupted"
    cause = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(cause, ssl.SSLCertVerificationError):
        raise DownloadError(f"{job.shown}: {cause.verify_message}") from error
    if isinstance(cause, (urllib.error.URLError, TimeoutError, ConnectionError)):
        return str(getattr(cause, "strerror", None) or cause) or type(cause).__name__
    if isinstance(error, HTTPException):
        said = str(error)[:100] or type(error).__name__
        raise DownloadError(f"{job.shown}: the answer is not HTTP ({said!r})") from error
    if isinstance(error, urllib.error.URLError):
        return str(getattr(cause, "strerror", None) or cause)
    raise error


def _continue(job: _Job, ranges: bool) -> bool:
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


def _acceptable(job: _Job, answer: Answer) -> None:
    """Raise a DownloadError or OutputError where the file must not, or cannot, be taken."""
    if answer.total > job.limit:
        raise DownloadError(
            f"{job.shown}: the server states {answer.total} bytes, more than the limit of "
            f"{job.limit}"
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


def _append(job: _Job, response: HTTPResponse, answer: Answer) -> bool:
    at, end = answer.start, answer.total or job.limit + 1
    with job.part.path.open("ab" if at else "wb") as file:
        while at < end and (block := read_block(response, min(_CHUNK, end - at))):
            file.write(block)
            file.flush()
            at += len(block)
            if job.progress:
                job.progress(at, answer.total)
    if at > job.limit:
        job.part.drop()
        raise DownloadError(f"{job.shown}: the download exceeds the limit of {job.limit}; not kept")
    return at >= answer.total
