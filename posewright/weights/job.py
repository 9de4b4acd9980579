"""One address of a download: what is known of its file before it comes, and why it fails."""

from __future__ import annotations

import ssl
import time
import urllib.error
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from http import HTTPStatus
from http.client import HTTPException, IncompleteRead, InvalidURL
from pathlib import Path

from posewright.errors import ModelError
from posewright.files.address import without_secrets
from posewright.weights.archive import Member
from posewright.weights.hub import at_commit, hub_file, stated_file
from posewright.weights.part import Part
from posewright.weights.receipt import HubFile, read_receipt
from posewright.weights.transport import DownloadError, Pace

__all__ = ["Job", "Progress", "refusal", "settled", "trouble"]

_AGAIN = (408, 429)  # of the answers below 500 those after which it is worth asking again
Progress = Callable[[int, int], None]  # bytes so far, bytes in all or 0


@dataclass(frozen=True)
class Job:
    """What `download` was asked for; `path` is the final name, `part` is what has come.

    hub: what a hub has stated of what comes from `url`.
    """

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
    hub: HubFile | None = None

    @property
    def shown(self) -> str:
        return without_secrets(self.url)

    @property
    def packed(self) -> bool:
        return self.member is not None and self.url.endswith(".zip")

    @property
    def unstated(self) -> bool:
        """Whether the sum of what comes is not known."""
        return not self.sha and not (self.member and self.member.archive_sha and self.packed)

    @property
    def most(self) -> int:
        """Number of bytes that may come: those that the hub states, or the limit."""
        return min(self.limit, self.hub.size) if self.hub and self.hub.size else self.limit

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


def settled(job: Job, require: bool) -> Job:
    """Return the job with the sum, size and commit that a hub states, where no sum is known.

    A file that has been here comes from the commit of its receipt.  Errors: DownloadError (the hub
    does not answer), ModelError (`require`, and nobody states a sum).
    """
    if not job.unstated:
        return job
    hub = _received(job) or _stated(job)
    if hub is None:
        if require:
            raise ModelError(
                f"{job.shown}: nobody states the SHA-256 of this file, so it is not fetched; leave "
                "out --require-checksum (require_checksum) to accept it as it comes first"
            )
        return job
    job = replace(job, url=at_commit(job.url, hub.commit), hub=hub)
    if job.packed and job.member is not None:
        return replace(job, member=replace(job.member, archive_sha=hub.sha256))
    return replace(job, sha=hub.sha256)


def _received(job: Job) -> HubFile | None:
    """Return what the receipt of an earlier download says of this address."""
    receipt, asked = read_receipt(job.path), hub_file(job.url)
    if receipt is None or receipt.hub is None or asked is None:
        return None
    known = receipt.hub
    same = (known.repository, known.file) == (asked.repository, asked.file)
    return known if same and asked.commit in ("", known.commit) else None


def _stated(job: Job) -> HubFile | None:
    """Ask the hub; None where it states no sum, or does not answer such a request."""
    for attempt in range(job.attempts):
        time.sleep(job.pause * 2**attempt if attempt else 0)
        try:
            return stated_file(job.url, job.pace, job.allow_http)
        except urllib.error.HTTPError as error:
            if error.code == 501 or (error.code < 500 and error.code not in _AGAIN):
                return None
            reason = f"the server answers {error.code}"
        except (OSError, HTTPException, UnicodeError) as error:
            reason = trouble(job, error)
    raise DownloadError(f"{job.shown}: {reason}, when asked for the SHA-256 of the file")


def refusal(job: Job, error: urllib.error.HTTPError) -> str:
    """Return what an error of the server says; DownloadError where asking again is no use."""
    error.close()
    if error.code == 416:  # nothing after what has come: it is no beginning of the file
        job.part.drop()
    elif error.code < 500 and error.code not in _AGAIN:
        with suppress(ValueError):
            said = HTTPStatus(error.code).phrase
            raise DownloadError(f"{job.shown}: the server answers {error.code} {said}") from error
        raise DownloadError(f"{job.shown}: the server answers {error.code}") from error
    return f"the server answers {error.code}"


def trouble(job: Job, error: Exception) -> str:
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
