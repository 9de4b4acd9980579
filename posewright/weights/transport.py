"""HTTP for downloads: https unless plain http is permitted, and reliable time limits.

The standard library waits for each packet anew, so that a server that sends a byte now and then
blocks its client forever; follows redirects to any host by http and ftp; and takes a Content-Length
that is not a number for none.
"""

from __future__ import annotations

import base64
import io
import ipaddress
import re
import socket
import ssl
import string
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.message import Message
from functools import partial
from http.client import HTTPConnection, HTTPResponse, HTTPSConnection
from typing import IO, Any
from urllib.parse import SplitResult, quote, unquote, urljoin, urlsplit, urlunsplit

from posewright.errors import PosewrightError
from posewright.files.address import without_secrets

__all__ = [
    "DownloadError",
    "Pace",
    "TooSlow",
    "WatchedHttp",
    "WatchedHttps",
    "ask_headers",
    "objection",
    "open_address",
    "read_block",
]

_REDIRECTS = 5


class DownloadError(PosewrightError, OSError):
    """A file that could not be downloaded from its server."""


class TooSlow(TimeoutError):
    """A server that sends too slowly."""


@dataclass(frozen=True)
class Pace:
    """The slowest permitted transfer.

    timeout: seconds for an answer with its headers, and for the next bytes.  least: bytes that must
    come in every `period` seconds; 0: the whole body must come in them.
    """

    timeout: float
    least: int
    period: float


# --- addresses -----------------------------------------------------------------------------------


def objection(url: str, allow_http: bool, before: str = "") -> str:
    """Return why an address is not permitted, or "".

    before: the address that redirects to it.  Plain http is for this machine alone unless it is
    allowed, and never comes after https.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return "it is not a valid address"
    if parts.scheme not in ("http", "https"):
        return f"only https and, where permitted, http are supported, not {parts.scheme[:20]!r}"
    if not parts.hostname or re.search(r"[\x00-\x20\x7f]", url):
        return "it is not a valid address"
    if parts.scheme == "https":
        return ""
    if urlsplit(before).scheme == "https":
        return "it is plain http, which can be modified in transit"
    if not (allow_http or _is_this_machine(parts.hostname)):
        return "it is plain http, which can be modified in transit; --allow-http permits it"
    return ""


def _is_this_machine(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bare(parts: SplitResult) -> str:
    """Return an address in ASCII, without what stands before the host."""
    path, query = (quote(text, safe=string.punctuation) for text in (parts.path, parts.query))
    netloc = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, netloc, path, query, ""))


class _Redirects(urllib.request.BaseHandler):
    """Follow a few redirects, each to an address that is fetched; what is secret stays behind."""

    def __init__(self, url: str, headers: Mapping[str, str], allow_http: bool) -> None:
        self._shown, self._headers, self._allow_http = without_secrets(url), headers, allow_http
        self._seen: list[str] = []

    def http_error_302(
        self, request: urllib.request.Request, body: IO[bytes], code: int, _: str, headers: Message
    ) -> Any:
        """Follow a redirect; DownloadError where it is not permitted."""
        body.close()
        self._seen.append(request.full_url)
        place = quote(headers.get("Location") or "", safe=string.punctuation, encoding="iso-8859-1")
        try:
            url = urljoin(request.full_url, place)
            why = objection(url, self._allow_http, request.full_url)
        except ValueError:
            url, why = "", "it is not a valid address"
        if not place:
            why = "it gives no address"
        elif not why and _bare(urlsplit(url)) in self._seen:
            why = "it redirects in a circle"
        elif not why and len(self._seen) > _REDIRECTS:
            why = f"there are more than {_REDIRECTS} redirects"
        if why:
            raise DownloadError(f"{self._shown}: a redirect ({code}) is not followed: {why}")
        onward = urllib.request.Request(_bare(urlsplit(url)), headers=dict(self._headers))
        return self.parent.open(onward, timeout=request.timeout)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


# --- connections ---------------------------------------------------------------------------------


class _Watched(io.RawIOBase):
    """The bytes of a connection, until they come too slowly: TooSlow, or TimeoutError without any.

    Until `begin` is called the headers must be there in `timeout` seconds.
    """

    def __init__(self, raw: io.RawIOBase, line: socket.socket, pace: Pace) -> None:
        self._raw, self._line, self._pace = raw, line, pace
        self._due = time.monotonic() + pace.timeout
        self._least, self._count = 0, 0
        self._said = f"timed out: the headers did not arrive within {pace.timeout:g} s"

    def begin(self) -> None:
        """Start watching the body."""
        pace = self._pace
        self._least, self._count = pace.least, 0
        self._due = time.monotonic() + pace.period
        self._said = f"too slow: fewer than {pace.least} bytes arrived in {pace.period:g} s"

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._due - time.monotonic()
        if left <= 0:
            raise TooSlow(self._said)
        self._line.settimeout(min(self._pace.timeout, left))
        try:
            count = self._raw.readinto(buffer)
        except TimeoutError:
            if time.monotonic() < self._due and self._pace.timeout < left:
                raise
            raise TooSlow(self._said) from None
        self._count += count or 0
        if self._least and self._count >= self._least:
            self.begin()
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    """A response whose bytes are watched."""

    def __init__(self, line: socket.socket, *args: Any, pace: Pace, **options: Any) -> None:
        super().__init__(line, *args, **options)
        self.watched = _Watched(self.fp.detach(), line, pace)
        self.fp = io.BufferedReader(self.watched)


def _watching(kind: Callable[..., HTTPConnection], pace: Pace) -> Callable[..., HTTPConnection]:
    def connect(host: str, **options: Any) -> HTTPConnection:
        connection = kind(host, **options)
        connection.response_class = partial(_Response, pace=pace)  # type: ignore[assignment]
        return connection

    return connect


class WatchedHttp(urllib.request.HTTPHandler):
    """Opens http; what comes is a response with `watched`, whose `begin` starts the body's time."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._connect = _watching(HTTPConnection, pace)

    def http_open(self, req: urllib.request.Request) -> HTTPResponse:
        return self.do_open(self._connect, req)


class WatchedHttps(urllib.request.HTTPSHandler):
    """Opens https, likewise."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self._connect = _watching(HTTPSConnection, pace)

    def https_open(self, req: urllib.request.Request) -> HTTPResponse:
        context = ssl.create_default_context()
        return self.do_open(self._connect, req, context=context)


def open_address(
    url: str, headers: Mapping[str, str], pace: Pace, allow_http: bool = False
) -> HTTPResponse:
    """Return the response of a server; the speed of its body is watched from now on.

    Errors: DownloadError (a redirect that is not followed), urllib's URLError and HTTPError,
    HTTPException, TimeoutError, ConnectionError.
    """
    response = _open(url, headers, pace, _Redirects(url, headers, allow_http))
    response.watched.begin()
    return response


def ask_headers(url: str, headers: Mapping[str, str], pace: Pace, allow_http: bool) -> Message:
    """Return the headers with which a server answers HEAD; of a redirect, its own headers.

    Errors: as `open_address`; an HTTPError for an answer of 400 and more.
    """
    if why := objection(url, allow_http):
        raise DownloadError(f"{without_secrets(url)}: {why}")
    try:
        with _open(url, headers, pace, method="HEAD") as response:
            return response.headers
    except urllib.error.HTTPError as error:
        error.close()
        if error.code >= 400:
            raise
        return error.headers


def _open(
    url: str,
    headers: Mapping[str, str],
    pace: Pace,
    *further: urllib.request.BaseHandler,
    method: str = "GET",
) -> _Response:
    """Return the response of a server to a request; further: handlers, as of redirects."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.UnknownHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        WatchedHttp(pace),
        WatchedHttps(pace),
        *further,
    ):
        opener.add_handler(handler)
    with _of_network():
        # a request; what stands before the host is sent as a header, and to that host alone
        parts = urlsplit(url)
        request = urllib.request.Request(_bare(parts), headers=dict(headers), method=method)
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
            request.add_unredirected_header(
                "Authorization", f"Basic {base64.b64encode(pair).decode()}"
            )
        response: _Response = opener.open(request, timeout=pace.timeout)
        return response


def read_block(response: HTTPResponse, most: int) -> bytes:
    """Return the next bytes, at most so many, as soon as some arrive; b"" at the end.

    Errors: HTTPException, TimeoutError, ConnectionError.
    """
    with _of_network():
        return response.read1(most)


@contextmanager
def _of_network() -> Iterator[None]:
    """Tell errors of a connection, TLS among them, from those of a disk."""
    try:
        yield
    except (DownloadError, urllib.error.URLError, TimeoutError, ConnectionError):
        raise
    except OSError as error:
        raise ConnectionError(error.strerror or str(error)) from error
