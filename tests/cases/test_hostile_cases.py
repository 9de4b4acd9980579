"""Files of `../shared/cases/hostile`: each ends in one line or a good result, soon and small.

What is asked of all of them is `Outcome.fault`: a documented exit code with a word of what is
wrong, no traceback, at most 10 s of the processor and 1 GB, nothing that moves the cursor.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import onnx
import pytest

from posewright.runtimes.info import METADATA_KEY
from posewright.weights import EMBEDDED
from tests.fuzz.bounded import Bounded, Outcome

Check = Callable[..., Outcome]


@pytest.fixture(scope="module")
def child() -> Iterator[Bounded]:
    """One process for all files: what one leaves behind would harm the next."""
    with Bounded() as run:
        yield run


@pytest.fixture
def hostile(data_dir: Path) -> Path:
    folder = data_dir.parent / "cases" / "hostile"
    if not folder.is_dir():
        pytest.skip(f"no cases at {folder}")
    return folder


@pytest.fixture
def check(child: Bounded, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Check]:
    """A function that runs a command line on a file of that name, and says what it came to."""
    said: list[str] = []
    request.node.user_properties.append(("case", f"hostile/{request.node.name}"))

    def run(name: str, *words: str | Path) -> Outcome:
        found = child(*words, cwd=tmp_path)
        assert not found.fault(), f"{name}: {found.fault()}"
        said.append(f"{name} {found.code}")
        return found

    yield run
    request.node.user_properties.append(("detail", f"exit codes {', '.join(sorted(set(said)))}"))


def test_pictures(hostile: Path, check: Check, tmp_path: Path, data_dir: Path) -> None:
    good = data_dir / "coco" / "images" / "000000000785.jpg"
    folder = tmp_path / "pictures"
    folder.mkdir()
    shutil.copy(good, folder / "good.jpg")
    check("good", "predict", folder, "-o", "alone", "--save", "csv")
    alone = (tmp_path / "alone" / "poses.csv").read_text()
    for number, file in enumerate(sorted((hostile / "pictures").iterdir())):
        shutil.copyfile(file, folder / file.name)
        found = check(file.name, "predict", folder, "-o", f"out{number}", "--save", "csv")
        rows = (tmp_path / f"out{number}" / "poses.csv").read_text()
        if found.code:
            assert file.name in "".join(found.lines) and rows == alone
        (folder / file.name).unlink()


LABELS = {"mat": "lsp"}  # kinds that the end of a file's name does not say
PLAIN = ("json", "yaml")


def test_labels(hostile: Path, check: Check, tmp_path: Path) -> None:
    for file in sorted((hostile / "labels").iterdir()):
        folder, end = tmp_path / file.name, file.suffix[1:]
        folder.mkdir()
        name = {"yaml": "data.yaml", "mat": "joints.mat"}.get(end, f"{file.stem}.json")
        shutil.copyfile(file, folder / name)
        whole = end in ("labelme", "mat")
        data = folder if whole else folder / name
        kind = [] if end in PLAIN else ["--kind", LABELS.get(end, end)]
        for verb in ("check", "stats"):
            check(file.name, "data", verb, data, *kind)
        for verb, words in (("convert", ["out"]), ("view", ["-o", "view"])):
            target = [folder / word if word in ("out", "view") else word for word in words]
            check(file.name, "data", verb, data, *target, *kind)
        copied = [p for p in folder.rglob("*") if p.name in ("passwd", "zero")]
        assert not copied, f"{file.name}: {copied} were copied"


def test_pickles(hostile: Path, check: Check) -> None:
    for file in sorted((hostile / "pickles").iterdir()):
        found = check(file.name, "models", "convert", file, "--as", "hrnet", "-o", "x.safetensors")
        assert found.code == 4


def test_results(hostile: Path, check: Check, tmp_path: Path) -> None:
    for file in sorted((hostile / "results").iterdir()):
        folder = tmp_path / file.name
        folder.mkdir()
        saved = folder / ("poses.jsonl" if file.suffix == ".jsonl" else "coco-results.json")
        shutil.copyfile(file, saved)
        formats = "jsonl,csv,coco,openpose,alphapose"
        found = check(file.name, "track", saved, "-o", folder / "out", "--save", formats)
        assert found.code in (0, 3)


def test_descriptions_in_onnx_files(
    hostile: Path, check: Check, tmp_path: Path, people_jpg: Path
) -> None:
    for file in sorted((hostile / "model-metadata").glob("*.json")):
        base = file.name.split(".")[1]
        proto = onnx.load(EMBEDDED[base].path)
        entry = next(p for p in proto.metadata_props if p.key == METADATA_KEY)
        entry.value = file.read_bytes().decode("utf-8", "replace")
        onnx.save(proto, tmp_path / "m.onnx")
        option = "-m" if base == "movenet-thunder" else "-d"
        out = ("-o", tmp_path / file.stem, "--save", "csv")
        found = check(file.name, "predict", people_jpg, option, tmp_path / "m.onnx", *out)
        assert found.code in (0, 4)


@pytest.mark.parametrize("maker", ["mkonnx.py", "mkst.py"])
def test_models_that_are_made(
    hostile: Path, check: Check, tmp_path: Path, people_jpg: Path, maker: str
) -> None:
    made = subprocess.run(
        [sys.executable, hostile / "model-metadata" / maker], cwd=tmp_path, capture_output=True
    )
    assert made.returncode == 0, made.stderr
    for file in sorted(tmp_path.iterdir()):
        option = "-d" if file.stem == "stride-tiny" else "-m"
        out = ("-o", tmp_path / "out" / file.stem, "--save", "csv")
        found = check(file.name, "predict", people_jpg, option, file, *out)
        assert found.code in (0, 3, 4)
        if file.suffix == ".safetensors":
            check(file.name, "models", "info", file)


def test_the_bounds_themselves(child: Bounded, tmp_path: Path, people_jpg: Path) -> None:
    """Negative controls: what must be found is found."""
    assert "exit code 3" in Outcome(3).fault() and "MB" in Outcome(0, peak=1001).fault()
    assert "s of the processor" in Outcome(0, cpu=10.1).fault()
    assert "control character" in Outcome(0, out="\x1b[2J").fault()
    assert "traceback" in Outcome(1, err="Traceback (most recent call last):\nKeyError: 1").fault()
    good = child("predict", people_jpg, "-o", "out", "--save", "jsonl", cwd=tmp_path)
    assert good.code == 0 and not good.fault() and 50 < good.peak < 1000 and good.cpu > 0
    assert json.loads((tmp_path / "out" / "poses.jsonl").read_text().splitlines()[1])["people"]
