"""docs/troubleshooting.md lists every error, and a reader finds an error there by its words."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from types import ModuleType

import pytest

from posewright.cli import main
from posewright.cli.demo import CLIP

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "troubleshooting.md"


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    """The tool that writes the page."""
    path = ROOT / "tools" / "write_troubleshooting_page.py"
    spec = importlib.util.spec_from_file_location("write_troubleshooting_page", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_lists_every_error(writer: ModuleType) -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == writer.page(), "run: python tools/write_troubleshooting_page.py"


def listed() -> list[re.Pattern[str]]:
    """Return the messages of the page, whose capitals and dots stand for any text."""
    items = re.findall(r"^- `+ ?(.+?) ?`+$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    parts = (re.split(r"\.\.\.|\b[A-Z][A-Z0-9-]+\b", item) for item in items)
    return [re.compile(".*".join(map(re.escape, part))) for part in parts]


@pytest.mark.parametrize(
    "command",
    [
        "predict nowhere.jpg",
        "predict CLIP -m movenet-tunder",
        "predict CLIP --save cococo",
        "predict CLIP --det-every 3",
        "predict CLIP --device cuda --runtime onnxruntime",
        "predict CLIP --traker oks",
        "predict list.txt",
        "track CLIP",
        "eval coco --ann CLIP --predictions CLIP",
        "data check nowhere",
        "models info hrnet_w31",
    ],
)
def test_an_error_is_found_by_its_words(
    command: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("list.txt").write_text("")
    try:
        code = main(command.replace("CLIP", str(CLIP)).split())
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    assert code in (2, 3, 4)
    said = next(line for line in capsys.readouterr().err.splitlines() if line.startswith("posewr"))
    message = said.partition(": ")[2]
    assert any(len(p.pattern) > 12 and p.match(message) for p in listed()), message


@pytest.mark.parametrize(
    ("command", "row"),
    [
        ("predict a.jpg --traker oks", "unrecognized arguments: WORDS"),
        ("predict a.jpg --save", "argument OPTION: expected one argument"),
        ("predict a.jpg --runtime onxruntime", "argument OPTION: invalid choice: 'WORD'"),
        ("predikt a.jpg", "argument OPTION: invalid choice: 'WORD'"),
        ("data synth -o a --count two", "argument OPTION: invalid int value: 'WORD'"),
        ("predict", "the following arguments are required: NAMES"),
    ],
)
def test_what_is_said_of_a_command_line_is_explained(
    command: str, row: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(command.split())
    assert f"| `{row}" in PAGE.read_text(encoding="utf-8")
    words = re.escape(row).replace("OPTION", r"\S+").replace("WORD", r"\S+").replace("NAMES", "")
    assert re.search(words.replace(r"\S+S", r"\S+"), capsys.readouterr().err)


def test_an_error_in_no_area_of_the_page_is_refused(
    writer: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "AREAS", writer.AREAS[:1])
    with pytest.raises(SystemExit, match="belongs to no area"):
        writer.messages()


def test_placeholders_are_capitals(writer: ModuleType) -> None:
    import ast

    def pattern(code: str) -> str:
        found: str = writer.pattern(ast.parse(code, mode="eval").body)
        return found

    assert pattern("f'no model {name!r}; see {self.path}'") == "no model 'NAME'; see PATH"
    assert pattern("f'{len(a)} are ' + 'too many'") == "... are too many"
    assert pattern('f\'it is {"no file" if a else "no folder"}\'') == "it is no file / no folder"
