"""Errors as problem+json (RFC 9457), with the one line that the command line would print.

The member `error` repeats the line, for clients of the Open Inference Protocol.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from posewright.errors import OutputError, PosewrightError, SourceError, UsageError, one_line

__all__ = ["Problem", "of", "response"]

_STATUS = ((UsageError, 400), (SourceError, 422), (OutputError, 507))
_FULL = (errno.ENOSPC, errno.EDQUOT)
_WORDS = {
    404: "no such address; see /docs",
    405: "this address does not take that method; see /docs",
}


class Problem(Exception):
    """What ends a request: a status of HTTP, a line, and headers that go with them."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status, self.detail = status, detail
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}


def of(error: Exception) -> Problem:
    """Return the problem that an exception is; what nobody expected says nothing of the inside."""
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        told = _WORDS.get(error.status_code, str(error.detail))
        return Problem(error.status_code, told, **dict(error.headers or {}))
    if isinstance(error, PosewrightError):
        status = next((status for kind, status in _STATUS if isinstance(error, kind)), 503)
        return Problem(status, str(error))
    if isinstance(error, OSError) and error.errno in _FULL:
        return Problem(507, "the disk of the server is full; delete jobs, or ask its owner")
    return Problem(500, "the server failed; its log says where")


def response(problem: Problem) -> Response:
    """Return the answer for a problem."""
    return Response(
        json.dumps(_body(problem)),
        problem.status,
        headers=_latin(problem.headers),
        media_type="application/problem+json",
    )


def _body(problem: Problem) -> dict[str, Any]:
    line = one_line(problem.detail)
    known = problem.status in {status.value for status in HTTPStatus}
    title = HTTPStatus(problem.status).phrase if known else "Client Closed Request"
    told = {"type": "about:blank", "title": title, "status": problem.status}
    return {**told, "detail": line, "error": line}


def _latin(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value.encode("latin-1", "replace").decode("latin-1")
        for name, value in headers.items()
    }
