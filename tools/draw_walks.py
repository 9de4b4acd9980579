"""Draw the walks of docs/concepts.md, from their lists.  Usage: python tools/draw_walks.py

A step is an item "1. `file` what it does. *what it hands on*"; a drawing is a box for each step and
an arrow for what it hands on.  Each list is drawn into the image below it.
"""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import NamedTuple
from xml.sax.saxutils import escape

__all__ = ["Step", "drawing", "walks"]

DOCS = Path(__file__).parents[1] / "docs"
PAGE = DOCS / "concepts.md"

_WIDTH, _MARGIN = 560, 24
_LINE, _PAD, _ARROW = 18, 9, 32  # px: of a line of text, inside of a box, between boxes
_LETTERS = 64  # of a line in a box

_STYLE = """
text { font: 15px system-ui, "Segoe UI", Roboto, Helvetica, Arial, sans-serif; fill: #1c2430 }
.file { font: 600 15px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace }
.data { font-size: 14px; font-style: italic; fill: #7a4300 }
.page { fill: #ffffff } .box { fill: #eef3f8; stroke: #5b7da6 } .line { stroke: #444; fill: none }
.tip { fill: #444 }
@media (prefers-color-scheme: dark) {
text { fill: #e6e9ef } .data { fill: #ffc27a } .page { fill: #1e2129 }
.box { fill: #2a3140; stroke: #7f9cc4 } .line { stroke: #b8bfcc } .tip { fill: #b8bfcc }
}
"""


class Step(NamedTuple):
    """A file of the package, what it does and what it hands on."""

    file: str
    does: str
    hands_on: str


def walks(text: str) -> dict[str, list[Step]]:
    """Return the steps of each walk by the name of its drawing."""
    found = {}
    for section in re.split(r"^## ", text, flags=re.MULTILINE)[1:]:
        name = re.search(r"\]\((walk-[\w-]+\.svg)\)", section)
        items = re.findall(r"^\d+\. (.+(?:\n +.+)*)", section, re.MULTILINE)
        if name:
            found[name[1]] = [_step(" ".join(item.split())) for item in items]
    return found


def _step(item: str) -> Step:
    match = re.fullmatch(r"`([^`]+)` (.+?)\.? \*([^*]+)\*", item)
    if match is None:
        raise SystemExit(f"{PAGE.name}: not a step: {item}")
    return Step(match[1], match[2].replace("`", ""), match[3])


def drawing(steps: list[Step]) -> str:
    """Return an SVG of boxes from top to bottom; it has its own background and no fonts."""
    y, parts = _MARGIN, []
    for number, step in enumerate(steps, 1):
        lines = textwrap.wrap(step.does, _LETTERS)
        height = 2 * _PAD + _LINE * (1 + len(lines))
        parts += _box(y, height, f"{number}  {step.file}", lines)
        y += height
        last = number == len(steps)
        parts += _arrow(y, step.hands_on)
        y += _ARROW if not last else _ARROW + _LINE // 2
    size = f'viewBox="0 0 {_WIDTH} {y}" width="{_WIDTH}" height="{y}"'
    names = escape(", ".join(step.file for step in steps), {'"': "&quot;"})
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{names}">'
    page = f'<rect class="page" width="{_WIDTH}" height="{y}" rx="8"/>'
    return "\n".join([head, f"<style>{_STYLE}</style>", page, *parts, "</svg>", ""])


def _box(y: int, height: int, title: str, lines: list[str]) -> list[str]:
    width, left = _WIDTH - 2 * _MARGIN, _MARGIN + _PAD
    first = y + _PAD + 14
    return [
        f'<rect class="box" x="{_MARGIN}" y="{y}" width="{width}" height="{height}" rx="6"/>',
        f'<text class="file" x="{left}" y="{first}">{escape(title)}</text>',
        *(
            f'<text x="{left}" y="{first + _LINE * row}">{escape(line)}</text>'
            for row, line in enumerate(lines, 1)
        ),
    ]


def _arrow(y: int, said: str) -> list[str]:
    x, end = _MARGIN + 30, y + _ARROW - 2
    return [
        f'<path class="line" stroke-width="2" d="M{x} {y}V{end - 8}"/>',
        f'<path class="tip" d="M{x - 6} {end - 9}H{x + 6}L{x} {end}z"/>',
        f'<text class="data" x="{x + 16}" y="{y + _ARROW // 2 + 5}">{escape(said)}</text>',
    ]


def main() -> None:
    """Write a drawing for each walk."""
    for name, steps in walks(PAGE.read_text(encoding="utf-8")).items():
        (DOCS / name).write_text(drawing(steps), encoding="utf-8")


if __name__ == "__main__":
    main()
