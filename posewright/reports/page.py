"""HTML: a page, its sections, tables and images.  Every text is escaped here and nowhere else."""

from __future__ import annotations

import base64
import html
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from posewright.files.part import PartFile
from posewright.people import Pixels

__all__ = [
    "code",
    "columns",
    "facts",
    "jpeg",
    "note",
    "number",
    "page",
    "picture",
    "pictures",
    "rows_of",
    "section",
    "svg_file",
    "table",
    "write_page",
]


_STYLE = """
:root{--ink:#1b1d22;--soft:#5b616b;--line:#d9dce1;--paper:#fff;--box:#f5f6f8;
--s0:#1f6fc4;--s1:#c25e00;--s2:#0a8a62;--s3:#a23b8c;--s4:#7a6a00;--s5:#5a4fcf;--s6:#b3261e;--s7:#4d7c8a}
@media(prefers-color-scheme:dark){:root{--ink:#e8eaee;--soft:#a2a8b3;--line:#3a3f48;--paper:#15171b;
--box:#1e2127;--s0:#6fb1f5;--s1:#ffa04d;--s2:#45cf9f;--s3:#e08fcd;--s4:#d6c23c;--s5:#a79ff5;
--s6:#ff8a80;--s7:#8fc1cf}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:62rem;padding:1rem;background:var(--paper);color:var(--ink);
font:16px/1.5 system-ui,sans-serif;overflow-wrap:anywhere}
h1{font-size:1.6rem;margin:.2rem 0}h2{font-size:1.2rem;margin:2rem 0 .5rem}
p{margin:.4rem 0}.soft,figcaption{color:var(--soft);font-size:.88rem}
.scroll{overflow-x:auto}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums}
th,td{padding:.25rem .7rem;text-align:right;border-bottom:1px solid var(--line);
overflow-wrap:normal}
th{color:var(--soft);font-weight:600}th:first-child,td:first-child{text-align:left}
.cards{display:flex;flex-wrap:wrap;gap:.6rem}.cards div{background:var(--box);border-radius:.5rem;
padding:.5rem .9rem}.cards b{display:block;font-size:1.3rem;font-variant-numeric:tabular-nums}
.plots{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,22rem),1fr));gap:1rem}
figure{margin:0;background:var(--box);border-radius:.5rem;padding:.6rem}
figure img,figure svg{display:block;width:100%;height:auto}
.gallery{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,18rem),1fr));gap:.8rem}
pre{background:var(--box);border-radius:.5rem;padding:.7rem;overflow-x:auto;font-size:.82rem}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg .t{font-size:13px;fill:var(--ink)}
svg .g{stroke:var(--line);stroke-width:1;fill:none}svg .l{fill:none;stroke-width:1.8}
"""
_COLOURS = "".join(f".s{i}{{stroke:var(--s{i})}}.f{i}{{fill:var(--s{i})}}" for i in range(8))


def page(title: str, *parts: str) -> str:
    """Return a whole HTML document; `parts` are HTML already."""
    name = html.escape(title)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta name="color-scheme" content="light dark">\n<title>{name}</title>\n'
        f"<style>{_STYLE}{_COLOURS}</style>\n</head>\n<body>\n<h1>{name}</h1>\n"
        + "\n".join(part for part in parts if part)
        + "\n</body>\n</html>\n"
    )


def svg_file(svg: str) -> str:
    """Return a plot as a file of its own, in the colours of light pages, on white.

    Programs that draw SVG know no variables of style sheets, so the colours stand in their places.
    """
    light = dict(re.findall(r"--(\w+):(#\w+)", _STYLE.partition("@media")[0]))
    drawn = _STYLE[_STYLE.index("svg text") :] + _COLOURS
    style = re.sub(r"var\(--(\w+)\)", lambda found: light[found[1]], drawn).replace("svg ", "")
    start, _, inner = svg.partition(">")
    named = start.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" width="880" ', 1)
    return f'{named}><style>{style}</style><rect width="100%" height="100%" fill="#fff"/>{inner}\n'


def section(title: str, *parts: str) -> str:
    """Return a heading with what belongs under it; "" where there is nothing."""
    inner = "\n".join(part for part in parts if part)
    return f"<section>\n<h2>{html.escape(title)}</h2>\n{inner}\n</section>" if inner else ""


def note(text: str) -> str:
    """Return a paragraph of small print."""
    return f'<p class="soft">{html.escape(text)}</p>'


def code(text: str) -> str:
    """Return text as it is, in fixed width."""
    return f"<pre>{html.escape(text)}</pre>"


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Return a table that scrolls by itself on a narrow screen; numbers as `number` writes them."""
    if not rows:
        return ""
    top = "".join(f"<th>{html.escape(h)}</th>" for h in head)
    body = "\n".join(
        "<tr>" + "".join(f"<td>{html.escape(number(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table>\n<tr>{top}</tr>\n{body}\n</table></div>'


def rows_of(data: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[Any]]]:
    """Return head and rows of a table by name; columns are those of any row, in order."""
    names = list(dict.fromkeys(key for row in data.values() for key in row))
    return ["", *names], [[name, *(row.get(n, "") for n in names)] for name, row in data.items()]


def facts(values: Mapping[str, Any]) -> str:
    """Return the few numbers that matter most, large, each with its name."""
    words = ((html.escape(name), html.escape(number(value))) for name, value in values.items())
    cells = (f'<div><span class="soft">{name}</span><b>{value}</b></div>' for name, value in words)
    return f'<div class="cards">{"".join(cells)}</div>' if values else ""


def columns(*figures: str) -> str:
    """Return plots beside each other, below each other where there is no room."""
    inner = "".join(f"<figure>{f}</figure>" for f in figures if f)
    return f'<div class="plots">{inner}</div>' if inner else ""


def picture(image: Pixels, caption: str = "", quality: int = 85) -> str:
    """(H, W, 3) RGB -> a figure that carries its JPEG."""
    import cv2

    if image.size == 0:
        return ""
    code = [cv2.IMWRITE_JPEG_QUALITY, quality]
    data = cv2.imencode(".jpg", np.ascontiguousarray(image[:, :, ::-1]), code)[1].tobytes()
    return jpeg(data, caption)


def jpeg(data: bytes, caption: str = "") -> str:
    """Return a figure that carries a JPEG file."""
    text = html.escape(caption)
    below = f"<figcaption>{text}</figcaption>" if caption else ""
    source = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    return f'<figure><img src="{source}" alt="{text}">{below}</figure>'


def pictures(figures: Sequence[str]) -> str:
    """Return a gallery."""
    return f'<div class="gallery">{"".join(figures)}</div>' if figures else ""


def number(value: Any) -> str:
    """Write a value for a reader: shares with four digits, others with four that count.

    -1, the field's "nothing to measure", and what is not finite become a dash; text stays.
    """
    if value is None:
        return "-"
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, (int, np.integer)):
        return "-" if value == -1 else str(int(value))
    if isinstance(value, (float, np.floating)):
        return _real(float(value))
    return str(value)


def _real(value: float) -> str:
    if value == -1 or not math.isfinite(value):
        return "-"
    if value == 0 or 1e-4 <= abs(value) <= 1:
        return f"{value:.4f}"
    if 1 < abs(value) < 1e5:
        return f"{value:.2f}"
    return f"{value:.3g}"


def write_page(path: Path, text: str) -> Path:
    """Write a whole page under a temporary name and rename it; an OutputError where that fails."""
    part = PartFile(path, True)
    part.write(text.encode("utf-8", "replace"))
    return part.finish()
