"""What every request passes before a route sees it: Host, Origin, token and size.

It asks the raw scope, never request.url, which a header can move.  Everything is counted here.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from starlette.requests import ClientDisconnect

from posewright.serve.assets import PATHS
from posewright.serve.metrics import Metrics
from posewright.serve.problems import Problem, of, response
from posewright.serve.settings import Settings, is_loopback
from posewright.serve.tokens import Tokens

__all__ = ["OPEN", "Guard", "bearer", "check_place", "path_of"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]

# what says nothing of anybody, for those who watch over the server and for its pages
OPEN = PATHS | {
    "/healthz",
    "/readyz",
    "/v2/health/live",
    "/v2/health/ready",
    "/docs",
    "/docs.css",
}
_HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-frame-options", b"DENY"),
    (b"cache-control", b"no-store"),
    (
        b"content-security-policy",
        b"default-src 'none'; style-src 'self'; img-src 'self'; frame-ancestors 'none'; "
        b"base-uri 'none'; form-action 'none'",
    ),
]
_LOG = logging.getLogger("posewright.serve")


class Guard:
    """The outermost layer of the application.

    stop: tells the application that a signal came, before connections are waited for.
    """

    def __init__(
        self,
        app: Any,
        settings: Settings,
        tokens: Tokens,
        metrics: Metrics,
        stop: Callable[[], None],
    ) -> None:
        self.stop = stop
        self._app, self._settings, self._tokens, self._metrics = app, settings, tokens, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)  # WS /v1/live asks check_place itself
            return
        answer = _Answer(send)
        begun = time.perf_counter()
        try:
            check_place(scope, self._settings)
            scope["state"]["owner"] = self._owner(scope)
            limited = _Limited(receive, self._limit(scope), scope)
            await self._app(scope, limited, answer)
        except ClientDisconnect:
            pass
        except Exception as error:
            problem = of(error)
            if problem.status == 500:
                _LOG.exception("%s %s failed", scope["method"], path_of(scope))
            if answer.status == 0:
                await response(problem)(scope, receive, answer)
        finally:
            spent = time.perf_counter() - begun
            self._metrics.request(_route(scope), answer.status or 499, spent)

    def _owner(self, scope: Scope) -> str:
        """Return who asks; a Problem where nobody may."""
        path = path_of(scope)
        if not self._tokens.needed or path in OPEN:
            return ""
        token = bearer(scope)
        owner = self._tokens.owner(token) if token else None
        if owner is None and scope["method"] in ("GET", "HEAD"):
            owner = self._tokens.holder(
                path, dict(parse_qsl(scope["query_string"].decode("latin-1")))
            )
        if owner is None:
            told = "this server needs a token; send it as Authorization: Bearer TOKEN"
            raise Problem(401, told, WWW_Authenticate="Bearer")
        return owner

    def _limit(self, scope: Scope) -> int:
        upload = path_of(scope) == "/v1/jobs" and scope["method"] == "POST"
        return self._settings.max_upload if upload else self._settings.max_bytes


class _Answer:
    """Sends an answer with the headers that each has, and remembers its status."""

    def __init__(self, send: Send) -> None:
        self._send, self.status = send, 0

    async def __call__(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            given = {name.lower() for name, _ in message["headers"]}
            more = [(name, value) for name, value in _HEADERS if name not in given]
            message = {**message, "headers": [*message["headers"], *more]}
        await self._send(message)


class _Limited:
    """Receives a body of at most so many bytes; a Problem before anything parses more."""

    def __init__(self, receive: Receive, limit: int, scope: Scope) -> None:
        self._receive, self._limit, self._got = receive, limit, 0
        stated = _header(scope, b"content-length")
        if stated and (not stated.isdigit() or int(stated[:20]) > limit):
            raise self._over()

    async def __call__(self) -> Any:
        message = await self._receive()
        self._got += len(message.get("body", b""))
        if self._got > self._limit:
            raise self._over()
        return message

    def _over(self) -> Problem:
        told = f"the request is larger than {self._limit / 1e6:g} MB, the limit of this server"
        return Problem(413, told, Connection="close")


def path_of(scope: Scope) -> str:
    """Return the path below the root path of the server."""
    path: str = scope["path"]
    root = scope.get("root_path", "")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _header(scope: Scope, name: bytes) -> str:
    """Return a header, "" where it is absent; a Problem where it comes twice."""
    found = [value for key, value in scope["headers"] if key == name]
    if len(found) > 1:
        raise Problem(400, f"the header {name.decode()} is given twice; send it once")
    return found[0].decode("latin-1") if found else ""


def bearer(scope: Scope) -> str:
    """Return the token of a request, "" without one."""
    kind, _, token = _header(scope, b"authorization").partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


def check_place(scope: Scope, settings: Settings) -> None:
    """Raise a Problem where the page that asks is not of this server.

    Without tokens, a foreign name that was made to resolve to this machine is refused by its Host.
    """
    host, origin = _header(scope, b"host"), _header(scope, b"origin")
    if not settings.tokens and not is_loopback(_name(f"//{host}")):
        raise Problem(421, f"this server answers to localhost, not to {host[:200] or 'no name'}")
    if origin and _netloc(origin) != host.lower():
        raise Problem(403, f"a page of {origin[:200]} may not use this server")


def _netloc(origin: str) -> str:
    """Return the host and port of an origin, "" for one that cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def _name(address: str) -> str:
    try:
        return urlsplit(address).hostname or ""
    except ValueError:
        return ""


def _route(scope: Scope) -> str:
    """Return the pattern of the route that answered, so that labels stay few."""
    return getattr(scope.get("route"), "path", "other")
