"""What a server is told by its options, checked before anything listens."""

from __future__ import annotations

import ipaddress
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from posewright.errors import SourceError, UsageError

__all__ = ["Settings", "is_loopback", "read_tokens"]

SHORTEST = 16  # characters of a token


@dataclass(frozen=True)
class Settings:
    """Limits and places of one server.

    data: folder of uploads, jobs and results.  library: folder whose files jobs may name and never
    change.  tokens: of those who may ask; none needed on a loopback address.  keep: days after
    which an ended job is deleted.  max_mb: of a request with images; max_video_mb: of the upload of
    a job.  quota_gb: of everything in `data`.  max_pixels: of an image.  workers: images decoded
    and jobs run at once.  queue: requests that may wait.  deadline: seconds that one waits at most.
    """

    data: Path = Path("posewright-data")
    library: Path | None = None
    host: str = "127.0.0.1"
    port: int = 8000
    tokens: tuple[str, ...] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None
    root_path: str = ""
    keep: float = 7.0
    max_mb: float = 25.0
    max_video_mb: float = 2000.0
    quota_gb: float = 20.0
    max_pixels: int = 25_000_000
    workers: int = 1
    queue: int = 64
    deadline: float = 30.0

    def __post_init__(self) -> None:
        for name in (
            "keep",
            "max_mb",
            "max_video_mb",
            "quota_gb",
            "max_pixels",
            "workers",
            "queue",
        ):
            if not getattr(self, name) > 0:
                raise UsageError(f"{name} must be above 0, not {getattr(self, name)}")
        if not is_loopback(self.host) and not self.tokens:
            raise UsageError(
                f"--host {self.host} can be reached by others; add --token-file FILE, "
                "or leave it out"
            )
        if (self.tls_cert is None) != (self.tls_key is None):
            raise UsageError("--tls-cert and --tls-key go together; give both")
        if self.library is not None and not self.library.is_dir():
            raise SourceError(f"--library {self.library} is not a folder; check the name")
        if self.root_path and not self.root_path.startswith("/"):
            raise UsageError(f"--root-path {self.root_path} must begin with /")

    @property
    def max_bytes(self) -> int:
        """Bytes of a request that is not the upload of a job."""
        return int(self.max_mb * 1e6)

    @property
    def max_upload(self) -> int:
        """Bytes of the upload of a job."""
        return int(self.max_video_mb * 1e6)


def is_loopback(host: str) -> bool:
    """Whether a host can be reached from this machine alone; a name counts as reachable."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def read_tokens(path: Path) -> tuple[str, ...]:
    """Return the tokens of a file, one a line; lines that begin with # are comments.

    SourceError: it cannot be read or has none.  UsageError: others may read it, or one is short.
    """
    try:
        with open(path, encoding="utf-8") as file:
            mode = os.fstat(file.fileno()).st_mode
            lines = [line.strip() for line in file.read(1 << 20).splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read the tokens of {path}; check the file") from error
    if os.name == "posix" and mode & (stat.S_IRGRP | stat.S_IROTH):
        raise UsageError(f"{path} can be read by others; run: chmod 600 {path}")
    tokens = tuple(line for line in lines if line and not line.startswith("#"))
    if not tokens:
        raise SourceError(f"{path} holds no token; write one a line")
    if any(len(token) < SHORTEST or not token.isascii() or " " in token for token in tokens):
        raise UsageError(
            f"{path}: a token is {SHORTEST} ASCII characters or more, without spaces; "
            "run: openssl rand -hex 32"
        )
    return tokens
