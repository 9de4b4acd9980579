"""Write docs/commands.md from the parsers.  Usage: python tools/write_commands_page.py"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

HEAD = """# Commands

What `posewright VERB --help` says. Exit codes: 0 ok, 1 an unexpected error, 2 usage, 3 bad inputs
(a source, labels, results), 4 environment (a runtime, a network or an output that does not work). A
run that a signal stopped ends with 128 + its number: 129 SIGHUP, 130 Ctrl-C (SIGINT), 138 SIGUSR1,
143 SIGTERM.
"""


def helps(parser: argparse.ArgumentParser, name: str) -> list[str]:
    """Return a section for a verb and for each of its actions."""
    inner = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
    sections = [f"## {name}\n\n```text\n{parser.format_help()}```\n"]
    for action in inner:
        for word, sub in action.choices.items():
            sections += helps(sub, f"{name} {word}")
    return sections


def main() -> None:
    """Write the page, 100 columns wide."""
    os.environ["COLUMNS"] = "100"
    from posewright.cli import build_parser

    top = helps(build_parser(), "posewright")[1:]
    page = Path(__file__).parents[1] / "docs" / "commands.md"
    page.write_text("\n".join([HEAD, *top]), encoding="utf-8")


if __name__ == "__main__":
    main()
