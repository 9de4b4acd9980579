"""Download a published file once: verified, resumed where it was cut, in place only when whole."""

from __future__ import annotations

import hashlib
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPException
from pathlib import Path

from posewright.errors import ModelError, OutputError, PosewrightError, UsageError
from posewright.files.lock import FolderLock, Held
from posewright.files.scratch import move

__all__ = ["DownloadError", "cache_folder", "download", "sha256"]

_CHUNK = 1 << 20
Progress = Callable[[int, int], None]  # bytes so far, bytes in all or 0


class DownloadError(PosewrightError, OSError):
    """A file that could not be had from its server."""


def cache_folder() -> Path:
    """Return where downloads are kept: $POSEWRIGHT_HOME, or the user's cache folder."""
    home = os.environ.get("POSEWRIGHT_HOME")
    if home:
        return Path(home)
    base = os.environ.get("XDG_CACHE_HOME") or os.environ.get("LOCALAPPDATA") or "~/.cache"
    return Path(base).expanduser() / "posewright"


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        for block in iter(lambda: file.read(_CHUNK), b""):
            digest.update(block)
    return digest.hexdigest()


def download(
    url: str,
    path: Path,
    sha: str,
    *,
    offline: bool = False,
    attempts: int = 4,
    timeout: float = 30.0,
    pause: float = 1.0,
    progress: Progress | None = None,
) -> Path:
    """Return `path`, fetched from `url` unless it is there.

    sha: the first digits of the file's SHA-256 as published.  offline: never use the network (also
    $POSEWRIGHT_OFFLINE).  attempts: connections in a row that brought nothing new before giving up.
    A cut download continues where it stopped, also in a later run, and where the one before was
    killed.  Two processes do not disturb each other.  Errors: UsageError (offline, foreign
    protocol), DownloadError, ModelError (the whole file has another sum; it is not kept),
    OutputError (disk).
    """
    if path.is_file():
        return path
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise UsageError(f"{url}: only http and https are fetched")
    if offline or os.environ.get("POSEWRIGHT_OFFLINE", "0") not in ("", "0"):
        raise UsageError(f"offline, and {path} is not there; put the file of {url} there yourself")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with _alone(path):
            if path.is_file():  # another process brought it meanwhile
                return path
            part = path.with_name(path.name + ".part")
            _fetch(url, part, attempts, timeout, pause, progress)
            found = sha256(part)
            if not found.startswith(sha):
                part.unlink()
                raise ModelError(
                    f"{url}: SHA-256 is {found[: max(8, len(sha))]}, published is {sha}; not kept"
                )
            move(part, path)
    except DownloadError:
        raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def _fetch(
    url: str,
    part: Path,
    attempts: int,
    timeout: float,
    pause: float,
    progress: Progress | None,
) -> None:
    """Bring `part` to its full length, over as many connections as it takes."""
    failures = 0
    while True:
        before = part.stat().st_size if part.exists() else 0
        try:
            if _continue(url, part, before, timeout, progress):
                return
            reason = "the connection was cut"
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing after `before`: what is there is no beginning of it
                part.unlink(missing_ok=True)
            elif error.code < 500 and error.code not in (408, 429):
                raise DownloadError(
                    f"{url}: the server says {error.code} {error.reason}"
                ) from error
            reason = f"the server says {error.code}"
        except (urllib.error.URLError, HTTPException, TimeoutError, ConnectionError) as error:
            reason = str(getattr(error, "reason", error)) or type(error).__name__
        after = part.stat().st_size if part.exists() else 0
        failures = 0 if after > before else failures + 1
        if failures >= attempts:
            raise DownloadError(
                f"{url}: {reason}; {after} bytes are kept, the next run continues there"
            )
        time.sleep(pause * 2**failures if failures else 0)


def _continue(
    url: str,
    part: Path,
    start: int,
    timeout: float,
    progress: Progress | None,
) -> bool:
    """Append what one connection brings; True when the file is whole."""
    request = urllib.request.Request(url, headers={"User-Agent": "posewright"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    with urllib.request.urlopen(request, timeout=timeout) as response:
        if "text/html" in response.headers.get("Content-Type", ""):
            raise DownloadError(f"{url}: a web page came instead of a file; open it in a browser")
        resumed = response.status == 206
        length = int(response.headers.get("Content-Length") or 0)
        at = start if resumed else 0
        total = at + length if length else 0
        with part.open("ab" if resumed else "wb") as file:
            while block := response.read(_CHUNK):
                file.write(block)
                file.flush()
                at += len(block)
                if progress:
                    progress(at, total)
    return not total or at >= total


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold the lock of the download of `path`; wait while another process that lives has it."""
    folder = path.with_name(f".{path.name}.downloading")
    while True:
        folder.mkdir(exist_ok=True)
        try:
            lock = FolderLock(folder)
            break
        except FileNotFoundError:  # whoever had it has removed the folder meanwhile
            continue
        except Held:
            time.sleep(0.1)
    try:
        yield
    finally:
        lock.release()
        with suppress(OSError):  # somebody waits in it
            folder.rmdir()
