"""Hundreds of damaged files of every kind end as `fuzz.bounded.Outcome.fault` says; more by hand:
`python -m tests.fuzz --minutes 20`."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fuzz.bounded import Bounded, Outcome
from fuzz.damage import damaged, damaged_json
from fuzz.kinds import KINDS
from fuzz.trying import Trial, fuzz, tried

CORPUS = Path(__file__).parent / "corpus"
# of each kind; those that need a network or a decoder take longer
CASES = {"pictures": 20, "videos": 12, "lists": 12, "safetensors": 30}
USUAL = 100


@pytest.fixture(scope="module")
def child() -> Iterator[Bounded]:
    with Bounded() as run:
        yield run


def counted(cases: int) -> Callable[[], bool]:
    left = iter(range(cases))
    return lambda: next(left, None) is None


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_end_well(kind: str, tmp_path: Path) -> None:
    trial = Trial()
    fuzz(tmp_path, 2026, trial, None, counted(CASES.get(kind, USUAL)), (kind,))
    assert trial.faults == [] and trial.cases >= CASES.get(kind, USUAL)
    assert set(trial.codes[kind]) - {0}, "nothing was damaged"


@pytest.mark.parametrize(
    "file", sorted(CORPUS.glob("*/*")), ids=lambda file: f"{file.parent.name}/{file.name}"
)
def test_what_was_found_once(file: Path, tmp_path: Path, child: Bounded) -> None:
    copy = tmp_path / file.parent.name / file.name
    copy.parent.mkdir()
    shutil.copyfile(file, copy)
    assert tried(child, file.parent.name, copy, tmp_path / "out", Trial()) == ""


def test_the_same_seed_does_the_same_damage() -> None:
    data = b'{"a": [1, 2, {"b": "c"}]}'
    for form in ("json", "lines", "bytes"):
        made = [damaged(random.Random(seed), data, form) for seed in (1, 1, 2)]
        assert made[0] == made[1] != made[2]
    changed = {damaged_json(random.Random(seed), data) for seed in range(50)}
    assert len(changed) > 30 and data not in changed


def test_faults_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: an outcome that is not as it must be is told with its case."""
    monkeypatch.setattr(Bounded, "__call__", lambda *_, **__: Outcome(1, err="killed"))
    trial = Trial()
    fuzz(tmp_path / "examples", 1, trial, tmp_path / "found", counted(2), ("lines",))
    assert len(trial.faults) == 2 and "exit code 1" in trial.faults[0]
    assert len(list((tmp_path / "found" / "lines").iterdir())) == 2
