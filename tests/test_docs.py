"""What the documentation shows is true: commands parse, blocks run, links lead somewhere."""

from __future__ import annotations

import argparse
import importlib.util
import json
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from posewright.checkpoints import foreigns
from posewright.cli import build_parser, main, parse
from posewright.recipes.lookup import names
from posewright.trackers import trackers
from posewright.weights.registry import find
from tests.helpers.layouts import network
from tests.helpers.networks import dets_graph, rtmo_graph, simcc_graph, site
from tests.helpers.videos import demo_clip

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
PYTHON = [
    (page.name, block)
    for page in PAGES
    if page.parent.name != "coming-from"  # these name networks, so that they run below
    for block in blocks(page, "python")
]


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_parse(command: str) -> None:
    args, unknown = parse(shlex.split(command)[1:])
    assert not unknown and args.verb


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with people.jpg and a short clip.mp4."""
    monkeypatch.chdir(tmp_path)
    cv2.imwrite("people.jpg", demo_clip(Path("clip.mp4"), 3))
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


# The pages on other tools, whose own lines stand in blocks "py" and in the tables' first columns.
COMING = sorted((ROOT / "docs" / "coming-from").glob("*.md"))
COMING_PYTHON = [(page.stem, block) for page in COMING for block in blocks(page, "python")]
COMING_COMMANDS = [
    (page.stem, command)
    for page in COMING
    for text in ["\n".join(blocks(page, "sh")), *re.findall("`(.+?)`", page.read_text("utf-8"))]
    for command in re.findall(r"^posewright .+", text, re.MULTILINE)
]
# Verbs that a text names, and what needs the file of somebody else.
NAMED_ALONE = {
    "posewright train --from-config FILE",
    "posewright train --from-config FILE.py",
    "posewright train --from-config FILE.yaml",
    "posewright train",
    "posewright eval",
    "posewright export",
    "posewright data convert",
}
CONFIGS = {  # the shortest of each system
    "256x192_res50_lr1e-3_1x.yaml": "DATA_PRESET: {}\nMODEL: {TYPE: FastPose}\nTRAIN: {LR: 0.001}",
    "w32_256x192_adam_lr1e-3.yaml": (
        "MODEL: {NAME: pose_hrnet, EXTRA: {STAGE2: {NUM_CHANNELS: [32, 64]}}}\nTRAIN: {LR: 0.001}"
    ),
    "rtmpose-m_8xb256-420e_coco-256x192.py": (
        "model = dict(backbone=dict(type='CSPNeXt', deepen_factor=0.67, widen_factor=0.75),\n"
        "             head=dict(type='RTMCCHead'))\n"
    ),
}
OF_A_CHECKPOINT = re.compile(r"posewright models (convert \S+ --as|pull(?= hrnet)) (\S+)")
WRITTEN = {
    "alphapose": "alphapose-results.json",
    "alphapose-cmu": "sep-json/*.json",
    "alphapose-open": "alphapose-results.json",
    "coco": "coco-results.json",
    "csv": "poses.csv",
    "images": "images/*.jpg",
    "jsonl": "poses.jsonl",
    "openpose": "openpose/*_keypoints.json",
    "video": "clip.mp4",
}
SERVED = {
    "rtmpose-m": simcc_graph(17),
    "rtmpose-x": simcc_graph(17),
    "rtmpose-m-halpe26": simcc_graph(26),
    "rtmw-l": simcc_graph(133),
    "rtmpose-m-hand": simcc_graph(21),
    "rtmpose-m-face": simcc_graph(106),
    "rtmo-m": rtmo_graph(),
    "rtmo-l": rtmo_graph(),
    "rtmdet-m-person": dets_graph(),
    "rtmdet-nano-hand": dets_graph(),
    "vitpose-b": b"listed, never run",
}


@pytest.fixture
def inputs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The inputs that the pages name, and a server of tiny networks under real names."""
    for path in (folder / "images", folder / "site"):
        path.mkdir()
    boxes = []
    for i in (1, 2):
        shutil.copy("people.jpg", f"images/{i:06d}.jpg")
        boxes.append({"image_id": i, "category_id": 1, "bbox": [500, 200, 300, 900], "score": 0.9})
    Path("boxes.json").write_text(json.dumps(boxes), encoding="utf-8")
    for name, config in CONFIGS.items():
        Path(name).write_text(config, encoding="utf-8")
    Path("list.txt").write_text("images/000001.jpg\nimages/000002.jpg\n", encoding="utf-8")
    rows = np.zeros((1, 56, 8400), np.float32)
    rows[0, :5, 0] = 320, 320, 200, 400, 0.9
    rows[0, 5:, 0] = 0.8  # all joints in a corner, and visible
    network(Path("yolo11m-pose.onnx"), {"output0": rows}, (1, 3, 640, 640), "images")
    true = {name: find(name) for name in SERVED}
    with site(folder / "site", monkeypatch) as made:
        for name, body in SERVED.items():
            told = {"aliases": " ".join(true[name].aliases), "joints": true[name].joints or ""}
            told |= {key: getattr(true[name], key) for key in ("kind", "layout", "skeleton")}
            made.add(name, body, **told)
        yield


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize(("page", "command"), COMING_COMMANDS)
def test_commands_beside_those_of_other_tools_run(
    page: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    if command in NAMED_ALONE:
        return
    if re.match(r"posewright models convert \S+\.pth -o \S+$", command):  # of anybody
        parse(shlex.split(command)[1:])
        return
    if found := OF_A_CHECKPOINT.match(command):
        assert found[2] in foreigns() or find(found[2]).origin == "checkpoint"
        return
    if "openvino" in command:
        pytest.importorskip("openvino")
    verb, *words = shlex.split(command)[1:]
    if verb == "track":  # results of that tool, whose form we write
        made = words[0].rstrip("/")
        assert main(["predict", "clip.mp4", "-o", "before", "--save", made.partition("-")[0]]) == 0
        shutil.move(f"before/{made}", made)
    assert main([verb, *words]) == 0, capsys.readouterr().err
    assert capsys.readouterr().out
    if verb in ("predict", "track"):
        out = Path(words[words.index("-o") + 1] if "-o" in words else "posewright-out")
        saved = words[words.index("--save") + 1].split(",") if "--save" in words else ["jsonl"]
        assert all(list(out.glob(WRITTEN[form])) for form in saved)
        if "jsonl" in saved:
            rows = (out / "poses.jsonl").read_text(encoding="utf-8").splitlines()[1:]
            assert rows and all(json.loads(row)["people"] for row in rows)


@pytest.mark.usefixtures("inputs")
@pytest.mark.parametrize(("page", "block"), COMING_PYTHON)
def test_python_beside_that_of_other_tools_runs(
    page: str, block: str, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("block.py").write_text(block, encoding="utf-8")
    runpy.run_path("block.py")
    assert capsys.readouterr().out
