"""GET /docs: the OpenAPI document as a plain page, without scripts and without another host."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import FastAPI
from starlette.responses import HTMLResponse, Response

__all__ = ["add_pages"]

_STYLE = """
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
section { border-top: 1px solid #8886; padding: .5rem 0; }
h3 { margin: .5rem 0; font: 600 1rem ui-monospace, monospace; }
h3 span { display: inline-block; min-width: 4.5rem; }
table { border-collapse: collapse; } td { padding: .15rem 1rem .15rem 0; vertical-align: top; }
code { font-family: ui-monospace, monospace; }
"""


def add_pages(app: FastAPI) -> None:
    """Add the page and its style."""

    async def docs() -> HTMLResponse:
        """Return this page."""
        return HTMLResponse(_page(app.openapi()))

    async def style() -> Response:
        return Response(_STYLE, media_type="text/css")

    app.add_api_route("/docs", docs, include_in_schema=False)
    app.add_api_route("/docs.css", style, include_in_schema=False)


def _page(document: dict[str, Any]) -> str:
    info = document["info"]
    parts = [
        _operation(method, path, what)
        for path, methods in document["paths"].items()
        for method, what in methods.items()
    ]
    head = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(info["title"])}'
        "</title>"
        '<meta name="viewport" content="width=device-width"><link rel="stylesheet" href="docs.css">'
    )
    title = f"<h1>{escape(info['title'])} {escape(info['version'])}</h1>"
    link = '<p>The same for programs: <a href="openapi.json">openapi.json</a></p>'
    return f"{head}<body><main>{title}{link}{''.join(parts)}</main></body></html>"


def _operation(method: str, path: str, what: dict[str, Any]) -> str:
    rows = [(p["name"], p["in"], p.get("description", "")) for p in what.get("parameters", ())]
    for kind, content in what.get("requestBody", {}).get("content", {}).items():
        fields = content.get("schema", {}).get("properties", {})
        rows += [(name, kind, about.get("description", "")) for name, about in fields.items()]
    cells = ("".join(f"<td>{escape(str(cell))}</td>" for cell in row) for row in rows)
    table = "".join(f"<tr>{row}</tr>" for row in cells)
    told = escape(what.get("description") or what.get("summary", ""))
    name = f"<h3><span>{method.upper()}</span> {escape(path)}</h3>"
    return f"<section>{name}<p>{told}</p><table>{table}</table></section>"
