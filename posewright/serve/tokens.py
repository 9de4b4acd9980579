"""Who asks: tokens compared in constant time, and addresses that are signed for some minutes."""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

__all__ = ["Tokens", "secret_in"]

MINUTES = 15.0  # that a signed address lives


class Tokens:
    """The tokens that count; where there are none, everybody is the owner ""."""

    def __init__(self, tokens: Iterable[str], secret: bytes) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]
        self._secret = secret

    @property
    def needed(self) -> bool:
        """Whether a token must be given."""
        return bool(self._digests)

    def owner(self, token: str) -> str | None:
        """Return who a token stands for; None for a wrong one.  Every token is compared."""
        given, found = _digest(token.encode("utf-8", "replace")), None
        for known in self._digests:
            if hmac.compare_digest(given, known):
                found = given.hex()[:32]
        return found if self.needed else ""

    def signed(self, path: str, owner: str, now: float | None = None) -> str:
        """Return an address of this server that its holder may get without a token for a while."""
        until = int((time.time() if now is None else now) + 60 * MINUTES)
        return f"{path}?owner={owner}&until={until}&signature={self._sign(path, owner, until)}"

    def holder(self, path: str, query: dict[str, str], now: float | None = None) -> str | None:
        """Return the owner of a signed address; None where it is none, or too old."""
        until, owner = query.get("until", ""), query.get("owner", "")
        if not (until.isascii() and until.isdigit() and len(until) < 12):
            return None
        right = self._sign(path, owner, int(until))
        same = hmac.compare_digest(
            right.encode(), query.get("signature", "").encode("utf-8", "replace")
        )
        return owner if same and (time.time() if now is None else now) < int(until) else None

    def _sign(self, path: str, owner: str, until: int) -> str:
        text = f"{path}\n{owner}\n{until}".encode("utf-8", "surrogateescape")
        return hmac.new(self._secret, text, hashlib.sha256).hexdigest()


def _digest(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


def secret_in(folder: Path) -> bytes:
    """Return the key of signatures, made once; only its owner may read the file.  OSError."""
    path = folder / "secret"
    with suppress(FileExistsError):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(file, "wb") as out:
            out.write(secrets.token_bytes(32))
    found = path.read_bytes()
    if len(found) == 32:
        return found
    path.unlink()  # a full disk or a kill cut it short
    return secret_in(folder)
