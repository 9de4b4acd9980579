"""The report page and the plots of posewright measure."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest

from posewright.cli import main
from posewright.reports.page import svg_file
from posewright.reports.plots import lines
from posewright.skeletons import HALPE26
from tests.helpers.walker import save, walker


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page and the plots of a walker whose knee is missing now and then."""
    folder = tmp_path_factory.mktemp("pages")
    scores = np.ones((120, 26))
    scores[::2, HALPE26["left_knee"]] = 0
    saved = save(folder, {2: walker()[0]}, scores)
    words = ["--save", "html,svg", "--height", "1.7", "--convention", "isb"]
    words += ["--angle", "bend=nose,neck,mid_hip"]
    assert main(["measure", str(saved), "-o", str(folder / "out"), *words]) == 0
    return folder / "out"


class Texts(HTMLParser):
    """The cells of tables, and the names of all elements."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.names: set[str] = set()
        self._cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)
        if tag == "tr":
            self.rows.append([])
        self._cell = tag == "td"

    def handle_data(self, data: str) -> None:
        if self._cell:
            self.rows[-1].append(data)
            self._cell = False


def test_the_page_has_the_numbers_and_nothing_from_elsewhere(made: Path) -> None:
    text = (made / "person-2.html").read_text(encoding="utf-8")
    page = Texts()
    page.feed(text)
    assert not page.names & {"script", "link", "iframe", "img"} and "http" not in text
    rows = {row[0]: row for row in page.rows if row}
    # the flexion of ISB's knee is negative; its 8 to 58 degrees are -58 to -8
    assert rows["right knee"][1:5] == ["deg", "-57.99", "-8", "49.99"]
    assert rows["left knee"][-2:] == ["60", "60"]
    assert "but the flexion of a knee is negative" in text
    assert rows["and 20 more in gaps.csv"] and rows["left_knee"][1] == "gap"
    assert text.count("<svg ") == 8 and rows["trunk"][1] == "m"


def test_the_plots_stand_alone(made: Path) -> None:
    names = {path.name for path in made.glob("*.svg")}
    joints = {"ankle", "knee", "hip", "shoulder", "elbow"}
    parts = {*joints, "bend_angle", "trunk_direction", "mid_hip_speed"}
    assert names == {f"person-2-{part}.svg" for part in parts}
    for name in names:
        text = (made / name).read_text(encoding="utf-8")
        root = ElementTree.fromstring(text)
        assert root.tag == "{http://www.w3.org/2000/svg}svg" and "var(" not in text
        drawn = [e for e in root.iter() if (e.get("class") or "").startswith("l ")]
        assert len(drawn) == (2 if name[9:-4] in joints else 1)
        assert all(len(re.findall("L", e.get("d") or "")) > 50 for e in drawn)


def test_a_plot_keeps_its_colours_as_a_file() -> None:
    svg = lines({"a & b": [(0, 1), (1, 2)], "c": [(0, 2), (1, 1)]}, "t", "x", "y")
    text = svg_file(svg)
    assert ".s1{stroke:#c25e00}" in text and ElementTree.fromstring(text).get("width") == "880"


def test_another_run_removes_the_pages(made: Path) -> None:
    saved = str(made.parent / "poses.jsonl")
    assert main(["measure", saved, "-o", str(made), "--overwrite", "--save", "mot"]) == 0
    left = {path.suffix for path in made.iterdir()}
    assert left == {".csv", ".mot"} and not (made / "measures.csv").exists()
