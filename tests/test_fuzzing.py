"""Thousands of damaged files of every kind end as `fuzz.bounded.Outcome.fault` says; more by hand:
`python -m tests.fuzz --minutes 20`."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from tests.fuzz.bounded import Bounded, Outcome
from tests.fuzz.damage import damaged_json
from tests.fuzz.folders import damaged_folder, rows_of
from tests.fuzz.kinds import FORMS, KINDS, damaged
from tests.fuzz.making import examples
from tests.fuzz.trying import Trial, fuzz, restored, tried

CORPUS = Path(__file__).parent / "corpus"
LINES = [name for name, kind in KINDS.items() if not kind.alone]
ALONE = [name for name, kind in KINDS.items() if kind.alone]
# of each kind; those that need a network, a decoder or a compiled graph take longer
LINE_CASES = {"pictures": 8, "videos": 6, "lists": 6, "archives": 6, "boxes": 5, "safetensors": 8}
ALONE_CASES = {
    "read-model-safetensors": 40,
    "read-frames-videos": 300,
    "read-header-pictures": 800,
    "read-picture-pictures": 800,
}
# MB by which a reader may grow; networks, decoders and Arrow's pools take more
GROWTH = 64.0
COMPUTING = ("read-openvino", "read-onnxruntime", "read-frames", "read-model", "read-layout")
COMPUTING += ("read-results-tables",)
# sets whose readers leave out and note what is broken
NOTED = {f"read-{use}-{kind}" for use in ("set", "check") for kind in ("labelme", "visdrone")}
# good files that end in an error all the same: weights of no network, notes of what is odd in a set
REFUSED = {"pickles", "zips", "mpii", "visdrone", "read-checkpoint-graphs", "read-yaml-yolo"}
USUAL_LINES, USUAL_ALONE = 16, 100
PICTURES = 130  # in a folder

Examples = Mapping[str, list[Path]]


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Examples:
    return examples(tmp_path_factory.mktemp("fuzz"))


@pytest.fixture(scope="module")
def child() -> Iterator[Bounded]:
    with Bounded() as run:
        yield run


def counted(cases: int) -> Callable[[], bool]:
    left = iter(range(cases))
    return lambda: next(left, None) is None


def test_good_files_are_read(good: Examples, child: Bounded, tmp_path: Path) -> None:
    """Where an example is refused as it is, its damage shows little."""
    refused = set()
    for name, kind in KINDS.items():
        for file in good[kind.examples]:
            trial = Trial()
            assert tried(child, name, file, tmp_path / "out", trial) == ""
            refused |= {name} if set(trial.codes[name]) - {0} else set()
    assert refused == REFUSED


def end_well(run: Bounded, good: Examples, kind: str, out: Path, cases: int) -> Trial:
    trial = Trial()
    fuzz(run, good, out, 2026, trial, None, counted(cases), (kind,))
    print(trial.table())
    assert trial.faults == [] and trial.cases >= cases
    assert set(trial.codes[kind]) - {0} or kind in NOTED, "nothing was damaged"
    return trial


@pytest.mark.parametrize("kind", LINES)
def test_command_lines_end_well(kind: str, good: Examples, child: Bounded, tmp_path: Path) -> None:
    end_well(child, good, kind, tmp_path / "out", LINE_CASES.get(kind, USUAL_LINES))


@pytest.mark.parametrize("kind", ALONE)
def test_readers_end_well(kind: str, good: Examples, child: Bounded, tmp_path: Path) -> None:
    trial = end_well(child, good, kind, tmp_path / "out", ALONE_CASES.get(kind, USUAL_ALONE))
    assert kind.startswith(COMPUTING) or trial.grown[kind] < GROWTH


def test_thousands_of_files_are_damaged() -> None:
    alone = sum(ALONE_CASES.get(kind, USUAL_ALONE) for kind in ALONE)
    lines = sum(LINE_CASES.get(kind, USUAL_LINES) for kind in LINES)
    print(f"{alone} files for readers, {lines} for command lines, {PICTURES} in a folder")
    assert alone >= 5000 and lines >= 300
    assert set(LINE_CASES) <= set(LINES) and set(ALONE_CASES) <= set(ALONE)


def test_every_picture_of_a_folder_has_its_row(
    good: Examples, child: Bounded, tmp_path: Path
) -> None:
    pictures = good["pictures"]
    damaged_folder(random.Random(2026), pictures, tmp_path / "mixed", PICTURES)
    damaged_folder(random.Random(2026), pictures, tmp_path / "alone", 0)
    outcome, rows = rows_of(child, tmp_path / "mixed", tmp_path / "out-mixed")
    usual, expected = rows_of(child, tmp_path / "alone", tmp_path / "out-alone")
    assert (outcome.fault(), outcome.code) == ("", 3) and usual.code == 0
    assert sorted(rows) == sorted(file.name for file in (tmp_path / "mixed").iterdir())
    broken = [row for row in rows.values() if row["status"] != "ok"]
    assert len(broken) > PICTURES / 3 and all(row["message"] for row in broken)
    for name, row in expected.items():
        row["source"] = row["source"].replace("alone", "mixed")
        row["sequence"] = row["sequence"].replace("alone", "mixed")
        assert rows[name] == row and row["status"] == "ok", name


@pytest.mark.parametrize(
    "file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}/{file.name}"
)
def test_what_was_found_once(file: Path, good: Examples, child: Bounded, tmp_path: Path) -> None:
    """In place of the good file that it was made of, whose name its own ends with."""
    kind = file.parent.name
    of_kind = good[KINDS[kind].examples]
    place = next((g for g in of_kind if file.name.endswith(f"-{g.name}")), of_kind[0])
    with restored(place):
        shutil.copyfile(file, place)
        assert tried(child, kind, place, tmp_path / "out", Trial()) == ""


def test_the_same_seed_does_the_same_damage(good: Examples) -> None:
    for form in FORMS:
        files = next((good[k.examples] for k in KINDS.values() if k.form == form), good["lines"])
        data = min(files, key=lambda file: file.stat().st_size).read_bytes()
        made = [damaged(random.Random(seed), data, form) for seed in (1, 1, 2)]
        assert made[0] == made[1] != made[2]
    changed = {damaged_json(random.Random(s), b'{"a": [1, 2, {"b": "c"}]}') for s in range(50)}
    assert len(changed) > 30 and b'{"a": [1, 2, {"b": "c"}]}' not in changed


def test_faults_are_found(good: Examples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: an outcome that is not as it must be is told with its case."""
    monkeypatch.setattr(Bounded, "__call__", lambda *_, **__: Outcome(1, err="killed"))
    trial, run = Trial(), Bounded()
    fuzz(run, good, tmp_path / "out", 1, trial, tmp_path / "found", counted(2), ("lines",))
    assert len(trial.faults) == 2 and "exit code 1" in trial.faults[0]
    assert len(list((tmp_path / "found" / "lines").iterdir())) == 2
