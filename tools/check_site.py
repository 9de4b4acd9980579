"""List what a built site would fetch from elsewhere.  Usage: python tools/check_site.py FOLDER"""

from __future__ import annotations

import re
import sys
from html.parser import HTMLParser
from pathlib import Path

__all__ = ["fetched"]

# Attributes whose address a browser fetches by itself, by tag; links that people follow are not.
_FETCHING = {
    "audio": ("src",),
    "embed": ("src",),
    "iframe": ("src",),
    "image": ("href", "xlink:href"),
    "img": ("src", "srcset"),
    "link": ("href",),
    "object": ("data",),
    "script": ("src",),
    "source": ("src", "srcset"),
    "track": ("src",),
    "use": ("href", "xlink:href"),
    "video": ("src", "poster"),
}
_ELSEWHERE = re.compile(r"(?:https?:)?//", re.IGNORECASE)
_IN_STYLES = re.compile(r"(?:url\(|@import)\s*[\"']?((?:https?:)?//[^\"')\s]+)", re.IGNORECASE)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag == "link" and given.get("rel") == "canonical":
            return
        values = [given.get(name) or "" for name in _FETCHING.get(tag, ())]
        self.found += [f"<{tag}> {value}" for value in values if _ELSEWHERE.match(value.strip())]
        self.found += [f"style {url}" for url in _IN_STYLES.findall(given.get("style") or "")]


def fetched(folder: Path) -> list[str]:
    """Return a line for each stylesheet, script, font, image and frame that is not in `folder`."""
    found: list[str] = []
    for file in sorted(folder.rglob("*")):
        if file.suffix == ".html":
            page = _Page()
            page.feed(file.read_text(encoding="utf-8"))
            urls = page.found
        elif file.suffix in (".css", ".svg"):
            urls = _IN_STYLES.findall(file.read_text(encoding="utf-8"))
        else:
            continue
        found += [f"{file.relative_to(folder)}: {url}" for url in urls]
    return found


def main() -> None:
    """Print what the site would fetch; exit with 1 where there is anything."""
    found = fetched(Path(sys.argv[1]))
    print("\n".join(found) or "the site fetches nothing from elsewhere")
    raise SystemExit(bool(found))


if __name__ == "__main__":
    main()
