"""What the headers of a response state about its file, as far as they are consistent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPResponse

from posewright.weights.transport import DownloadError

__all__ = ["Answer", "read_answer"]

_NUMBER = re.compile(r"[0-9]{1,18}")
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")


@dataclass(frozen=True)
class Answer:
    """What a server says about the bytes that follow.

    start: their offset in the file.  total: size of the file, 0 where it is not stated.  marked:
    the end of the bytes can be distinguished from an interrupted connection.  validator: name and
    value of the header that changes with the file, () without one.
    """

    start: int
    total: int
    marked: bool
    validator: tuple[str, ...]


def read_answer(response: HTTPResponse, shown: str, asked: int) -> Answer:
    """Return what the headers of a response state; DownloadError where they are contradictory.

    shown: the address for messages.  asked: where the range was to start.  A range that is not
    stated as it must be starts at -1; one that is not stated at all, where it was to.
    """
    headers = response.headers
    if "text/html" in headers.get("Content-Type", "").lower():
        raise DownloadError(
            f"{shown}: the server sent a web page instead of a file; open it in a browser"
        )
    if response.status not in (200, 206):
        raise DownloadError(
            f"{shown}: the server answers {response.status} instead of sending a file"
        )
    packed = headers.get("Content-Encoding", "").strip().lower()
    coded = headers.get("Transfer-Encoding", "").strip().lower()
    if packed not in ("", "identity") or coded not in ("", "chunked"):
        how = (packed or coded)[:40]
        raise DownloadError(
            f"{shown}: the server sends the file compressed ({how!r}) without being asked to"
        )
    chunked = coded == "chunked"
    length = 0 if chunked else _length(headers, shown)
    validator = _validator(headers)
    if response.status == 200:
        return Answer(0, length, chunked or bool(length), validator)
    stated = headers.get("Content-Range", "").strip()
    if not stated and length:
        return Answer(asked, asked + length, True, validator)
    found = _RANGE.fullmatch(stated)
    if found is None:
        return Answer(-1, 0, False, ())
    start, end = int(found[1]), int(found[2]) + 1
    total = end if found[3] == "*" else int(found[3])
    right = start < end <= total and (not length or length == end - start)
    return Answer(start if right and end == total else -1, total, True, validator)


def _length(headers: Message, shown: str) -> int:
    stated = {value.strip() for value in headers.get_all("Content-Length", [])}
    if not stated:
        return 0
    if len(stated) > 1 or not _NUMBER.fullmatch(min(stated)):
        said = ", ".join(sorted(stated))[:80]
        raise DownloadError(f"{shown}: the server states an invalid length: {said!r}")
    return int(stated.pop())


def _validator(headers: Message) -> tuple[str, ...]:
    for name in ("ETag", "Last-Modified"):
        value = headers.get(name, "").strip()
        if re.fullmatch(r"[\x20-\x7e]{1,200}", value):
            return name, value
    return ()
