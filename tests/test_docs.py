"""What the documentation shows is true: commands parse, blocks run, links lead somewhere."""

from __future__ import annotations

import argparse
import importlib.util
import re
import shlex
import subprocess
import sys
from pathlib import Path

import av
import cv2
import pytest

from posewright.checkpoints import foreigns
from posewright.cli import build_parser, parse
from posewright.cli.demo import CLIP
from posewright.recipes.lookup import names
from posewright.trackers import trackers

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


COMMANDS = [
    line.partition("#")[0].strip()
    for page in PAGES
    for block in blocks(page, "sh")
    for line in block.splitlines()
    if line.startswith("posewright ")
]
PYTHON = [(page.name, block) for page in PAGES for block in blocks(page, "python")]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    args, unknown = parse(shlex.split(command)[1:])
    assert not unknown and args.verb


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with people.jpg and a short clip.mp4."""
    monkeypatch.chdir(tmp_path)
    with av.open(str(CLIP)) as file, av.open("clip.mp4", "w") as out:
        stream = out.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = 544, 960, "yuv420p"
        for i, frame in enumerate(file.decode(video=0)):
            if i == 3:
                break
            if i == 0:
                cv2.imwrite("people.jpg", frame.to_ndarray(format="bgr24"))
            small = frame.reformat(544, 960, "yuv420p")
            small.pts = None
            out.mux(stream.encode(small))
        out.mux(stream.encode(None))
    return tmp_path


@pytest.mark.parametrize(("page", "block"), PYTHON, ids=[page for page, _ in PYTHON])
def test_python_blocks_run(page: str, block: str, folder: Path) -> None:
    (folder / "block.py").write_text(block, encoding="utf-8")
    done = subprocess.run([sys.executable, "block.py"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    if "red spot" in block:
        x, y = (float(n) for n in re.findall(r"[\d.]+", done.stdout))
        assert abs(x - 42) < 5 and abs(y - 62) < 5  # a cell of its map is 9 px wide


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Return the long options of a verb and of its actions that its help shows."""
    shown = [a for a in parser._actions if a.help != argparse.SUPPRESS]
    known = {o for a in shown for o in a.option_strings if o.startswith("--")}
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            known |= {o for sub in action.choices.values() for o in options(sub)}
    return known


def test_commands_page_names_every_option_and_no_other() -> None:
    text = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    parser = build_parser()
    verbs = next(a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    every = options(parser)
    for verb, sub in verbs.choices.items():
        section = text.split(f"## posewright {verb}\n")[1]
        section = re.split(rf"\n## posewright (?!{verb} )", section)[0]
        known = options(sub)
        named = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", section))
        assert known <= named <= every, verb  # a text may name an option of another verb


def drawn_walks() -> dict[str, list[tuple[str, str, str]]]:
    """Return the steps of docs/concepts.md by the name of their drawing, which shows them."""
    path = ROOT / "tools" / "draw_walks.py"
    spec = importlib.util.spec_from_file_location("draw_walks", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    walks: dict[str, list[tuple[str, str, str]]] = module.walks(module.PAGE.read_text("utf-8"))
    for name, steps in walks.items():
        drawn = (ROOT / "docs" / name).read_text(encoding="utf-8")
        assert drawn == module.drawing(steps), "run: python tools/draw_walks.py"
    return walks


@pytest.mark.parametrize("walk", ["frame", "label", "checkpoint", "export"])
def test_a_walk_through_the_code_visits_at_most_ten_files(walk: str) -> None:
    visited = [file for file, *_ in drawn_walks()[f"walk-{walk}.svg"]]
    assert 5 < len(visited) <= 10
    assert all((ROOT / "posewright" / file).is_file() for file in visited)
    words = {8: "eight", 9: "nine", 10: "ten"}
    page = (ROOT / "docs" / "concepts.md").read_text(encoding="utf-8")
    assert f"![The {words[len(visited)]} files that" in page.split(f"(walk-{walk}.svg)")[0]


def test_the_comparison_in_the_readme_counts_what_there_is() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    trained = int(re.search(r"networks to train \| (\d+) ", text)[1])  # type: ignore[index]
    loaded = int(re.search(r"other projects \| (\d+) families", text)[1])  # type: ignore[index]
    assert (trained, loaded) == (len(names()), len(foreigns()))
    assert "identities in the result | six |" in text and len(trackers()) == 6
