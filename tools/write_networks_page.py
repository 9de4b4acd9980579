"""Write the table of docs/networks.md: every network that can be named, from the registry.

Usage: python tools/write_networks_page.py
"""

from __future__ import annotations

from pathlib import Path

from posewright.weights.modes import BODIES, MODES, pair
from posewright.weights.registry import Entry, entries

PAGE = Path(__file__).parents[1] / "docs" / "networks.md"
START, END = "<!-- written by tools/write_networks_page.py -->", "<!-- end -->"
GROUPS = (
    ("17 joints, one crop a person", lambda e: e.kind == "pose" and e.skeleton == "coco17"),
    ("17 joints, all people in one pass", lambda e: e.kind == "one-stage"),
    ("25 or 26 joints, with feet", lambda e: e.joints in (25, 26)),
    ("133 joints: body, feet, hands and face", lambda e: e.joints == 133),
    ("Hands", lambda e: e.joints == 21 or e.kind == "hand-detector"),
    ("Faces", lambda e: e.joints == 106),
    ("Animals", lambda e: e.skeleton == "ap10k17"),
    ("Detectors of people", lambda e: e.kind == "detector"),
)
COLUMNS = "| name | score of its authors | size | input | licence of the weights | trained on |"


def page(text: str) -> str:
    """Return the page with its tables written anew."""
    before, _, rest = text.partition(START)
    return f"{before}{START}\n{tables()}{END}{rest.partition(END)[2]}"


def tables() -> str:
    lines = ["", "### The pairs of the modes", "", "| `--body` | " + " | ".join(MODES) + " |"]
    lines.append("|---" * (len(MODES) + 1) + "|")
    for body in BODIES:
        pairs = [" + ".join(f"`{name}`" for name in pair(mode, body)) for mode in MODES]
        lines.append(f"| {body} | " + " | ".join(pairs) + " |")
    known = list(entries().values())
    for title, belongs in GROUPS:
        lines += ["", f"### {title}", "", COLUMNS, "|---|---|---|---|---|---|"]
        lines += [row(entry) for entry in known if belongs(entry)]
    return "\n".join(lines) + "\n\n"


def row(entry: Entry) -> str:
    size = entry.path.stat().st_size if entry.origin == "embedded" else entry.size
    cells = (
        f"`{entry.name}`" + (" (embedded)" if entry.origin == "embedded" else ""),
        " on ".join(filter(None, (entry.score, entry.measured))) or "-",
        f"{size / 1e6:.1f} MB" if size else "-",
        "x".join(map(str, entry.input)),
        entry.licence or "not stated",
        "; ".join(filter(None, (entry.data, entry.terms))) or "not stated",
    )
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(PAGE)
