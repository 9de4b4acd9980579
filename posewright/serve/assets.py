"""GET /: the page for people, plain files of the folder `web`, with no other host and no build."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import Response

__all__ = ["PATHS", "add_assets"]

_FOLDER = Path(__file__).with_name("web")
_TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_NAMES = sorted(path.name for path in _FOLDER.iterdir() if path.suffix in _TYPES)
_PATHS = {
    "/": "index.html",
    "/favicon.ico": "icon.svg",
    **{f"/web/{name}": name for name in _NAMES},
}
PATHS = frozenset(_PATHS)  # what anybody may get: it says nothing of anybody
# The page runs scripts of its own files and shows what the visitor chose (blob:); where the browser
# knows trusted types, no text can become markup at all.
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' blob:; media-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'; "
    "form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
)


def add_assets(app: FastAPI) -> None:
    """Add the page and its files; their names come from a listing, never from a request."""
    for path, name in _PATHS.items():
        app.add_api_route(path, partial(_file, name), methods=["GET"], include_in_schema=False)


def _file(name: str) -> Response:
    path = _FOLDER / name
    headers = {"Content-Security-Policy": _POLICY} if path.suffix == ".html" else {}
    return Response(path.read_bytes(), headers=headers, media_type=_TYPES[path.suffix])
